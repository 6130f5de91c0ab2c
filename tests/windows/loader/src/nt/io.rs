//! IRPs, I/O space and DMA adapters.

use std::collections::HashMap;

use crate::irql::{self, APC, DISPATCH};
use crate::nt::status;
use crate::world::with;
use crate::{rule, trace};

/// IRPs under way and adapters given out.
#[derive(Debug, Default)]
pub struct State {
    irps: HashMap<usize, bool>,
    adapters: u32,
}

/// An IRP as the driver sees it (x64 offsets of wdm.h), with one stack location behind it.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Irp {
    bytes: [u8; 0xD0],
    stack: [u8; 0x48],
    /// The device it was sent to, for the fakes.
    pub device: usize,
}

/// Where things lie in an IRP.
const IO_STATUS: usize = 0x30;
const STACK_COUNT: usize = 0x42;
const CURRENT_LOCATION: usize = 0x43;
const USER_BUFFER: usize = 0x70;
const CURRENT_STACK: usize = 0xB8;

impl Irp {
    /// An IRP of one stack location.
    pub fn new(major: u8, minor: u8, parameters: &[u64; 4]) -> Box<Irp> {
        let mut irp = Box::new(Irp { bytes: [0; 0xD0], stack: [0; 0x48], device: 0 });
        irp.bytes[0] = 6;
        irp.bytes[STACK_COUNT] = 1;
        irp.bytes[CURRENT_LOCATION] = 1;
        irp.stack[0] = major;
        irp.stack[1] = minor;
        for (at, value) in parameters.iter().enumerate() {
            irp.stack[8 + at * 8..16 + at * 8].copy_from_slice(&value.to_le_bytes());
        }
        let stack = irp.stack.as_ptr() as u64;
        irp.bytes[CURRENT_STACK..CURRENT_STACK + 8].copy_from_slice(&stack.to_le_bytes());
        // PnP IRPs start as "not supported".
        irp.bytes[IO_STATUS..IO_STATUS + 4].copy_from_slice(&status::NOT_SUPPORTED.to_le_bytes());
        let address = &raw const *irp as usize;
        with(|world| world.nt.io.irps.insert(address, false));
        irp
    }

    /// Sets `UserBuffer`.
    pub fn set_user_buffer(&mut self, at: usize) {
        self.bytes[USER_BUFFER..USER_BUFFER + 8].copy_from_slice(&at.to_le_bytes());
    }

    /// Its status and its information.
    pub fn outcome(&self) -> (i32, u64) {
        let part = |at: usize| self.bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        ((part(IO_STATUS) & 0xFFFF_FFFF) as u32 as i32, part(IO_STATUS + 8))
    }

    /// Whether the driver completed it; forgets it.
    pub fn finish(&self) -> bool {
        with(|world| world.nt.io.irps.remove(&(&raw const *self as usize))).unwrap_or(false)
    }
}

unsafe extern "win64" fn IofCompleteRequest(irp: usize, _boost: i8) {
    irql::at_most(DISPATCH, "IofCompleteRequest");
    with(|world| {
        let known = world.nt.io.irps.get_mut(&irp);
        rule!(known.as_ref().is_some_and(|done| !**done), "IofCompleteRequest({irp:#x}): unknown or completed already");
        if let Some(done) = known {
            *done = true;
        }
        world.changed();
    });
}

unsafe extern "win64" fn IofCallDriver(_device: usize, _irp: usize) -> i32 {
    trace!("IofCallDriver: nothing below the bus handles it");
    status::NOT_SUPPORTED
}

fn map(what: &str, physical: u64, bytes: usize) -> usize {
    with(|world| {
        // What decodes at that address is a BAR; the config window does not.
        let bar = world.host.memory_read(world.time(), physical) != u32::MAX;
        if world.allocation_fails(what) { 0 } else { world.mmio.map(physical, bytes, bar) }
    })
}

unsafe extern "win64" fn MmMapIoSpaceEx(physical: u64, bytes: usize, protection: u32) -> usize {
    irql::at_most(DISPATCH, "MmMapIoSpaceEx");
    rule!(protection == 0x204, "MmMapIoSpaceEx: protection {protection:#x} is not PAGE_READWRITE | PAGE_NOCACHE");
    map("MmMapIoSpaceEx", physical, bytes)
}

unsafe extern "win64" fn MmMapIoSpace(physical: u64, bytes: usize, cache: u32) -> usize {
    irql::at_most(DISPATCH, "MmMapIoSpace");
    rule!(cache == 0, "MmMapIoSpace: cache type {cache} is not MmNonCached");
    map("MmMapIoSpace", physical, bytes)
}

unsafe extern "win64" fn MmUnmapIoSpace(at: usize, bytes: usize) {
    irql::at_most(DISPATCH, "MmUnmapIoSpace");
    with(|world| world.mmio.unmap(at, bytes));
}

/// The adapter the PCI stack would give: a token, whose only use is to be handed on.
pub const ADAPTER: usize = 0x0FFF_3000_0000;

unsafe extern "win64" fn IoGetDmaAdapter(device: usize, description: usize, registers: *mut u32) -> usize {
    irql::at_most(APC, "IoGetDmaAdapter");
    rule!(device != 0 && description != 0, "IoGetDmaAdapter without device or description");
    // SAFETY: the driver's out parameter.
    unsafe { registers.write(16) };
    with(|world| world.nt.io.adapters += 1);
    ADAPTER
}

unsafe extern "win64" fn ObfReferenceObject(_object: usize) -> isize {
    2
}

unsafe extern "win64" fn ObfDereferenceObject(_object: usize) -> isize {
    1
}

unsafe extern "win64" fn IoInvalidateDeviceRelations(_device: usize, _kind: u32) {
    irql::at_most(DISPATCH, "IoInvalidateDeviceRelations");
}

unsafe extern "win64" fn KeQueryActiveProcessorCountEx(_group: u16) -> u32 {
    4
}

crate::exports!("ntoskrnl.exe" => IofCompleteRequest, IofCallDriver, MmMapIoSpaceEx, MmMapIoSpace, MmUnmapIoSpace,
    IoGetDmaAdapter, ObfReferenceObject, ObfDereferenceObject, IoInvalidateDeviceRelations,
    KeQueryActiveProcessorCountEx);
