//! A VMBus channel of KMCL with its packets: a fixed number of them, each with room for what it carries.
//!
//! `VmbChannelCleanup` wants a disabled channel. One that the host has closed is disabled when EvtChannelClosed "finishes"
//! (its page at Microsoft): no call says when that is, so that callbacks are counted, and the last one's way out waited for.
//! What KMCL does between that and its own end is KMCL's to protect.

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU8, Ordering};

use wdk_sys::{
    GUID, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_STATE, STATUS_NO_SUCH_DEVICE, ULONG,
};

use super::buffer::Input;
use super::bus::{Bus, BusDevice, BusRef};
use super::gate::{self, Gate};
use super::kmcl::{self, ChannelObject, CompletionObject, PacketObject, StateChangeCallbacks};
use super::task::{Place, Shortage};
use super::{Shared, check};

/// Bytes of the longest packet to the host.
pub const MAX_SENT: usize = 256;

/// What a channel is to be.
pub struct ChannelOptions {
    /// The type of the device interface.
    pub class: &'static GUID,
    /// Bytes of the longest packet from the host.
    pub longest: u32,
    /// Pages of each ring.
    pub ring_pages: u32,
    /// Packets to the host that can be under way at once.
    pub packets: usize,
}

/// What a bus does with what comes by its channel: at up to DISPATCH_LEVEL, but for [`Client::closed`].
pub trait Client: Bus {
    /// A message of the host, in memory that the host may write to.
    fn received(bus: &BusDevice<Self>, message: &Input<'_>);

    /// The host has answered a packet that was sent as `transaction`.
    fn answered(bus: &BusDevice<Self>, transaction: u64, answer: &Input<'_>);

    /// A packet went out that nobody answers, or will not be answered because the channel closes; or a packet can be sent
    /// again after none could.
    fn packet_free(bus: &BusDevice<Self>);

    /// The host has closed the channel, and with that disabled it. PASSIVE_LEVEL.
    fn closed(bus: &BusDevice<Self>);
}

/// Where a channel stands.
mod state {
    /// Not enabled, or no longer, whoever has ended it.
    pub const DISABLED: u8 = 0;
    /// Somebody is about to enable it. Packets may come and go.
    pub const ENABLING: u8 = 1;
    /// Somebody is about to enable it, and is to disable it at once.
    pub const UNWANTED: u8 = 2;
    /// Enabled. Whoever ends this disables the channel, unless it is KMCL.
    pub const ENABLED: u8 = 3;
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// All packets are under way; [`Client::packet_free`] is called when one comes free.
    AllUnderWay,
    /// The channel is not open, or carries nothing as long.
    Closed,
    /// KMCL has no room at the moment.
    NoRoom,
}

/// A channel. Its last owner drops it, at PASSIVE_LEVEL.
pub struct Channel<B: Client> {
    handle: *mut ChannelObject,
    /// Kept, because callbacks go to it.
    bus: BusRef<B>,
    /// See [`state`].
    state: AtomicU8,
    /// KMCL is inside while it runs a callback. Shut before the channel goes.
    callbacks: Gate,
    starved: Shortage,
    slots: Vec<Slot<B>>,
}

/// A packet to the host and what it carries.
struct Slot<B: Client> {
    channel: *const Channel<B>,
    packet: *mut PacketObject,
    place: Place,
    /// For who has the place: until the packet is sent for the sender, and from then on for KMCL.
    content: UnsafeCell<Content>,
}

struct Content {
    transaction: u64,
    wants_completion: bool,
    payload: [u8; MAX_SENT],
}

// SAFETY: the handles are of KMCL objects, which may be used on any processor; a slot's content is reached by who has its
// place; the rest synchronises itself.
unsafe impl<B: Client> Send for Channel<B> {}
// SAFETY: as above.
unsafe impl<B: Client> Sync for Channel<B> {}

impl<B: Client> Channel<B> {
    /// Allocates a channel of a bus device and everything that it needs. PASSIVE_LEVEL.
    pub fn allocate(bus: &BusDevice<B>, options: &ChannelOptions) -> Result<Shared<Channel<B>>, NTSTATUS> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(options.packets).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        let mut handle = core::ptr::null_mut();
        let allocated = bus.with_physical_device(|device| {
            // SAFETY: VmbChannelAllocate at PASSIVE_LEVEL for the VMBus device, which stays meanwhile, as a client.
            unsafe { kmcl::VmbChannelAllocate(device, 0, &mut handle) }
        });
        check(allocated.unwrap_or(STATUS_NO_SUCH_DEVICE))?;
        let (state, callbacks, starved) = (AtomicU8::new(state::DISABLED), Gate::new(), Shortage::new());
        callbacks.open();
        let fresh = Channel { handle, bus: bus.keep(), state, callbacks, starved, slots: Vec::new() };
        // Without memory, or after a failure, the channel is dropped, which cleans up.
        let mut channel = Shared::try_new(fresh).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let place = channel.place();
        configure::<B>(handle, place, options)?;
        // SAFETY: nobody else has the channel, and no callback runs before it is enabled.
        unsafe {
            (*place).slots = slots;
            fill(&mut (*place).slots, handle, place, options.packets)?;
        }
        Ok(channel)
    }

    /// Opens the channel. Packets may come before this returns. PASSIVE_LEVEL, without a lock.
    pub fn enable(&self) -> Result<(), NTSTATUS> {
        if !self.step(state::DISABLED, state::ENABLING) {
            return Err(STATUS_INVALID_DEVICE_STATE);
        }
        // SAFETY: VmbChannelEnable at PASSIVE_LEVEL on a configured channel that is not enabled, by the one caller that found it so.
        let opened = check(unsafe { kmcl::VmbChannelEnable(self.handle) });
        if let Err(status) = opened {
            // Whatever was wished for meanwhile.
            self.state.store(state::DISABLED, Ordering::Release);
            return Err(status);
        }
        if self.step(state::ENABLING, state::ENABLED) {
            return Ok(());
        }
        // Or the host has closed it by now.
        if self.step(state::UNWANTED, state::DISABLED) {
            // SAFETY: VmbChannelDisable at PASSIVE_LEVEL on a channel that was enabled above, by who leaves UNWANTED.
            unsafe { kmcl::VmbChannelDisable(self.handle) }
        }
        Err(STATUS_INVALID_DEVICE_STATE)
    }

    /// Closes the channel, if it is enabled: every packet under way completes before this returns, and no callback runs after
    /// it. One that is being enabled is closed by who enables it. PASSIVE_LEVEL, without a lock, not from a callback.
    pub fn disable(&self) {
        if self.step(state::ENABLING, state::UNWANTED) {
            return;
        }
        if self.step(state::ENABLED, state::DISABLED) {
            // SAFETY: VmbChannelDisable at PASSIVE_LEVEL on an enabled channel, by who leaves ENABLED.
            unsafe { kmcl::VmbChannelDisable(self.handle) }
        }
        // Where the host was faster, EvtChannelClosed may still run.
        gate::await_empty(&self.callbacks);
    }

    /// Goes from one state to another; false where another one holds.
    fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Sends a packet, as `transaction` where it `wants_completion`. At most DISPATCH_LEVEL.
    pub fn send(&self, transaction: u64, wants_completion: bool, payload: &[u8]) -> Result<(), NotSent> {
        if matches!(self.state.load(Ordering::Acquire), state::DISABLED | state::UNWANTED) {
            return Err(NotSent::Closed);
        }
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_SENT).ok_or(NotSent::Closed)?;
        let free = self.starved.take(|| self.slots.iter().find(|slot| slot.place.take()));
        let slot = free.ok_or(NotSent::AllUnderWay)?;
        let flags = if wants_completion { kmcl::FORMAT_FLAG_WAIT_FOR_COMPLETION } else { 0 };
        // SAFETY: who has a slot's place has its content. VmbPacketSend at DISPATCH_LEVEL at most, on a channel's packet that is
        // not under way; the payload stays in its slot until the completion routine has run.
        let status = unsafe {
            let content = slot.content.get();
            ((*content).transaction, (*content).wants_completion) = (transaction, wants_completion);
            let place = (&raw mut (*content).payload).cast::<u8>();
            core::ptr::copy_nonoverlapping(payload.as_ptr(), place, payload.len());
            kmcl::VmbPacketSend(slot.packet, place.cast(), length, core::ptr::null_mut(), flags)
        };
        if wdk::nt_success(status) {
            return Ok(());
        }
        // The completion routine does not run for a packet that was not taken.
        slot.place.give_back();
        if self.starved.is_over() {
            B::packet_free(&self.bus);
        }
        Err(if status == STATUS_INVALID_DEVICE_STATE { NotSent::Closed } else { NotSent::NoRoom })
    }
}

impl<B: Client> Drop for Channel<B> {
    fn drop(&mut self) {
        self.disable();
        gate::shut(&self.callbacks);
        // SAFETY: PASSIVE_LEVEL. The channel is disabled, as VmbChannelCleanup demands: nobody enables it, who would be an owner;
        // VmbChannelDisable returns when it is, and one that the host has closed is when EvtChannelClosed has finished, which
        // was waited for. Its packets have completed.
        unsafe {
            for slot in &self.slots {
                kmcl::VmbPacketFree(slot.packet);
            }
            kmcl::VmbChannelCleanup(self.handle);
        }
    }
}

/// Sets a channel up that is allocated and not enabled.
fn configure<B: Client>(
    handle: *mut ChannelObject,
    place: *mut Channel<B>,
    options: &ChannelOptions,
) -> Result<(), NTSTATUS> {
    let mut changes = StateChangeCallbacks {
        Version: kmcl::STATE_CHANGE_VERSION,
        Size: size_of::<StateChangeCallbacks>() as ULONG,
        EvtChannelOpened: None,
        EvtChannelClosed: Some(evt_closed::<B>),
        EvtChannelSuspend: None,
        EvtChannelStarted: None,
        EvtChannelPostStarted: None,
    };
    // SAFETY: the channel is in the state in which these may be called. What its pointer names goes after its cleanup.
    unsafe {
        kmcl::VmbChannelSetPointer(handle, place.cast());
        check(kmcl::VmbChannelInitSetMaximumPacketSize(handle, options.longest))?;
        check(kmcl::VmbClientChannelInitSetRingBufferPageCount(handle, options.ring_pages, options.ring_pages))?;
        check(kmcl::VmbChannelInitSetProcessPacketCallbacks(handle, Some(evt_packet::<B>), None))?;
        // Without it, PnP's surprise removal tells of a rescind.
        let _ = kmcl::VmbChannelInitSetStateChangeCallbacks(handle, &mut changes);
        check(kmcl::VmbClientChannelInitSetTargetPnp(handle, options.class, core::ptr::null(), core::ptr::null()))
    }
}

/// Allocates the packets. Their slots do not move from here on.
///
/// # Safety
///
/// `slots` are those of `channel`, reserved in full, and nobody else has them.
unsafe fn fill<B: Client>(
    slots: &mut Vec<Slot<B>>,
    handle: *mut ChannelObject,
    channel: *const Channel<B>,
    count: usize,
) -> Result<(), NTSTATUS> {
    for _ in 0..count {
        // SAFETY: VmbPacketAllocate on an allocated channel.
        let packet = unsafe { kmcl::VmbPacketAllocate(handle) };
        if packet.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let content = Content { transaction: 0, wants_completion: false, payload: [0; MAX_SENT] };
        slots.push(Slot { channel, packet, place: Place::new(), content: UnsafeCell::new(content) });
        let Some(slot) = slots.last() else { continue };
        // SAFETY: the packet is not under way; the slot stays where it is, since the vector was reserved in full.
        unsafe {
            kmcl::VmbPacketSetPointer(packet, core::ptr::from_ref(slot).cast_mut().cast());
            kmcl::VmbPacketSetCompletionRoutine(packet, Some(evt_completion::<B>));
        }
    }
    Ok(())
}

/// A message of the host.
unsafe extern "C" fn evt_packet<B: Client>(
    channel: *mut ChannelObject,
    packet: *mut CompletionObject,
    buffer: *mut c_void,
    length: u32,
    _flags: u32,
) {
    // SAFETY: the channel's pointer is the channel, which KMCL calls before it is disabled only, so that it is there as the
    // callback begins, and then until it has left; the buffer has that length until the packet is completed, which every
    // packet must be, and once.
    unsafe {
        let channel = &*kmcl::VmbChannelGetPointer(channel).cast::<Channel<B>>();
        let inside = channel.callbacks.enter();
        #[cfg(feature = "seed-overrun")]
        core::ptr::write_volatile(core::ptr::from_ref(channel).add(1).cast_mut().cast::<u8>().add(16), 1);
        if inside.is_some() {
            B::received(&channel.bus, &Input::new(buffer.cast(), length as usize));
        }
        kmcl::VmbChannelPacketComplete(packet, core::ptr::null_mut(), 0);
    }
}

/// The host answered, or a packet went out that it does not answer, or the channel closed.
unsafe extern "C" fn evt_completion<B: Client>(
    packet: *mut PacketObject,
    status: NTSTATUS,
    buffer: *mut c_void,
    length: u32,
) {
    // SAFETY: the packet's pointer is its slot, and that names its channel: both go after the packet, which KMCL completes before
    // the channel is disabled, and the channel not before this has left. The slot's place was taken for this packet, and is
    // given back here. The buffer has that length until this returns.
    unsafe {
        let slot = &*kmcl::VmbPacketGetPointer(packet).cast::<Slot<B>>();
        let channel = &*slot.channel;
        let Some(_inside) = channel.callbacks.enter() else { return };
        let Content { transaction, wants_completion, .. } = *slot.content.get();
        let answered = wants_completion && wdk::nt_success(status);
        if answered {
            B::answered(&channel.bus, transaction, &Input::new(buffer.cast(), length as usize));
        }
        // The packet and its buffer are KMCL's until here. From here on the slot may carry the next packet.
        slot.place.give_back();
        if channel.starved.is_over() || !answered {
            B::packet_free(&channel.bus);
        }
    }
}

/// The channel was closed, by us or by the host: in the guest it is disabled once this has finished. PASSIVE_LEVEL.
unsafe extern "C" fn evt_closed<B: Client>(channel: *mut ChannelObject) {
    // SAFETY: the channel's pointer is the channel, which is not disabled as the callback begins, so that it is there, and then
    // until this has left.
    let channel = unsafe { &*kmcl::VmbChannelGetPointer(channel).cast::<Channel<B>>() };
    let Some(_inside) = channel.callbacks.enter() else { return };
    // Who has left ENABLED before has decided to close it, and does.
    if channel.state.swap(state::DISABLED, Ordering::AcqRel) != state::DISABLED {
        B::closed(&channel.bus);
    }
}
