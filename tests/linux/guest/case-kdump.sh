# Cases: a kernel after a kernel that died with the bus open (kexec, kdump). The dying one says nothing to the host; the modules
# are loaded anew, as in the next kernel.

# next_kernel KIND: the old one is dead.
next_kernel() {
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	rmmod $module || bad "rmmod $module"
	load_driver $1
	load_testdrv
	fired=0
	mark
	b=0
	while [ $b -lt $functions ]; do
		do_host boot $b
		b=$((b + 1))
	done
}

die() {
	b=0
	while [ $b -lt $functions ]; do
		do_host crash $b
		b=$((b + 1))
	done
}

# kdump KIND LEFT FUNCTIONS: what the dead kernel leaves at the host:
#	bound	D0, decode on, resources and interrupts: a driver was at work
#	enabled	the same without interrupts
#	idle	D0 and resources, decode off
#	twice	as bound; the next kernel dies as well
kdump() {
	up $1 $3 buses=$3
	case $2 in
	enabled)
		rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
		for pci in /sys/bus/pci/devices/[1-9a-f]*; do echo 1 > $pci/enable || bad "not enabled"; done
		die
		load_testdrv ;;
	idle)
		rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
		die
		load_testdrv ;;
	twice)
		die
		next_kernel $1
		await 60 bound_count $functions || bad "second kernel: $n of $functions bound"
		die ;;
	*)
		die ;;
	esac
	await 10 no_device || bad "devices of the dead kernel"
	next_kernel $1
	well kdump_$2 1
	unload
}

stuck() { usleep 300000; ! bound_count 1; }

# kdump_steps KIND MOST: the dead kernel got as far as its Nth message.
kdump_steps() {
	start $1 buses=1
	functions=1 step=1 done=0 begin="go"
	while [ $step -le $2 ]; do
		do_host fault 0 from:$step lose
		do_host $begin
		begin="boot 0"
		stuck || step=$2
		do_host nofault 0
		die
		next_kernel $1
		await 30 bound_count 1 || bad "step $step: not bound"
		maps=$(($(total maps) - at_maps))
		[ $maps = 1 ] || bad "step $step: $maps maps"
		die
		rmmod hvpci_testdrv; rmmod $module; load_driver $1; load_testdrv
		step=$((step + 1)) done=$((done + 1))
	done
	do_host boot 0
	await 30 bound_count 1 || bad "not bound at the end"
	say "result kdump_steps done=$done"
	[ $done -ge 5 ] || bad "only $done steps were struck"
	unload
}
