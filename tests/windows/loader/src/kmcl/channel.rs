//! Channels: set up, enabled, disabled, cleaned up.

use std::collections::VecDeque;

use hvpci_core::instance::VPCI_CLASS;
use hvpci_mock::host::ChannelState;

use crate::irql::{self, DISPATCH, PASSIVE};
use crate::kmcl::{Channel, State, deliver};
use crate::nt::{self, status};
use crate::world::{Step, sleep, wait, with};
use crate::{pnp, rule, trace};

const STATUS_INVALID_DEVICE_STATE: i32 = 0xC000_0184_u32.cast_signed();

/// The channel a call names, checked.
pub fn channel<'s>(state: &'s mut State, handle: usize, what: &str) -> &'s mut Channel {
    let stale = state.stale.contains(&handle);
    match state.channels.get_mut(&handle) {
        Some(channel) => channel,
        None => {
            let why = if stale { "is cleaned up" } else { "is no channel" };
            crate::fail::fail(crate::fail::Verdict::Rule, &format!("{what}: {handle:#x} {why}"))
        }
    }
}

/// The same for calls that are legal only while the channel is set up.
fn setting_up<R>(handle: usize, what: &str, f: impl FnOnce(&mut Channel) -> R) -> R {
    irql::exactly(PASSIVE, what);
    with(|world| {
        let channel = channel(&mut world.kmcl, handle, what);
        rule!(!channel.enabled, "{what}: the channel is enabled already");
        f(channel)
    })
}

unsafe extern "win64" fn VmbChannelAllocate(parent: usize, server: u8, out: *mut usize) -> i32 {
    irql::exactly(PASSIVE, "VmbChannelAllocate");
    rule!(server == 0, "VmbChannelAllocate: IsServer in a guest");
    let handle = with(|world| {
        let bus = pnp::bus_of(world, parent);
        rule!(bus.is_some(), "VmbChannelAllocate({parent:#x}): no device object of a VMBus device");
        let bus = bus?;
        if world.allocation_fails("VmbChannelAllocate") {
            return None;
        }
        let handle = world.kmcl.handle();
        let channel = Channel {
            bus,
            enabled: false,
            enabling: false,
            open: false,
            told: None,
            process: 0,
            processed: 0,
            pointer: 0,
            states: [0; 5],
            target: false,
            maximum: 0,
            pending: VecDeque::new(),
            calls: 0,
            changes: 0,
        };
        world.kmcl.channels.insert(handle, channel);
        Some(handle)
    });
    let Some(handle) = handle else { return status::INSUFFICIENT_RESOURCES };
    // SAFETY: the driver's out parameter.
    unsafe { out.write(handle) };
    status::SUCCESS
}

unsafe extern "win64" fn VmbChannelInitSetMaximumPacketSize(handle: usize, bytes: u32) -> i32 {
    rule!((8..=65536).contains(&bytes), "VmbChannelInitSetMaximumPacketSize({bytes})");
    setting_up(handle, "VmbChannelInitSetMaximumPacketSize", |channel| channel.maximum = bytes);
    status::SUCCESS
}

unsafe extern "win64" fn VmbChannelInitSetProcessPacketCallbacks(
    handle: usize,
    process: usize,
    processed: usize,
) -> i32 {
    rule!(process != 0, "VmbChannelInitSetProcessPacketCallbacks without a callback");
    setting_up(handle, "VmbChannelInitSetProcessPacketCallbacks", |channel| {
        channel.process = process;
        channel.processed = processed;
    });
    status::SUCCESS
}

/// VMB_CHANNEL_STATE_CHANGE_CALLBACKS: version, size, then opened, closed, suspend, started, post-started.
unsafe extern "win64" fn VmbChannelInitSetStateChangeCallbacks(handle: usize, callbacks: *const u32) -> i32 {
    // SAFETY: the driver's structure; its size is checked before the rest is read.
    let states = unsafe {
        let size = callbacks.add(1).read();
        rule!(size == 48, "VMB_CHANNEL_STATE_CHANGE_CALLBACKS.Size is {size}, not 48");
        std::array::from_fn(|at| callbacks.cast::<usize>().add(1 + at).read())
    };
    let refuses = with(|world| world.kmcl.refuses_state_changes);
    setting_up(handle, "VmbChannelInitSetStateChangeCallbacks", |channel| {
        channel.states = if refuses { [0; 5] } else { states };
    });
    if refuses { status::INVALID_PARAMETER } else { status::SUCCESS }
}

unsafe extern "win64" fn VmbClientChannelInitSetRingBufferPageCount(
    handle: usize,
    incoming: u32,
    outgoing: u32,
) -> i32 {
    let good = |pages: u32| (1..=1024).contains(&pages);
    rule!(good(incoming) && good(outgoing), "ring buffers of {incoming} and {outgoing} pages");
    setting_up(handle, "VmbClientChannelInitSetRingBufferPageCount", |_| ());
    status::SUCCESS
}

unsafe extern "win64" fn VmbClientChannelInitSetTargetPnp(
    handle: usize,
    kind: *const [u8; 16],
    instance: *const [u8; 16],
    _failure: usize,
) -> i32 {
    rule!(!kind.is_null(), "VmbClientChannelInitSetTargetPnp without a type");
    // SAFETY: the driver's GUIDs.
    let (kind, instance) = unsafe { (kind.read(), instance.as_ref().copied()) };
    rule!(kind == VPCI_CLASS.to_bytes(), "VmbClientChannelInitSetTargetPnp: not the vPCI interface type");
    let bus = setting_up(handle, "VmbClientChannelInitSetTargetPnp", |channel| {
        channel.target = true;
        channel.bus
    });
    let known = with(|world| world.host.instance(bus)).map(hvpci_core::InstanceId::to_bytes);
    let same = instance.is_none_or(|instance| Some(instance) == known);
    rule!(same, "VmbClientChannelInitSetTargetPnp: another device's instance GUID");
    status::SUCCESS
}

unsafe extern "win64" fn VmbChannelSetPointer(handle: usize, pointer: usize) {
    irql::at_most(DISPATCH, "VmbChannelSetPointer");
    with(|world| channel(&mut world.kmcl, handle, "VmbChannelSetPointer").pointer = pointer);
}

unsafe extern "win64" fn VmbChannelGetPointer(handle: usize) -> usize {
    irql::at_most(DISPATCH, "VmbChannelGetPointer");
    with(|world| channel(&mut world.kmcl, handle, "VmbChannelGetPointer").pointer)
}

unsafe extern "win64" fn VmbChannelEnable(handle: usize) -> i32 {
    irql::exactly(PASSIVE, "VmbChannelEnable");
    let opened = with(|world| {
        let failed = world.allocation_fails("VmbChannelEnable");
        let now = world.time();
        let channel = channel(&mut world.kmcl, handle, "VmbChannelEnable");
        rule!(!channel.enabled, "VmbChannelEnable: enabled already");
        rule!(channel.process != 0, "VmbChannelEnable without process-packet callbacks");
        rule!(channel.target, "VmbChannelEnable without a target");
        let (bus, states) = (channel.bus, channel.states);
        if failed {
            return Err(status::INSUFFICIENT_RESOURCES);
        }
        if !world.host.open_channel(bus, now) {
            return Err(STATUS_INVALID_DEVICE_STATE);
        }
        let channel = self::channel(&mut world.kmcl, handle, "VmbChannelEnable");
        (channel.enabled, channel.enabling, channel.open, channel.told) = (true, true, true, None);
        trace!("channel of bus {} opened", bus.0);
        world.changed();
        Ok(states)
    });
    match opened {
        Ok(states) => {
            deliver::state_changed(handle, states[0], "EvtChannelOpened");
            deliver::state_changed(handle, states[3], "EvtChannelStarted");
            let (hold, closes) = with(|world| {
                let bus = world.kmcl.channels.get(&handle).map(|channel| channel.bus);
                (
                    std::mem::take(&mut world.kmcl.hold_enable),
                    bus.filter(|_| std::mem::take(&mut world.kmcl.closes_in_enable)),
                )
            });
            closes.into_iter().for_each(deliver::channel_lost);
            if hold != 0 {
                sleep(hold);
            }
            with(|world| channel(&mut world.kmcl, handle, "VmbChannelEnable").enabling = false);
            status::SUCCESS
        }
        Err(error) => error,
    }
}

unsafe extern "win64" fn VmbChannelDisable(handle: usize) {
    irql::exactly(PASSIVE, "VmbChannelDisable");
    let first = with(|world| {
        let bus = world.kmcl.channels.get(&handle).map(|channel| channel.bus);
        bus.filter(|_| std::mem::take(&mut world.kmcl.closes_first))
    });
    first.into_iter().for_each(deliver::channel_lost);
    let (bus, closed) = with(|world| {
        let now = world.time();
        let channel = channel(&mut world.kmcl, handle, "VmbChannelDisable");
        // Who decided under a lock before the driver was told could not know.
        rule!(
            channel.told.is_none_or(|at| nt::sync::last_release() < at),
            "VmbChannelDisable: the host closed the channel, which disabled it, and the driver was told"
        );
        channel.told = None;
        rule!(!channel.enabling, "VmbChannelDisable: VmbChannelEnable has not returned");
        rule!(channel.enabled, "VmbChannelDisable: not enabled");
        let closed = if channel.open { channel.states[1] } else { 0 };
        (channel.enabled, channel.open) = (false, false);
        channel.pending.clear();
        let bus = channel.bus;
        if world.host.channel(bus) != ChannelState::Rescinded {
            world.host.close_channel(bus, now);
        }
        trace!("channel of bus {} closed", bus.0);
        (bus, closed)
    });
    // "No packet arrives once this has returned": wait for callbacks that run, then end what is outstanding.
    wait("VmbChannelDisable", |world| {
        let busy = world.kmcl.channels.get(&handle).is_some_and(|channel| channel.calls > 0);
        if busy { Step::Sleep } else { Step::Done(()) }
    });
    deliver::cancel_outstanding(handle);
    // EVT_VMB_CHANNEL_CLOSED is called whichever side closes.
    deliver::state_changed(handle, closed, "EvtChannelClosed");
    trace!("bus {} is quiet", bus.0);
}

unsafe extern "win64" fn VmbChannelCleanup(handle: usize) {
    irql::exactly(PASSIVE, "VmbChannelCleanup");
    // The few instructions between what a callback does last and its return take no time. What is held up does.
    let end = with(|world| world.now()) + 1000;
    let quiet = wait("VmbChannelCleanup", |world| {
        let channel = world.kmcl.channels.get(&handle);
        let busy = channel.is_some_and(|channel| channel.calls + channel.changes > 0);
        if busy && world.now() < end { Step::Until(end) } else { Step::Done(!busy) }
    });
    rule!(quiet, "VmbChannelCleanup: a callback of the channel has not returned");
    with(|world| {
        let channel = channel(&mut world.kmcl, handle, "VmbChannelCleanup");
        rule!(!channel.enabling, "VmbChannelCleanup: VmbChannelEnable has not returned");
        rule!(!channel.enabled || channel.told.is_some(), "VmbChannelCleanup of an enabled channel");
        let left = world.kmcl.packets.values().filter(|packet| packet.channel == handle).count();
        rule!(left == 0, "VmbChannelCleanup: {left} packet(s) of the channel are not freed");
        world.kmcl.channels.remove(&handle);
        world.kmcl.stale.insert(handle);
    });
}

crate::exports!("vmbkmcl.sys" => VmbChannelAllocate, VmbChannelInitSetMaximumPacketSize,
    VmbChannelInitSetProcessPacketCallbacks, VmbChannelInitSetStateChangeCallbacks,
    VmbClientChannelInitSetRingBufferPageCount, VmbClientChannelInitSetTargetPnp, VmbChannelSetPointer,
    VmbChannelGetPointer, VmbChannelEnable, VmbChannelDisable, VmbChannelCleanup);
