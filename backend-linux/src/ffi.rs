//! The C shim, as `shim/rust.h` declares it.

use core::ffi::c_void;

/// Must equal `HVPCI_ABI`.
pub const ABI: u32 = 4;

/// `HVPCI_RESERVE_BYTES`
pub const RESERVE_BYTES: usize = 1024;

/// The shim's side of a bus: a handle, never looked into.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Shim(pub *mut c_void);

// SAFETY: a handle; every function that takes it may be called from any thread.
unsafe impl Send for Shim {}
// SAFETY: as above.
unsafe impl Sync for Shim {}

impl Shim {
    /// No bus: messages of the module itself.
    pub const NONE: Shim = Shim(core::ptr::null_mut());
}

/// `struct hvpci_settings`
#[repr(C)]
pub struct RawSettings {
    pub abi: u32,
    pub size: u32,
    pub function_size: u32,
    pub msi_size: u32,
    pub target_size: u32,
    pub ledger_size: u32,
    pub policy: *const u8,
    pub policy_length: usize,
    pub version: *const u8,
    pub version_length: usize,
    pub headroom_low: u64,
    pub headroom_high: u64,
    pub log_level: u32,
    pub max_functions: u16,
    pub isolated: u8,
    pub cache: u8,
}

/// `struct hvpci_function`
#[repr(C)]
pub struct RawFunction {
    pub devfn: u32,
    pub serial: u32,
    pub numa_node: i32,
    pub preferred_domain: u32,
    pub address: [u64; 6],
    pub size: [u64; 6],
}

/// `struct hvpci_msi`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RawMsi {
    pub number: u64,
    pub address: u64,
    pub data: u32,
    pub count: u16,
    pub reserved: u16,
}

/// `struct hvpci_target`
#[repr(C)]
pub struct RawTarget {
    pub msi: RawMsi,
    pub devfn: u32,
    pub vector: u32,
    pub cpus: *const c_void,
}

/// `struct hvpci_ledger`
#[repr(C)]
#[derive(Default)]
pub struct RawLedger {
    pub maps: u64,
    pub unmaps: u64,
    pub host_unmaps: u64,
    pub traps: u64,
    pub messages: u64,
    pub reads_served: u64,
    pub writes_absorbed: u64,
    pub refused_enables: u64,
    pub stale_bars: u64,
    pub wasted_prefetches: u64,
    pub host_map_ns: u64,
}

/// `enum hvpci_lock`
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum Lock {
    Engine = 0,
    Config = 1,
    Module = 2,
}

/// Linux errno values that cross the border.
pub mod errno {
    pub const EIO: i32 = 5;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const ENODEV: i32 = 19;
    pub const EINVAL: i32 = 22;
    pub const ETIMEDOUT: i32 = 110;
}

// SAFETY: the declarations agree with shim/rust.h, whose version and struct sizes are compared when the module is loaded.
unsafe extern "C" {
    pub fn hvpci_shim_alloc(size: usize, align: usize) -> *mut u8;
    pub fn hvpci_shim_alloc_future(size: usize, align: usize) -> *mut u8;
    pub fn hvpci_shim_free(memory: *mut u8);
    pub fn hvpci_shim_log(bus: Shim, level: i32, text: *const u8, length: usize);
    pub fn hvpci_shim_panic(text: *const u8, length: usize);
    pub safe fn hvpci_shim_now() -> u64;
    pub fn hvpci_shim_lock(bus: Shim, lock: Lock) -> usize;
    pub fn hvpci_shim_unlock(bus: Shim, lock: Lock, flags: usize);
    pub fn hvpci_shim_wake(bus: Shim, publisher: bool);
    pub fn hvpci_shim_send(bus: Shim, id: u64, completion: bool, payload: *const u8, length: usize) -> i32;
    pub fn hvpci_shim_rescinded(bus: Shim) -> bool;
    pub fn hvpci_shim_drain(bus: Shim);
    pub safe fn hvpci_shim_delay();
    pub fn hvpci_shim_select(bus: Shim, slot: u32) -> bool;
    pub fn hvpci_shim_window_read(bus: Shim, offset: u32, bytes: u32) -> u32;
    pub fn hvpci_shim_window_write(bus: Shim, offset: u32, bytes: u32, value: u32);
    pub fn hvpci_shim_next_cpu(cpus: *const c_void, cpu: i32) -> i32;
    pub fn hvpci_shim_vp(cpu: i32) -> u32;
    pub fn hvpci_shim_msi_moved(bus: Shim, devfn: u32, msi: *const RawMsi);
    pub fn hvpci_shim_msi_lost(bus: Shim, number: u64);
    pub fn hvpci_shim_blocks_changed(bus: Shim, devfn: u32, mask: u64);
    pub fn hvpci_shim_wakes(bus: Shim) -> u32;
    pub fn hvpci_shim_wait(bus: Shim, seen: u32, milliseconds: u32);
    pub fn hvpci_shim_open(bus: Shim) -> i32;
    pub fn hvpci_shim_close(bus: Shim);
    pub fn hvpci_shim_map_window(bus: Shim, address: *mut u64) -> i32;
    pub fn hvpci_shim_unmap_window(bus: Shim);
    pub fn hvpci_shim_reserve(bus: Shim, high: bool, size: u64, align: u64, base: *mut u64) -> i32;
    pub fn hvpci_shim_release(bus: Shim, base: u64, size: u64);
    pub fn hvpci_shim_publish(bus: Shim, function: *const RawFunction) -> i32;
    pub fn hvpci_shim_unpublish(bus: Shim, devfn: u32, surprise: bool);
}
