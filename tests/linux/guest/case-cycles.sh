# Cases: hundreds of times the same; nothing may be left behind.

# Kernel memory in slabs, in KiB, with what can be given back given back.
slab_kb() {
	sync
	echo 3 > /proc/sys/vm/drop_caches
	grep ^Slab: /proc/meminfo | tr -cd 0-9
}

allocations() { cat /sys/kernel/debug/hvpci/allocations; }

# What the host still holds of the guest's: ranges, interrupts, assigned functions.
held() {
	sed -n 's/^mmio held=0$//; s/^mmio \(.*\)/\1/p; s/^function .* \(assigned=1 irqs=[0-9]*\).*/\1/p' $host/state | tr -d '\n'
	sed -n 's/^function .* assigned=0 \(irqs=[1-9][0-9]*\).*/\1/p' $host/state
}

one_load_cycle() {
	rmmod hvpci || bad "cycle $i: rmmod hvpci"
	bound_count 0 || bad "cycle $i: $n bound without a driver"
	dmesg -c | grep -q 'hvpci: unloaded, all memory given back' || bad "cycle $i: memory was not given back"
	[ -z "$(held)" ] || bad "cycle $i: the host still has $(held)"
	load_driver ours
	await 30 bound_count 1 || bad "cycle $i: not bound"
}

one_eject_cycle() {
	do_host eject 0 0
	await 30 bound_count 0 || bad "cycle $i: still bound after EJECT"
	await 30 no_device || bad "cycle $i: the bus is still there"
	[ "$(allocations)" = $idle ] || bad "cycle $i: $(allocations) allocations without a bus, there were $idle"
	[ -z "$(held)" ] || bad "cycle $i: the host still has $(held)"
	do_host add 0 0 0 128
	do_host offer 0
	await 30 bound_count 1 || bad "cycle $i: not bound"
}

# cycles load|eject WARM_UP COUNT MOST_KB: so many cycles to warm up, so many to be measured; slabs may grow by MOST_KB over
# those. (The host's own books grow with each map it has ever made.)
cycles() {
	cycle=one_$1_cycle
	load_host buses=1
	load_driver ours
	load_testdrv
	idle=$(allocations)
	[ "$idle" = 0 ] || bad "$idle allocations before there is a bus"
	do_host go
	await 30 bound_count 1 || bad "not bound"
	i=0
	while [ $i -lt $2 ]; do $cycle; i=$((i + 1)); done
	before=$(slab_kb) maps=$(total maps) i=0 begin=$(cut -d. -f1 /proc/uptime)
	while [ $i -lt $3 ]; do $cycle; i=$((i + 1)); done
	after=$(slab_kb)
	say "result cycles kind=$1 done=$i maps=$(($(total maps) - maps)) slab_kb_before=$before slab_kb_after=$after grown_kb=$((after - before)) seconds=$(($(cut -d. -f1 /proc/uptime) - begin))"
	# Each of them brought the function up.
	[ $(($(total maps) - maps)) = $3 ] || bad "$(($(total maps) - maps)) maps in $3 cycles"
	[ $((after - before)) -le $4 ] || bad "slabs grew by $((after - before)) KiB in $i cycles, at most $4"
	fire_all
	books fired
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	dmesg -c > /dev/null
	rmmod hvpci || bad "rmmod hvpci"
	dmesg | grep -q 'hvpci: unloaded, all memory given back' || bad "memory was not given back at the end"
	books unloaded
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
}
