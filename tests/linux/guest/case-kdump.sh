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
	old_maps=$(total maps)
	do_host boot 0
}

die() { do_host crash 0; }

# kdump KIND LEFT FUNCTIONS: one bus; what the dead kernel leaves at the host:
#	bound	D0, decode on, resources and interrupts: a driver was at work
#	enabled	the same without interrupts
#	idle	D0 and resources, decode switched off
#	twice	as bound; the next kernel dies as well
kdump() {
	up $1 $3 buses=1,functions=$3
	case $2 in
	enabled)
		rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
		for pci in /sys/bus/pci/devices/[1-9a-f]*; do echo 1 > $pci/enable || bad "not enabled"; done
		die
		load_testdrv ;;
	idle)
		rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
		for pci in /sys/bus/pci/devices/[1-9a-f]*; do
			printf '\0\0' | dd of=$pci/config bs=2 seek=2 conv=notrunc 2> /dev/null || bad "COMMAND not written"
		done
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
	await 60 bound_count $functions || bad "$n of $functions bound"
	# clearing away what was left over is no function's: the ledger begins after it
	old_unmaps=$(($(total unmaps) + $(total host_unmaps)))
	unmaps=$((old_unmaps - at_unmaps - at_host))
	case $2 in idle) want=0 ;; *) want=$functions ;; esac
	[ $unmaps = $want ] || bad "$unmaps unmaps, $want expected"
	well kdump_$2 1
	unload
}

lost_or_bound() { strikes 0 || bound_count 1; }

# kdump_steps KIND MOST: the dead kernel got as far as its Nth message. Ends with the first N that its bring-up does not reach.
kdump_steps() {
	start $1 buses=1
	functions=1 step=1 done=0 begin="go"
	while [ $step -le $2 ]; do
		do_host fault 0 from:$step lose
		mark_faults 0
		do_host $begin
		begin="boot 0"
		await 30 lost_or_bound || bad "step $step: no message is lost, and it is not bound"
		# the driver's probe may have messages left when it is bound
		if ! await 1 strikes 0; then break; fi
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
	do_host nofault 0
	[ $step -gt $2 ] && do_host boot 0
	await 30 bound_count 1 || bad "not bound at the end"
	say "result kdump_steps done=$done"
	[ $done -ge 5 ] || bad "only $done steps were struck"
	[ $step -le $2 ] || bad "bring-up has more than $2 messages: what comes after is not tried"
	unload
}
