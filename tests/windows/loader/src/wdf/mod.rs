//! The fake KMDF 1.33: the functions a bus driver needs, each checking its handles, its structures' sizes and its IRQL.

pub mod bind;
pub mod children;
pub mod device;
pub mod init;
pub mod object;
pub mod queue;
pub mod registry;
pub mod resources;
pub mod sync;

use std::collections::HashMap;

/// KMDF's objects.
#[derive(Debug, Default)]
pub struct State {
    /// Every handle ever given out.
    pub objects: object::Objects,
    /// The driver, once it is created.
    pub driver: Option<bind::Driver>,
    /// Devices being set up.
    pub inits: HashMap<usize, init::Init>,
    /// Devices.
    pub devices: HashMap<usize, device::Device>,
    /// Child lists.
    pub lists: HashMap<usize, children::ChildList>,
    /// Work items.
    pub items: HashMap<usize, sync::Item>,
    /// Until when no work item's routine begins.
    pub work_held_until: u64,
    /// A work item, by its age among all, is held up for so many nanoseconds: where the driver has given back its n-th spin lock
    /// in it from now on.
    pub hold_work: Option<(usize, u32, u64)>,
    /// Timers.
    pub timers: HashMap<usize, sync::Timer>,
    /// I/O queues and requests.
    pub queues: queue::State,
    /// Resource lists of every kind.
    pub resources: HashMap<usize, resources::List>,
    /// The values of the driver's Parameters key.
    pub parameters: HashMap<String, u32>,
    /// There is no memory to take a child off a list.
    pub keeps_children: bool,
}

/// Reads the `Size` that begins a WDF structure and checks it.
pub(crate) fn check_size(structure: *const u32, size: u32, name: &str) {
    crate::rule!(!structure.is_null(), "{name}: null");
    // SAFETY: a structure of the driver that begins with its size.
    let given = unsafe { structure.read() };
    crate::rule!(given == size, "{name}.Size is {given}, KMDF 1.33 has {size}");
}

/// Reads a pointer-sized field of a structure.
///
/// # Safety
/// `structure` has at least `offset + 8` bytes.
pub unsafe fn field(structure: *const u32, offset: usize) -> usize {
    // SAFETY: as promised by the caller.
    unsafe { structure.cast::<u8>().add(offset).cast::<usize>().read_unaligned() }
}

/// Reads a 32-bit field of a structure.
///
/// # Safety
/// `structure` has at least `offset + 4` bytes.
pub unsafe fn field32(structure: *const u32, offset: usize) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe { structure.cast::<u8>().add(offset).cast::<u32>().read_unaligned() }
}

/// A UNICODE_STRING of the driver.
///
/// # Safety
/// `string` points to a UNICODE_STRING.
pub unsafe fn unicode(string: *const u32) -> String {
    crate::rule!(!string.is_null(), "a null PCUNICODE_STRING");
    // SAFETY: as promised by the caller; the buffer has `Length` bytes.
    unsafe {
        let bytes = field32(string, 0) & 0xFFFF;
        crate::rule!(bytes.is_multiple_of(2), "a UNICODE_STRING of {bytes} bytes");
        let buffer = field(string, 8) as *const u16;
        let units: Vec<u16> = (0..bytes as usize / 2).map(|at| buffer.add(at).read_unaligned()).collect();
        let text = String::from_utf16(&units);
        crate::rule!(text.is_ok(), "a UNICODE_STRING that is not UTF-16");
        text.unwrap_or_default()
    }
}
