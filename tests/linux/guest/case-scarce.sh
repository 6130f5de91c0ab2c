# Cases: memory runs out under hvpci's Rust code (hvpci_scarce), on any kernel.
scarce=/sys/kernel/debug/hvpci-scarce

failed() { sed 's/.*failed=//' $scarce; }

# Until so many functions are bound; or an allocation has failed, and the bus has given up or has had time to come up all the same.
up_or_failed() {
	bound_count $1 && return 0
	[ "$(failed)" != 0 ] || return 1
	[ -e "$(echo /sys/bus/vmbus/drivers/hvpci/*-*)" ] || return 0
	grep -q "^state: Failed" /sys/kernel/debug/hvpci/*-*/status && return 0
	patience=$((patience - 1))
	[ $patience = 0 ]
}

# scarce COUNT MOST: COUNT allocations in a row fail, from the 1st, 2nd, ... of a life on; the life has a bring-up, a function added
# and one ejected. Each time the bus comes up, or says why not and comes up at the next bind. What must not fail has what was put
# aside for it (HVPCI_RESERVE_BYTES), however many others fail before it. Ends with the first allocation a life does not reach.
scarce() {
	count=$1 nth=1 up=0 rebound=0 last=none
	start ours buses=1
	insmod /hvpci_scarce.ko || bad "insmod hvpci_scarce"
	do_host go
	await 30 bound_count 1 || bad "not bound before anything fails"
	do_host rescind 0
	await 30 no_device || bad "the bus does not go"
	while [ $nth -le $2 ]; do
		dmesg -c > /dev/null
		echo $nth $count > $scarce
		do_host offer 0
		patience=15
		await 10 up_or_failed 1 || bad "allocation $nth: neither bound nor struck"
		if bound_count 1; then
			do_host add 0 1 1 0
			patience=10
			await 5 up_or_failed 2 || bad "allocation $nth: the added function is neither bound nor struck"
			do_host eject 0 1
			await 1 bound_count 1
		fi
		struck=$(failed)
		echo 0 0 > $scarce
		if bound_count 1; then
			up=$((up + 1))
		else
			rebind $nth
			rebound=$((rebound + 1))
		fi
		[ $struck != 0 ] || break
		last=$nth
		do_host rescind 0
		await 30 no_device || bad "allocation $nth: the bus does not go"
		echo remove 0 1 2> /dev/null > $host/control
		nth=$((nth + 1))
	done
	say "result scarce count=$count last=$last up=$up rebound=$rebound"
	[ $last != none ] || bad "no allocation failed"
	[ $nth -le $2 ] || bad "more than $2 allocations"
	rmmod hvpci_scarce || bad "rmmod hvpci_scarce"
	await 30 bound_count 1 || bad "not bound at the end"
	unload
}
