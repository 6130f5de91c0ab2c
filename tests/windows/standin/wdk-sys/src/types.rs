//! Basic types and handles.

use core::ffi::{c_char, c_void};

pub type PVOID = *mut c_void;
pub type HANDLE = PVOID;
pub type UCHAR = u8;
pub type PUCHAR = *mut UCHAR;
pub type CHAR = c_char;
pub type PCHAR = *mut CHAR;
pub type BOOLEAN = UCHAR;
pub type USHORT = u16;
pub type CSHORT = i16;
pub type ULONG = u32;
pub type PULONG = *mut ULONG;
pub type LONG = i32;
pub type LONGLONG = i64;
pub type ULONGLONG = u64;
pub type ULONG_PTR = ULONGLONG;
pub type SIZE_T = ULONG_PTR;
pub type WCHAR = u16;
pub type PWSTR = *mut WCHAR;
pub type PCSTR = *const CHAR;
pub type LPCSTR = *const CHAR;
pub type NTSTATUS = LONG;
pub type POOL_FLAGS = ULONGLONG;
pub type KIRQL = UCHAR;
pub type ACCESS_MASK = ULONG;
pub type LCID = ULONG;
pub type DEVPROPTYPE = ULONG;
pub type KPRIORITY = LONG;
pub type KPROCESSOR_MODE = CHAR;

pub type WDFOBJECT = HANDLE;

macro_rules! opaque {
    ($($name:ident $pointer:ident;)*) => {
        $(#[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }
        pub type $pointer = *mut $name;)*
    };
}

opaque! {
    WDFDRIVER__ WDFDRIVER;
    WDFDEVICE__ WDFDEVICE;
    WDFCMRESLIST__ WDFCMRESLIST;
    WDFIORESLIST__ WDFIORESLIST;
    WDFIORESREQLIST__ WDFIORESREQLIST;
    WDFSPINLOCK__ WDFSPINLOCK;
    WDFTIMER__ WDFTIMER;
    WDFWORKITEM__ WDFWORKITEM;
    WDFCHILDLIST__ WDFCHILDLIST;
    WDFKEY__ WDFKEY;
    WDFQUEUE__ WDFQUEUE;
    WDFREQUEST__ WDFREQUEST;
    _DEVICE_OBJECT PDEVICE_OBJECT;
    _MDL PMDL;
    WDFDEVICE_INIT PWDFDEVICE_INIT;
    WDF_DRIVER_GLOBALS PWDF_DRIVER_GLOBALS;
    _DRIVER_EXTENSION PDRIVER_EXTENSION;
    _IRP PIRP;
    _FAST_IO_DISPATCH PFAST_IO_DISPATCH;
    _DMA_ADAPTER PDMA_ADAPTER;
    _DEVICE_DESCRIPTION PDEVICE_DESCRIPTION;
}
pub type DEVICE_OBJECT = _DEVICE_OBJECT;
pub type IRP = _IRP;
pub type DMA_ADAPTER = _DMA_ADAPTER;
pub type DEVICE_DESCRIPTION = _DEVICE_DESCRIPTION;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct _UNICODE_STRING {
    pub Length: USHORT,
    pub MaximumLength: USHORT,
    pub Buffer: PWSTR,
}
pub type UNICODE_STRING = _UNICODE_STRING;
pub type PUNICODE_STRING = *mut UNICODE_STRING;
pub type PCUNICODE_STRING = *const UNICODE_STRING;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct _GUID {
    pub Data1: ULONG,
    pub Data2: USHORT,
    pub Data3: USHORT,
    pub Data4: [UCHAR; 8],
}
pub type GUID = _GUID;
pub type LPGUID = *mut GUID;
pub type LPCGUID = *const GUID;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _LARGE_INTEGER {
    pub QuadPart: LONGLONG,
}
pub type LARGE_INTEGER = _LARGE_INTEGER;
pub type PLARGE_INTEGER = *mut LARGE_INTEGER;
pub type PHYSICAL_ADDRESS = LARGE_INTEGER;

zeroed_default!(_UNICODE_STRING, _GUID, _LARGE_INTEGER);
