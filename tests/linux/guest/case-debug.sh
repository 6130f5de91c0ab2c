# Cases for the debug kernel, and what it looks at after every case.

kmemleak=/sys/kernel/debug/kmemleak
failslab=/sys/kernel/debug/failslab

# Before the first case. What the kernel itself allocates while it boots is looked at, too: it loses nothing, and a scan of its own
# to leave it out takes as long as many cases.
checkers_begin() {
	[ -e $kmemleak ] || return 0
	# emulated and instrumented: everything takes longer
	slow=4
}

# After a case: whether lockdep still looks. It stops at its first report. With `hvpci_scan_each` on the kernel's command line
# also for lost memory: that takes longer than most cases.
checkers_after() {
	[ -e $kmemleak ] || return 0
	grep -q "debug_locks: *1" /proc/lockdep_stats || bad "lockdep does not look any more"
	grep -q hvpci_scan_each /proc/cmdline && scan
}

# After the last one. What was lost stays lost: the scan need not come after the case that lost it. But the modules are gone by
# then, and kmemleak's backtrace has numbers for their functions.
checkers_end() {
	[ -e $kmemleak ] || return 0
	grep -q hvpci_scan_each /proc/cmdline || scan
}

# Memory that nobody points at any more.
scan() {
	# younger objects are not looked at; the second scan sees what was only being moved during the first
	sleep 6
	echo scan > $kmemleak || bad "kmemleak does not look any more"
	echo scan > $kmemleak || bad "kmemleak does not look any more"
	if grep -q unreferenced $kmemleak; then
		bad "memory was lost"
		cat $kmemleak
		echo clear > $kmemleak
	fi
}

# seeded KINDS...: the stand-in makes mistakes on purpose. Each must be reported.
seeded() {
	load_host buses=1
	for kind in "$@"; do
		say "result seeded kind=$kind"
		do_host plant $kind
	done
	scan
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
}

# text_of MODULE: where its code begins and ends.
text_of() {
	set -- $(grep -i " t .*\[$1\]\$" /proc/kallsyms | cut -d' ' -f1 | sort | sed -n '1p;$p')
	printf '0x%s 0x%x\n' $1 $((0x$2 + 4096))
}

# text_of_function NAME, in the kernel.
text_of_function() {
	set -- $(grep -A 1 " $1\$" /proc/kallsyms | cut -d' ' -f1)
	echo 0x$1 0x$2
}

# aim START END DEPTH: allocations fail that are made below this code, at most so many frames away. Not those of pci_device_add: the
# PCI core goes on with a device that could not be added (it only warns), and no caller can take such a device back.
aim() {
	set -- $1 $2 $3 $(text_of_function pci_device_add)
	echo $4 > $failslab/reject-start
	echo $5 > $failslab/reject-end
	echo $1 > $failslab/require-start
	echo $2 > $failslab/require-end
	echo $3 > $failslab/stacktrace-depth
	echo N > $failslab/ignore-gfp-wait
	echo 2 > $failslab/verbose
}

# arm N: the Nth allocation from now on fails. FAILSLAB counts on from one time to the next (`counted`), and fails where its
# count is a multiple of the interval; with interval 1 it does not count.
counted=0
arm() {
	echo $((counted + $1)) > $failslab/interval
	echo 1 > $failslab/times
	echo 100 > $failslab/probability
}

struck() { [ $(cat $failslab/times) = 0 ]; }

# Whether the armed allocation came. When it did not, the count is somewhere below the interval: see recount.
disarm() {
	echo 0 > $failslab/probability
	struck || return 1
	counted=$(cat $failslab/interval)
	[ $counted -gt 1 ] || counted=0
}

# recount N: after N was armed in vain. Reading the status of a bus that is there allocates once, below our code.
recount() {
	arm $(($1 + 1))
	while ! struck; do cat /sys/kernel/debug/hvpci/*-*/status > /dev/null 2>&1; done
	disarm
}

# Until the first function is bound; or an allocation has failed, and the bus has given up or has had time to come up all the
# same. (What is read of the bus after that is not counted.)
up_or_struck() {
	bound_count 1 && return 0
	struck || return 1
	[ -e "$(echo /sys/bus/vmbus/drivers/hvpci/*-*)" ] || return 0
	grep -q "^state: Failed" /sys/kernel/debug/hvpci/*-*/status && return 0
	patience=$((patience - 1))
	[ $patience = 0 ]
}

added_or_struck() {
	bound_count 2 && return 0
	struck || return 1
	patience=$((patience - 1))
	[ $patience = 0 ]
}

# rebind N: the bus must have said why it is not up, and comes up at the next bind.
rebind() {
	dmesg | grep -Ev "FAULT_INJECTION|failslab|should_fail" | grep -Eqi "memory|fail|could not|can't|error|-12" ||
		bad "allocation $1: nothing was said"
	bus=$(ls /sys/bus/vmbus/devices)
	[ -e /sys/bus/vmbus/devices/$bus/driver ] && echo $bus > /sys/bus/vmbus/drivers/hvpci/unbind
	echo $bus > /sys/bus/vmbus/drivers/hvpci/bind || bad "allocation $1: bind refused"
	await 10 any_bound || bad "allocation $1: not bound at the next bind"
}

any_bound() { ! bound_count 0; }

# failing_allocations FROM TO STRIDE DEPTH: the FROMth, ... allocation below our code fails, in a life that has a bring-up, and a
# function added and ejected. Ends with the first allocation that a life does not reach.
failing_allocations() {
	nth=$1 to=$2 stride=$3 depth=$4 up=0 rebound=0 last=none
	start ours buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound before anything fails"
	do_host rescind 0
	await 30 no_device || bad "the bus does not go"
	aim $(text_of hvpci) $depth
	while [ $nth -le $to ]; do
		dmesg -c > /dev/null
		arm $nth
		do_host offer 0
		patience=15
		await 10 up_or_struck || bad "allocation $nth: neither bound nor struck"
		if bound_count 1; then
			do_host add 0 1 1 0
			patience=10
			await 5 added_or_struck || bad "allocation $nth: the added function is neither bound nor struck"
			do_host eject 0 1
			await 1 bound_count 1
		fi
		if disarm; then last=$nth; fi
		if bound_count 1; then
			up=$((up + 1))
		else
			rebind $nth
			rebound=$((rebound + 1))
		fi
		[ $last = $nth ] || break
		do_host rescind 0
		await 30 no_device || bad "allocation $nth: the bus does not go"
		echo remove 0 1 2> /dev/null > $host/control
		nth=$((nth + stride))
	done
	say "result failing_allocations last=$last up=$up rebound=$rebound"
	[ $last != none ] || bad "no allocation failed"
	if [ $nth -gt $to ]; then do_host offer 0; else recount $nth; fi
	do_host clear
	await 30 bound_count 1 || bad "not bound at the end"
	unload
}

# failing_removals TO: the same while a bus is taken away, by the host and by unbind.
failing_removals() {
	nth=1 last=none
	start ours buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound before anything fails"
	aim $(text_of hvpci) 32
	while [ $nth -le $1 ]; do
		arm $nth
		if [ $((nth % 2)) = 0 ]; then
			do_host rescind 0
			await 30 no_device || bad "allocation $nth: the bus does not go"
		else
			ls /sys/bus/vmbus/devices > /sys/bus/vmbus/drivers/hvpci/unbind
			bound_count 0 || bad "allocation $nth: $n bound without a bus"
		fi
		if disarm; then last=$nth; fi
		if [ $((nth % 2)) = 0 ]; then
			do_host offer 0
		else
			ls /sys/bus/vmbus/devices > /sys/bus/vmbus/drivers/hvpci/bind
		fi
		await 30 bound_count 1 || bad "allocation $nth: not bound at the next bind"
		if [ $last != $nth ]; then
			recount $nth
			# both ways
			[ $last = $((nth - 1)) ] || break
		fi
		nth=$((nth + 1))
	done
	say "result failing_removals last=$last"
	[ $nth -le $1 ] || bad "more than $1 allocations"
	unload
}

# failing_load TO: the same for insmod: allocations below our module_init. busybox's insmod tries twice, by finit_module and by
# init_module: a load that fails for want of memory is followed by one that does not.
failing_load() {
	nth=1 last=none
	start ours buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound before anything fails"
	rmmod hvpci
	while [ $nth -le $1 ]; do
		aim $(text_of_function do_one_initcall) 32
		arm $nth
		insmod /hvpci.ko || bad "allocation $nth: insmod"
		if disarm; then last=$nth; fi
		[ $last = $nth ] || break
		rmmod hvpci || bad "allocation $nth: rmmod"
		nth=$((nth + 1))
	done
	say "result failing_load last=$last"
	[ $last != none ] || bad "no allocation failed"
	[ $nth -le $1 ] || bad "more than $1 allocations"
	echo 44c4f61d-4444-4400-9d52-802e27ede19f > /sys/bus/vmbus/drivers/hvpci/new_id
	await 30 bound_count 1 || bad "not bound after all that"
	aim $(text_of hvpci) 32
	recount $nth
	unload
}
