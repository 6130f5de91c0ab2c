# Cases: a bus comes up, its functions work, they are found again.

# Functions with a driver and a memory BAR of 128 GiB that the kernel has placed, by what sysfs says.
large_bars() {
	for pci in $(sed 's/^pci=\([^ ]*\) .*/\1/' $drv); do
		cat /sys/bus/pci/devices/$pci/resource | while read -r start end flags; do
			[ $((end - start + 1)) = $((128 << 30)) ] && [ $((start)) != 0 ] && [ $((flags & 0x200)) != 0 ] && echo $pci
		done
	done | sort -u | wc -l
}

# bring_up NAME stock|ours FUNCTIONS HOST-PARAMETERS [DRIVER-PARAMETERS [VECTORS]]: offer to bound, interrupts, unload. A GPU has a
# BAR of 128 GiB; each function asks for 4 vectors, or so many. An empty word for DRIVER-PARAMETERS is `-`.
bring_up() {
	name=$1 kind=$2 want=$3 host_p=$4 driver_p=${5#-} vectors=${6:-4}
	load_host $(echo $host_p | tr , ' ')
	load_driver $kind $(echo $driver_p | tr , ' ')
	load_testdrv vectors=$vectors
	do_host go
	await 60 bound_count $want || bad "$name: $n of $want bound"
	books bound
	case "$host_p" in
	*device=nvme*) ;;
	*) [ "$(large_bars)" = $want ] || bad "$name: $(large_bars) of $want functions have a BAR of 128 GiB" ;;
	esac
	fire_all $vectors
	books fired
	unload
}

# Interrupts follow their affinity: two messages, because the first carries the change out, the second must arrive there.
affinity() {
	start $1 buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	cpus=$(grep -c ^processor /proc/cpuinfo)
	irq=$(sed 's/.* irq=\([0-9]*\).*/\1/' $drv)
	c=0
	while [ $c -lt $cpus ]; do
		echo $c > /proc/irq/$irq/smp_affinity_list || bad "affinity of irq $irq to $c refused"
		for sent in 1 2; do
			do_host fire 0 0 0
			await 10 counted $((2 * c + sent)) || bad "$interrupts interrupts of $((2 * c + sent))"
		done
		at=$(sed 's/.* cpus=\(-*[0-9]*\).*/\1/' $drv)
		say "result affinity wanted=$c got=$at"
		[ "$at" = $c ] || bad "interrupt at CPU $at, affinity is $c"
		c=$((c + 1))
	done
	n=$(sed 's/.* counts=\([0-9]*\).*/\1/' $drv)
	[ "$n" = $((2 * cpus)) ] || bad "$n interrupts in the first handler, $((2 * cpus)) were sent"
	books moved
	unload
}

# A driver that reads a config block inside its probe, and hears of its invalidation.
blocks() {
	start $1 buses=1 block=7
	do_host go
	await 30 bound_count 1 || bad "not bound"
	# 16 bytes, and up to 4 of the padding that the ring adds
	grep -Eq "block=(16|20) " $drv || bad "the block was not read: $(cat $drv)"
	do_host invalidate 0 0 0x80
	await 5 sh -c 'dmesg | grep -q "testdrv: .*blocks 0x80 invalidated"' || bad "the invalidation did not arrive"
	dmesg -c > /dev/null
	unload
}

# rescan KIND [DRIVER-PARAMETERS]: a function that was enabled is removed from the PCI core and found again.
rescan() {
	load_host buses=1
	load_driver $1 $2
	load_testdrv
	do_host go
	await 30 bound_count 1 || bad "not bound"
	maps=$(total maps) unmaps=$(total unmaps) traps=$(total traps)
	pci=/sys/bus/pci/devices/$(sed 's/pci=\([^ ]*\).*/\1/' $drv)
	echo 1 > $pci/remove
	await 5 bound_count 0 || bad "still bound"
	echo 1 > /sys/bus/pci/rescan
	await 10 bound_count 1 || bad "not bound after the rescan"
	say "result rescan maps=$(($(total maps) - maps)) unmaps=$(($(total unmaps) - unmaps)) traps=$(($(total traps) - traps))"
	fire_all
	books fired
	unload
}

# versions: each version of the protocol, as far as the host knows it; and without a word of the administrator's none above 1.4.
versions() {
	for minor in 1 2 3 4 5 6 default; do
		if [ $minor = default ]; then
			wanted=4
			load_host buses=1
			load_driver ours
		else
			wanted=$minor
			load_host buses=1 highest_minor=$minor
			load_driver ours version=1.6
		fi
		load_testdrv
		dmesg -c > /dev/null
		do_host go
		await 30 bound_count 1 || bad "version $minor: not bound"
		dmesg | grep -q "the host speaks version 1\.$wanted\$" || bad "version $minor: $(dmesg | grep 'the host speaks')"
		fire_all
		books fired
		unload
	done
	say "result versions done=7"
}
