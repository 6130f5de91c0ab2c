//! Resource lists: what a device needs and what it got.

use crate::guard::{self, Block};
use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::rule;
use crate::wdf::object::{Kind, attributes};
use crate::world::with;

/// Bytes of an IO_RESOURCE_DESCRIPTOR.
const IO_BYTES: usize = 32;
/// Bytes of a CM_PARTIAL_RESOURCE_DESCRIPTOR.
const CM_BYTES: usize = 20;

/// A resource list of any of the three kinds.
#[derive(Debug, Default)]
pub struct List {
    /// WDFIORESREQLIST: its WDFIORESLISTs.
    pub alternatives: Vec<usize>,
    /// The slot number told.
    pub slot: Option<u32>,
    /// The interface type told.
    pub interface: Option<i32>,
    /// WDFIORESLIST: its descriptors.
    pub wanted: Vec<Wanted>,
    /// WDFCMRESLIST: its descriptors, in memory the driver may read.
    pub given: Vec<Block>,
    /// WDFCMRESLIST: whether it is one of EvtDeviceRemoveAddedResources, from which the driver may take something out.
    pub shrinks: bool,
}

/// An IO_RESOURCE_DESCRIPTOR of memory, or of message interrupts: their number is the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Option: 0 required, 1 preferred, 8 alternative.
    pub option: u8,
    /// CmResourceTypeXxx.
    pub kind: u8,
    /// Flags.
    pub flags: u16,
    /// Bytes.
    pub length: u64,
    /// Alignment.
    pub alignment: u64,
    /// Lowest address.
    pub minimum: u64,
    /// Highest address.
    pub maximum: u64,
}

/// CmResourceTypeMemory.
pub const MEMORY: u8 = 3;
/// CmResourceTypeMemoryLarge.
pub const MEMORY_LARGE: u8 = 7;
/// CM_RESOURCE_MEMORY_LARGE_40, _48, _64 and how far their lengths are shifted.
const LARGE: [(u16, u32); 3] = [(0x200, 8), (0x400, 16), (0x800, 32)];

fn shift(kind: u8, flags: u16) -> u32 {
    if kind != MEMORY_LARGE {
        return 0;
    }
    let found: Vec<u32> = LARGE.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, shift)| *shift).collect();
    rule!(found.len() == 1, "large memory with flags {flags:#x}: exactly one of _40, _48 and _64 has to be set");
    found.first().copied().unwrap_or(0)
}

/// Reads an IO_RESOURCE_DESCRIPTOR.
fn parse(bytes: &[u8; IO_BYTES]) -> Wanted {
    let half = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let word = |at: usize| u64::from(half(at)) | u64::from(half(at + 4)) << 32;
    let (kind, flags) = (bytes[1], u16::from_le_bytes([bytes[4], bytes[5]]));
    let memory = matches!(kind, MEMORY | MEMORY_LARGE);
    if kind == INTERRUPT {
        let (lowest, highest) = (half(8), half(12));
        rule!(flags == MESSAGE_FLAGS, "an interrupt requirement with flags {flags:#x}: the loader knows messages only");
        rule!(highest == TOKEN && lowest <= highest, "message vectors {lowest:#x}..={highest:#x}: not up to the token");
        let count = u64::from(highest - lowest) + 1;
        rule!(count.is_power_of_two() && count <= 32, "{count} messages in one descriptor");
        rule!(bytes[16..].iter().all(|byte| *byte == 0), "a policy that the loader does not know");
        let (option, length) = (bytes[0], count);
        return Wanted { option, kind, flags, length, alignment: 1, minimum: 0, maximum: 0 };
    }
    let shift = shift(kind, flags);
    let wanted = Wanted {
        option: bytes[0],
        kind,
        flags,
        length: u64::from(half(8)) << shift,
        alignment: u64::from(half(12)) << shift,
        minimum: word(16),
        maximum: word(24),
    };
    if memory {
        rule!(wanted.length > 0, "a memory requirement of no bytes: {wanted:?}");
        rule!(wanted.alignment.is_power_of_two(), "a memory requirement with an odd alignment: {wanted:?}");
        let fits = wanted.minimum.checked_add(wanted.length - 1).is_some_and(|end| end <= wanted.maximum);
        rule!(fits, "a memory requirement that cannot be met: {wanted:x?}");
    }
    wanted
}

/// Makes the CM_PARTIAL_RESOURCE_DESCRIPTOR of a memory range.
pub fn descriptor(start: u64, length: u64) -> Block {
    let (kind, flags, units) = match LARGE.iter().find(|(_, shift)| length >> shift <= 0xFFFF_FFFF && length >> 32 != 0)
    {
        Some((flag, shift)) => (MEMORY_LARGE, *flag, length >> shift),
        None => (MEMORY, 0, length),
    };
    let block = guard::allocate(CM_BYTES);
    let mut bytes = [0_u8; CM_BYTES];
    bytes[0] = kind;
    bytes[1] = 1;
    bytes[2..4].copy_from_slice(&flags.to_le_bytes());
    bytes[4..12].copy_from_slice(&start.to_le_bytes());
    bytes[12..16].copy_from_slice(&u32::try_from(units).unwrap_or(u32::MAX).to_le_bytes());
    // SAFETY: the block has CM_BYTES bytes.
    unsafe { (block.at as *mut [u8; CM_BYTES]).write_unaligned(bytes) };
    block
}

/// CmResourceTypeInterrupt.
pub const INTERRUPT: u8 = 2;
/// CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE.
const MESSAGE_FLAGS: u16 = 3;
/// CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN.
const TOKEN: u32 = u32::MAX - 1;

/// Message interrupts as they are assigned: those of MSI share a descriptor, those of MSI-X have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// The first vector.
    pub vector: u32,
    /// How many consecutive vectors.
    pub count: u16,
    /// The processors.
    pub affinity: u64,
}

impl Messages {
    fn block(&self, fill: impl FnOnce(&mut [u8; CM_BYTES])) -> Block {
        let block = guard::allocate(CM_BYTES);
        let mut bytes = [0_u8; CM_BYTES];
        (bytes[0], bytes[1]) = (INTERRUPT, 1);
        bytes[2..4].copy_from_slice(&MESSAGE_FLAGS.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.vector.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.affinity.to_le_bytes());
        fill(&mut bytes);
        // SAFETY: the block has CM_BYTES bytes.
        unsafe { (block.at as *mut [u8; CM_BYTES]).write_unaligned(bytes) };
        block
    }

    /// The raw descriptor: group at 4, number of messages at 6.
    pub fn raw(&self) -> Block {
        self.block(|bytes| bytes[6..8].copy_from_slice(&self.count.to_le_bytes()))
    }

    /// The translated one: level at 4, group at 6.
    pub fn translated(&self) -> Block {
        self.block(|bytes| bytes[4..6].copy_from_slice(&5_u16.to_le_bytes()))
    }
}

fn list<R>(handle: usize, kind: Kind, what: &str, f: impl FnOnce(&mut List) -> R) -> R {
    irql::exactly(PASSIVE, what);
    with(|world| {
        world.wdf.objects.check(handle, kind, what);
        f(world.wdf.resources.entry(handle).or_default())
    })
}

unsafe extern "win64" fn WdfIoResourceRequirementsListSetSlotNumber(_globals: usize, handle: usize, slot: u32) {
    list(handle, Kind::Requirements, "WdfIoResourceRequirementsListSetSlotNumber", |list| list.slot = Some(slot));
}

unsafe extern "win64" fn WdfIoResourceRequirementsListSetInterfaceType(_globals: usize, handle: usize, kind: i32) {
    list(handle, Kind::Requirements, "WdfIoResourceRequirementsListSetInterfaceType", |list| {
        list.interface = Some(kind);
    });
}

unsafe extern "win64" fn WdfIoResourceRequirementsListAppendIoResList(
    _globals: usize,
    handle: usize,
    resources: usize,
) -> i32 {
    const WHAT: &str = "WdfIoResourceRequirementsListAppendIoResList";
    with(|world| world.wdf.objects.check(resources, Kind::IoResources, WHAT));
    if with(|world| world.allocation_fails(WHAT)) {
        return status::INSUFFICIENT_RESOURCES;
    }
    list(handle, Kind::Requirements, WHAT, |list| list.alternatives.push(resources));
    status::SUCCESS
}

unsafe extern "win64" fn WdfIoResourceRequirementsListGetCount(_globals: usize, handle: usize) -> u32 {
    list(handle, Kind::Requirements, "WdfIoResourceRequirementsListGetCount", |list| {
        u32::try_from(list.alternatives.len()).unwrap_or(0)
    })
}

unsafe extern "win64" fn WdfIoResourceRequirementsListGetIoResList(
    _globals: usize,
    handle: usize,
    index: u32,
) -> usize {
    list(handle, Kind::Requirements, "WdfIoResourceRequirementsListGetIoResList", |list| {
        list.alternatives.get(index as usize).copied().unwrap_or(0)
    })
}

unsafe extern "win64" fn WdfIoResourceListCreate(
    _globals: usize,
    requirements: usize,
    given: *const u32,
    out: *mut usize,
) -> i32 {
    const WHAT: &str = "WdfIoResourceListCreate";
    irql::exactly(PASSIVE, WHAT);
    // SAFETY: the driver's attributes.
    let given = unsafe { attributes(given) };
    let handle = with(|world| {
        world.wdf.objects.check(requirements, Kind::Requirements, WHAT);
        if world.allocation_fails(WHAT) {
            None
        } else {
            Some(world.wdf.objects.create(Kind::IoResources, given, requirements))
        }
    });
    let Some(handle) = handle else { return status::INSUFFICIENT_RESOURCES };
    // SAFETY: the driver's out parameter.
    unsafe { out.write(handle) };
    status::SUCCESS
}

unsafe extern "win64" fn WdfIoResourceListAppendDescriptor(
    _globals: usize,
    handle: usize,
    descriptor: *const [u8; IO_BYTES],
) -> i32 {
    const WHAT: &str = "WdfIoResourceListAppendDescriptor";
    // SAFETY: the driver's descriptor.
    let wanted = parse(unsafe { &*descriptor });
    if with(|world| world.allocation_fails(WHAT)) {
        return status::INSUFFICIENT_RESOURCES;
    }
    list(handle, Kind::IoResources, WHAT, |list| list.wanted.push(wanted));
    status::SUCCESS
}

unsafe extern "win64" fn WdfCmResourceListGetCount(_globals: usize, handle: usize) -> u32 {
    list(handle, Kind::CmResources, "WdfCmResourceListGetCount", |list| u32::try_from(list.given.len()).unwrap_or(0))
}

unsafe extern "win64" fn WdfCmResourceListGetDescriptor(_globals: usize, handle: usize, index: u32) -> usize {
    list(handle, Kind::CmResources, "WdfCmResourceListGetDescriptor", |list| {
        list.given.get(index as usize).map_or(0, |block| block.at)
    })
}

unsafe extern "win64" fn WdfCmResourceListRemove(_globals: usize, handle: usize, index: u32) {
    const WHAT: &str = "WdfCmResourceListRemove";
    let removed = list(handle, Kind::CmResources, WHAT, |list| {
        rule!(list.shrinks, "{WHAT}: only EvtDeviceRemoveAddedResources may");
        let count = list.given.len();
        rule!((index as usize) < count, "{WHAT}: index {index} of a list of {count}");
        list.given.remove(index as usize)
    });
    removed.retire();
}

/// The address in a CM_PARTIAL_RESOURCE_DESCRIPTOR of memory.
pub fn address(block: &Block) -> u64 {
    // SAFETY: the block has CM_BYTES bytes.
    let bytes = unsafe { (block.at as *const [u8; CM_BYTES]).read_unaligned() };
    bytes[4..12].try_into().map_or(0, u64::from_le_bytes)
}

crate::wdf_exports!(286 => WdfIoResourceRequirementsListSetSlotNumber,
    287 => WdfIoResourceRequirementsListSetInterfaceType, 288 => WdfIoResourceRequirementsListAppendIoResList,
    290 => WdfIoResourceRequirementsListGetCount, 291 => WdfIoResourceRequirementsListGetIoResList,
    294 => WdfIoResourceListCreate, 295 => WdfIoResourceListAppendDescriptor, 304 => WdfCmResourceListGetCount,
    305 => WdfCmResourceListGetDescriptor, 306 => WdfCmResourceListRemove);
