//! The bus device and what belongs to it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ops::Deref;

use wdk_sys::{
    NTSTATUS, PDEVICE_OBJECT, STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_SUCH_DEVICE,
    WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER, WDFCHILDLIST, WDFDEVICE, WDFDRIVER, WDFTIMER, WDFWORKITEM,
    call_unsafe_wdf_function_binding,
};

use super::check;
use super::child::{ChildKey, Description};
use super::gate::{self, Gate};
use super::handle::{self, Context};
use super::lock::SpinLock;
use super::memory::{self, Boxed};
use super::mmio::{Granted, MappedTable, MappedWindow};
use super::resources::{AddedTo, Assigned, Requirements};
use super::setup::Setup;
use super::task::{Alarm, Task};
use super::work::{Timer, WorkItem};

/// What a bus is, and what it does when KMDF calls its device. At PASSIVE_LEVEL, unless it says otherwise.
pub trait Bus: Send + Sync + Sized + 'static {
    /// Makes the bus of a new device.
    fn new(setup: &Setup<'_>) -> Result<Self, NTSTATUS>;

    /// The bus is where it stays.
    fn placed(bus: &BusDevice<Self>);

    /// EvtDeviceFilterAddResourceRequirements.
    fn filter_requirements(bus: &BusDevice<Self>, requirements: &Requirements<'_>) -> Result<(), NTSTATUS>;

    /// EvtDeviceRemoveAddedResources, for one of the two lists.
    fn remove_added(bus: &BusDevice<Self>, list: &mut AddedTo<'_>) -> Result<(), NTSTATUS>;

    /// EvtDevicePrepareHardware.
    fn prepare_hardware(bus: &BusDevice<Self>, translated: Assigned<'_>) -> Result<(), NTSTATUS>;

    /// EvtDeviceReleaseHardware.
    fn release_hardware(bus: &BusDevice<Self>);

    /// EvtDeviceD0Entry.
    fn d0_entry(bus: &BusDevice<Self>) -> Result<(), NTSTATUS>;

    /// EvtDeviceD0Exit; `final_exit`: the device is being removed or disabled.
    fn d0_exit(bus: &BusDevice<Self>, final_exit: bool);

    /// EvtDeviceSurpriseRemoval.
    fn surprise_removal(bus: &BusDevice<Self>);

    /// EvtDeviceQueryRemove.
    fn query_remove(bus: &BusDevice<Self>) -> Result<(), NTSTATUS>;

    /// EvtDeviceQueryStop.
    fn query_stop(bus: &BusDevice<Self>) -> Result<(), NTSTATUS>;

    /// One of the two futures has ended.
    fn task_ended(bus: &BusDevice<Self>);

    /// [`BusDevice::retry`] goes off. At most DISPATCH_LEVEL.
    fn retries(bus: &BusDevice<Self>);
}

/// A bus device with its bus. It lives in the context of its device and is dropped with it.
pub struct BusDevice<B> {
    // First, because they are dropped first: their futures refer to the rest.
    /// The future that carries out what the engine asks for.
    pub pump: Task,
    /// The future that shows functions and takes them away.
    pub publisher: Task,
    /// Has the bus try something again: see [`Bus::retries`].
    pub retry: Alarm,
    device: WDFDEVICE,
    /// Open while what belongs to the device may be asked for: from EvtDevicePrepareHardware to EvtDeviceReleaseHardware.
    there: Gate,
    /// The child devices whose EvtCleanupCallback has not run.
    pub(super) children: SpinLock<Vec<WDFDEVICE>>,
    pub(super) granted: Granted,
    bus: B,
}

// SAFETY: the device handles may be used on any processor; everything else synchronises itself.
unsafe impl<B: Send + Sync> Send for BusDevice<B> {}
// SAFETY: as above.
unsafe impl<B: Send + Sync> Sync for BusDevice<B> {}

impl<B> Deref for BusDevice<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.bus
    }
}

/// The parts of a bus device that its work items and timers have to do with, as numbers in their contexts.
const PUMP: u64 = 0;
const PUBLISHER: u64 = 1;
const RETRY: u64 = 2;

impl<B: Bus> BusDevice<B> {
    /// Makes the bus of a device, for its context.
    ///
    /// # Safety
    ///
    /// `device` is new, and destroys the bus with its own destruction.
    pub(super) unsafe fn make(driver: WDFDRIVER, device: WDFDEVICE) -> Result<*mut BusDevice<B>, NTSTATUS> {
        // The room first: then the fields go there, and not through the stack.
        let room = Box::into_raw(memory::try_room::<BusDevice<B>>().ok_or(STATUS_INSUFFICIENT_RESOURCES)?);
        // SAFETY: the caller's; the room is that of a bus device.
        let filled = unsafe { fill::<B>(room.cast(), driver, device) };
        if filled.is_err() {
            // SAFETY: the room from above, which holds nothing.
            drop(unsafe { Box::from_raw(room) });
        }
        filled.map(|()| room.cast())
    }

    /// From EvtDevicePrepareHardware on the device may be asked for, and work items and timers run.
    pub(super) fn open(&self) {
        self.there.open();
        self.retry.open();
        self.pump.open();
        self.publisher.open();
    }

    /// After EvtDeviceReleaseHardware none runs, and nothing is asked for: the device may be deleted. PASSIVE_LEVEL.
    pub(super) fn close(&self) {
        self.retry.close();
        self.pump.close();
        self.publisher.close();
        gate::shut(&self.there);
    }

    /// Starts the pump, unless it runs: `make` is then not called.
    pub fn start_pump(&self, make: impl for<'a> FnOnce(&'a BusDevice<B>) -> Boxed<'a, ()>) {
        self.start(&self.pump, make);
    }

    /// Starts the publisher, unless it runs: `make` is then not called.
    pub fn start_publisher(&self, make: impl for<'a> FnOnce(&'a BusDevice<B>) -> Boxed<'a, ()>) {
        self.start(&self.publisher, make);
    }

    fn start(&self, task: &Task, make: impl for<'a> FnOnce(&'a BusDevice<B>) -> Boxed<'a, ()>) {
        if task.is_alive() {
            return;
        }
        // SAFETY: the future borrows the bus device, in which it is kept, and which drops it before the rest. `make` cannot
        // tell how long it may borrow, so that nothing else of what it does rests on that.
        let job = unsafe { core::mem::transmute::<Boxed<'_, ()>, Boxed<'static, ()>>(make(self)) };
        task.start(job);
    }
}

impl<B> BusDevice<B> {
    /// The bus of a bus device.
    ///
    /// # Safety
    ///
    /// `device` is a bus device of this driver that is not destroyed for as long as `'a`.
    pub(super) unsafe fn of<'a>(device: WDFDEVICE) -> Option<&'a BusDevice<B>> {
        // SAFETY: the context of a bus device is null or its bus, which goes with the device.
        unsafe { handle::context(device.cast()).owner.cast::<BusDevice<B>>().as_ref() }
    }

    /// Keeps the bus for longer than it is lent. At most DISPATCH_LEVEL.
    pub fn keep(&self) -> BusRef<B> {
        // SAFETY: the device is not destroyed, because this is not.
        unsafe { handle::reference(self.device.cast()) };
        BusRef { bus: core::ptr::from_ref(self), own: PhantomData }
    }

    /// Runs `f` on the device while it cannot be deleted; `None` where it may be deleted by now. At most DISPATCH_LEVEL.
    fn while_there<R>(&self, f: impl FnOnce(WDFDEVICE) -> R) -> Option<R> {
        let _inside = self.there.enter()?;
        Some(f(self.device))
    }

    /// Runs `f` on the device under the bus device, which stays meanwhile; `None` where it may be gone.
    pub(super) fn with_physical_device<R>(&self, f: impl FnOnce(PDEVICE_OBJECT) -> R) -> Option<R> {
        self.while_there(|device| {
            // SAFETY: WdfDeviceWdmGetPhysicalDevice on a device that is not deleted before EvtDeviceReleaseHardware, where
            // the gate is shut.
            f(unsafe { call_unsafe_wdf_function_binding!(WdfDeviceWdmGetPhysicalDevice, device) })
        })
    }

    /// Maps the config window at a physical address in what the device was given. PASSIVE_LEVEL. `None` without memory.
    pub fn map_window(&self, base: u64) -> Option<MappedWindow> {
        MappedWindow::map(&self.granted, base)
    }

    /// Maps part of a BAR in what the device was given. PASSIVE_LEVEL. `None` without memory.
    pub fn map_table(&self, base: u64, bytes: u32) -> Option<MappedTable> {
        MappedTable::map(&self.granted, base, bytes)
    }

    /// Reports a child by what tells it from others. At most DISPATCH_LEVEL.
    pub fn report_present(&self, id: [u32; 3]) -> Result<(), NTSTATUS> {
        self.report(id, |list, description| {
            // SAFETY: see `report`; the list was configured without address descriptions.
            unsafe {
                call_unsafe_wdf_function_binding!(
                    WdfChildListAddOrUpdateChildDescriptionAsPresent,
                    list,
                    description,
                    core::ptr::null_mut()
                )
            }
        })
    }

    /// Reports a child as missing. At most DISPATCH_LEVEL. One that is not on the list is an error that changes nothing.
    pub fn report_missing(&self, id: [u32; 3]) -> Result<(), NTSTATUS> {
        self.report(id, |list, description| {
            // SAFETY: see `report`.
            unsafe { call_unsafe_wdf_function_binding!(WdfChildListUpdateChildDescriptionAsMissing, list, description) }
        })
    }

    /// Runs `f` on the child list, which is there until it returns, and a description of the size that the list was configured
    /// with, which KMDF copies.
    fn report(
        &self,
        id: [u32; 3],
        f: impl FnOnce(WDFCHILDLIST, *mut WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER) -> NTSTATUS,
    ) -> Result<(), NTSTATUS> {
        let mut description = Description::new(id);
        let reported = self.while_there(|device| {
            // SAFETY: WdfFdoGetDefaultChildList on a device that is not deleted before the gate is shut. The list goes with it.
            let list = unsafe { call_unsafe_wdf_function_binding!(WdfFdoGetDefaultChildList, device) };
            f(list, core::ptr::from_mut(&mut description).cast())
        });
        check(reported.unwrap_or(STATUS_NO_SUCH_DEVICE))
    }

    /// Asks the PnP manager to eject a child, unless that is being deleted. At most DISPATCH_LEVEL.
    pub fn request_eject(&self, key: ChildKey) {
        self.children.with(|all| {
            if let Some(device) = all.iter().find(|device| key.is_of(**device)) {
                // SAFETY: WdfPdoRequestEject at DISPATCH_LEVEL on a PDO whose EvtCleanupCallback has not returned: that takes it off
                // the list first, and waits for the lock that is held here.
                unsafe { call_unsafe_wdf_function_binding!(WdfPdoRequestEject, *device) }
            }
        });
    }
}

/// Fills the room of a bus device. On its own, as its parts are large and go through the stack.
///
/// # Safety
///
/// As for [`BusDevice::make`]; `room` is that of a bus device.
#[inline(never)]
unsafe fn fill<B: Bus>(room: *mut BusDevice<B>, driver: WDFDRIVER, device: WDFDEVICE) -> Result<(), NTSTATUS> {
    let context = |number| Context { owner: room.cast_const().cast::<c_void>(), number };
    // SAFETY: the device is live. Work items and timers run while the gates are open only, from which on the room is filled;
    // the gates are shut, and what runs is waited for, before the device is deleted.
    let bus = unsafe {
        let task = |number| {
            let work = WorkItem::new(device, context(number), evt_work::<B>)?;
            Ok::<Task, NTSTATUS>(Task::new(work, Timer::new(device, context(number), evt_timer::<B>)?))
        };
        BusDevice {
            bus: B::new(&Setup::new(driver, device))?,
            pump: task(PUMP)?,
            publisher: task(PUBLISHER)?,
            retry: Alarm::new(Timer::new(device, context(RETRY), evt_timer::<B>)?),
            device,
            there: Gate::new(),
            children: SpinLock::new(Vec::new())?,
            granted: Granted::new()?,
        }
    };
    // SAFETY: the caller's.
    unsafe {
        room.write(bus);
        B::placed(&*room);
    }
    Ok(())
}

/// The bus that a work item or a timer belongs to, and which part of it.
///
/// # Safety
///
/// `object` is a work item or a timer of a bus device, in its callback.
unsafe fn owner<'a, B>(object: *mut c_void) -> (Option<&'a BusDevice<B>>, u64) {
    // SAFETY: the caller's; the bus waits for its work items and timers before it goes.
    unsafe {
        let context = handle::context(object);
        (context.owner.cast::<BusDevice<B>>().as_ref(), context.number)
    }
}

/// Polls the task that the work item belongs to.
unsafe extern "C" fn evt_work<B: Bus>(item: WDFWORKITEM) {
    // SAFETY: KMDF calls this with a work item that `fill` made.
    let (Some(bus), number) = (unsafe { owner::<B>(item.cast()) }) else { return };
    let task = if number == PUMP { &bus.pump } else { &bus.publisher };
    if task.run() {
        B::task_ended(bus);
    }
}

/// The deadline of a task's wait has come, or that of the alarm.
unsafe extern "C" fn evt_timer<B: Bus>(timer: WDFTIMER) {
    // SAFETY: KMDF calls this with a timer that `fill` made.
    let (Some(bus), number) = (unsafe { owner::<B>(timer.cast()) }) else { return };
    match number {
        PUMP => bus.pump.poll_soon(),
        PUBLISHER => bus.publisher.poll_soon(),
        _ => B::retries(bus),
    }
}

/// A bus that is kept by a reference to its device. At most DISPATCH_LEVEL.
pub struct BusRef<B> {
    bus: *const BusDevice<B>,
    own: PhantomData<BusDevice<B>>,
}

// SAFETY: as a reference to the bus device, which is `Sync`.
unsafe impl<B: Send + Sync> Send for BusRef<B> {}
// SAFETY: as above.
unsafe impl<B: Send + Sync> Sync for BusRef<B> {}

impl<B> BusRef<B> {
    /// Leaves the reference to who calls [`BusRef::from_raw`] with the same bus.
    pub(super) fn into_raw(self) -> *const BusDevice<B> {
        core::mem::ManuallyDrop::new(self).bus
    }

    /// # Safety
    ///
    /// `bus` came from [`BusRef::into_raw`], once for each.
    pub(super) unsafe fn from_raw(bus: *const BusDevice<B>) -> BusRef<B> {
        BusRef { bus, own: PhantomData }
    }
}

impl<B> Deref for BusRef<B> {
    type Target = BusDevice<B>;

    fn deref(&self) -> &BusDevice<B> {
        // SAFETY: the reference keeps the device from being destroyed, and the bus goes with its destruction.
        unsafe { &*self.bus }
    }
}

impl<B> Drop for BusRef<B> {
    fn drop(&mut self) {
        let device = self.device;
        // SAFETY: this is the reference that `keep` took.
        unsafe { handle::dereference(device.cast()) }
    }
}
