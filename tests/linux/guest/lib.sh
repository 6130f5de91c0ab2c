# Steps of a test, run by init. Lines for the machine begin with @@.
host=/sys/kernel/debug/hvpci-standin
drv=/sys/kernel/debug/hvpci-testdrv

say() { echo "@@ $*"; }

# What went wrong is a result like any other.
bad() { say "bad $*"; }

do_host() { echo "$*" > $host/control || bad "control refused: $*"; }

# Waits (seconds) until a command succeeds.
await() {
	limit=$(($1 * 20)); shift
	while [ $limit -gt 0 ]; do
		"$@" && return 0
		usleep 50000
		limit=$((limit - 1))
	done
	return 1
}

bound_count() { n=$(grep -c ^pci= $drv); [ "$n" = "$1" ]; }

# Prints the host's books and the drivers', under a name.
books() {
	while read -r l; do say "host $1 $l"; done < $host/state
	[ -e $drv ] && while read -r l; do say "driver $1 $l"; done < $drv
}

# load_host PARAMETERS...
load_host() { insmod /hv_vmbus.ko "$@" || bad "insmod hv_vmbus $*"; }

# load_driver stock|ours [PARAMETERS...]: the vPCI driver under test, before anything is offered.
load_driver() {
	kind=$1; shift
	[ -d /sys/module/pci_hyperv_intf ] || insmod /pci-hyperv-intf.ko || bad "insmod pci-hyperv-intf"
	if [ $kind = stock ]; then
		module=pci_hyperv
		insmod /pci-hyperv.ko "$@" || bad "insmod pci-hyperv"
	else
		module=hvpci
		insmod /hvpci.ko "$@" || bad "insmod hvpci"
		# it binds only when asked
		echo 44c4f61d-4444-4400-9d52-802e27ede19f > /sys/bus/vmbus/drivers/hvpci/new_id || bad "new_id"
	fi
}

load_testdrv() { insmod /hvpci_testdrv.ko "$@" || bad "insmod hvpci_testdrv $*"; }

unload() {
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	rmmod $module || bad "rmmod $module"
	books unloaded
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
}

# bring_up NAME stock|ours FUNCTIONS HOST-PARAMETERS [DRIVER-PARAMETERS]: offer to bound, interrupts, unload.
bring_up() {
	name=$1 kind=$2 want=$3 host_p=$4 driver_p=$5
	load_host $(echo $host_p | tr , ' ')
	load_driver $kind $(echo $driver_p | tr , ' ')
	load_testdrv
	do_host go
	await 60 bound_count $want || bad "$name: $n of $want bound"
	books bound
	fire_all
	books fired
	unload
}

# Every function sends each of its messages once; the handlers must have counted.
fire_all() {
	buses=$(grep -c ^bus= $host/state)
	b=0
	while [ $b -lt $buses ]; do
		grep "^function bus=$b " $host/state | while read -r _ _ s _; do
			s=${s#slot=}
			for m in 0 1 2 3; do do_host fire $b $s $m; done
		done
		b=$((b + 1))
	done
	usleep 100000
}

# start KIND HOST-PARAMETERS [TESTDRV-PARAMETERS]: everything loaded, nothing offered.
start() {
	load_host $(echo $2 | tr , ' ')
	load_driver $1
	load_testdrv $3
}

gone() { ! grep -q "^bus=$1 .*channel=Open" $host/state; }

no_device() { [ -z "$(ls /sys/bus/vmbus/devices)" ]; }

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
		do_host fire 0 0 0
		usleep 20000
		do_host fire 0 0 0
		usleep 20000
		at=$(sed 's/.* cpus=\(-*[0-9]*\).*/\1/' $drv)
		say "result affinity wanted=$c got=$at"
		[ "$at" = $c ] || bad "interrupt at CPU $at, affinity is $c"
		c=$((c + 1))
	done
	n=$(sed 's/.* counts=\([0-9]*\).*/\1/' $drv)
	[ "$n" = $((2 * cpus)) ] || bad "$n interrupts of $((2 * cpus))"
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

# eject_cycles KIND COUNT: the host asks for the function back, takes the bus away, and offers it again.
eject_cycles() {
	start $1 buses=1
	do_host go
	i=0
	while [ $i -lt $2 ]; do
		await 30 bound_count 1 || bad "cycle $i: not bound"
		do_host eject 0 0
		await 30 bound_count 0 || bad "cycle $i: still bound after EJECT"
		await 30 no_device || bad "cycle $i: the bus is still there"
		do_host add 0 0 0 128
		do_host offer 0
		i=$((i + 1))
	done
	await 30 bound_count 1 || bad "not bound at the end"
	say "result eject_cycles done=$i"
	unload
}

# The function goes without asking.
surprise() {
	start $1 buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_host gone 0 0 1
	do_host remove 0 0
	await 30 bound_count 0 || bad "still bound"
	unload
}

# rescind_cycles KIND COUNT: the channel goes and comes.
rescind_cycles() {
	start $1 buses=1
	do_host go
	i=0
	while [ $i -lt $2 ]; do
		await 30 bound_count 1 || bad "cycle $i: not bound"
		do_host rescind 0
		await 30 no_device || bad "cycle $i: the bus is still there"
		bound_count 0 || bad "cycle $i: $n bound without a bus"
		do_host offer 0
		i=$((i + 1))
	done
	await 30 bound_count 1 || bad "not bound at the end"
	say "result rescind_cycles done=$i"
	unload
}

rescinded() { grep -q "^bus=0 channel=Rescinded" $host/state; }

struck_or_bound() { rescinded || bound_count 1; }

# rescind_steps KIND MOST: the channel goes at the 1st, 2nd, ... message of bring-up; each time the next offer comes up. Ends
# with the first step that bring-up does not reach.
rescind_steps() {
	start $1 buses=1
	step=1 went=0
	while [ $step -le $2 ]; do
		do_host fault 0 step:$step rescind
		if [ $step = 1 ]; then do_host go; else do_host offer 0; fi
		await 30 struck_or_bound || bad "step $step: neither gone nor bound"
		do_host nofault 0
		if rescinded; then
			went=$step
			await 30 no_device || bad "step $step: the bus does not go"
			do_host offer 0
			await 30 bound_count 1 || bad "step $step: not bound after the next offer"
		else
			step=$2
		fi
		do_host rescind 0
		await 30 no_device || bad "step $step: the bus is still there"
		step=$((step + 1))
	done
	say "result rescind_steps last=$went"
	[ $went -ge 5 ] || bad "only $went steps were struck"
	unload
}

# load_cycles KIND COUNT: the module under test is loaded and unloaded with a device there.
load_cycles() {
	start $1 buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	before=$(grep ^Slab: /proc/meminfo | tr -cd 0-9)
	i=0
	while [ $i -lt $2 ]; do
		rmmod $module || bad "cycle $i: rmmod $module"
		bound_count 0 || bad "cycle $i: $n bound without a driver"
		load_driver $1
		await 30 bound_count 1 || bad "cycle $i: not bound"
		i=$((i + 1))
	done
	say "result load_cycles done=$i slab_kb_before=$before slab_kb_after=$(grep ^Slab: /proc/meminfo | tr -cd 0-9)"
	unload
}

# A function is added to a bus that is up: it must get BARs and a driver.
hot_add() {
	start $1 buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_host add 0 1 1 0
	await 30 bound_count 2 || bad "the added function has no driver: $n bound"
	books bound
	do_host eject 0 1
	await 30 bound_count 1 || bad "still bound after EJECT"
	unload
}

total() { sed -n "s/^total .* $1=\([0-9]*\).*/\1/p" $host/state; }

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

# lying KIND: the host answers wrongly at one message of bring-up. The function may come up or not; afterwards the channel can
# be taken away, and a next offer by an honest host comes up.
lying() {
	start $1 buses=1
	do_host rescind 0
	do_host go
	count=0
	for lie in "truncate 2" garbage duplicate unknown "extend 8" "status 0xC0000001" id "gone 0"; do
		for step in 1 3 5 7; do
			do_host fault 0 step:$step $lie
			do_host offer 0
			await 1 bound_count 1
			do_host nofault 0
			do_host gone 0 0 0
			do_host rescind 0
			await 30 no_device || bad "$lie at step $step: the bus does not go"
			count=$((count + 1))
		done
	done
	do_host offer 0
	await 30 bound_count 1 || bad "not bound by an honest host"
	say "result lying done=$count"
	do_host clear
	unload
}
