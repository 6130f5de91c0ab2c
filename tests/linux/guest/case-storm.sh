# Cases: somebody else writes into the ring: random, mutated, replayed and forged packets (backend-mock/src/host/storm.rs).

storm_left() { sed -n 's/^storm bus=0 .* left=\([0-9]*\).*/\1/p' $host/state; }
# Adds up what a storm has sent, and keeps the longest flood.
storm_count() {
	sent=$((sent + $(sed -n 's/^storm bus=0 sent=\([0-9]*\).*/\1/p' $host/state)))
	at=$(sed -n 's/^storm bus=0 .* row=\([0-9]*\).*/\1/p' $host/state)
	[ $at -gt $row ] && row=$at
}
storm_over() { [ "$(storm_left)" = 0 ]; }
# Over, or the channel is closed and nobody reads it.
storm_spent() { storm_over || ! grep -q '^bus=0 channel=Open' $host/state; }
function_there() { grep -q '^function bus=0 slot=0 ' $host/state; }

# The bus as it is at the beginning of a round: offered by an honest host, its function bound.
storm_honest() {
	do_host calm 0
	grep -q '^bus=0 channel=Rescinded' $host/state || do_host rescind 0
	await 90 no_device || bad "round $round: the bus does not go"
	function_there || do_host add 0 0 0 128
	if [ "$1" = with ]; then do_host storm 0 $2 $3; fi
	do_host offer 0
}

# storm KIND PACKETS SEED: rounds, each with a seed of its own, until the guest has read PACKETS foul packets. In each round up to
# an eighth of them come while the bus comes up, while it is up, while its function is ejected, and while it is unbound (those
# that were not read when the channel closed do not count). After each an honest offer comes up.
storm() {
	start $1 buses=1
	do_host rescind 0
	do_host go
	part=$(($2 / 8)) round=0 sent=0 usable=0 gone=0 row=0 odd=0
	while [ $sent -lt $2 ]; do
		seed=$(($3 + round))
		say "note storm round=$round seed=$seed"
		# While it comes up. What it makes of that is its business.
		storm_honest with $part $seed
		await 60 storm_spent || bad "round $round: $(storm_left) packets of the bring-up are not read"
		storm_count
		# While it is up: the storm hears an honest bring-up first, so that it has something to replay.
		storm_honest with 0 $seed
		await 60 bound_count 1 || bad "round $round: not bound by an honest offer"
		do_host storm 0 $part $seed
		await 60 storm_spent || bad "round $round: $(storm_left) packets are not read while it is up"
		storm_count
		odd=$((odd + $(sed -n 's/^odd packets: \([0-9]*\),.*/\1/p' /sys/kernel/debug/hvpci/*-*/status)))
		# Still of use when an honest list comes, or gone.
		do_host relations 0
		if await 2 bound_count 1; then usable=$((usable + 1)); else gone=$((gone + 1)); fi
		# While its function is ejected.
		storm_honest with 0 $seed
		await 60 bound_count 1 || bad "round $round: not bound by an honest offer"
		do_host storm 0 $part $seed
		do_host eject 0 0
		await 60 storm_spent || bad "round $round: $(storm_left) packets are not read while it is ejected"
		await 60 bound_count 0 || bad "round $round: still bound after EJECT"
		storm_count
		# While it is unbound.
		storm_honest with 0 $seed
		await 60 bound_count 1 || bad "round $round: not bound by an honest offer"
		do_host storm 0 $part $seed
		device=$(ls /sys/bus/vmbus/devices)
		echo $device > /sys/bus/vmbus/drivers/hvpci/unbind || bad "round $round: unbind"
		bound_count 0 || bad "round $round: $n bound without a bus"
		storm_count
		round=$((round + 1))
	done
	storm_honest without
	await 60 bound_count 1 || bad "not bound by an honest offer at the end"
	say "result storm seed=$3 rounds=$round sent=$sent odd=$odd usable=$usable gone=$gone in_a_row=$row"
	# What a forged answer made the guest do is no fault of the guest's; from here on everything counts again.
	do_host rescind 0
	await 60 no_device || bad "the bus does not go"
	do_host forgive
	do_host offer 0
	await 60 bound_count 1 || bad "not bound at the end"
	fire_all
	books fired
	unload
}
