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

holder_count() { sed -n "s/.* $1=\([0-9]*\) .*/\1/p" $holder; }
shows_windows() { [ "$(holder_count windows)" = $1 ]; }

# walked_windows: a window is taken off the lists of a bridge while somebody walks them without a lock, as the PCI core's own readers
# do: the entries that were seen stay linked, show no window, and are used for the next one. (The engine gives back a window that
# functions lay in only after the bridge has gone, so the holder has the module do it.)
walked_windows() {
	start ours buses=1
	load_holder
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_host add 0 1 0 128
	await 30 bound_count 2 || bad "the added function has no driver: $n bound"
	do_holder hold $(first_function)
	do_holder walk
	entries=$(holder_count entries)
	shows_windows 4 || bad "not two windows on two lists: $(cat $holder)"
	round=0
	while [ $round -lt 3 ]; do
		do_host remove 0 1
		await 30 bound_count 1 || bad "round $round: still bound"
		do_holder drop
		shows_windows 2 || bad "round $round: the window stays: $(cat $holder)"
		grep -q " entries=$entries lost=0 " $holder || bad "round $round: entries were unlinked under their readers: $(cat $holder)"
		do_host add 0 1 0 128
		await 30 bound_count 2 || bad "round $round: $n of 2 bound"
		shows_windows 4 || bad "round $round: the window is not back: $(cat $holder)"
		grep -q " entries=$entries lost=0 " $holder || bad "round $round: not the entries of before: $(cat $holder)"
		round=$((round + 1))
	done
	say "result walked_windows rounds=$round entries=$entries"
	do_holder release
	unload_holder
	fire_all
	books fired
	unload
}
