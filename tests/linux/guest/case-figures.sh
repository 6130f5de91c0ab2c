# Cases: what is measured. The shell keeps still meanwhile: on an emulated machine its own work would be part of the times.

# Sleeps without a process of its own: nobody ever writes into it.
mkfifo /quiet && exec 9<>/quiet
rest() { read -t $1 line <&9; }

# figure_up NAME stock|ours FUNCTIONS SECONDS HOST-PARAMETERS [DRIVER-PARAMETERS]: offer to bound. The shell sleeps so long.
figure_up() {
	name=$1 kind=$2 want=$3 pause=$4 host_p=$5 driver_p=$6
	load_host $(echo $host_p | tr , ' ')
	load_driver $kind $(echo $driver_p | tr , ' ')
	load_testdrv
	rest 2
	do_host go
	rest $pause
	await 60 bound_count $want || bad "$name: $n of $want bound"
	books bound
	longest
	unload
}

# The longest config write of each bus, in microseconds, in order: that long were interrupts off.
longest() {
	status=/sys/kernel/debug/hvpci/*/status
	[ $module = hvpci ] && say "result longest us=$(sed -n 's/^longest config write: \([0-9]*\) us/\1/p' $status | sort -n | tr '\n' ,)"
}

# figure_late NAME ours SECONDS HOST-PARAMETERS [DRIVER-PARAMETERS]: the function's driver comes so long after the function.
figure_late() {
	load_host $(echo $4 | tr , ' ')
	load_driver $2 $5
	rest 2
	do_host go
	rest $3
	load_testdrv
	await 60 bound_count 1 || bad "$1: not bound"
	books bound
	longest
	unload
}
