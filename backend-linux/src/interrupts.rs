//! What the shim's irq domain calls.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::task::Poll;

use hvpci_core::backend::Platform;
use hvpci_core::bus::{Reply, Request, RequestError, SubmitError};
use hvpci_core::interrupt::{Architecture, InterruptRequest, MsiGroup, Retarget, VpSpread};
use hvpci_core::wire::VpSet;
use hvpci_core::{Slot, driver};

use crate::bus::{LinuxBus, slot};
use crate::entry::bus;
use crate::ffi::{self, Lock, RawMsi, RawTarget, errno};
use crate::platform::{entry_of, raw_msi};

/// How long an interrupt is waited for, in nanoseconds. Interrupts may be off all the while, and whoever else shows functions
/// to the PCI core waits behind this driver's probe, so the engine's own deadline of a minute is too long.
const PATIENCE: u64 = 10_000_000_000;
/// The same in polls of 100 us at least, for a clock that stands still while interrupts are off.
const POLLS: u32 = 100_000;
/// How often the function is looked for in between: every 10 ms.
const ALIVE_EVERY: u32 = 100;
/// The first vector that a device may use.
const FIRST_VECTOR: u32 = 16;

/// Whose turn it is among the processors, over all buses.
struct Spread(UnsafeCell<VpSpread>);

// SAFETY: touched under Lock::Module alone.
unsafe impl Sync for Spread {}

static SPREAD: Spread = Spread(UnsafeCell::new(VpSpread::new()));

/// The processors of a cpumask, as the host numbers them.
#[derive(Clone)]
struct Vps {
    cpus: *const c_void,
    cpu: i32,
}

impl Iterator for Vps {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        // SAFETY: the mask is the shim's and outlives the call that this iterator serves.
        let next = unsafe { ffi::hvpci_shim_next_cpu(self.cpus, self.cpu) };
        if next < 0 {
            return None;
        }
        self.cpu = next;
        // SAFETY: an online CPU.
        Some(unsafe { ffi::hvpci_shim_vp(next) })
    }
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_msi_reserve(rust: *mut c_void, total: u32) -> i32 {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    match driver::reserve_interrupts(platform, u16::try_from(total).unwrap_or(u16::MAX)) {
        Ok(()) => 0,
        Err(_) => -errno::ENOMEM,
    }
}

/// # Safety
///
/// See [`bus`]. `cpus` is a cpumask; `msi` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_msi_create(
    rust: *mut c_void,
    devfn: u32,
    vector: u32,
    count: u32,
    cpus: *const c_void,
    msi: *mut RawMsi,
) -> i32 {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let (Some(slot), Ok(count)) = (slot(devfn), u16::try_from(count)) else { return -errno::EINVAL };
    let candidates = Vps { cpus, cpu: -1 }.filter_map(|vp| u16::try_from(vp).ok());
    let picked = platform.locked(Lock::Module, || {
        // SAFETY: the module's lock is held.
        unsafe { &mut *SPREAD.0.get() }.pick(candidates)
    });
    let targets = VpSet::single(picked.unwrap_or(0));
    let request = if count > 1 {
        InterruptRequest::multi_msi(slot, count, targets)
    } else {
        // The hypercall names the real one when there is none yet.
        let vector = if vector < FIRST_VECTOR { InterruptRequest::DUMMY_VECTOR } else { vector };
        InterruptRequest::single(slot, vector, targets)
    };
    match create(platform, slot, request) {
        Ok(made) => {
            // SAFETY: the caller's promise.
            unsafe { msi.write(made) };
            0
        }
        Err(error) => -error,
    }
}

/// Submits and polls, with interrupts off if the caller has them off: drains the ring itself.
fn create(platform: &LinuxBus, slot: Slot, request: InterruptRequest) -> Result<RawMsi, i32> {
    let ticket = driver::submit(platform, Request::CreateInterrupt(request)).map_err(|error| match error {
        SubmitError::Unanswered(_) => errno::ETIMEDOUT,
        _ => errno::ENODEV,
    })?;
    let end = ffi::hvpci_shim_now().saturating_add(PATIENCE);
    for round in 1..=POLLS {
        // SAFETY: the bus exists.
        unsafe { ffi::hvpci_shim_drain(platform.shim) };
        match driver::poll(platform, ticket) {
            Poll::Ready(Ok(Reply::Interrupt { handle, entry })) => return Ok(raw_msi(handle.number(), &entry)),
            Poll::Ready(Err(RequestError::Timeout)) => return Err(errno::ETIMEDOUT),
            Poll::Ready(_) => return Err(errno::ENODEV),
            Poll::Pending => {}
        }
        let gone = platform.rescinded() || (round % ALIVE_EVERY == 0 && !alive(platform, slot));
        if gone {
            driver::withdraw(platform, ticket);
            return Err(errno::ENODEV);
        }
        if ffi::hvpci_shim_now() >= end {
            break;
        }
        ffi::hvpci_shim_delay();
    }
    driver::withdraw(platform, ticket);
    Err(errno::ETIMEDOUT)
}

fn alive(platform: &LinuxBus, slot: Slot) -> bool {
    let mut alive = false;
    platform.with_config(&mut |config, port| alive = config.alive(port, slot));
    alive
}

/// # Safety
///
/// `first` can be read and `msi` written.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_msi_alias(first: *const RawMsi, count: u32, index: u32, msi: *mut RawMsi) -> i32 {
    // SAFETY: the caller's promise.
    let first = unsafe { *first };
    let (Ok(count), Ok(index)) = (u16::try_from(count), u16::try_from(index)) else { return -errno::EINVAL };
    match MsiGroup::new(entry_of(&first), count).entry(index) {
        Some(entry) => {
            // SAFETY: the caller's promise.
            unsafe { msi.write(raw_msi(first.number, &entry)) };
            0
        }
        None => -errno::EINVAL,
    }
}

/// # Safety
///
/// See [`bus`]. `msi` can be read.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_msi_delete(rust: *mut c_void, devfn: u32, msi: *const RawMsi) {
    // SAFETY: the caller's promise.
    let (platform, entry) = unsafe { (bus(rust), entry_of(&*msi)) };
    let Some(slot) = slot(devfn) else { return };
    // The host has forgotten it already when the bus went down: nothing to be done then.
    let _ = driver::submit(platform, Request::DeleteInterrupt { slot, entry });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_msi_allow(rust: *mut c_void, devfn: u32, allow: bool) {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let Some(slot) = slot(devfn) else { return };
    if allow { driver::pass_messages(platform, slot) } else { driver::withhold_messages(platform, slot) }
}

/// # Safety
///
/// See [`bus`]. `target` can be read; `input` is valid for `length` bytes and nobody else uses it; `control` can be
/// written.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_retarget(
    rust: *mut c_void,
    target: *const RawTarget,
    input: *mut u8,
    length: usize,
    control: *mut u64,
) -> i32 {
    // SAFETY: the caller's promise.
    let (platform, target) = unsafe { (bus(rust), &*target) };
    // SAFETY: the caller's promise.
    let buffer = unsafe { core::slice::from_raw_parts_mut(input, length) };
    let Some(slot) = slot(target.devfn) else { return -errno::EINVAL };
    let mut version = None;
    platform.with_bus(&mut |bus, _| version = bus.version());
    let Some(version) = version else { return -errno::ENODEV };
    let retarget = Retarget {
        instance: platform.instance,
        slot,
        entry: entry_of(&target.msi),
        vector: target.vector,
        multicast: false,
    };
    match retarget.encode(Architecture::X86, version, Vps { cpus: target.cpus, cpu: -1 }, buffer) {
        Ok(arguments) => {
            // SAFETY: the caller's promise.
            unsafe { control.write(arguments.control) };
            0
        }
        Err(_) => -errno::EINVAL,
    }
}
