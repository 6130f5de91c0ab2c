//! What the shim calls: the life of a bus, packets and config space.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;

use hvpci_core::backend::Platform;
use hvpci_core::bus::{BusStatus, Packet, PacketKind};
use hvpci_core::placement::Headroom;
use hvpci_core::{InstanceId, driver};

use crate::bus::{LinuxBus, log, slot};
use crate::ffi::{self, RawFunction, RawLedger, RawMsi, RawSettings, RawTarget, Shim, errno};
use crate::settings::Settings;
use crate::task;
use crate::text::Level;

/// The settings of the module: written once, before anything else is called.
struct Once(UnsafeCell<Option<Settings>>);

// SAFETY: written by hvpci_rs_init alone, which the shim calls before it registers anything that could call in.
unsafe impl Sync for Once {}

static SETTINGS: Once = Once(UnsafeCell::new(None));

/// The bus behind the shim's pointer.
///
/// # Safety
///
/// `rust` came from `hvpci_rs_new` and has not gone to `hvpci_rs_free`.
pub unsafe fn bus<'a>(rust: *mut c_void) -> &'a LinuxBus {
    // SAFETY: the caller's promise; everything inside is shared by design.
    unsafe { &*rust.cast::<LinuxBus>() }
}

/// A text of the shim.
///
/// # Safety
///
/// `text` is valid for `length` bytes while the result is used.
unsafe fn text<'a>(text: *const u8, length: usize) -> &'a str {
    // SAFETY: the caller's promise.
    core::str::from_utf8(unsafe { core::slice::from_raw_parts(text, length) }).unwrap_or("")
}

/// # Safety
///
/// `raw` and the texts in it are valid. Called once, before everything else.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_init(raw: *const RawSettings) -> i32 {
    // SAFETY: the first two fields are the same in every version of the struct.
    let (abi, size) = unsafe { ((*raw).abi, (*raw).size) };
    if abi != ffi::ABI || size as usize != size_of::<RawSettings>() {
        log(Shim::NONE, Level::Error, format_args!("the two halves of the module are of different versions"));
        return -errno::EINVAL;
    }
    // SAFETY: version and size agree.
    let raw = unsafe { &*raw };
    let sizes = [raw.function_size, raw.msi_size, raw.target_size, raw.ledger_size];
    let ours = [size_of::<RawFunction>(), size_of::<RawMsi>(), size_of::<RawTarget>(), size_of::<RawLedger>()];
    if sizes.iter().zip(ours).any(|(theirs, ours)| *theirs as usize != ours) {
        log(Shim::NONE, Level::Error, format_args!("the two halves of the module disagree on a struct"));
        return -errno::EINVAL;
    }
    // SAFETY: the shim's promise for the texts.
    let (policy, version) = unsafe { (text(raw.policy, raw.policy_length), text(raw.version, raw.version_length)) };
    let headroom = Headroom { low: raw.headroom_low, high: raw.headroom_high };
    match Settings::check(policy, version, headroom, raw.max_functions, raw.isolated != 0, raw.cache != 0) {
        Ok(settings) => {
            // SAFETY: nobody else is there yet.
            unsafe { *SETTINGS.0.get() = Some(settings) };
            0
        }
        Err(error) => {
            log(Shim::NONE, Level::Error, format_args!("{error}"));
            -errno::EINVAL
        }
    }
}

/// # Safety
///
/// `shim` outlives the bus; `instance` is valid for 16 bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_new(shim: Shim, instance: *const u8) -> *mut c_void {
    // SAFETY: written once, before this.
    let Some(settings) = (unsafe { &*SETTINGS.0.get() }) else { return core::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let instance = InstanceId::from_bytes(unsafe { *instance.cast::<[u8; 16]>() });
    let Some(bus) = LinuxBus::new(shim, instance, settings) else { return core::ptr::null_mut() };
    let raw = Box::into_raw(bus);
    // SAFETY: the futures, which borrow the bus, are dropped before it by hvpci_rs_free.
    if !task::prepare(unsafe { &*raw }) {
        // SAFETY: from into_raw, and nobody has it.
        drop(unsafe { Box::from_raw(raw) });
        return core::ptr::null_mut();
    }
    raw.cast()
}

/// # Safety
///
/// `rust` came from `hvpci_rs_new`; nobody uses it any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_free(rust: *mut c_void) {
    let raw = rust.cast::<LinuxBus>();
    // SAFETY: nobody else uses the bus; the futures borrow it and go first.
    unsafe {
        (*raw).pump.clear();
        (*raw).publisher.clear();
        drop(Box::from_raw(raw));
    }
}

/// # Safety
///
/// See [`bus`]. One call at a time.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_pump(rust: *mut c_void) -> u64 {
    // SAFETY: the caller's promise.
    let bus = unsafe { bus(rust) };
    bus.pump.run(|| bus.take_full())
}

/// # Safety
///
/// See [`bus`]. One call at a time.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_publisher(rust: *mut c_void) -> u64 {
    // SAFETY: the caller's promise.
    let bus = unsafe { bus(rust) };
    // The pump sees to a full ring.
    bus.publisher.run(|| false)
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_start(rust: *mut c_void) {
    // SAFETY: the caller's promise.
    driver::start(unsafe { bus(rust) });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_stop(rust: *mut c_void) {
    // SAFETY: the caller's promise.
    driver::stop(unsafe { bus(rust) });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_suspend(rust: *mut c_void) {
    // SAFETY: the caller's promise.
    driver::suspend(unsafe { bus(rust) });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_resume(rust: *mut c_void) {
    // SAFETY: the caller's promise.
    driver::resume(unsafe { bus(rust) });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_rescinded(rust: *mut c_void) {
    // SAFETY: the caller's promise.
    driver::channel_rescinded(unsafe { bus(rust) });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_state(rust: *mut c_void) -> i32 {
    let mut state = 1;
    // SAFETY: the caller's promise.
    unsafe { bus(rust) }.with_bus(&mut |bus, _| {
        state = match bus.status() {
            BusStatus::Running => 0,
            BusStatus::Starting(_) | BusStatus::Suspending | BusStatus::Resuming(_) | BusStatus::Stopping => 1,
            BusStatus::Stopped | BusStatus::Suspended => 2,
            BusStatus::Failed(_) | BusStatus::Gone => 3,
        };
    });
    state
}

/// # Safety
///
/// See [`bus`]. `payload` is valid for `length` bytes, private memory.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_packet(rust: *mut c_void, completion: bool, id: u64, payload: *const u8, length: usize) {
    let kind = if completion { PacketKind::Completion } else { PacketKind::InBand };
    // SAFETY: the caller's promise.
    let (bus, payload) = unsafe { (bus(rust), core::slice::from_raw_parts(payload, length)) };
    driver::packet_arrived(bus, Packet { kind, transaction_id: id, payload });
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_config_read(rust: *mut c_void, devfn: u32, offset: u32, bytes: u32) -> u32 {
    let (Some(slot), Ok(offset)) = (slot(devfn), u16::try_from(offset)) else { return u32::MAX };
    // SAFETY: the caller's promise.
    driver::config_read(unsafe { bus(rust) }, slot, offset, bytes as usize)
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_config_write(rust: *mut c_void, devfn: u32, offset: u32, bytes: u32, value: u32) {
    let (Some(slot), Ok(offset)) = (slot(devfn), u16::try_from(offset)) else { return };
    // SAFETY: the caller's promise.
    driver::config_write(unsafe { bus(rust) }, slot, offset, bytes as usize, value);
}

/// # Safety
///
/// See [`bus`].
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_bound(rust: *mut c_void, devfn: u32, bound: bool) {
    let Some(slot) = slot(devfn) else { return };
    // SAFETY: the caller's promise.
    driver::function_bound(unsafe { bus(rust) }, slot, bound);
}
