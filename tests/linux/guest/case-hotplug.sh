# Cases: functions, buses and modules come and go.

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

gone_or_bound() { rescinded || bound_count 1; }

# rescind_steps KIND MOST: the channel goes at the 1st, 2nd, ... message of bring-up; each time the next offer comes up. Ends
# with the first step that bring-up does not reach.
rescind_steps() {
	start $1 buses=1
	step=1 went=0
	while [ $step -le $2 ]; do
		do_host fault 0 step:$step rescind
		if [ $step = 1 ]; then do_host go; else do_host offer 0; fi
		await 30 gone_or_bound || bad "step $step: neither gone nor bound"
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
	[ $went -lt $2 ] || bad "bring-up has more than $2 messages: what comes after is not tried"
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
