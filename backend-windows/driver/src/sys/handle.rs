//! WDF objects and their contexts.

use core::ffi::{CStr, c_void};
use core::mem::size_of;

use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_SYNCHRONIZATION_SCOPE, PCWDF_OBJECT_CONTEXT_TYPE_INFO, ULONG, WDF_OBJECT_ATTRIBUTES,
    WDF_OBJECT_CONTEXT_TYPE_INFO, WDFOBJECT, call_unsafe_wdf_function_binding,
};

/// Attributes that inherit everything, as `WDF_OBJECT_ATTRIBUTES_INIT` makes them.
pub fn attributes() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as ULONG,
        ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
        SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
        ..WDF_OBJECT_ATTRIBUTES::default()
    }
}

/// The context of every WDF object of this driver that has one: one pointer, one number. WDF zeroes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Context {
    /// The bus that the object belongs to.
    pub owner: *const c_void,
    /// Which part of it.
    pub number: u64,
}

impl Default for Context {
    fn default() -> Context {
        Context { owner: core::ptr::null(), number: 0 }
    }
}

/// A kind of context.
#[repr(transparent)]
pub struct ContextType(WDF_OBJECT_CONTEXT_TYPE_INFO);

// SAFETY: never written to.
unsafe impl Sync for ContextType {}

impl ContextType {
    const fn new(name: &'static CStr, unique: PCWDF_OBJECT_CONTEXT_TYPE_INFO) -> ContextType {
        ContextType(WDF_OBJECT_CONTEXT_TYPE_INFO {
            Size: size_of::<WDF_OBJECT_CONTEXT_TYPE_INFO>() as ULONG,
            ContextName: name.as_ptr().cast(),
            ContextSize: size_of::<Context>(),
            UniqueType: unique,
            EvtDriverGetUniqueContextType: None,
        })
    }

    fn info(&'static self) -> PCWDF_OBJECT_CONTEXT_TYPE_INFO {
        &raw const self.0
    }
}

static CONTEXT: ContextType = ContextType::new(c"HvpciContext", &raw const CONTEXT.0);

/// Attributes of an object with a [`Context`].
pub fn attributes_with_context() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES { ContextTypeInfo: CONTEXT.info(), ..attributes() }
}

/// The context of an object made with [`attributes_with_context`].
///
/// # Safety
///
/// `object` is a WDF object of this driver that is not destroyed before this returns.
pub unsafe fn context(object: WDFOBJECT) -> Context {
    // SAFETY: the caller's.
    let place = unsafe { context_place(object) };
    // SAFETY: WDF gave the place of a Context, which lives as long as the object; it is written once, before any callback
    // can read it.
    if place.is_null() { Context::default() } else { unsafe { *place } }
}

/// Writes the context of an object.
///
/// # Safety
///
/// `object` is a WDF object of this driver, and no callback can see it yet.
pub unsafe fn set_context(object: WDFOBJECT, context: Context) {
    // SAFETY: the caller's.
    let place = unsafe { context_place(object) };
    if !place.is_null() {
        // SAFETY: as above; nobody reads it yet.
        unsafe { *place = context };
    }
}

/// # Safety
///
/// `object` is a WDF object of this driver that is not destroyed before this returns.
unsafe fn context_place(object: WDFOBJECT) -> *mut Context {
    // SAFETY: the caller's; WdfObjectGetTypedContextWorker returns null for an object without this type of context.
    unsafe { call_unsafe_wdf_function_binding!(WdfObjectGetTypedContextWorker, object, CONTEXT.info()).cast() }
}

/// Keeps an object's memory alive until [`dereference`]. At most DISPATCH_LEVEL.
///
/// # Safety
///
/// `object` is a WDF object that is not destroyed before this returns.
pub unsafe fn reference(object: WDFOBJECT) {
    // SAFETY: the caller's.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfObjectReferenceActual,
            object,
            core::ptr::null_mut(),
            0,
            c"hvpci".as_ptr().cast_mut().cast()
        );
    }
}

/// Ends a [`reference`]. At most DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller has a reference to `object`, and no longer after this.
pub unsafe fn dereference(object: WDFOBJECT) {
    // SAFETY: the caller's.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfObjectDereferenceActual,
            object,
            core::ptr::null_mut(),
            0,
            c"hvpci".as_ptr().cast_mut().cast()
        );
    }
}
