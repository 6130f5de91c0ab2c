# Cases: the machine sleeps and wakes.
#
# What all of them find afterwards, by `well`: every BAR where it was, memory decode, bus mastering and MSI-X on, the memory
# behind the BAR reachable, each message fired once more, and the host's count of maps.
check=/sys/kernel/debug/hvpci-testdrv-check

# sum KEY: over all functions of the test driver.
sum() { sed -n "s/.* $1=\([0-9]*\).*/\1/p" $check | { t=0; while read -r v; do t=$((t + v)); done; echo $t; }; }

power_state() { sed -n "s/^power .*$1=\([0-9]*\).*/\1/p" $host/state; }

all_well() { ! grep -v 'wrong=0x\{0,1\}0*$' $check; }

# mark: from here on `well` counts.
mark() { at_maps=$(total maps) at_unmaps=$(total unmaps) at_host=$(total host_unmaps) at_traps=$(total traps); }

# up KIND FUNCTIONS HOST-PARAMETERS [DRIVER-PARAMETERS]: bound, every message fired once.
up() {
	load_host $(echo $3 | tr , ' ')
	load_driver $1 $(echo $4 | tr , ' ')
	load_testdrv
	functions=$2 fired=0 old_maps=0 old_unmaps=0
	do_host go
	await 60 bound_count $functions || bad "$n of $functions bound"
	fires
	mark
}

# Every message once more, and nothing else counted.
fires() {
	fire_all
	fired=$((fired + 1))
	sed 's/.* counts=\([-0-9,]*\) .*/\1/' $drv | tr , '\n' | grep -vx $fired > /dev/null || return
	# pci-hyperv asks the host, on the way up, to delete the interrupts of before. A host that has given their addresses to new
	# ones by then deletes those.
	[ $module = pci_hyperv ] && [ $(power_state resumes) != 0 ] && say "result stock_interrupts lost=1" && return
	bad "interrupts counted $(sed 's/.* counts=\([-0-9,]*\) .*/\1/' $drv | tr '\n' ' '), each was sent $fired times"
}

# The module's own books agree with the host's, and nothing was refused or left stale. What the host did for the kernel before
# is old_maps and old_unmaps.
same_books() {
	[ $module = hvpci ] || return 0
	ours=$(cat /sys/kernel/debug/hvpci/*/ledger | grep ^total | {
		m=0 u=0 s=0
		while read -r _ maps unmaps host _ _ _ _ refused stale _; do
			m=$((m + maps)) u=$((u + unmaps + host)) s=$((s + refused + stale))
		done
		echo "$m $u $s"
	})
	theirs="$(($(total maps) - old_maps)) $(($(total unmaps) + $(total host_unmaps) - old_unmaps)) 0"
	[ "$ours" = "$theirs" ] || bad "$1: maps, unmaps, surprises in the ledger: $ours, at the host: $theirs"
}

# unload, where pci-hyperv's way up is known not to please the host: see `fires`.
finish() {
	if [ $module = pci_hyperv ] && [ $(power_state resumes) != 0 ]; then
		rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
		rmmod $module || bad "rmmod $module"
		say "result stock_violations errors=$(total errors)"
		do_host forgive
		load_driver stock
		load_testdrv
	fi
	unload
}

# well NAME MAPS: as said above; MAPS is what each function may have cost since `mark`.
well() {
	await 30 bound_count $functions || bad "$1: $n of $functions bound"
	all_well || bad "$1: $(cat $check)"
	fires
	maps=$(($(total maps) - at_maps))
	say "result $1 functions=$functions maps=$maps unmaps=$(($(total unmaps) - at_unmaps)) host_unmaps=$(($(total host_unmaps) - at_host)) traps=$(($(total traps) - at_traps)) longest_ms=$(power_state longest_ms) errors=$(power_state errors)"
	[ $maps = $(($2 * functions)) ] || bad "$1: $maps maps for $functions functions, $2 each expected"
	same_books "$1"
	mark
}

# The way to the disk and back, without the disk: devices are frozen, the image is made, devices thaw, and then there is no swap
# to write it to. All that of a stock kernel, the PCI core's saving and restoring of functions included.
image_in_memory() {
	woke=$(sum wakes)
	echo disk > /sys/power/state 2> /dev/null
	await 5 woken_since $woke
}
woken_since() { [ $(sum wakes) -gt $1 ]; }

# freeze_thaw KIND COUNT [FUNCTIONS HOST-PARAMETERS [DRIVER-PARAMETERS]]
freeze_thaw() {
	up $1 ${3:-1} ${4:-buses=1} $5
	i=0
	while [ $i -lt $2 ]; do
		image_in_memory || bad "cycle $i: no function woke up"
		well thaw 1
		i=$((i + 1))
	done
	[ $(power_state suspends) = $((i * functions)) ] || bad "$(power_state suspends) suspends in $i cycles"
	[ $(power_state errors) = 0 ] || bad "$(power_state errors) callbacks failed"
	say "result freeze_thaw done=$i"
	finish
}

# freeze_fault KIND up|gone COMMAND-AT-FREEZE COMMAND-AT-THAW, with _ for spaces: something is wrong with the host meanwhile. The
# function is up afterwards, or cleanly gone, and the next offer comes up.
freeze_fault() {
	up $1 1 buses=1
	do_host pm freeze $(echo $3 | tr _ ' ')
	do_host pm thaw $(echo $4 | tr _ ' ')
	mark_faults 0
	begin=$(cut -d. -f1 /proc/uptime)
	echo disk > /sys/power/state 2> /dev/null
	dmesg | grep -q 'at [a-z]*: .*: -[0-9]' && bad "what was to go wrong was refused by the host"
	if [ $2 = up ]; then
		[ $(power_state suspends) -ge 1 ] || bad "there was no suspend"
		await 30 all_well || bad "not well: $(cat $check)"
		await 5 bound_count 1 || bad "not bound"
		fires
	else
		await 90 bound_count 0 || bad "still bound"
		ls /sys/bus/pci/devices | grep -v ^0000: && bad "still there"
	fi
	case " $3 $4" in
	*" fault_"* | *" silent_"*) strikes 0 || bad "the fault did not strike" ;;
	esac
	say "result freeze_fault $2 seconds=$(($(cut -d. -f1 /proc/uptime) - begin)) longest_ms=$(power_state longest_ms) maps=$(($(total maps) - at_maps))"
	do_host nofault 0
	do_host rescind 0
	await 30 no_device || bad "the bus does not go"
	# a host that did not listen could not be told, and what an open channel lost with it is no guest's leak
	do_host forgive
	do_host offer 0
	await 30 bound_count 1 || bad "not bound after the next offer"
	finish
}

# missing KIND: of two functions one is not there any more after the restore.
missing() {
	up $1 2 buses=1,functions=2
	do_host pm thaw remove 0 1
	echo disk > /sys/power/state 2> /dev/null
	await 30 bound_count 1 || bad "$n bound, one was removed"
	await 5 all_well || bad "not well: $(cat $check)"
	[ $(total leaks) = 0 ] || bad "leaks"
	do_host fire 0 0 0
	finish
}

# lost_interrupt KIND: the host does not make the second interrupt anew. Its entry stays masked; the others work.
lost_interrupt() {
	up $1 1 buses=1
	do_host pm thaw fault 0 0x1b:2 refuse 0xC0000001
	echo disk > /sys/power/state 2> /dev/null
	await 10 all_well || bad "not well: $(cat $check)"
	do_host nofault 0
	do_host_fails fire 0 0 1
	grep -q "^fire .* message=1 refused=Masked" $host/state || bad "not masked: $(grep ^fire $host/state)"
	for m in 0 2 3; do do_host fire 0 0 $m; done
	await 10 counted 7
	sed 's/.* counts=\([-0-9,]*\) .*/\1/' $drv | grep -qx 2,1,2,2 || bad "interrupts: $(cat $drv)"
	unload
}

# The modules of it that this kernel does not have built in.
disk() {
	if [ ! -b /dev/vda ]; then
		for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
			[ ! -e /$m.ko ] || insmod /$m.ko || bad "insmod $m"
		done
	fi
	await 5 [ -b /dev/vda ]
}

swap_on() {
	disk || bad "no disk"
	mkswap /dev/vda > /dev/null && swapon /dev/vda || bad "no swap"
}

# hibernate_here KIND FUNCTIONS HOST-PARAMETERS: the image is written, read back and restored in the same boot. The books were
# in memory, too: they say what was paid since the image was made.
hibernate_here() {
	up $1 $2 $3
	swap_on
	do_host pm restore cycle 0
	echo test_resume > /sys/power/disk
	echo disk > /sys/power/state || bad "no hibernation"
	well restored 1
	swapoff /dev/vda
	finish
}

# hibernate_off KIND FUNCTIONS HOST-PARAMETERS: the machine goes off, and the next boot (`comes_back`) restores it: hardware and
# host know nothing.
hibernate_off() {
	up $1 $2 $3
	swap_on
	do_host pm restore cycle 0
	echo shutdown > /sys/power/disk
	say hibernating
	echo disk > /sys/power/state || bad "no hibernation"
	say "resumed uptime=$(cut -d' ' -f1 /proc/uptime)"
	well restored 1
	swapoff /dev/vda
	finish
}

# In init of the second boot.
comes_back() {
	grep -q hvpci_comes_back /proc/cmdline || return
	say "kernel comes back"
	disk || bad "no disk"
	cat /sys/block/vda/dev > /sys/power/resume
	say "bad the machine did not come back"
	poweroff -f
}

# suspend_to_ram KIND HOST-PARAMETERS MAPS: VMBus leaves its drivers alone; the PCI core puts the functions into D3hot and
# restores them. Hyper-V's VMs have suspend-to-idle instead, which is the same to both; but nothing wakes this machine from that.
# Who wakes it is xtask/src/linux/wake.rs.
suspend_to_ram() {
	up $1 1 $2
	echo deep > /sys/power/mem_sleep
	echo mem > /sys/power/state || bad "no suspend"
	[ $(sum wakes) = 1 ] || bad "the function did not sleep: $(cat $check)"
	[ $(power_state suspends) = 0 ] || bad "VMBus told its drivers"
	well to_ram $3
	finish
}

# pm_test KIND LEVEL COUNT [FUNCTIONS HOST-PARAMETERS]: hibernation as far as LEVEL (freezer, devices, platform, processors, core)
# and back, COUNT times. Kernels with PM_DEBUG. The kernel spins for five seconds each time.
pm_test() {
	up $1 ${4:-1} ${5:-buses=1}
	if ! echo $2 > /sys/power/pm_test; then
		bad "no pm_test in this kernel"
	else
		i=0
		while [ $i -lt $3 ]; do
			echo disk > /sys/power/state || bad "cycle $i: no hibernation as far as $2"
			# the first two levels end before the phase in which VMBus tells its drivers
			case $2 in freezer | devices) well $2 0 ;; *) well $2 1 ;; esac
			i=$((i + 1))
		done
		echo none > /sys/power/pm_test
	fi
	finish
}
