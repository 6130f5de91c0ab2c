//! The functions the C side calls. Every one but `standin_new` is called with the C side's lock held.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::slice;

use hvpci_core::{Slot, Time};
use hvpci_mock::host::{BusId, ChannelState, Event, HypercallError, PacketKind, SendRefused, Storm};

use crate::armed::{self, Step};
use crate::scene::{self, Scene};
use crate::{Standin, command, lost, state};

const EAGAIN: i32 = 11;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENOBUFS: i32 = 105;
const EIO: i32 = 5;

/// Bytes of a VMBus packet descriptor.
const DESCRIPTOR: usize = 16;

fn at(now: u64) -> Time {
    Time::from_nanos(now)
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_new(scene: &Scene) -> *mut Standin {
    let standin = Standin {
        host: scene::build(scene),
        kept: BTreeMap::new(),
        deaf: BTreeSet::new(),
        lost: Vec::new(),
        armed: BTreeMap::new(),
        struck: BTreeMap::new(),
        storms: BTreeMap::new(),
        started: None,
        last_fire: String::new(),
        fired: 0,
        not_delivered: 0,
    };
    Box::into_raw(Box::new(standin))
}

/// # Safety
/// `standin` came from [`standin_new`] and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_delete(standin: *mut Standin) {
    // SAFETY: as the caller promised.
    drop(unsafe { Box::from_raw(standin) });
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_bus_count(standin: &Standin) -> u32 {
    standin.host.buses().count() as u32
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_instance(standin: &Standin, bus: u32, guid: &mut [u8; 16]) {
    if let Some(instance) = standin.host.instance(BusId(bus)) {
        *guid = instance.to_bytes();
    }
}

/// The host begins: the time from which bring-up is counted.
#[unsafe(no_mangle)]
pub extern "C" fn standin_started(standin: &mut Standin, now: u64) {
    standin.started.get_or_insert(at(now));
}

/// 0 nothing, 1 offered, 2 rescinded, 3 died without a rescind.
#[unsafe(no_mangle)]
pub extern "C" fn standin_event(standin: &mut Standin, bus: &mut u32) -> i32 {
    let (kind, id) = match standin.host.poll_event() {
        None => return 0,
        Some(Event::Offered(id)) => (1, id),
        Some(Event::Rescinded(id)) => (2, id),
        Some(Event::ChannelDied(id)) => (3, id),
    };
    *bus = id.0;
    kind
}

/// Whether the bus is there to be opened.
#[unsafe(no_mangle)]
pub extern "C" fn standin_is_offered(standin: &Standin, bus: u32) -> bool {
    standin.host.channel(BusId(bus)) == ChannelState::Offered
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_open(standin: &mut Standin, bus: u32, now: u64) -> bool {
    standin.kept.remove(&bus);
    standin.deaf.remove(&bus);
    standin.host.open_channel(BusId(bus), at(now))
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_close(standin: &mut Standin, bus: u32, now: u64) {
    standin.kept.remove(&bus);
    // With the channel the functions lose their power.
    let tables = lost::before(&standin.host, BusId(bus));
    standin.lost.extend(tables.into_iter().filter_map(|(.., table)| table));
    standin.host.close_channel(BusId(bus), at(now));
}

/// # Safety
/// `payload` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_send(
    standin: &mut Standin,
    bus: u32,
    now: u64,
    wants_completion: bool,
    id: u64,
    payload: *const u8,
    length: usize,
) -> i32 {
    // SAFETY: as the caller promised.
    let payload = unsafe { slice::from_raw_parts(payload, length) };
    armed::count(standin, bus, Step::Message, at(now));
    match standin.host.guest_packet(BusId(bus), at(now), PacketKind::InBand, wants_completion, id, payload) {
        Ok(()) => {
            if wants_completion && let Some(storm) = standin.storms.get_mut(&bus) {
                storm.asked(id);
            }
            0
        }
        Err(SendRefused::RingFull) => -EAGAIN,
        Err(SendRefused::Closed) => -ENODEV,
    }
}

/// Copies the next packet with its descriptor, padded to 8 bytes. `actual` is its length, 0 if there is none; a packet that
/// does not fit stays and the answer is -ENOBUFS. Nothing is longer than `limit`: VMBus cuts what is.
///
/// # Safety
/// `buffer` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_receive(
    standin: &mut Standin,
    bus: u32,
    now: u64,
    buffer: *mut u8,
    length: usize,
    limit: usize,
    actual: &mut u32,
    id: &mut u64,
) -> i32 {
    (*actual, *id) = (0, 0);
    if let Some(packet) = standin.foul(bus, at(now)) {
        let bytes = packet.bytes.len().min(length).min(limit);
        // SAFETY: as the caller promised; no longer than `length`.
        unsafe { slice::from_raw_parts_mut(buffer, bytes) }.copy_from_slice(&packet.bytes[..bytes]);
        (*actual, *id) = (bytes as u32, packet.transaction_id);
        return 0;
    }
    let packet = standin.kept.remove(&bus).or_else(|| standin.host.next_packet(BusId(bus), at(now)));
    let Some(packet) = packet else { return 0 };
    let padded = packet.payload.len().next_multiple_of(8);
    let bytes = (DESCRIPTOR + padded).min(limit);
    *actual = bytes as u32;
    *id = packet.transaction_id;
    if bytes > length {
        standin.kept.insert(bus, packet);
        return -ENOBUFS;
    }
    if let Some(storm) = standin.storms.get_mut(&bus) {
        storm.heard(&packet);
    }
    // SAFETY: as the caller promised.
    let out = unsafe { slice::from_raw_parts_mut(buffer, bytes) };
    out.fill(0);
    let mut head = Vec::with_capacity(DESCRIPTOR);
    head.extend_from_slice(&packet.kind.to_wire().to_le_bytes());
    head.extend_from_slice(&2u16.to_le_bytes());
    head.extend_from_slice(&((bytes / 8) as u16).to_le_bytes());
    head.extend_from_slice(&0u16.to_le_bytes());
    head.extend_from_slice(&packet.transaction_id.to_le_bytes());
    for (place, byte) in out.iter_mut().zip(head.iter().chain(&packet.payload)) {
        *place = *byte;
    }
    0
}

/// When the bus has something for its guest, or to do. False for never.
#[unsafe(no_mangle)]
pub extern "C" fn standin_next_due(standin: &Standin, bus: u32, due: &mut u64) -> bool {
    if standin.kept.contains_key(&bus) {
        *due = 0;
        return true;
    }
    let open = standin.host.channel(BusId(bus)) == ChannelState::Open;
    let storm = standin.storms.get(&bus).filter(|_| open).and_then(Storm::next_due);
    match standin.host.next_due(BusId(bus)).into_iter().chain(storm).min() {
        Some(time) => {
            *due = time.as_nanos();
            true
        }
        None => false,
    }
}

/// A load from a config window. The guest's processor runs on at `done`.
#[unsafe(no_mangle)]
pub extern "C" fn standin_load(standin: &mut Standin, now: u64, address: u64, bytes: u32, done: &mut u64) -> u32 {
    *done = now;
    let Some((bus, offset)) = standin.window_at(address) else { return u32::MAX };
    armed::count(standin, bus.0, Step::Access, at(now));
    let (value, end) = standin.host.window_page_load(bus, at(now), offset, bytes);
    *done = end.as_nanos();
    value
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_store(
    standin: &mut Standin,
    now: u64,
    address: u64,
    bytes: u32,
    value: u32,
    done: &mut u64,
) -> bool {
    *done = now;
    let Some((bus, offset)) = standin.window_at(address) else { return false };
    armed::count(standin, bus.0, Step::Access, at(now));
    // Only what lies behind the header resets a function.
    let before = if offset & 0xFFF < 0x40 { Vec::new() } else { lost::before(&standin.host, bus) };
    *done = standin.host.window_page_store(bus, at(now), offset, bytes, value).as_nanos();
    standin.lost.extend(lost::by_resets(&standin.host, bus, before));
    !standin.lost.is_empty()
}

/// The next MSI-X table whose device lost it: where it lies, and how many entries it has.
#[unsafe(no_mangle)]
pub extern "C" fn standin_next_wipe(standin: &mut Standin, address: &mut u64, entries: &mut u32) -> bool {
    let Some(table) = standin.lost.pop() else { return false };
    (*address, *entries) = table;
    true
}

/// The retarget hypercall; the status of the hypercall interface.
///
/// # Safety
/// `input` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_retarget(standin: &mut Standin, input: *const u8, length: usize, header: u16) -> u16 {
    // SAFETY: as the caller promised.
    let input = unsafe { slice::from_raw_parts(input, length) };
    match standin.host.retarget(input, header) {
        Ok(_) => 0,
        Err(HypercallError::InvalidParameter | HypercallError::InvalidInterrupt) => 5,
        Err(HypercallError::InvalidDevice) => 7,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn standin_aperture(standin: &mut Standin, bus: u32, base: u64, size: u64, given: bool) {
    if given {
        standin.host.give_aperture(BusId(bus), base, size);
    } else {
        standin.host.take_aperture(BusId(bus), base, size);
    }
}

/// Where a function's MSI-X table lies in guest-physical memory, and how many entries it has. 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn standin_msix_table(standin: &Standin, bus: u32, slot: u32, address: &mut u64) -> u32 {
    let found = Slot::from_wire(slot).and_then(|slot| lost::table(&standin.host, BusId(bus), slot));
    let (place, entries) = found.unwrap_or((0, 0));
    *address = place;
    entries
}

/// What the guest wrote to the memory behind a BAR reaches the device. False if the host maps nothing there.
#[unsafe(no_mangle)]
pub extern "C" fn standin_memory_write(standin: &mut Standin, now: u64, address: u64, value: u32) -> bool {
    standin.host.memory_write(at(now), address, value)
}

/// Asks whether a function's message arrives, and where.
#[unsafe(no_mangle)]
pub extern "C" fn standin_deliver(
    standin: &mut Standin,
    bus: u32,
    slot: u32,
    message: u16,
    vector: &mut u32,
    processor: &mut u32,
) -> i32 {
    let Some(function) = Slot::from_wire(slot) else { return -EINVAL };
    match standin.host.deliver(BusId(bus), function, message) {
        Ok(delivery) => {
            *vector = delivery.vector;
            *processor = delivery.processors.first().copied().unwrap_or(0).into();
            standin.fired += 1;
            standin.last_fire = format!("bus={bus} slot={slot} message={message} vector={vector} vp={processor}");
            0
        }
        Err(why) => {
            standin.not_delivered += 1;
            standin.last_fire = format!("bus={bus} slot={slot} message={message} refused={why:?}");
            -EIO
        }
    }
}

/// # Safety
/// `text` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_command(standin: &mut Standin, now: u64, text: *const u8, length: usize) -> i32 {
    // SAFETY: as the caller promised.
    let text = unsafe { slice::from_raw_parts(text, length) };
    match core::str::from_utf8(text).ok().and_then(|text| command::run(standin, at(now), text)) {
        Some(()) => 0,
        None => -EINVAL,
    }
}

/// The state as text. The C side gives it back with [`standin_text_delete`].
#[unsafe(no_mangle)]
pub extern "C" fn standin_state(standin: &mut Standin, now: u64, length: &mut usize) -> *mut u8 {
    let text = state::text(standin, at(now)).into_bytes().into_boxed_slice();
    *length = text.len();
    Box::into_raw(text).cast()
}

/// # Safety
/// `text` and `length` are what [`standin_state`] gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_text_delete(text: *mut u8, length: usize) {
    // SAFETY: as the caller promised.
    drop(unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(text, length)) });
}
