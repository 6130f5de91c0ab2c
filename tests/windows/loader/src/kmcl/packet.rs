//! Packets: allocated, sent, completed.

use hvpci_mock::host::{PacketKind, SendRefused};

use crate::irql::{self, DISPATCH};
use crate::kmcl::channel::channel;
use crate::kmcl::{Packet, State, Waiting};
use crate::nt::status;
use crate::world::{World, with};
use crate::{rule, trace};

/// VMBUS_CHANNEL_FORMAT_FLAG_WAIT_FOR_COMPLETION. The value is an assumption of the project: the header that has it is
/// not public text.
const WAIT_FOR_COMPLETION: u32 = 1;
const STATUS_INVALID_DEVICE_STATE: i32 = 0xC000_0184_u32.cast_signed();

fn packet<'s>(state: &'s mut State, handle: usize, what: &str) -> &'s mut Packet {
    let stale = state.stale.contains(&handle);
    match state.packets.get_mut(&handle) {
        Some(packet) => packet,
        None => {
            let why = if stale { "is freed" } else { "is no packet" };
            crate::fail::fail(crate::fail::Verdict::Rule, &format!("{what}: {handle:#x} {why}"))
        }
    }
}

unsafe extern "win64" fn VmbPacketAllocate(handle: usize) -> usize {
    irql::at_most(DISPATCH, "VmbPacketAllocate");
    with(|world| {
        channel(&mut world.kmcl, handle, "VmbPacketAllocate");
        if world.allocation_fails("VmbPacketAllocate") {
            return 0;
        }
        let packet = world.kmcl.handle();
        world
            .kmcl
            .packets
            .insert(packet, Packet { channel: handle, routine: 0, pointer: 0, sent: false, completing: None });
        packet
    })
}

unsafe extern "win64" fn VmbPacketFree(handle: usize) {
    irql::at_most(DISPATCH, "VmbPacketFree");
    with(|world| {
        let sent = packet(&mut world.kmcl, handle, "VmbPacketFree").sent;
        rule!(!sent, "VmbPacketFree of a packet that is sent and not completed");
        world.kmcl.packets.remove(&handle);
        world.kmcl.stale.insert(handle);
    });
}

unsafe extern "win64" fn VmbPacketSetCompletionRoutine(handle: usize, routine: usize) {
    irql::at_most(DISPATCH, "VmbPacketSetCompletionRoutine");
    with(|world| packet(&mut world.kmcl, handle, "VmbPacketSetCompletionRoutine").routine = routine);
}

unsafe extern "win64" fn VmbPacketSetPointer(handle: usize, pointer: usize) {
    irql::at_most(DISPATCH, "VmbPacketSetPointer");
    with(|world| packet(&mut world.kmcl, handle, "VmbPacketSetPointer").pointer = pointer);
}

unsafe extern "win64" fn VmbPacketGetPointer(handle: usize) -> usize {
    irql::at_most(DISPATCH, "VmbPacketGetPointer");
    with(|world| packet(&mut world.kmcl, handle, "VmbPacketGetPointer").pointer)
}

unsafe extern "win64" fn VmbPacketSend(handle: usize, buffer: *const u8, bytes: u32, mdl: usize, flags: u32) -> i32 {
    irql::at_most(DISPATCH, "VmbPacketSend");
    rule!(mdl == 0, "VmbPacketSend with an MDL: vPCI has no such packet");
    rule!(flags & !WAIT_FOR_COMPLETION == 0, "VmbPacketSend: flags {flags:#x}");
    rule!(!buffer.is_null() && bytes >= 4, "VmbPacketSend of {bytes} bytes");
    // SAFETY: the driver's buffer.
    let data = unsafe { std::slice::from_raw_parts(buffer, bytes as usize) }.to_vec();
    with(|world| {
        let sent = packet(&mut world.kmcl, handle, "VmbPacketSend");
        rule!(!sent.sent, "VmbPacketSend of a packet that is under way");
        if let Some((thread, answer, length)) = sent.completing {
            let own = thread == std::thread::current().id();
            rule!(!own, "VmbPacketSend of a packet from its own completion routine");
            // Another processor was faster than the routine's return. The answer went with the packet's earlier use.
            // SAFETY: the answer's memory is there until the routine has returned and `completing` is cleared.
            unsafe { (answer as *mut u8).write_bytes(0xDD, if answer == 0 { 0 } else { length as usize }) };
        }
        let wants = flags & WAIT_FOR_COMPLETION != 0;
        let (at, routine) = (sent.channel, sent.routine);
        rule!(routine != 0, "VmbPacketSend without a completion routine: KMCL would free the packet");
        let channel = channel(&mut world.kmcl, at, "VmbPacketSend");
        if !channel.enabled || !channel.open {
            return STATUS_INVALID_DEVICE_STATE;
        }
        let too_long = channel.maximum != 0 && bytes > channel.maximum;
        rule!(!too_long, "VmbPacketSend of {bytes} bytes: the maximum was set to {}", channel.maximum);
        if world.allocation_fails("VmbPacketSend") || world.kmcl.refuses(&data) {
            world.kmcl.unsent = true;
            trace!("VmbPacketSend without memory: {:02x?}", &data[..data.len().min(16)]);
            return status::INSUFFICIENT_RESOURCES;
        }
        packet(&mut world.kmcl, handle, "VmbPacketSend").sent = true;
        world.kmcl.most_outstanding = world.kmcl.most_outstanding.max(world.kmcl.outstanding());
        trace!("guest -> host: {:02x?} ({bytes} bytes)", &data[..data.len().min(16)]);
        world.kmcl.log(at, &data);
        send(world, at, Waiting { handle, data, wants });
        world.changed();
        status::SUCCESS
    })
}

/// Puts a packet into the ring, or into KMCL's own queue while the ring is full or others wait.
fn send(world: &mut World, at: usize, packet: Waiting) {
    let waits = world.kmcl.channels.get(&at).is_some_and(|channel| !channel.pending.is_empty());
    let left = if waits { Some(packet) } else { put(world, at, packet) };
    if let (Some(packet), Some(channel)) = (left, world.kmcl.channels.get_mut(&at)) {
        channel.pending.push_back(packet);
    }
}

/// Puts a packet into the ring; gives it back if the ring is full. A packet that wants no answer is done when it is in.
fn put(world: &mut World, at: usize, packet: Waiting) -> Option<Waiting> {
    if world.kmcl.stuck {
        return Some(packet);
    }
    let (now, bus) = (world.time(), world.kmcl.channels.get(&at)?.bus);
    let id = if packet.wants { Packet::transaction(packet.handle) } else { 0 };
    let taken = world.host.guest_packet(bus, now, PacketKind::InBand, packet.wants, id, &packet.data);
    if taken == Err(SendRefused::RingFull) {
        return Some(packet);
    }
    if !packet.wants {
        world.kmcl.done.push_back((at, packet.handle));
    }
    None
}

/// The host reads again.
pub fn unstick(world: &mut World) {
    world.kmcl.stuck = false;
    let all: Vec<usize> = world.kmcl.channels.keys().copied().collect();
    all.into_iter().for_each(|at| drain(world, at));
    world.changed();
}

/// The host has read packets: what waits for room in the ring may go.
pub fn drain(world: &mut World, at: usize) {
    while let Some(packet) = world.kmcl.channels.get_mut(&at).and_then(|channel| channel.pending.pop_front()) {
        if let Some(packet) = put(world, at, packet) {
            if let Some(channel) = world.kmcl.channels.get_mut(&at) {
                channel.pending.push_front(packet);
            }
            return;
        }
    }
}

unsafe extern "win64" fn VmbChannelPacketComplete(handle: usize, buffer: *const u8, bytes: u32) {
    irql::at_most(DISPATCH, "VmbChannelPacketComplete");
    rule!(bytes == 0 || !buffer.is_null(), "VmbChannelPacketComplete of {bytes} bytes from nowhere");
    with(|world| {
        let known = world.kmcl.incoming.remove(&handle).is_some();
        rule!(known, "VmbChannelPacketComplete: {handle:#x} is no packet, or completed already");
        world.kmcl.completed += 1;
    });
}

crate::exports!("vmbkmcl.sys" => VmbPacketAllocate, VmbPacketFree, VmbPacketSetCompletionRoutine, VmbPacketSetPointer,
    VmbPacketGetPointer, VmbPacketSend, VmbChannelPacketComplete);
