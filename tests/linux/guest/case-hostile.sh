# Cases: the host answers wrongly, or not at all.

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
