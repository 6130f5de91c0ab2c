# Cases: plain MSI with several messages.

irqs_made() { sed -n 's/^function bus=0 slot=0 .* irqs=\([0-9]*\).*/\1/p' $host/state; }
# The Nth (from 0) of a list of the driver's: driver_item KEY N
driver_item() { sed -n "s/.* $1=\([-0-9,]*\).*/\1/p" $drv | cut -d, -f$(($2 + 1)); }

# multi_msi KIND VECTORS: one CREATE for all messages; irq numbers side by side; each message ends in its own handler; each
# follows its own affinity; freeing them is one DELETE (of a second one, or of none, the host's books would tell).
multi_msi() {
	load_host buses=1 device=msi
	load_driver $1
	load_testdrv msi=1 vectors=$2
	do_host go
	await 30 bound_count 1 || bad "not bound"
	got=$(sed -n 's/.* irqs=\([0-9]*\).*/\1/p' $drv)
	[ "$got" = $2 ] || bad "$got vectors of $2"
	[ "$(irqs_made)" = 1 ] || bad "$(irqs_made) interrupts at the host for $2 messages"
	first=$(driver_item irq 0) m=0
	while [ $m -lt $2 ]; do
		[ "$(driver_item irq $m)" = $((first + m)) ] || bad "irq of message $m is $(driver_item irq $m), the first is $first"
		do_host fire 0 0 $m
		m=$((m + 1))
	done
	await 10 counted $2 || bad "$interrupts interrupts of $2"
	books fired
	cpus=$(grep -c ^processor /proc/cpuinfo) c=0 moved=0
	while [ $c -lt $cpus ]; do
		m=0
		while [ $m -lt $2 ]; do
			# neighbours go to different processors
			at=$(((m + c) % cpus))
			echo $at > /proc/irq/$((first + m))/smp_affinity_list || bad "affinity of message $m to $at refused"
			# the first message carries the change out, the second must arrive there
			for sent in 1 2; do
				do_host fire 0 0 $m
				await 10 counted $(($2 + 2 * moved + sent)) || bad "$interrupts interrupts of $(($2 + 2 * moved + sent))"
			done
			[ "$(driver_item cpus $m)" = $at ] || bad "message $m at CPU $(driver_item cpus $m), affinity is $at"
			m=$((m + 1)) moved=$((moved + 1))
		done
		c=$((c + 1))
	done
	m=0
	while [ $m -lt $2 ]; do
		[ "$(driver_item counts $m)" = $((1 + 2 * cpus)) ] || bad "message $m: $(driver_item counts $m) interrupts of $((1 + 2 * cpus))"
		m=$((m + 1))
	done
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	[ "$(irqs_made)" = 0 ] || bad "$(irqs_made) interrupts at the host after they were freed"
	say "result multi_msi vectors=$2 moved=$moved"
	load_testdrv msi=1 vectors=$2
	await 10 bound_count 1 || bad "not bound again"
	unload
}

# A function with plain MSI without mask bits, and one message.
msi_up() {
	load_host buses=1 device=msi
	load_driver ours
	load_testdrv msi=1 vectors=1
}
# not_sent WHEN: the function does not send. (Where it does, the host says that it does not know the message.)
not_sent() {
	do_host_fails fire 0 0 0
	grep -q "^fire .* message=0 refused=Disabled" $host/state || bad "$1: $(grep ^fire $host/state)"
}

# refused_message: the host makes no interrupt for a function with plain MSI. Its driver comes up without knowing; the function
# sends nothing. The driver's next life has one.
refused_message() {
	msi_up
	# both when vectors are allocated and when the interrupt is requested
	do_host fault 0 every:0x1b refuse 0xC0000001
	do_host go
	await 30 bound_count 1 || bad "not bound"
	not_sent "refused at the first time"
	do_host nofault 0
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	load_testdrv msi=1 vectors=1
	await 10 bound_count 1 || bad "not bound again"
	do_host fire 0 0 0
	await 10 counted 1 || bad "the next one: $(cat $drv)"
	say "result refused_message done=1"
	unload
}

# lost_message: the host does not make it anew after a sleep. The PCI core switches MSI on again; the function must not send.
lost_message() {
	msi_up
	do_host go
	await 30 bound_count 1 || bad "not bound"
	do_host fire 0 0 0
	await 10 counted 1 || bad "the first one: $(cat $drv)"
	do_host pm thaw fault 0 0x1b:1 refuse 0xC0000001
	echo disk > /sys/power/state 2> /dev/null
	await 10 all_well || bad "not well: $(cat $check)"
	do_host nofault 0
	not_sent "lost by a sleep"
	[ "$(driver_item counts 0)" = 1 ] || bad "interrupts: $(cat $drv)"
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	load_testdrv msi=1 vectors=1
	await 10 bound_count 1 || bad "not bound again"
	do_host fire 0 0 0
	await 10 counted 1 || bad "the next one: $(cat $drv)"
	say "result lost_message done=1"
	unload
}

# vectors_at_once KIND: four functions of a bus ask for 32 vectors each at the same time, with a host that is slow to make them. Each
# gets all of its own. Needs as many processors: who waits for an interrupt keeps his.
vectors_at_once() {
	load_host buses=1 functions=4 device=nvme message_us=2000
	load_driver $1
	do_host go
	await 30 shown 4 || bad "not all functions are shown"
	load_testdrv vectors=32 async_probe
	await 30 bound_count 4 || bad "$n of 4 bound"
	say "result vectors_at_once $(sed -n 's/.* probe_ns=\([0-9]*\) bound_ns=\([0-9]*\) .*/probed=\1 bound=\2/p' $drv | tr '\n' ' ')"
	at_once || bad "they did not ask at once"
	[ $(grep -c "^function .* irqs=32 " $host/state) = 4 ] || bad "interrupts at the host: $(sed -n 's/^function .* \(irqs=[0-9]*\) .*/\1/p' $host/state | tr '\n' ' ')"
	fire_all 32
	books fired
	unload
}
shown() { [ $(ls /sys/bus/pci/devices | grep -c "^1001:") = $1 ]; }
# The last one began before the first one was done.
at_once() {
	last=$(sed 's/.* probe_ns=\([0-9]*\) .*/\1/' $drv | sort -n | tail -n 1)
	first=$(sed 's/.* bound_ns=\([0-9]*\) .*/\1/' $drv | sort -n | head -n 1)
	[ $last -lt $first ]
}

# lost_unmasking: an interrupt is lost to its function just while it is being unmasked (hvpci_racer). It stays masked: its message may
# soon be somebody else's.
lost_unmasking() {
	load_host buses=1
	load_driver ours
	insmod /hvpci_racer.ko || bad "insmod hvpci_racer"
	load_testdrv vectors=1
	do_host go
	await 30 bound_count 1 || bad "not bound"
	dmesg | grep -q "racer: interrupt .* is lost" || bad "no interrupt was lost"
	do_host_fails fire 0 0 0
	grep -q "^fire .* message=0 refused=Masked" $host/state || bad "it is not masked: $(grep ^fire $host/state)"
	rmmod hvpci_racer || bad "rmmod hvpci_racer"
	rmmod hvpci_testdrv || bad "rmmod hvpci_testdrv"
	load_testdrv vectors=1
	await 10 bound_count 1 || bad "not bound again"
	do_host fire 0 0 0
	await 10 counted 1 || bad "the next one: $(cat $drv)"
	say "result lost_unmasking done=1"
	unload
}
