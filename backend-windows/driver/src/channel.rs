//! The VMBus channel of one bus.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use hvpci_core::Time;
use hvpci_core::backend::{PacketPort, Platform, SendError};
use hvpci_core::bus::{Packet, PacketKind, Transmit};
use hvpci_core::driver;
use hvpci_core::wire::MAX_PAYLOAD_LENGTH;
use wdk_sys::{GUID, NTSTATUS, PDEVICE_OBJECT, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_STATE, ULONG};

use crate::bus::WindowsBus;
use crate::memory;
use crate::sys::check;
use crate::sys::kmcl::{self, ChannelObject, CompletionObject, PacketObject, StateChangeCallbacks};
use crate::sys::lock::SpinLock;
use crate::sys::nt;

/// Requests the engine has outstanding at most, and as many messages that nobody answers.
const SLOTS: usize = 128;
/// The longest message to the host: RESOURCES_ASSIGNED2/3.
const MAX_SENT: usize = 256;
/// The pages of each ring. Messages are small and few.
const RING_PAGES: u32 = 4;

/// {44C4F61D-4444-4400-9D52-802E27EDE19F}
static VPCI_CLASS: GUID =
    GUID { Data1: 0x44C4_F61D, Data2: 0x4444, Data3: 0x4400, Data4: [0x9D, 0x52, 0x80, 0x2E, 0x27, 0xED, 0xE1, 0x9F] };

/// A packet to the host and what it carries, allocated when the channel is.
struct SendSlot {
    bus: *const WindowsBus,
    packet: *mut PacketObject,
    busy: AtomicBool,
    transaction: u64,
    wants_completion: bool,
    payload: [u8; MAX_SENT],
}

/// The channel. Everything that is not atomic in it is reached with the engine lock held, or while there are no callbacks.
pub struct Channel {
    bus: *const WindowsBus,
    handle: AtomicPtr<ChannelObject>,
    open: AtomicBool,
    /// Since when KMCL takes no packet.
    stuck: Option<Time>,
    slots: Vec<SendSlot>,
}

// SAFETY: the raw pointers are handles of KMCL objects, which may be used on any processor, and the bus, which is `Sync`.
unsafe impl Send for Channel {}

/// Where packets are copied before they are parsed: the ring belongs to the host.
pub struct Receiver(SpinLock<Vec<u8>>);

impl Receiver {
    /// Room for the longest packet.
    pub fn new() -> Result<Receiver, NTSTATUS> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(MAX_PAYLOAD_LENGTH).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        buffer.resize(MAX_PAYLOAD_LENGTH, 0);
        Ok(Receiver(SpinLock::new(buffer)?))
    }

    /// Copies a packet once and hands the copy to the engine. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `buffer` is readable for `length` bytes.
    unsafe fn deliver(&self, bus: &WindowsBus, kind: PacketKind, transaction_id: u64, buffer: *const u8, length: u32) {
        self.0.with(|copy| {
            // A longer packet than any that makes sense is cut; the engine finds it malformed.
            let length = (length as usize).min(copy.len());
            let Some(copy) = copy.get_mut(..length) else { return };
            if length != 0 {
                // SAFETY: the caller's; the copy is private memory of that length.
                unsafe { core::ptr::copy_nonoverlapping(buffer, copy.as_mut_ptr(), length) };
            }
            driver::packet_arrived(bus, Packet { kind, transaction_id, payload: copy });
        });
    }
}

impl Channel {
    /// No channel yet.
    fn new(bus: *const WindowsBus) -> Channel {
        Channel { bus, handle: AtomicPtr::default(), open: AtomicBool::new(false), stuck: None, slots: Vec::new() }
    }

    /// The handle, for [`enable`] and [`disable`], which must not be called with a lock held.
    pub fn handle(&self) -> *mut ChannelObject {
        self.handle.load(Ordering::Acquire)
    }

    /// Notes whether packets can be sent.
    pub fn set_open(&mut self, open: bool) {
        self.stuck = None;
        self.open.store(open, Ordering::Release);
    }

    /// A slot that carries nothing. Where there is none, the pump is woken when one comes free.
    fn free_slot(&mut self) -> Option<&mut SendSlot> {
        let is_free = |slot: &SendSlot| !slot.busy.load(Ordering::SeqCst);
        let mut free = self.slots.iter().position(is_free);
        if free.is_none() {
            // SAFETY: the bus outlives its channel.
            unsafe { &*self.bus }.starved.store(true, Ordering::SeqCst);
            // One that came free before that was stored has woken nobody.
            free = self.slots.iter().position(is_free);
        }
        self.slots.get_mut(free?)
    }

    /// Whether the channel was opened and not closed, by us or by the host.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

impl PacketPort for Channel {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let bus = self.bus;
        let Some(free) = self.free_slot() else { return Err(SendError::Busy) };
        let Some(place) = free.payload.get_mut(..payload.len()) else { return Err(SendError::Closed) };
        place.copy_from_slice(payload);
        free.transaction = packet.transaction_id;
        free.wants_completion = packet.wants_completion;
        free.busy.store(true, Ordering::Release);
        let flags = if packet.wants_completion { kmcl::FORMAT_FLAG_WAIT_FOR_COMPLETION } else { 0 };
        let length = u32::try_from(payload.len()).map_err(|_| SendError::Closed)?;
        // SAFETY: VmbPacketSend at DISPATCH_LEVEL on an enabled channel's packet that is not under way; the payload stays
        // in its slot until the completion routine has run.
        let status = unsafe {
            kmcl::VmbPacketSend(free.packet, free.payload.as_mut_ptr().cast(), length, core::ptr::null_mut(), flags)
        };
        if !wdk::nt_success(status) {
            // The completion routine does not run for a packet that was not taken.
            free.busy.store(false, Ordering::Release);
            if status == STATUS_INVALID_DEVICE_STATE {
                return Err(SendError::Closed);
            }
            // SAFETY: the bus outlives its channel.
            let bus = unsafe { &*bus };
            // Not every message has a deadline: the channel's first in line has that of a request.
            let since = *self.stuck.get_or_insert_with(nt::now);
            if nt::now() >= since.after(bus.settings.request_timeout) {
                return Err(SendError::Closed);
            }
            // Nothing else may be under way whose end would wake the pump.
            bus.send_later();
            return Err(SendError::Busy);
        }
        self.stuck = None;
        Ok(())
    }
}

/// Allocates the channel of a bus and everything it needs. PASSIVE_LEVEL.
pub fn allocate(bus: &WindowsBus, parent: PDEVICE_OBJECT) -> Result<Box<Channel>, NTSTATUS> {
    let owner = core::ptr::from_ref(bus);
    let mut channel = memory::try_box(Channel::new(owner)).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
    channel.slots.try_reserve_exact(SLOTS).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    let mut handle = core::ptr::null_mut();
    // SAFETY: VmbChannelAllocate at PASSIVE_LEVEL for the VMBus device, as a client.
    check(unsafe { kmcl::VmbChannelAllocate(parent, 0, &mut handle) })?;
    channel.handle.store(handle, Ordering::Release);
    let configured = configure(handle, owner);
    if let Err(status) = configured.and_then(|()| fill(&mut channel.slots, handle, owner)) {
        release(&channel);
        return Err(status);
    }
    Ok(channel)
}

fn configure(handle: *mut ChannelObject, owner: *const WindowsBus) -> Result<(), NTSTATUS> {
    let mut changes = StateChangeCallbacks {
        Version: kmcl::STATE_CHANGE_VERSION,
        Size: size_of::<StateChangeCallbacks>() as ULONG,
        EvtChannelOpened: None,
        EvtChannelClosed: Some(evt_closed),
        EvtChannelSuspend: None,
        EvtChannelStarted: None,
        EvtChannelPostStarted: None,
    };
    let longest = u32::try_from(MAX_PAYLOAD_LENGTH).unwrap_or(u32::MAX);
    // SAFETY: the channel is allocated and not enabled: the state in which these may be called. The bus outlives the
    // channel.
    unsafe {
        kmcl::VmbChannelSetPointer(handle, owner.cast_mut().cast());
        check(kmcl::VmbChannelInitSetMaximumPacketSize(handle, longest))?;
        check(kmcl::VmbClientChannelInitSetRingBufferPageCount(handle, RING_PAGES, RING_PAGES))?;
        check(kmcl::VmbChannelInitSetProcessPacketCallbacks(handle, Some(evt_packet), None))?;
        // Without it, PnP's surprise removal tells of a rescind.
        let _ = kmcl::VmbChannelInitSetStateChangeCallbacks(handle, &mut changes);
        check(kmcl::VmbClientChannelInitSetTargetPnp(handle, &VPCI_CLASS, core::ptr::null(), core::ptr::null()))
    }
}

/// Allocates the packets. Their slots do not move from here on.
fn fill(slots: &mut Vec<SendSlot>, handle: *mut ChannelObject, bus: *const WindowsBus) -> Result<(), NTSTATUS> {
    for _ in 0..SLOTS {
        // SAFETY: VmbPacketAllocate on an allocated channel.
        let packet = unsafe { kmcl::VmbPacketAllocate(handle) };
        if packet.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        slots.push(SendSlot {
            bus,
            packet,
            busy: AtomicBool::new(false),
            transaction: 0,
            wants_completion: false,
            payload: [0; MAX_SENT],
        });
        let Some(slot) = slots.last_mut() else { continue };
        // SAFETY: the packet is not under way; the slot stays where it is, since the vector was reserved in full.
        unsafe {
            kmcl::VmbPacketSetPointer(packet, core::ptr::from_mut(slot).cast());
            kmcl::VmbPacketSetCompletionRoutine(packet, Some(evt_completion));
        }
    }
    Ok(())
}

/// Gives back a channel that is not enabled, with its packets. PASSIVE_LEVEL.
pub fn release(channel: &Channel) {
    // SAFETY: the channel is disabled: no packet is under way and no callback runs.
    unsafe {
        for slot in &channel.slots {
            kmcl::VmbPacketFree(slot.packet);
        }
        kmcl::VmbChannelCleanup(channel.handle());
    }
}

/// Opens the channel. PASSIVE_LEVEL.
pub fn enable(handle: *mut ChannelObject) -> Result<(), NTSTATUS> {
    // SAFETY: VmbChannelEnable at PASSIVE_LEVEL on a configured channel.
    check(unsafe { kmcl::VmbChannelEnable(handle) })
}

/// Closes a channel that is open: every packet under way completes before this returns, and no callback runs after it.
/// PASSIVE_LEVEL.
pub fn disable(handle: *mut ChannelObject) {
    // SAFETY: VmbChannelDisable at PASSIVE_LEVEL on an enabled channel.
    unsafe { kmcl::VmbChannelDisable(handle) }
}

/// A message of the host.
unsafe extern "C" fn evt_packet(
    channel: *mut ChannelObject,
    packet: *mut CompletionObject,
    buffer: *mut c_void,
    length: u32,
    _flags: u32,
) {
    // SAFETY: the channel's pointer is its bus, which outlives it; the buffer has that length until the packet is completed,
    // which every packet must be, and once.
    unsafe {
        let bus = &*kmcl::VmbChannelGetPointer(channel).cast::<WindowsBus>();
        #[cfg(feature = "seed-panic")]
        assert!(length == u32::MAX, "seeded");
        #[cfg(feature = "seed-overrun")]
        core::ptr::write_volatile(core::ptr::from_ref(bus).add(1).cast_mut().cast::<u8>().add(16), 1);
        #[cfg(feature = "seed-irql")]
        bus.flush();
        bus.receiver.deliver(bus, PacketKind::InBand, 0, buffer.cast(), length);
        kmcl::VmbChannelPacketComplete(packet, core::ptr::null_mut(), 0);
    }
}

/// The host answered, or a packet went out that it does not answer, or the channel closed.
unsafe extern "C" fn evt_completion(packet: *mut PacketObject, status: NTSTATUS, buffer: *mut c_void, length: u32) {
    // SAFETY: the packet's pointer is its slot, which outlives it. The engine lock orders what the slot says before this.
    unsafe {
        let slot = kmcl::VmbPacketGetPointer(packet).cast::<SendSlot>();
        let bus = &*(*slot).bus;
        let answered = (*slot).wants_completion && wdk::nt_success(status);
        if answered {
            bus.receiver.deliver(bus, PacketKind::Completion, (*slot).transaction, buffer.cast(), length);
        }
        // The packet and its buffer are KMCL's until here. From here on the slot may carry the next packet.
        (*slot).busy.store(false, Ordering::SeqCst);
        // A packet that found no slot is tried again by the pump.
        if bus.starved.swap(false, Ordering::SeqCst) || !answered {
            bus.wake();
        }
    }
}

/// The channel was closed: by us, which is nothing, or by the host. Who finds it open under the engine lock has closed it.
/// PASSIVE_LEVEL.
unsafe extern "C" fn evt_closed(channel: *mut ChannelObject) {
    // SAFETY: the channel's pointer is its bus, which outlives it.
    let bus = unsafe { &*kmcl::VmbChannelGetPointer(channel).cast::<WindowsBus>() };
    // KMCL has disabled the channel by itself: it is not disabled once more.
    if bus.take_open_channel().is_some() {
        driver::channel_rescinded(bus);
    }
}
