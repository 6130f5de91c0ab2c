# Cases: somebody holds what hvpci has taken away, or sleeps in what it has handed on, while it is to be unloaded.
holder=/sys/kernel/debug/hvpci-holder

load_holder() { insmod /hvpci_holder.ko || bad "insmod hvpci_holder"; }
unload_holder() { rmmod hvpci_holder || bad "rmmod hvpci_holder"; }
do_holder() { echo "$*" > $holder || bad "holder refused: $*"; }
first_function() { sed -n 's/^pci=\([^ ]*\) .*/\1/p;q' $drv; }

# What is gone reads all ones.
reads_nothing() { grep -q "vendor=0xffffffff " $holder || bad "$1: $(cat $holder)"; }
# references N: so many hold the module.
references() { [ "$(cat /sys/module/hvpci/refcnt)" = $1 ]; }
module_gone() { [ ! -d /sys/module/$1 ]; }
# in_use WHEN: the module under test can't be unloaded now.
in_use() {
	said=$(rmmod hvpci 2>&1) && bad "$1: hvpci was unloaded"
	module_gone hvpci && bad "$1: hvpci is gone"
	say "result in_use $(echo $1 | tr ' ' _) said=$(echo $said | tr ' ' _)"
}
# rmmod in the background, which takes as long as others let it. Its end is its word in the file.
begin_unload() {
	rm -f /unloaded
	(rmmod hvpci; echo $? > /unloaded) &
}
unloaded() { [ -e /unloaded ]; }
# not_unloaded SECONDS WHEN: nor is it, all that time. rmmod has begun: it does not say that the module is in use.
not_unloaded() {
	limit=$(($1 * 10))
	while [ $limit -gt 0 ]; do
		unloaded && bad "$2: the unload ended after $((($1 * 10 - limit) / 10)) s" && return
		usleep 100000
		limit=$((limit - 1))
	done
}

# held_unbind: a function is held when its bus is unbound. The module stays until it is let go.
held_unbind() {
	start ours buses=1
	load_holder
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_holder hold $(first_function)
	ls /sys/bus/vmbus/devices > /sys/bus/vmbus/drivers/hvpci/unbind
	bound_count 0 || bad "still bound"
	reads_nothing unbound
	in_use "function held"
	reads_nothing "after rmmod"
	# another life of the same bus beside it
	ls /sys/bus/vmbus/devices > /sys/bus/vmbus/drivers/hvpci/bind
	await 30 bound_count 1 || bad "not bound again"
	reads_nothing "the bus is back"
	do_holder release
	await 10 references 0 || bad "the module is held by $(cat /sys/module/hvpci/refcnt)"
	unload_holder
	unload
}

says_held() { dmesg | grep -q "are still held: the module is unloaded when they end"; }

# held_unload: a function is held when the module is unloaded: the unload waits, longer than the ten seconds it says nothing.
held_unload() {
	start ours buses=1
	load_holder
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_holder hold $(first_function)
	dmesg -c > /dev/null
	begin_unload
	await 20 bound_count 0 || bad "still bound"
	await 60 says_held || bad "nothing was said"
	not_unloaded 2 "function held"
	reads_nothing "while the module waits"
	do_holder release
	await 20 unloaded || bad "the unload does not end"
	[ "$(cat /unloaded)" = 0 ] || bad "rmmod: $(cat /unloaded)"
	module_gone hvpci || bad "hvpci is there"
	say "result held_unload done=1"
	unload_holder
	load_driver ours
	await 30 bound_count 1 || bad "not bound by the next load"
	unload
}

# Bus 0 is pci-hyperv's, bus 1 hvpci's; the holder has the function of pci-hyperv's. Its block is read in the background.
two_drivers() {
	load_host buses=2
	load_intf
	load_stock || bad "insmod pci-hyperv"
	load_ours
	load_testdrv
	load_holder
	do_host go
	await 30 bound_count 2 || bad "$n of 2 bound to pci-hyperv"
	take_over $(ls /sys/bus/vmbus/devices | sed -n 2p)
	await 30 bound_count 2 || bad "$n of 2 bound, one to each driver"
	do_holder hold 1001:00:00.0
}
begin_read() {
	rm -f /was_read
	(echo read 7 > $holder; echo $? > /was_read) &
	usleep 500000
}
was_read() { [ -e /was_read ]; }
read_ends() {
	await $1 was_read || bad "$2: the block was not read"
	[ "$(cat /was_read)" = 0 ] || bad "$2: the read failed: $(dmesg | grep holder: | tail -n 1)"
}
end_two_drivers() {
	do_holder release
	unload_holder
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	[ ! -d /sys/module/hvpci ] || rmmod hvpci || bad "rmmod hvpci"
	rmmod pci_hyperv || bad "rmmod pci_hyperv"
	books unloaded
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
}

# block_unload: a driver of a function of pci-hyperv's sleeps in a block call that hvpci has handed on.
block_unload() {
	two_drivers
	do_host fault 0 every:0x9 delay 4000
	begin_read
	was_read && bad "the host did not hold the answer back"
	in_use "block call under way"
	read_ends 10 "in use"
	# Now one that begins when the unload has begun: bus 1 is silent, so that it takes ten seconds to go.
	do_host fault 0 every:0x9 delay 15000
	do_host silent 1
	begin_unload
	usleep 2000000
	unloaded && bad "the unload did not wait for the silent host"
	begin_read
	# the silent host is given up ten seconds after the unload began, long before the block is there
	dmesg -c > /dev/null
	read_ends 30 "handed on while unloading"
	await 20 unloaded || bad "the unload does not end"
	module_gone hvpci || bad "hvpci is there"
	[ "$(dmesg | grep -oE "holder: |hvpci: unloaded" | tr -d '\n')" = "holder: hvpci: unloaded" ] ||
		bad "the unload did not wait for the call: $(dmesg | grep -E "holder: |hvpci: unloaded")"
	say "result block_unload done=1"
	do_host nofault 0
	# and without hvpci in between
	begin_read
	read_ends 10 "without hvpci"
	# a host that did not listen could not be told
	do_host forgive
	end_two_drivers
}

# block_orphan: a function of hvpci's that has gone is not handed to pci-hyperv, which would take it for its own.
block_orphan() {
	two_drivers
	do_holder hold $(sed -n 2p $drv | sed 's/^pci=\([^ ]*\) .*/\1/')
	begin_read
	read_ends 10 "while it is there"
	do_holder listen
	ls /sys/bus/vmbus/devices | sed -n 2p > /sys/bus/vmbus/drivers/hvpci/unbind
	await 10 bound_count 1 || bad "still bound"
	dmesg -c > /dev/null
	(echo read 7 > $holder) 2> /dev/null && bad "a block of a function that is gone was read"
	dmesg | grep -q "block 7: -19, 0 bytes" || bad "not ENODEV: $(dmesg | grep holder:)"
	(echo listen > $holder) 2> /dev/null && bad "a function that is gone is listened to"
	say "result block_orphan done=1"
	end_two_drivers
}

# block_listener: who listens to a function hears nothing once it is deaf, and nothing of the function that comes after it in its
# slot. A function that is there shows that what the host said before it has been dealt with.
block_listener() {
	start ours buses=1,functions=2
	load_holder
	do_host go
	await 30 bound_count 2 || bad "$n of 2 bound"
	do_holder hold 1001:00:01.0
	do_holder listen
	do_host invalidate 0 1 0x80
	await 5 heard 1 || bad "not heard: $(cat $holder)"
	do_holder deaf
	do_host invalidate 0 1 0x40
	do_host add 0 2 1 0
	await 30 bound_count 3 || bad "$n of 3 bound"
	heard 1 || bad "heard although deaf: $(cat $holder)"
	do_holder listen
	do_host eject 0 1
	await 30 bound_count 2 || bad "still bound after EJECT"
	# unbound is not given back: the host's slot is free when the guest has said so
	await 30 slot_free 0 1 || bad "not given back"
	do_host add 0 1 1 0
	await 30 bound_count 3 || bad "not bound again"
	do_host invalidate 0 1 0x20
	do_host add 0 3 1 0
	await 30 bound_count 4 || bad "$n of 4 bound"
	heard 1 || bad "heard of another function's blocks: $(cat $holder)"
	say "result block_listener done=1"
	do_holder release
	unload_holder
	unload
}
heard() { grep -q " heard=$1\$" $holder; }
