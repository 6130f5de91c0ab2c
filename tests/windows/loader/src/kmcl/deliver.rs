//! The processor that takes interrupts: packets of the host, timers and DPCs, all at DISPATCH_LEVEL.

use hvpci_mock::host::{HostPacket, PacketKind};

use crate::guard;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::kmcl::{by_transaction, packet};
use crate::nt::{self, status};
use crate::world::{Step, World, spawn, wait, with};
use crate::{trace, wdf};

/// What is due.
enum Due {
    Packet(usize, HostPacket),
    Timer(nt::time::Timer),
    Dpc(usize),
    /// A packet that wanted no answer is in the ring.
    Sent(usize, usize),
}

/// Starts the processor. It runs until the process ends.
pub fn start() {
    spawn("the interrupt processor", || {
        loop {
            match wait("interrupts", next) {
                Due::Packet(channel, packet) => hand_over(channel, packet),
                Due::Timer(timer) if timer.dpc != 0 => nt::time::call_dpc(timer.dpc),
                Due::Timer(timer) => wdf::sync::fire(timer.object),
                Due::Dpc(dpc) => nt::time::call_dpc(dpc),
                Due::Sent(channel, packet) => {
                    complete(packet, status::SUCCESS, 0, 0);
                    finished(channel);
                }
            }
            with(|world| {
                world.kmcl.delivering = 0;
                world.changed();
            });
        }
    });
}

fn next(world: &mut World) -> Step<Due> {
    let now = world.time();
    if let Some(dpc) = world.nt.time.take_dpc() {
        world.kmcl.delivering = 1;
        return Step::Done(Due::Dpc(dpc));
    }
    if let Some(timer) = world.nt.time.take_due(world.now()) {
        world.kmcl.delivering = 1;
        world.nt.sync.set(timer.object);
        return Step::Done(Due::Timer(timer));
    }
    if let Some((handle, packet)) = world.kmcl.done.pop_front() {
        world.kmcl.delivering = 1;
        if let Some(channel) = world.kmcl.channels.get_mut(&handle) {
            channel.calls += 1;
        }
        return Step::Done(Due::Sent(handle, packet));
    }
    let open: Vec<(usize, hvpci_mock::host::BusId)> =
        world.kmcl.channels.iter().filter(|(_, c)| c.open && c.enabled).map(|(h, c)| (*h, c.bus)).collect();
    let mut soonest = world.nt.time.next_due();
    for (handle, bus) in open {
        if let Some(packet) = world.host.next_packet(bus, now) {
            packet::drain(world, handle);
            world.kmcl.delivering = 1;
            if let Some(channel) = world.kmcl.channels.get_mut(&handle) {
                channel.calls += 1;
            }
            return Step::Done(Due::Packet(handle, packet));
        }
        if let Some(due) = world.host.next_due(bus).map(hvpci_core::Time::as_nanos) {
            let due = due.max(world.now() + 1);
            soonest = Some(soonest.map_or(due, |at| at.min(due)));
        }
    }
    soonest.map_or(Step::Sleep, Step::Until)
}

/// Hands a packet to the driver, in memory that ends with it and is gone afterwards.
fn hand_over(handle: usize, packet: HostPacket) {
    let mut payload = packet.payload;
    payload.resize(payload.len().next_multiple_of(8), 0);
    let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let block = guard::allocate(payload.len());
    // SAFETY: the block has as many bytes.
    unsafe { (block.at as *mut u8).copy_from(payload.as_ptr(), payload.len()) };
    trace!("host -> guest: {:?} {:02x?} ({bytes} bytes)", packet.kind, &payload[..payload.len().min(16)]);
    match packet.kind {
        PacketKind::Completion => complete(by_transaction(packet.transaction_id), status::SUCCESS, block.at, bytes),
        PacketKind::InBand => {
            let (process, processed, incoming) = with(|world| {
                let incoming = world.kmcl.handle();
                world.kmcl.incoming.insert(incoming, handle);
                let channel = world.kmcl.channels.get(&handle);
                let (process, processed) = channel.map_or((0, 0), |channel| (channel.process, channel.processed));
                (process, processed, incoming)
            });
            if process != 0 {
                // SAFETY: EVT_VMB_CHANNEL_PROCESS_PACKET, as the driver registered it.
                let process: unsafe extern "win64" fn(usize, usize, usize, u32, u32) =
                    unsafe { std::mem::transmute(process) };
                irql::at(DISPATCH, "EvtChannelProcessPacket", || unsafe {
                    process(handle, incoming, block.at, bytes, 0)
                });
            }
            if processed != 0 {
                // SAFETY: EVT_VMB_CHANNEL_PROCESSING_COMPLETE, as the driver registered it.
                let processed: unsafe extern "win64" fn(usize, u32) = unsafe { std::mem::transmute(processed) };
                irql::at(DISPATCH, "EvtChannelProcessingComplete", || unsafe { processed(handle, 1) });
            }
        }
    }
    crate::rule!(!block.damaged(), "the driver wrote outside a packet");
    block.retire();
    finished(handle);
}

/// A call into the driver on behalf of a channel is over.
fn finished(handle: usize) {
    with(|world| {
        if let Some(channel) = world.kmcl.channels.get_mut(&handle) {
            channel.calls -= 1;
        }
        world.changed();
    });
}

/// Calls a packet's completion routine. Answers to packets that nobody sent are dropped, as KMCL drops them.
fn complete(handle: usize, result: i32, at: usize, bytes: u32) {
    let routine = with(|world| {
        world.kmcl.packets.get_mut(&handle).filter(|packet| packet.sent).map(|packet| {
            packet.sent = false;
            packet.completing = Some((std::thread::current().id(), at, bytes));
            packet.routine
        })
    });
    let Some(routine) = routine else {
        return trace!("a completion that nobody waits for");
    };
    // SAFETY: EVT_VMB_PACKET_COMPLETION_ROUTINE, as the driver registered it.
    let routine: unsafe extern "win64" fn(usize, i32, usize, u32) = unsafe { std::mem::transmute(routine) };
    irql::at(DISPATCH, "EvtPacketCompletion", || unsafe { routine(handle, result, at, bytes) });
    with(|world| {
        if let Some(packet) = world.kmcl.packets.get_mut(&handle) {
            packet.completing = None;
        }
    });
}

/// Completes what is outstanding on a channel that closed.
pub fn cancel_outstanding(channel: usize) {
    loop {
        let next = with(|world| {
            let of = |packet: &super::Packet| packet.channel == channel && packet.sent;
            world.kmcl.packets.iter().filter(|(_, packet)| of(packet)).map(|(handle, _)| *handle).min()
        });
        let Some(next) = next else { return };
        complete(next, status::CANCELLED, 0, 0);
    }
}

/// Calls a state-change callback, at PASSIVE_LEVEL.
pub fn state_changed(channel: usize, routine: usize, name: &str) {
    if routine != 0 {
        // SAFETY: EVT_VMB_CHANNEL_OPENED and its kin, as the driver registered it.
        let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(routine) };
        changing(channel, 1);
        irql::at(PASSIVE, name, || unsafe { routine(channel) });
        changing(channel, -1);
    }
}

fn changing(channel: usize, by: i32) {
    with(|world| {
        if let Some(channel) = world.kmcl.channels.get_mut(&channel) {
            channel.changes = channel.changes.saturating_add_signed(by);
        }
        world.changed();
    });
}

/// The host took the channel of a bus away, or it died: KMCL ends what is outstanding and tells the driver.
pub fn channel_lost(bus: hvpci_mock::host::BusId) {
    let lost = with(|world| {
        let found = world.kmcl.channels.iter_mut().find(|(_, channel)| channel.bus == bus && channel.open);
        found.map(|(handle, channel)| {
            channel.open = false;
            channel.pending.clear();
            (*handle, channel.states[1])
        })
    });
    let Some((handle, closed)) = lost else { return };
    wait("the channel to be quiet", |world| {
        let busy = world.kmcl.channels.get(&handle).is_some_and(|channel| channel.calls > 0);
        if busy { Step::Sleep } else { Step::Done(()) }
    });
    cancel_outstanding(handle);
    if closed != 0 {
        let hold = with(|world| world.kmcl.hold_closed.take());
        nt::sync::hold_up(hold);
        state_changed(handle, closed, "EvtChannelClosed");
        let passed_by = nt::sync::hold_up(None);
        crate::expect!(passed_by.is_none(), "EvtChannelClosed gives back fewer spin locks than {hold:?} says");
        with(|world| {
            if let Some(channel) = world.kmcl.channels.get_mut(&handle) {
                channel.told = Some(nt::sync::releases());
            }
        });
    }
}
