//! What a platform must give. These are the only traits a backend implements.
//!
//! Two are synchronous and legal in any context ([`ConfigPort`], [`PacketPort`]); one is for the few long-lived
//! operations that may sleep ([`Platform`]) and is object-safe, so that a platform is chosen at run time behind `dyn`.

use alloc::boxed::Box;

use async_trait::async_trait;

use crate::bus::{Bus, FunctionInfo, InterruptHandle, Report, Transmit};
use crate::config::{ConfigReport, ConfigSpace};
use crate::placement::{Window, WindowNeed};
use crate::wire::MsiEntry;
use crate::{InstanceId, Slot, Time};

/// The width of an access to config space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes.
    Dword,
}

impl Width {
    /// The width of an access of `bytes` bytes; `None` for any width that config space does not have.
    pub const fn from_bytes(bytes: usize) -> Option<Width> {
        match bytes {
            1 => Some(Width::Byte),
            2 => Some(Width::Word),
            4 => Some(Width::Dword),
            _ => None,
        }
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u16 {
        match self {
            Width::Byte => 1,
            Width::Word => 2,
            Width::Dword => 4,
        }
    }

    /// All ones in this width: what a read of nothing returns.
    pub const fn all_ones(self) -> u32 {
        match self {
            Width::Byte => 0xFF,
            Width::Word => 0xFFFF,
            Width::Dword => 0xFFFF_FFFF,
        }
    }
}

/// The slot selector was not written: there is no window, or the hypervisor denied the hypercall that was to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the function could not be selected in the config window")]
pub struct SelectError;

/// The config window of one bus: two pages of MMIO, reached by loads and stores or, in isolated VMs, by hypercall
/// (`reference/protocol.md` section 7).
///
/// The config half calls these with the backend's config lock held, in whatever context the backend's caller is in:
/// interrupts off on Linux, up to DISPATCH_LEVEL on Windows. No method may sleep or allocate. Each call is one trap, and
/// may take as long as the host takes to map a BAR. The implementation puts a full barrier after a select and after an
/// access, and does nothing else: which access is made is decided by the core.
pub trait ConfigPort {
    /// Writes the slot selector: a 32-bit store of `slot` at offset 0 of the window. After an error no access follows until
    /// a select succeeds: it would reach the function that was selected before.
    fn select(&mut self, slot: Slot) -> Result<(), SelectError>;

    /// Reads `width` at `offset` (0 to 4095, naturally aligned) of the selected function's config page.
    fn read(&mut self, offset: u16, width: Width) -> u32;

    /// Writes `value` at `offset` (0 to 4095, naturally aligned) of the selected function's config page.
    fn write(&mut self, offset: u16, width: Width, value: u32);

    /// The time now, where the backend can tell it cheaply in this context. The ledger measures with it how long the
    /// host held a write that turned decode on; `None` leaves that figure to the cost model.
    fn now(&mut self) -> Option<Time> {
        None
    }
}

/// What became of a packet that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// The ring is full. The packet stays first in line; the backend pumps again when the host has drained the ring.
    #[error("the ring is full")]
    Busy,
    /// The channel is closed or rescinded.
    #[error("the channel is closed")]
    Closed,
}

/// The sending side of the VMBus channel of one bus. Any context; must not sleep, allocate or call back into the engine.
pub trait PacketPort {
    /// Sends one in-band packet. `payload` is padded to a multiple of 8 by the carrier.
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError>;
}

/// Why a platform could not do what an action asked. The engine ends the step that needed it and says which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PlatformError {
    /// No memory.
    #[error("out of memory")]
    OutOfMemory,
    /// No MMIO space of the size, alignment and place asked for.
    #[error("no MMIO space of that size")]
    NoMmioSpace,
    /// The channel could not be opened.
    #[error("the channel could not be opened")]
    ChannelOpen,
    /// The OS refused to take the function.
    #[error("the operating system refused the function")]
    Refused,
}

/// Why a function is taken away from the OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemovalReason {
    /// The host asked for it (EJECT): the driver may still talk to the device.
    Eject,
    /// The function is gone from the host's list, or the channel was rescinded: accesses read all ones.
    Surprise,
    /// The bus is being shut down by the guest.
    Shutdown,
}

/// One bus on one platform: the locks around its two halves, its channel, and the operations that may sleep.
///
/// The core takes no lock; the backend keeps [`Bus`] and [`ConfigSpace`] each under a lock of its own kind (Linux: raw
/// spin locks with interrupts off; Windows: a spin lock at DISPATCH_LEVEL; the mock: a `RefCell`). The two locks are never
/// held at once.
#[async_trait]
pub trait Platform: Send + Sync {
    /// The GUID of the bus instance.
    fn instance(&self) -> InstanceId;

    /// The time now. Any context.
    fn now(&self) -> Time;

    /// Runs `f` with the engine half and the channel's sending side, under the engine lock. Any context. `f` does not
    /// sleep and does not take the config lock.
    fn with_bus(&self, f: &mut dyn FnMut(&mut Bus, &mut dyn PacketPort));

    /// Runs `f` with the config half and the config window, under the config lock. Any context. `f` does not sleep and
    /// does not take the engine lock. Before the config window exists the port reads all ones and drops writes.
    fn with_config(&self, f: &mut dyn FnMut(&mut ConfigSpace, &mut dyn ConfigPort));

    /// Wakes every waiter of this bus out of [`Platform::wait`]. Any context.
    fn wake(&self);

    /// Waits until [`Platform::wake`] has been called since the last wait of the same `waiter` returned, or until
    /// `deadline`.
    async fn wait(&self, waiter: Waiter, deadline: Option<Time>);

    /// Opens the channel. Packets may arrive before this returns.
    async fn open_channel(&self) -> Result<(), PlatformError>;

    /// Closes the channel. No packet arrives once this has returned. Never fails; closing a closed channel is nothing.
    async fn close_channel(&self);

    /// Reserves the two pages of the config window (8 KiB, page-aligned, in MMIO space that nothing else uses) and makes
    /// them reachable through the [`ConfigPort`]. Returns their guest-physical address.
    async fn reserve_config_window(&self) -> Result<u64, PlatformError>;

    /// Gives the config window back. The port reads all ones from then on.
    async fn release_config_window(&self);

    /// Reserves MMIO space for BARs, as the need says.
    async fn reserve_window(&self, need: WindowNeed) -> Result<Window, PlatformError>;

    /// Gives a BAR window back.
    async fn release_window(&self, window: Window);

    /// Shows a function to the OS, which may scan it, bind a driver and enable it before this returns.
    async fn publish(&self, function: &FunctionInfo) -> Result<(), PlatformError>;

    /// Takes a function away from the OS. Its driver has let go of it when this returns. Never fails.
    async fn unpublish(&self, slot: Slot, reason: RemovalReason);

    /// After a resume an interrupt has a new address and new data: writes them where the old ones were, in the function's
    /// MSI capability or MSI-X table. It was created for the vector and the processors of its first creation: where they
    /// are set apart from that (x86, by the retarget hypercall), they are set again. Called from the pump; must not sleep.
    fn interrupt_recreated(&self, handle: InterruptHandle, slot: Slot, entry: MsiEntry);

    /// Hands the platform something of the engine half to act on or to print. Called from the pump; must not sleep.
    fn report(&self, report: &Report);

    /// Hands the platform something of the config half to print. Called from the pump; must not sleep.
    fn config_report(&self, report: &ConfigReport);
}

/// Who is waiting. Each waits alone: at most one wait per waiter is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waiter {
    /// The pump: packets, timers, resources.
    Pump,
    /// The publisher: publishing and unpublishing functions.
    Publisher,
    /// A caller of [`crate::driver::request`] or of the power functions, on behalf of this function.
    Function(Slot),
}
