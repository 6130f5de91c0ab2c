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

# each_step KIND MOST message|access STRIDE COMMAND SETTLES: the host does COMMAND at the 1st, 2nd, ... message of the guest's, or
# access to the config window; each time in another life of bus 0. Ends with the first step that bring-up does not reach. SETTLES
# looks at what the guest makes of it, and sees to it that slot 0 has a function again. Then the host has nothing to complain of,
# the bus goes, and the next life comes up.
#
# Made of it: rescind_steps, eject_steps, remove_steps, gone_steps, add_steps KIND MOST [message|access [STRIDE]].
each_step() {
	kind=$1 most=$2 where=${3:-message} stride=${4:-1} command=$5 settles=$6
	start $kind buses=1
	step=1 went=0 begin=go
	while [ $step -le $most ]; do
		mark_faults 0
		case "$where:$command" in
		message:rescind*) do_host fault 0 step:$step rescind ;;
		*) do_host at 0 $where:$step "$command" ;;
		esac
		do_host $begin
		begin="offer 0"
		await 30 struck_or_bound || bad "step $step: neither struck nor bound"
		if ! strikes 0; then
			do_host nofault 0
			break
		fi
		went=$step
		$settles
		clean
		rescinded || do_host rescind 0
		await 30 no_device || bad "step $step: the bus does not go"
		clean
		do_host offer 0
		await 30 up_at_host 1 || bad "step $step: not bound in the next life"
		do_host rescind 0
		await 30 no_device || bad "step $step: the next life's bus does not go"
		step=$((step + stride))
	done
	say "result each_step command=${command%% *} where=$where last=$went"
	if [ $where = message ]; then least=9; else least=40; fi
	[ $went -ge $least ] || bad "only $went of at least $least steps were struck"
	[ $step -le $most ] || bad "bring-up has more than $most steps: what comes after is not tried"
	unload
}

struck_or_bound() { strikes 0 || bound_count 1; }
rescinded_or_up() { rescinded || up_at_host 1; }

# up_at_host COUNT: so many functions have a driver, and the host knows of the interrupts of each, memory decode and bus mastering.
up_at_host() {
	bound_count $1 && [ $(grep -c "^function bus=0 .* command=0x0[0-9a-f][0-9a-f][67] assigned=1 irqs=4 " $host/state) = $1 ]
}

# The host has nothing to complain of.
clean() {
	[ "$(total errors)" = 0 ] && return
	bad "step $step: $(grep -m 1 ^violation $host/state)"
	do_host clear
}

# The driver, too, has let go of a function that is not there any more.
let_go() {
	await 30 bound_count 0 || bad "step $step: bound without a function"
}

rescind_steps() { each_step "$1" "$2" "$3" "$4" "rescind 0" settles_rescinded; }

settles_rescinded() {
	rescinded || bad "step $step: the channel is still there"
	let_go
}

eject_steps() { each_step "$1" "$2" "$3" "$4" "eject 0 0" settles_ejected; }

# An EJECT for a function that the guest was not told of yet (ours takes it in with the answer to its second message, pci-hyperv
# later) means nothing to it: the host asks again when it is up.
settles_ejected() {
	case $kind:$where:$step in
	ours:message:[12] | stock:message:[123])
		await 30 rescinded_or_up || bad "step $step: EJECT neither heard nor ignored"
		rescinded || do_host eject 0 0
		;;
	esac
	await 30 rescinded || bad "step $step: the function is not given back"
	let_go
	do_host add 0 0 0 128
}

remove_steps() { each_step "$1" "$2" "$3" "$4" "remove 0 0" settles_removed; }

# A new function comes up in the slot.
settles_removed() {
	usleep 300000
	let_go
	do_host add 0 0 0 128
	await 30 up_at_host 1 || bad "step $step: not bound when a function came into the slot"
}

gone_steps() { each_step "$1" "$2" "$3" "$4" "gone 0 0 1" settles_gone; }

# Bound or not, as it came: once the host says that the function is gone, it is.
settles_gone() {
	usleep 300000
	do_host remove 0 0
	settles_removed
}

add_steps() { each_step "$1" "$2" "$3" "$4" "add 0 1 1 0" settles_added; }

settles_added() {
	await 30 up_at_host 2 || bad "step $step: $n bound, with the added function 2"
	do_host eject 0 1
	await 30 up_at_host 1 || bad "step $step: the added function is not given back"
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
	fire_all
	books fired
	do_host eject 0 1
	await 30 bound_count 1 || bad "still bound after EJECT"
	unload
}
