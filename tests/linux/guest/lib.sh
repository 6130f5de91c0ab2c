# What the cases are made of. Lines for the machine begin with @@.
host=/sys/kernel/debug/hvpci-standin
drv=/sys/kernel/debug/hvpci-testdrv

say() { echo "@@ $*"; }

# What went wrong is a result like any other.
bad() { say "bad $*"; }

do_host() { echo "$*" > $host/control || bad "control refused: $*"; }

# Waits (seconds, on a slow kernel as many times as long) until a command succeeds. Slow kernels look more seldom: to look is work,
# and on a clock that counts instructions nothing else of a wait takes time.
await() {
	limit=$(($1 * 20)); shift
	while [ $limit -gt 0 ]; do
		"$@" && return 0
		usleep $((50000 * ${slow:-1}))
		limit=$((limit - 1))
	done
	return 1
}

# counted N: all handlers together have counted N interrupts. `interrupts` is how many they have.
counted() { interrupts=$(count_interrupts); [ $interrupts = $1 ]; }
count_interrupts() {
	all=0
	for count in $(sed -n 's/.* counts=\([0-9,]*\) .*/\1/p' $drv | tr , ' '); do all=$((all + count)); done
	echo $all
}

bound_count() { n=$(grep -c ^pci= $drv); [ "$n" = "$1" ]; }

# Prints the host's books and the drivers', under a name.
books() {
	# not < $host/state: the shell reads byte by byte, and the host writes the whole text for each
	cat $host/state | while read -r l; do say "host $1 $l"; done
	[ -e $drv ] && cat $drv | while read -r l; do say "driver $1 $l"; done
}

# load_host PARAMETERS...
load_host() { insmod /hv_vmbus.ko "$@" || bad "insmod hv_vmbus $*"; }

# load_driver stock|ours [PARAMETERS...]: the vPCI driver under test, before anything is offered.
load_driver() {
	kind=$1; shift
	[ -d /sys/module/pci_hyperv_intf ] || insmod /pci-hyperv-intf.ko || bad "insmod pci-hyperv-intf"
	if [ $kind = stock ]; then
		module=pci_hyperv
		insmod /pci-hyperv.ko "$@" || bad "insmod pci-hyperv"
	else
		module=hvpci
		insmod /hvpci.ko "$@" || bad "insmod hvpci"
		# it binds only when asked
		echo 44c4f61d-4444-4400-9d52-802e27ede19f > /sys/bus/vmbus/drivers/hvpci/new_id || bad "new_id"
	fi
}

load_testdrv() { insmod /hvpci_testdrv.ko "$@" || bad "insmod hvpci_testdrv $*"; }

unload() {
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	rmmod $module || bad "rmmod $module"
	books unloaded
	rmmod hv_vmbus || bad "rmmod hv_vmbus"
}

# fire_all [MESSAGES]: every function sends each of its messages once, and the handlers have time to count. Whether each has is
# for the caller to look at (the judge does, for the books of a moment `fired`).
fire_all() {
	want=$(($(count_interrupts) + $(grep -c ^function $host/state) * ${1:-4}))
	buses=$(grep -c ^bus= $host/state)
	b=0
	while [ $b -lt $buses ]; do
		grep "^function bus=$b " $host/state | while read -r _ _ s _; do
			s=${s#slot=}
			m=0
			while [ $m -lt ${1:-4} ]; do
				do_host fire $b $s $m
				m=$((m + 1))
			done
		done
		b=$((b + 1))
	done
	await 10 counted $want
}

# start KIND HOST-PARAMETERS [TESTDRV-PARAMETERS]: everything loaded, nothing offered.
start() {
	load_host $(echo $2 | tr , ' ')
	load_driver $1
	load_testdrv $3
}

# Every bus is gone, and its driver has let go of it. The link in /sys/bus/vmbus/devices goes before that: it tells nothing.
no_device() { ! ls -d /sys/devices/standin/*-*-*-*-* > /dev/null 2>&1; }

# At how many messages of bus N a fault of the host's has struck: faults N
faults() { sed -n "s/^bus=$1 .* struck=\([0-9]*\) .*/\1/p" $host/state; }
# From here on: mark_faults N. Whether one has struck since: strikes N
mark_faults() { at_faults=$(faults $1); }
strikes() { [ "$(faults $1)" -gt $at_faults ]; }

# slot_free BUS SLOT: the host has no function there.
slot_free() { ! grep -q "^function bus=$1 slot=$2 " $host/state; }

rescinded() { grep -q "^bus=0 channel=Rescinded" $host/state; }

total() { sed -n "s/^total .* $1=\([0-9]*\).*/\1/p" $host/state; }
