# Cases: the host answers wrongly, or not at all.

told_or_bound() { strikes 0 || bound_count 1; }

# lying KIND [STRIDE [FIRST]]: the host answers wrongly at one message of bring-up, of the first seven each or every STRIDEth. The function may
# come up or not; afterwards the channel can be taken away, and a next offer by an honest host comes up. Messages that get no answer
# cannot be answered wrongly; each lie is told at four of the seven or more.
lying() {
	stride=${2:-1}
	start $1 buses=1
	do_host rescind 0
	do_host go
	count=0
	for lie in "truncate 2" garbage duplicate unknown "extend 8" "status 0xC0000001" id "gone 0"; do
		told=0
		for step in $(seq ${3:-1} $stride 7); do
			do_host fault 0 step:$step $lie
			mark_faults 0
			do_host offer 0
			await 30 told_or_bound || bad "$lie at step $step: neither told nor bound"
			if strikes 0; then told=$((told + 1)); fi
			# what becomes of it: up, or not for as long as an honest host would need many times over
			await 1 bound_count 1
			do_host nofault 0
			do_host gone 0 0 0
			do_host rescind 0
			await 30 no_device || bad "$lie at step $step: the bus does not go"
		done
		[ $((told * stride)) -ge 4 ] || bad "$lie was told at $told messages"
		count=$((count + told))
	done
	do_host offer 0
	await 30 bound_count 1 || bad "not bound by an honest host"
	say "result lying told=$count"
	unload
}
