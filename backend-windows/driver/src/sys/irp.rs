//! The parts of an IRP that a PDO needs, as wdm.h lays them out on 64-bit Windows.

use core::ffi::c_void;
use core::mem::offset_of;

use wdk_sys::NTSTATUS;

/// An `IRP`.
#[repr(C)]
pub struct IrpHead {
    _before_status: [u8; 0x30],
    pub status: NTSTATUS,
    pub information: usize,
    _before_buffer: [u8; 0x70 - 0x40],
    pub user_buffer: *mut u8,
    _before_location: [u8; 0xB8 - 0x78],
    /// The current `IO_STACK_LOCATION`.
    pub location: *const c_void,
}

/// An `IO_STACK_LOCATION` of IRP_MN_READ_CONFIG and IRP_MN_WRITE_CONFIG.
#[repr(C)]
pub struct ConfigLocation {
    _major: u8,
    pub minor: u8,
    _flags_and_control: [u8; 6],
    pub which_space: u32,
    pub buffer: *mut c_void,
    pub offset: u32,
    _pad: u32,
    pub length: u32,
}

/// An `IO_STACK_LOCATION` of IRP_MJ_INTERNAL_DEVICE_CONTROL.
#[repr(C)]
pub struct ControlLocation {
    _major_to_control: [u8; 8],
    pub output_length: u32,
    _pad: u32,
    pub input_length: u32,
    _code: [u32; 3],
    pub type3_buffer: *mut u8,
}

const _: () = {
    assert!(offset_of!(IrpHead, information) == 0x38);
    assert!(offset_of!(IrpHead, user_buffer) == 0x70);
    assert!(offset_of!(IrpHead, location) == 0xB8);
    assert!(offset_of!(ConfigLocation, buffer) == 0x10);
    assert!(offset_of!(ConfigLocation, length) == 0x20);
    assert!(offset_of!(ControlLocation, output_length) == 0x08);
    assert!(offset_of!(ControlLocation, input_length) == 0x10);
    assert!(offset_of!(ControlLocation, type3_buffer) == 0x20);
};
