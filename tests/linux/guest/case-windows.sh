# Cases: the MMIO windows of a bus and the bridge that has them.

# neighbours KIND: a bus has two windows that lie side by side, its bridge goes with its last function, and a new one is made
# with both. (The PCI core makes one window of two neighbours that a bridge starts with: they are vmbus's, and have to stay two.)
neighbours() {
	start $1 buses=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_host add 0 1 0 128
	await 30 bound_count 2 || bad "the added function has no driver: $n bound"
	round=0
	while [ $round -lt 3 ]; do
		held=$(sed -n 's/^mmio held=//p' $host/state)
		do_host remove 0 0
		do_host remove 0 1
		await 30 bound_count 0 || bad "round $round: $n bound without a function"
		do_host add 0 0 0 128
		do_host add 0 1 0 128
		await 30 bound_count 2 || bad "round $round: $n of 2 bound"
		round=$((round + 1))
	done
	say "result neighbours rounds=$round held=$held"
	[ "$held" = 3 ] || bad "$held ranges are held, not a config window and two of 128 GiB"
	fire_all
	books fired
	unload
}
