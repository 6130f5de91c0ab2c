# Cases: one function is reset or powered down by the PCI core, and restored.

function_path() { echo /sys/bus/pci/devices/$(sed -n '1s/pci=\([^ ]*\).*/\1/p' $drv); }

# reset KIND METHOD HOST-PARAMETERS MAPS UNMAPS: three resets through sysfs: the PCI core saves, resets and restores. METHOD is
# flr, or pm (D3hot and back). MAPS and UNMAPS: of each.
reset() {
	up $1 1 $3
	pci=$(function_path)
	echo $2 > $pci/reset_method || bad "no reset by $2: $(cat $pci/reset_method)"
	i=0
	while [ $i -lt 3 ]; do
		unmaps=$(total unmaps)
		echo 1 > $pci/reset || bad "the reset failed"
		unmaps=$(($(total unmaps) - unmaps))
		[ $unmaps = $5 ] || bad "$unmaps unmaps, $5 expected"
		well reset_$2 $4
		i=$((i + 1))
	done
	unload
}

runtime() { grep -q " runtime=$1 " $check; }

# d3hot KIND HOST-PARAMETERS MAPS: three times asleep by runtime power management, with everything the PCI core saves and
# restores for it. MAPS: of each.
d3hot() {
	up $1 1 $2
	pci=$(function_path)
	i=0
	while [ $i -lt 3 ]; do
		echo auto > $pci/power/control
		await 5 runtime suspended || bad "not asleep: $(cat $check)"
		[ $(cat $pci/power_state) = D3hot ] || bad "in $(cat $pci/power_state)"
		# a message of a function that sleeps must go nowhere, and nothing is asked of the host
		do_host_fails fire 0 0 0
		echo on > $pci/power/control
		await 5 runtime active || bad "not awake: $(cat $check)"
		[ $(sum wakes) = $((i + 1)) ] || bad "$(sum wakes) wake-ups of $((i + 1))"
		well d3hot $3
		i=$((i + 1))
	done
	unload
}

# A command that the host must refuse.
do_host_fails() { echo "$*" > $host/control 2> /dev/null && bad "not refused: $*"; }
