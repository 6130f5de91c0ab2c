# Cases: the config window by loads and stores (standin/window.c).

# same FILE DEVICE: the function's config space is what FILE has.
same() { cat $2/config | cmp -s - $1; }

# byte DEVICE OFFSET: of its config space, in decimal.
byte() { dd if=$1/config bs=1 skip=$2 count=1 2> /dev/null | hexdump -ve '/1 "%d"'; }

# read_often FILE DEVICE COUNT: in the background, next to others; a difference is left in /differs.
read_often() {
	n=0
	while [ $n -lt $3 ]; do
		same $1 $2 || echo $2 >> /differs
		n=$((n + 1))
	done
}

# window KIND ROUNDS: two different functions on a bus whose window is memory: they come up and work, are read in every
# width, and from several processors at once, each as if it were alone.
window() {
	load_host buses=1 functions=2 device=mix mmio=1
	load_driver $1 cache=0
	load_testdrv
	do_host go
	await 60 bound_count 2 || bad "$n of 2 bound"
	grep -q "config window: .* by MMIO" /sys/kernel/debug/hvpci/*/status || bad "the window is not reached by MMIO"
	books bound
	fire_all
	books fired
	devices=$(sed 's/pci=\([^ ]*\).*/\1/' $drv | sort)
	at=0
	for name in $devices; do
		pci=/sys/bus/pci/devices/$name
		cat $pci/config > /alone$at
		[ $(wc -c < /alone$at) -ge 256 ] || bad "$name: config space is too short"
		for width in 1 2 4; do
			dd if=$pci/config of=/piece bs=$width count=$((256 / width)) 2> /dev/null
			head -c 256 /alone$at | cmp -s - /piece || bad "$name reads otherwise in accesses of $width bytes"
		done
		at=$((at + 1))
	done
	# A byte is written: the upper one of MSI-X Message Control. The function (of the first kind alone) is masked, and no longer.
	pci=/sys/bus/pci/devices/$(echo $devices | cut -d' ' -f1)
	capability=$(byte $pci 52)
	while [ $(byte $pci $capability) != 17 ]; do capability=$(byte $pci $((capability + 1))); done
	for value in '\300' '\200'; do
		printf $value | dd of=$pci/config bs=1 seek=$((capability + 3)) conv=notrunc 2> /dev/null
		[ $(printf $value | hexdump -ve '/1 "%d"') = $(byte $pci $((capability + 3))) ] || bad "$value was not written"
	done
	same /alone0 $pci || bad "the first function is not as before"
	cmp -s /alone0 /alone1 && bad "the functions look alike: nothing would be seen"
	rm -f /differs
	for reader in 1 2 3; do
		at=0
		for name in $devices; do
			read_often /alone$at /sys/bus/pci/devices/$name $2 &
			at=$((at + 1))
		done
	done
	wait
	[ -e /differs ] && bad "read otherwise beside others: $(sort /differs | uniq -c)"
	line=$(cat $host/window)
	say "result window $line"
	for kind in selects reads writes; do
		echo "$line" | grep -Eq "$kind=0|$kind=[0-9,]*,0[, ]" && bad "not every width was seen: $line"
	done
	echo "$line" | grep -q " faults=0 missed=0 " || bad "$line"
	unload
}

# denied: the hypervisor denies accesses to the config window. A function whose selection was denied is not taken for the one that is
# selected: it reads all ones, with a word, until the selection succeeds.
denied() {
	start ours buses=1,functions=2
	do_host go
	await 30 bound_count 2 || bad "$n of 2 bound"
	there=$(status_of 1)
	# the other one is selected now
	status_of 0 > /dev/null
	dmesg -c > /dev/null
	do_host deny 2
	for time in "selection denied" "denied again" "selection succeeds"; do
		found=$(status_of 1)
		case "$time:$found" in
		*" denied:ffff" | "denied again:ffff" | "selection succeeds:$there") ;;
		*) bad "$time: Status reads $found, was $there" ;;
		esac
	done
	[ $(dmesg | grep -c "config window: select slot 0x1: hypercall status 0x6") = 2 ] || bad "not said of each selection"
	do_host deny 1
	[ "$(status_of 1)" = ffff ] || bad "read denied: Status is not all ones"
	dmesg | grep -q "config window: read at 0x6: hypercall status 0x6" || bad "nothing was said of the read"
	[ "$(status_of 1)" = "$there" ] || bad "Status is not what it was"
	say "result denied done=1 status=$there"
	unload
}
# Status of the function in a slot: it is always read from the device.
status_of() { dd if=/sys/bus/pci/devices/1001:00:0$1.0/config bs=2 skip=3 count=1 2> /dev/null | od -An -tx2 | tr -d ' '; }
