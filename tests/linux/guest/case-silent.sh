# Cases: the host stops answering, for as long as the module's real deadlines.

# The device of the host's bus N: GUIDs count up.
bus_device() { sed_line=$(($1 + 1)); ls /sys/bus/vmbus/devices | sort | sed -n ${sed_line}p; }

bus_state() { sed -n 's/^state: //p' /sys/kernel/debug/hvpci/$(bus_device $1)/status; }

seconds() { cut -d. -f1 /proc/uptime; }

# Whether a function of bus N is bound: the PCI domain's low byte is the bus's number from 1.
bus_bound() { grep -q "^pci=10$(printf %02x $(($1 + 1))):" $drv; }

# silent_bring_up KIND BUSES: bus N hears nothing from the host from the Nth message of its bring-up on, side by side, so that a
# minute's wait is spent once. Every bus ends up failed or running; then unbind and bind against an honest host brings each up.
silent_bring_up() {
	start $1 buses=$2
	b=0
	while [ $b -lt $2 ]; do
		do_host fault $b from:$((b + 1)) lose
		b=$((b + 1))
	done
	begin=$(seconds)
	do_host go
	# Bring-up asks at most twice in a row without an answer (a function's BARs, then D0 entry), and leaves D0: 130 seconds.
	patiently 150 settled $2 || bad "some bus is still on its way: $(grep -h ^state /sys/kernel/debug/hvpci/*-*/status | tr '\n' ' ')"
	took=$(($(seconds) - begin))
	b=0 failed=0
	while [ $b -lt $2 ]; do
		case "$(bus_state $b)" in Failed*) failed=$((failed + 1)) ;; esac
		say "note silent from=$((b + 1)) state=$(bus_state $b) bound=$(bus_bound $b && echo yes || echo no)"
		b=$((b + 1))
	done
	# A bus that does not hear of its version, of its functions or of D0 has failed; one whose function is not assigned, or gets
	# no interrupt, runs without it; and a host that falls silent later is not missed.
	[ $failed -ge 4 ] || bad "only $failed buses failed"
	bus_bound 5 && bad "a function without resources is bound"
	bus_bound 13 || bad "a function that was up before the silence is not bound"
	[ "$(dmesg | grep -c 'the host did not answer in time')" -ge $failed ] || bad "not every failed bus says why"
	begin=$(seconds)
	b=0
	while [ $b -lt $2 ]; do
		do_host nofault $b
		device=$(bus_device $b)
		echo $device > /sys/bus/vmbus/drivers/hvpci/unbind || bad "unbind of bus $b"
		echo $device > /sys/bus/vmbus/drivers/hvpci/bind || bad "bind of bus $b"
		b=$((b + 1))
	done
	await 30 bound_count $2 || bad "$n of $2 bound by an honest host"
	say "result silent_bring_up buses=$2 failed=$failed seconds=$took again_seconds=$(($(seconds) - begin))"
	do_host forgive
	fire_all
	books fired
	unload
}

# silent_prefetch: under policy=prefetch the host never answers for the map of bus 0's function. Bus 1 does not wait for it; its own
# function is shown after a minute, with a word, and works.
silent_prefetch() {
	load_host buses=2
	load_driver ours policy=prefetch
	load_testdrv
	do_host fault 0 0x4:1 lose
	begin=$(seconds)
	do_host go
	await 20 bus_bound 1 || bad "the other bus is not bound"
	bus_bound 0 && bad "a function is bound while it is being mapped"
	overdue='the host has not mapped function .* in time'
	dmesg | grep -q "$overdue" && bad "the map is overdue at once"
	patiently 90 bus_bound 0 || bad "a function is kept for ever"
	took=$(($(seconds) - begin))
	[ $took -ge 60 ] && [ $took -le 75 ] || bad "the function was kept $took seconds, not a minute"
	[ "$(dmesg | grep -c "$overdue")" = 1 ] || bad "nothing is said of the overdue map"
	say "result silent_prefetch seconds=$took"
	do_host forgive
	fire_all
	books fired
	unload
}

# As await, looking every two seconds: what the machine does between two looks takes no time on a clock that counts instructions.
patiently() {
	limit=$(($1 / 2)); shift
	while [ $limit -gt 0 ]; do
		"$@" && return 0
		sleep 2
		limit=$((limit - 1))
	done
	return 1
}

settled() {
	[ "$(grep -l '^state: \(Running\|Failed\)' /sys/kernel/debug/hvpci/*-*/status | wc -l)" = $1 ]
}

# silent_eject KIND BUSES: the function of bus N is ejected, and the host is silent from the Nth message of that on.
silent_eject() {
	start $1 buses=$2
	do_host go
	await 60 bound_count $2 || bad "$n of $2 bound"
	b=0
	while [ $b -lt $2 ]; do
		# The EJECT itself is the first message.
		do_host fault $b from:$((b + 2)) lose
		do_host eject $b 0
		b=$((b + 1))
	done
	begin=$(seconds)
	await 20 bound_count 0 || bad "$n of $2 are still bound"
	took=$(($(seconds) - begin))
	begin=$(seconds)
	rmmod $module || bad "rmmod $module"
	say "result silent_eject buses=$2 seconds=$took rmmod_seconds=$(($(seconds) - begin))"
	b=0
	while [ $b -lt $2 ]; do
		do_host nofault $b
		do_host rescind $b
		b=$((b + 1))
	done
	await 30 no_device || bad "some bus does not go"
	load_driver $1
	b=0
	while [ $b -lt $2 ]; do
		# where the host has heard that it may have its function back
		grep -q "^function bus=$b slot=0 " $host/state || do_host add $b 0 0 128
		do_host offer $b
		b=$((b + 1))
	done
	await 60 bound_count $2 || bad "$n of $2 bound by an honest host"
	do_host forgive
	fire_all
	books fired
	unload
}

# silent_unload KIND BUSES: the host is silent when buses are unbound, and when the module is unloaded.
silent_unload() {
	start $1 buses=$2
	do_host go
	await 60 bound_count $2 || bad "$n of $2 bound"
	b=0
	while [ $b -lt $2 ]; do
		do_host silent $b
		b=$((b + 1))
	done
	device=$(bus_device 0)
	begin=$(seconds)
	echo $device > /sys/bus/vmbus/drivers/hvpci/unbind || bad "unbind"
	one=$(($(seconds) - begin))
	[ $one -ge 9 ] && [ $one -le 15 ] || bad "unbind took $one seconds: D0EXIT has ten"
	begin=$(seconds)
	rmmod $module || bad "rmmod $module"
	all=$(($(seconds) - begin))
	[ $all -le 20 ] || bad "rmmod took $all seconds: D0EXIT has ten, and buses do not wait for each other"
	say "result silent_unload buses=$2 unbind_seconds=$one rmmod_seconds=$all"
	bound_count 0 || bad "$n bound without a driver"
	b=0
	while [ $b -lt $2 ]; do
		do_host nofault $b
		b=$((b + 1))
	done
	load_driver $1
	await 60 bound_count $2 || bad "$n of $2 bound by an honest host"
	do_host forgive
	fire_all
	books fired
	unload
}
