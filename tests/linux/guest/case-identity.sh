# Cases: under which names functions appear, who else may use the same ones, and what an isolated VM refuses.

# PCI domains of the bound functions.
bound_domains() { sed -n 's/^pci=\([0-9a-f]*\):.*/\1/p' $drv; }
different() { [ -z "$(sort | uniq -d)" ]; }

# Gives a bus to hvpci that pci-hyperv has, as docs/install-linux.md tells.
take_over() {
	echo hvpci > /sys/bus/vmbus/devices/$1/driver_override || bad "driver_override"
	echo $1 > /sys/bus/vmbus/drivers/hv_pci/unbind || bad "unbind from hv_pci"
	echo $1 > /sys/bus/vmbus/drivers/hvpci/bind || bad "bind to hvpci"
}

# Both drivers, without new_id: pci-hyperv gets every bus, hvpci those it is given.
load_stock() { insmod /pci-hyperv.ko; }
load_intf() { [ -d /sys/module/pci_hyperv_intf ] || insmod /pci-hyperv-intf.ko || bad "insmod pci-hyperv-intf"; }
load_ours() { module=hvpci; load_intf; insmod /hvpci.ko "$@" || bad "insmod hvpci $*"; }

# twins KIND: instances that ask for the same PCI domain get different ones.
twins() {
	start $1 buses=3,twins=1
	do_host go
	await 30 bound_count 3 || bad "$n of 3 bound"
	bound_domains | different || bad "two buses in one domain: $(bound_domains | tr '\n' ' ')"
	bound_domains | grep -q '^1001$' || bad "nobody got the domain that all asked for"
	say "result twins domains=$(bound_domains | sort | tr '\n' ',')"
	fire_all
	books fired
	unload
}

# foreign_domain: the domain is taken by a bus of pci-hyperv's.
foreign_domain() {
	load_host buses=2 twins=1
	load_intf
	load_stock || bad "insmod pci-hyperv"
	load_ours
	load_testdrv
	do_host go
	await 30 bound_count 2 || bad "$n of 2 bound to pci-hyperv"
	second=$(ls /sys/bus/vmbus/devices | sed -n 2p)
	take_over $second
	await 30 bound_count 2 || bad "$n of 2 bound, one to each driver"
	bound_domains | different || bad "two buses in one domain: $(bound_domains | tr '\n' ' ')"
	say "result foreign_domain domains=$(bound_domains | tr '\n' ',')"
	fire_all
	books fired
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	rmmod hvpci || bad "rmmod hvpci"
	rmmod pci_hyperv || bad "rmmod pci_hyperv"
	books unloaded
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
}

# slot_names KIND: a slot of each function's is named by its serial number, and goes with it.
slot_names() {
	start $1 buses=1,functions=3
	do_host go
	await 30 bound_count 3 || bad "$n of 3 bound"
	# The first dword of the instance is 0x70760001; functions count up from there.
	for s in 0 1 2; do
		name=$((0x70760001 + s))
		address=$(cat /sys/bus/pci/slots/$name/address 2>/dev/null)
		[ "$address" = 1001:00:0$s ] || bad "slot $name is at '$address'"
	done
	say "result slot_names there=$(ls /sys/bus/pci/slots | grep -c ^18867814)"
	unload
	ls /sys/bus/pci/slots 2>/dev/null | grep -q ^18867814 && bad "slots are left over"
}

# numa_node KIND: a function is on the node that the host names; on the nearest one where the kernel does not use that, which is
# 1 for 2 on this machine; on the first where the host names none, or one that the machine cannot have. The same once it was
# removed and found again by a rescan.
numa_node() {
	nodes=/sys/devices/system/node
	[ "$(cat $nodes/possible) $(cat $nodes/online)" = "0-2 0-1" ] ||
		bad "nodes $(cat $nodes/possible), $(cat $nodes/online) of them in use: nothing was shown"
	for pair in -1:0 0:0 1:1 2:1 9:0; do
		named=${pair%:*} wanted=${pair#*:}
		start $1 buses=1,node=$named
		do_host go
		await 30 bound_count 1 || bad "node $named: not bound"
		at=$(cat /sys/bus/pci/devices/1001:00:00.0/numa_node)
		say "result numa_node named=$named at=$at"
		[ "$at" = $wanted ] || bad "the host says node $named, the function is on $at, not on $wanted"
		echo 1 > /sys/bus/pci/devices/1001:00:00.0/remove
		bound_count 0 || bad "node $named: $n bound after the function was removed"
		echo 1 > /sys/bus/pci/rescan
		await 30 bound_count 1 || bad "node $named: not bound after a rescan"
		at=$(cat /sys/bus/pci/devices/1001:00:00.0/numa_node)
		[ "$at" = $wanted ] || bad "node $named: after a rescan the function is on $at, not on $wanted"
		unload
	done
}

# isolated: what an isolated VM refuses, and what it takes.
isolated() {
	load_host buses=1
	load_intf
	for policy in absorbing prefetch; do
		dmesg -c > /dev/null
		insmod /hvpci.ko assume_isolated=1 policy=$policy 2> /dev/null && bad "policy=$policy was taken in an isolated VM"
		[ -d /sys/module/hvpci ] && bad "policy=$policy: the module is there"
		dmesg | grep -q "policy: $policy is not allowed in an isolated VM" || bad "policy=$policy: no word of why"
	done
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
	for policy in deferred eager; do
		load_host buses=1
		load_driver ours assume_isolated=1 policy=$policy
		dmesg | grep -q "policy $policy, isolated VM" || bad "policy=$policy: the log does not say that the VM is isolated"
		load_testdrv
		do_host go
		await 30 bound_count 1 || bad "policy=$policy: not bound"
		fire_all
		books fired
		unload
	done
}

# Every function has read its block, and hears of changes: blocks_work COUNT
blocks_work() {
	[ "$(grep -Ec 'block=(16|20) ' $drv)" = $1 ] || bad "$step: blocks were read by $(grep -Ec 'block=(16|20) ' $drv) of $1 functions"
	dmesg -c > /dev/null
	do_host invalidate 0 0 0x80
	[ $1 -gt 1 ] && do_host invalidate 1 0 0x80
	await 5 heard_of $1 || bad "$step: $(dmesg | grep -c 'blocks 0x80 invalidated') of $1 invalidations arrived"
}
heard_of() { [ "$(dmesg | grep -c 'blocks 0x80 invalidated')" = $1 ]; }
# The driver's probe, which reads the block, once more.
probe_again() {
	rmmod hvpci_testdrv || bad "$step: rmmod hvpci_testdrv"
	load_testdrv block=7
	await 10 bound_count $1 || bad "$step: $n of $1 bound"
}

# block_refusal: while a function of hvpci is there, pci-hyperv is refused with EBUSY, whether it uses blocks or not; and it loads
# once the function is gone.
block_refusal() {
	start ours buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	step=unused
	stock_refused
	probe_again 1
	step=before
	blocks_work 1
	stock_refused
	step=after
	blocks_work 1
	probe_again 1
	do_host rescind 0
	await 30 no_device || bad "the bus does not go"
	# Nobody is in its way, though hvpci is still loaded.
	load_stock || bad "insmod pci-hyperv without a function of hvpci"
	rmmod pci_hyperv || bad "rmmod pci_hyperv"
	unload
}
stock_refused() {
	dmesg -c > /dev/null
	said=$(insmod /pci-hyperv.ko 2>&1) && bad "$step: pci-hyperv was loaded"
	echo "$said" | grep -qi "busy" || bad "$step: refused with: $said"
	dmesg | grep -q "pci-hyperv can't be loaded now" || bad "$step: no word of why"
}

# block_orders: both drivers loaded, a function with blocks under each.
block_orders() {
	for order in stock_first ours_first; do
		step=$order
		load_host buses=2
		load_intf
		if [ $order = stock_first ]; then
			load_stock || bad "$step: insmod pci-hyperv"
			load_ours
		else
			# There is no function of hvpci yet: the load is noticed, and put right.
			load_ours
			load_stock || bad "$step: insmod pci-hyperv"
		fi
		load_testdrv block=7
		do_host go
		await 30 bound_count 2 || bad "$step: $n of 2 bound"
		take_over $(ls /sys/bus/vmbus/devices | sed -n 2p)
		await 30 bound_count 2 || bad "$step: $n of 2 bound, one to each driver"
		probe_again 2
		blocks_work 2
		# One of the two goes; the other's function still reads.
		if [ $order = stock_first ]; then
			rmmod hvpci || bad "$step: rmmod hvpci"
		else
			rmmod pci_hyperv || bad "$step: rmmod pci_hyperv"
		fi
		await 10 bound_count 1 || bad "$step: $n of 1 bound after the other driver went"
		probe_again 1
		[ "$(grep -Ec 'block=(16|20) ' $drv)" = 1 ] || bad "$step: the block was not read after the other driver went"
		rmmod hvpci_testdrv || bad "$step: rmmod hvpci_testdrv"
		if [ $order = stock_first ]; then
			rmmod pci_hyperv || bad "$step: rmmod pci_hyperv"
		else
			rmmod hvpci || bad "$step: rmmod hvpci"
		fi
		books unloaded
		rmmod hv_vmbus || bad "$step: rmmod hv_vmbus"
	done
	say "result block_orders done=2"
}
