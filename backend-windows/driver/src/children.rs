//! The functions of a bus as child devices.

use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use hvpci_core::backend::{PlatformError, RemovalReason};
use hvpci_core::bus::FunctionInfo;
use hvpci_core::{Slot, Time};
use hvpci_windows::interrupts::{Connected, Message};
use hvpci_windows::state::{ChildState, Leave, Leaving};
use wdk_sys::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES};

use crate::bus::{WindowsBus, reserved};
use crate::events;
use crate::sys::child::ChildKey;
use crate::sys::lock::SpinLock;
use crate::sys::nt;
use crate::sys::queue::WaitingQueue;
use crate::sys::task::{BlockPoint, Place, Wait, WaitPoint};

/// What a function is reported by: its slot, vendor and device, and its serial number.
pub fn id_of(function: &FunctionInfo) -> [u32; 3] {
    let description = &function.description;
    let model = u32::from(description.device) << 16 | u32::from(description.vendor);
    [description.slot.to_wire(), model, description.serial]
}

/// One child.
pub struct Child {
    /// What it is.
    pub function: FunctionInfo,
    /// Where it stands.
    pub state: ChildState,
    /// Its device object, while there is one.
    pub device: Option<ChildKey>,
    /// Where requests to that wait for config blocks to change.
    pub waiting: Option<WaitingQueue>,
    /// The messages that the PnP manager assigned.
    pub messages: Vec<Message>,
    /// What the host created for them.
    pub connected: Connected,
    /// Config blocks that changed and of which nobody was told: bit n is block n.
    pub changed_blocks: u64,
    /// It has left, and there was no memory to say so: said later, by nobody who waits.
    unreported: bool,
}

/// When to try again what failed for want of memory.
const RETRY: Duration = Duration::from_millis(100);
/// For how long. The whole bus waits meanwhile, a system that goes to sleep included.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many calls that transfer config blocks can wait at once on one bus.
const CALLERS: usize = 16;

/// Places to wait at, each for one thread at a time.
struct Points(Vec<CallPoint>);

struct CallPoint {
    place: Place,
    block: BlockPoint,
}

/// A place to wait at for one call. Wake-ups reach it, and nobody else has it, until it is dropped.
pub struct Caller<'a>(&'a CallPoint);

impl core::ops::Deref for Caller<'_> {
    type Target = BlockPoint;

    fn deref(&self) -> &BlockPoint {
        &self.0.block
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.place.give_back();
    }
}

impl Points {
    /// `None` without memory.
    fn new(count: usize) -> Option<Points> {
        let mut points = reserved(count)?;
        points.extend((0..count).map(|_| CallPoint { place: Place::new(), block: BlockPoint::new() }));
        Some(Points(points))
    }

    fn initialise(&self) {
        self.0.iter().for_each(|point| point.block.initialise());
    }

    fn wake(&self) {
        self.0.iter().filter(|point| point.place.is_taken()).for_each(|point| point.block.wake());
    }

    fn take(&self) -> Option<Caller<'_>> {
        self.0.iter().find(|point| point.place.take()).map(Caller)
    }
}

/// All children of a bus.
pub struct Children {
    table: SpinLock<Vec<Child>>,
    /// Where the children's power callbacks wait, one of each device at a time: as many as there can be children, and as
    /// many again for devices whose functions have left while they waited.
    power: Points,
    /// Where calls that transfer config blocks wait.
    callers: Points,
    capacity: usize,
}

impl Children {
    /// Room for `capacity` children.
    pub fn new(capacity: u16) -> Result<Children, NTSTATUS> {
        let capacity = usize::from(capacity);
        let make = || Some((reserved(capacity)?, Points::new(2 * capacity)?, Points::new(CALLERS)?));
        let (table, power, callers) = make().ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Children { table: SpinLock::new(table)?, power, callers, capacity })
    }

    /// Makes the events usable, where they stay.
    pub fn initialise(&self) {
        self.power.initialise();
        self.callers.initialise();
    }

    /// Wakes every callback that waits. At most DISPATCH_LEVEL.
    pub fn wake(&self) {
        self.power.wake();
        self.callers.wake();
    }

    /// A place for a config block call to wait at; `None` when too many wait. At most DISPATCH_LEVEL.
    pub fn caller(&self) -> Option<Caller<'_>> {
        self.callers.take()
    }

    /// A place for a power callback to wait at; `None` when too many wait. At most DISPATCH_LEVEL.
    pub fn power_caller(&self) -> Option<Caller<'_>> {
        self.power.take()
    }

    /// Runs `f` on a child, under the lock. At most DISPATCH_LEVEL.
    pub fn with<R>(&self, slot: Slot, f: impl FnOnce(&mut Child) -> R) -> Option<R> {
        self.table.with(|table| table.iter_mut().find(|child| child.function.description.slot == slot).map(f))
    }

    /// The messages assigned to all children. At most DISPATCH_LEVEL.
    pub fn messages(&self) -> usize {
        self.table.with(|table| table.iter().map(|child| child.messages.len()).sum())
    }

    /// The host could not create an interrupt again after a resume. At most DISPATCH_LEVEL.
    pub fn interrupt_lost(&self, handle: u64) {
        self.table.with(|table| {
            let all = table.iter_mut().flat_map(|child| &mut child.connected);
            all.filter(|connection| connection.handle == Some(handle)).for_each(|lost| lost.handle = None);
        });
    }

    /// The host forgets what is mapped when the bus goes down.
    pub fn forget_kept_maps(&self) {
        self.table.with(|table| table.iter_mut().for_each(|child| child.state.kept_mapped = false));
    }

    /// Reports a function to the PnP manager. PASSIVE_LEVEL.
    pub fn publish(&self, bus: &WindowsBus, function: &FunctionInfo) -> Result<(), PlatformError> {
        let slot = function.description.slot;
        // One that left when there was no memory to say so.
        if self.with(slot, |child| child.state.reported) == Some(false) {
            if !self.report_missing(bus, slot) {
                return Err(PlatformError::OutOfMemory);
            }
            self.remove(slot);
        }
        let state = ChildState { reported: true, ..ChildState::default() };
        let mut child = Some(Child {
            function: *function,
            state,
            device: None,
            waiting: None,
            messages: Vec::new(),
            connected: Connected::new(),
            changed_blocks: 0,
            unreported: false,
        });
        let taken = self.table.with(|table| {
            let known = table.iter().any(|child| child.function.description.slot == slot);
            if known || table.len() >= self.capacity {
                return false;
            }
            table.extend(child.take());
            true
        });
        if !taken {
            return Err(PlatformError::Refused);
        }
        bus.report_present(id_of(function)).map_err(|_| {
            self.remove(slot);
            PlatformError::OutOfMemory
        })
    }

    /// Takes a function off the list of children. At most DISPATCH_LEVEL. False without memory.
    fn report_missing(&self, bus: &WindowsBus, slot: Slot) -> bool {
        let leave = |child: &mut Child| {
            // Whoever still holds the bus interface reads all ones from here on.
            child.state.reported = false;
            id_of(&child.function)
        };
        let Some(id) = self.with(slot, leave) else { return true };
        bus.report_missing(id) != Err(STATUS_INSUFFICIENT_RESOURCES)
    }

    /// Asks the PnP manager to eject a child. At most DISPATCH_LEVEL.
    fn request_eject(&self, bus: &WindowsBus, slot: Slot) {
        let key = self.with(slot, |child| child.device).flatten();
        if let Some(key) = key {
            bus.request_eject(key);
        }
    }

    /// Takes those off the list of children that have left when there was no memory to. At most DISPATCH_LEVEL.
    pub fn report_unreported(&self, bus: &WindowsBus) {
        let next = || {
            self.table.with(|table| {
                let at = table.iter().position(|child| child.unreported)?;
                // Under the lock: the slot may be another function's without it.
                let id = id_of(&table.get(at)?.function);
                Some(match bus.report_missing(id) {
                    Err(STATUS_INSUFFICIENT_RESOURCES) => None,
                    _ => Some(leftovers(&mut table.remove(at))),
                })
            })
        };
        while let Some(reported) = next() {
            // What is left over is dropped here, without the lock.
            if reported.is_none() {
                return bus.retry_later();
            }
        }
    }

    fn remove(&self, slot: Slot) {
        let found = self.table.with(|table| {
            let at = table.iter().position(|child| child.function.description.slot == slot)?;
            Some(leftovers(&mut table.remove(at)))
        });
        // Dropped here, without the lock.
        drop(found);
    }
}

/// What of a child takes more than forgetting it.
fn leftovers(child: &mut Child) -> (Vec<Message>, Option<WaitingQueue>) {
    (core::mem::take(&mut child.messages), child.waiting.take())
}

/// Takes a child away: by eject where the host asks for it back, by reporting it missing otherwise. Polled by the publisher.
pub struct Unpublish<'a> {
    bus: &'a WindowsBus,
    wait: Wait<'a>,
    point: &'a WaitPoint,
    slot: Slot,
    graceful: bool,
    leaving: Leaving,
    /// When a driver that does not let go has had long enough.
    overdue: Time,
    /// Until when memory is waited for to report the function missing, once there was none.
    patience: Option<Time>,
}

impl<'a> Unpublish<'a> {
    /// Begins to take the child away, waiting at the publisher's point.
    pub fn new(bus: &'a WindowsBus, point: &'a WaitPoint, slot: Slot, reason: RemovalReason) -> Unpublish<'a> {
        let overdue = nt::now().after(bus.settings.request_timeout);
        let graceful = reason == RemovalReason::Eject;
        let (wait, leaving) = (point.wait(None), Leaving::default());
        Unpublish { bus, wait, point, slot, graceful, leaving, overdue, patience: None }
    }
}

impl Future for Unpublish<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let children = &this.bus.children;
        loop {
            let Some(state) = children.with(this.slot, |child| child.state) else { return Poll::Ready(()) };
            let late = nt::now() >= this.overdue;
            match state.leave(this.leaving, this.graceful, late) {
                Leave::RequestEject => {
                    this.leaving.eject_requested = true;
                    children.request_eject(this.bus, this.slot);
                }
                Leave::ReportMissing => {
                    // The list goes with the bus device: nobody needs to hear of it, and memory for it may never come.
                    this.leaving.missing = children.report_missing(this.bus, this.slot) || this.bus.is_going_down();
                    let now = nt::now();
                    // From here on the driver has as long again to take note of it.
                    this.overdue = now.after(this.bus.settings.request_timeout);
                    if !this.leaving.missing {
                        if now >= *this.patience.get_or_insert_with(|| now.after(PATIENCE)) {
                            let slot = this.slot;
                            let text = format_args!("{slot}: no memory to report it missing: done when there is some");
                            this.bus.report_line(events::ERROR, text);
                            children.with(slot, |child| child.unreported = true);
                            this.bus.retry_later();
                            return Poll::Ready(());
                        }
                        this.wait = this.point.wait(Some(now.after(RETRY)));
                        if Pin::new(&mut this.wait).poll(context).is_pending() {
                            return Poll::Pending;
                        }
                    }
                }
                Leave::Done => {
                    children.remove(this.slot);
                    return Poll::Ready(());
                }
                Leave::Wait => {
                    this.wait = this.point.wait(Some(this.overdue));
                    if Pin::new(&mut this.wait).poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}
