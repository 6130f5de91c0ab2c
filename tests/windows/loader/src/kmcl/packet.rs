//! Packets: allocated, sent, completed.

use hvpci_mock::host::{PacketKind, SendRefused};

use crate::irql::{self, DISPATCH};
use crate::kmcl::channel::channel;
use crate::kmcl::{Packet, State};
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
        world.kmcl.packets.insert(packet, Packet { channel: handle, routine: 0, pointer: 0, sent: false });
        packet
    })
}

unsafe extern "win64" fn VmbPacketFree(handle: usize) {
    irql::at_most(DISPATCH, "VmbPacketFree");
    with(|world| {
        let sent = packet(&mut world.kmcl, handle, "VmbPacketFree").sent;
        rule!(!sent, "VmbPacketFree of a packet that is sent and not completed");
        world.kmcl.packets.remove(&handle);
        world.kmcl.stale.push(handle);
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
        let wants = flags & WAIT_FOR_COMPLETION != 0;
        rule!(wants, "VmbPacketSend without WAIT_FOR_COMPLETION: the host would not answer");
        let (at, routine) = (sent.channel, sent.routine);
        rule!(routine != 0, "VmbPacketSend without a completion routine: KMCL would free the packet");
        let channel = channel(&mut world.kmcl, at, "VmbPacketSend");
        if !channel.enabled || !channel.open {
            return STATUS_INVALID_DEVICE_STATE;
        }
        let too_long = channel.maximum != 0 && bytes > channel.maximum;
        rule!(!too_long, "VmbPacketSend of {bytes} bytes: the maximum was set to {}", channel.maximum);
        packet(&mut world.kmcl, handle, "VmbPacketSend").sent = true;
        trace!("guest -> host: {:02x?} ({bytes} bytes)", &data[..data.len().min(16)]);
        send(world, at, handle, data);
        world.changed();
        status::SUCCESS
    })
}

/// Puts a packet into the ring, or into KMCL's own queue while the ring is full.
fn send(world: &mut World, at: usize, handle: usize, data: Vec<u8>) {
    let now = world.time();
    let Some(channel) = world.kmcl.channels.get_mut(&at) else { return };
    let bus = channel.bus;
    let waits = !channel.pending.is_empty();
    let refused = waits
        || world.host.guest_packet(bus, now, PacketKind::InBand, true, Packet::transaction(handle), &data)
            == Err(SendRefused::RingFull);
    if refused && let Some(channel) = world.kmcl.channels.get_mut(&at) {
        channel.pending.push_back((handle, data));
    }
}

/// The host has read packets: what waits for room in the ring may go.
pub fn drain(world: &mut World, at: usize) {
    while let Some(channel) = world.kmcl.channels.get_mut(&at)
        && let Some((handle, data)) = channel.pending.pop_front()
    {
        let left = std::mem::take(&mut channel.pending);
        let before = left.len();
        send(world, at, handle, data);
        let Some(channel) = world.kmcl.channels.get_mut(&at) else { return };
        let stuck = !channel.pending.is_empty();
        channel.pending.extend(left);
        if stuck || before == 0 {
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
