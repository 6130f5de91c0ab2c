//! The clock, and the kernel functions that wdk-sys does not bind everywhere.
#![allow(non_snake_case)]

use core::ffi::c_void;

use hvpci_core::Time;
use wdk_sys::{GUID, LARGE_INTEGER, NTSTATUS, PHYSICAL_ADDRESS, ntddk};

/// `EVENT_DESCRIPTOR`.
#[repr(C)]
pub struct EventDescriptor {
    pub Id: u16,
    pub Version: u8,
    pub Channel: u8,
    pub Level: u8,
    pub Opcode: u8,
    pub Task: u16,
    pub Keyword: u64,
}

/// `EVENT_DATA_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EventData {
    pub Ptr: u64,
    pub Size: u32,
    pub Type: u32,
}

#[link(name = "ntoskrnl")]
unsafe extern "C" {
    pub(super) fn MmMapIoSpaceEx(PhysicalAddress: PHYSICAL_ADDRESS, NumberOfBytes: usize, Protect: u32) -> *mut c_void;
    pub(super) fn EtwRegister(
        ProviderId: *const GUID,
        EnableCallback: *mut c_void,
        CallbackContext: *mut c_void,
        RegHandle: *mut u64,
    ) -> NTSTATUS;
    pub(super) fn EtwUnregister(RegHandle: u64) -> NTSTATUS;
    pub(super) fn EtwSetInformation(RegHandle: u64, Class: u32, Information: *const c_void, Length: u32) -> NTSTATUS;
    pub(super) fn EtwWriteTransfer(
        RegHandle: u64,
        Descriptor: *const EventDescriptor,
        ActivityId: *const GUID,
        RelatedActivityId: *const GUID,
        Count: u32,
        Data: *const EventData,
    ) -> NTSTATUS;
}

/// The performance counter as a time. Any IRQL.
pub fn now() -> Time {
    let mut frequency = LARGE_INTEGER::default();
    // SAFETY: KeQueryPerformanceCounter writes the frequency to the given place; any IRQL.
    let (ticks, frequency) = unsafe {
        let ticks = ntddk::KeQueryPerformanceCounter(&mut frequency);
        (ticks.QuadPart, frequency.QuadPart)
    };
    let (ticks, frequency) = (ticks.unsigned_abs(), frequency.unsigned_abs().max(1));
    let (seconds, rest) = (ticks / frequency, ticks % frequency);
    // A frequency is at most a few GHz: the rest times a billion fits.
    let nanos = rest.saturating_mul(1_000_000_000) / frequency;
    Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// From now until `deadline` as Windows counts relative times: 100 ns units, negative. Never zero, which would be absolute.
pub(super) fn relative(deadline: Time) -> i64 {
    let units = deadline.since(now()).as_nanos().div_ceil(100).clamp(1, i64::MAX as u128);
    -i64::try_from(units).unwrap_or(i64::MAX)
}
