//! The two pages of the config window.

use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{Ordering, fence};

use hvpci_core::backend::{ConfigPort, SelectError, Width};
use hvpci_core::{Slot, Time};
use hvpci_windows::ranges::CONFIG_WINDOW;
use hvpci_windows::resources::{self, Memory};
use wdk_sys::{LARGE_INTEGER, NTSTATUS, PAGE_NOCACHE, PAGE_READWRITE, STATUS_INSUFFICIENT_RESOURCES, ntddk};

use super::lock::SpinLock;
use super::nt;
use super::resources::Assigned;

const CONFIG_PAGE: usize = 0x1000;

/// The memory that the PnP manager assigned to a bus device: what lies elsewhere, such as RAM, is not mapped.
pub struct Granted(SpinLock<Vec<Memory>>);

impl Granted {
    /// Nothing yet.
    pub(super) fn new() -> Result<Granted, NTSTATUS> {
        Ok(Granted(SpinLock::new(Vec::new())?))
    }

    /// Notes the translated resources of EvtDevicePrepareHardware. PASSIVE_LEVEL.
    pub(super) fn set(&self, translated: Assigned<'_>) -> Result<(), NTSTATUS> {
        let mut grants = Vec::new();
        for memory in translated.iter().filter_map(|descriptor| resources::decode_cm(&descriptor)) {
            grants.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
            grants.push(memory);
        }
        self.note(grants);
        Ok(())
    }

    /// Forgets them, in EvtDeviceReleaseHardware. At most DISPATCH_LEVEL.
    pub(super) fn clear(&self) {
        self.note(Vec::new());
    }

    fn note(&self, grants: Vec<Memory>) {
        // What was noted before is dropped here, without the lock.
        drop(self.0.with(|noted| core::mem::replace(noted, grants)));
    }

    fn holds(&self, base: u64, bytes: u64) -> bool {
        let inside = |memory: &Memory| {
            let at = base.checked_sub(memory.base);
            at.and_then(|at| at.checked_add(bytes)).is_some_and(|end| end <= memory.size)
        };
        self.0.with(|noted| noted.iter().any(inside))
    }
}

/// The config window, mapped uncached; unmapped when dropped. At most DISPATCH_LEVEL.
pub struct MappedWindow(*mut u8);

// SAFETY: device memory; who has the mapping for themselves makes the accesses.
unsafe impl Send for MappedWindow {}

impl MappedWindow {
    /// Maps the window at `base`, which the bus device was given. PASSIVE_LEVEL. `None` without memory for the mapping.
    pub(super) fn map(granted: &Granted, base: u64) -> Option<MappedWindow> {
        let address = LARGE_INTEGER { QuadPart: i64::try_from(base).ok()? };
        if !granted.holds(base, CONFIG_WINDOW) {
            return None;
        }
        // SAFETY: MmMapIoSpaceEx at PASSIVE_LEVEL on a range of the device's translated resources.
        let mapped = unsafe { nt::MmMapIoSpaceEx(address, CONFIG_WINDOW as usize, PAGE_READWRITE | PAGE_NOCACHE) };
        // Not `then_some`: what it would build, and drop, unmaps.
        (!mapped.is_null()).then(|| MappedWindow(mapped.cast()))
    }

    /// The address of `offset` in the selected function's config page.
    fn config(&self, offset: u16, width: Width) -> *mut u8 {
        // In the window: the last dword at the latest.
        self.0.wrapping_add(CONFIG_PAGE + usize::from(offset).min(0x1000 - usize::from(width.bytes())))
    }
}

impl Drop for MappedWindow {
    fn drop(&mut self) {
        // SAFETY: MmUnmapIoSpace with what MmMapIoSpaceEx gave and the same size.
        unsafe { ntddk::MmUnmapIoSpace(self.0.cast(), CONFIG_WINDOW) }
    }
}

/// The port, while a window is mapped and while there is none.
#[derive(Default)]
pub struct WindowPort(pub Option<MappedWindow>);

impl ConfigPort for WindowPort {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        let window = self.0.as_ref().ok_or(SelectError)?;
        // SAFETY: in the mapped window.
        unsafe { store(window.0, Width::Dword, slot.to_wire()) };
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        match &self.0 {
            // SAFETY: in the mapped window.
            Some(window) => unsafe { load(window.config(offset, width), width) },
            None => width.all_ones(),
        }
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        if let Some(window) = &self.0 {
            // SAFETY: in the mapped window.
            unsafe { store(window.config(offset, width), width, value) };
        }
    }

    fn now(&mut self) -> Option<Time> {
        Some(nt::now())
    }
}

/// Part of a function's BAR, mapped uncached; unmapped when dropped. PASSIVE_LEVEL.
pub struct MappedTable {
    page: *mut u8,
    /// Where what was asked for begins, and where the mapping ends.
    first: usize,
    end: usize,
}

impl MappedTable {
    /// Maps `bytes` bytes at a physical address in a BAR that decodes, in what the bus device was given. `None` without memory
    /// for the mapping.
    pub(super) fn map(granted: &Granted, base: u64, bytes: u32) -> Option<MappedTable> {
        let first = usize::try_from(base % CONFIG_PAGE as u64).ok()?;
        let end = first.checked_add(usize::try_from(bytes).ok()?)?;
        let whole = end.checked_next_multiple_of(CONFIG_PAGE)?;
        let address = LARGE_INTEGER { QuadPart: i64::try_from(base - first as u64).ok()? };
        if bytes == 0 || !granted.holds(base - first as u64, whole as u64) {
            return None;
        }
        // SAFETY: MmMapIoSpaceEx at PASSIVE_LEVEL on one whole page or more of the device's translated resources.
        let page = unsafe { nt::MmMapIoSpaceEx(address, whole, PAGE_READWRITE | PAGE_NOCACHE) };
        // Not `then_some`: what it would build, and drop, unmaps.
        (!page.is_null()).then(|| MappedTable { page: page.cast(), first, end })
    }

    /// Stores 32 bits at an offset, a multiple of 4. False outside of what was mapped.
    pub fn store(&self, offset: u32, value: u32) -> bool {
        let at = usize::try_from(offset).ok().and_then(|offset| self.first.checked_add(offset));
        let Some(at) = at.filter(|at| at.checked_add(4).is_some_and(|end| end <= self.end)) else { return false };
        // SAFETY: in the mapping, which begins on a page; the table begins at a multiple of 8.
        unsafe { store(self.page.wrapping_add(at), Width::Dword, value) };
        true
    }
}

impl Drop for MappedTable {
    fn drop(&mut self) {
        let whole = self.end.next_multiple_of(CONFIG_PAGE);
        // SAFETY: MmUnmapIoSpace with what MmMapIoSpaceEx gave and the same size.
        unsafe { ntddk::MmUnmapIoSpace(self.page.cast(), whole as u64) }
    }
}

/// One load of exactly this width: the host decodes the instruction, so it is written out, `mov al/ax/eax, [rcx]`.
///
/// # Safety
///
/// `address` lies in a mapped window.
unsafe fn load(address: *mut u8, width: Width) -> u32 {
    let value: u32;
    // SAFETY: the caller's; the instruction reads `width` bytes at `address` and nothing else.
    unsafe {
        match width {
            Width::Byte => {
                asm!("mov al, byte ptr [rcx]", in("rcx") address, inout("eax") 0u32 => value, options(nostack))
            }
            Width::Word => {
                asm!("mov ax, word ptr [rcx]", in("rcx") address, inout("eax") 0u32 => value, options(nostack))
            }
            Width::Dword => asm!("mov eax, dword ptr [rcx]", in("rcx") address, out("eax") value, options(nostack)),
        }
    }
    fence(Ordering::SeqCst);
    value
}

/// One store of exactly this width: `mov [rcx], al/ax/eax`.
///
/// # Safety
///
/// `address` lies in a mapped window.
unsafe fn store(address: *mut u8, width: Width, value: u32) {
    // SAFETY: the caller's; the instruction writes `width` bytes at `address` and nothing else.
    unsafe {
        match width {
            Width::Byte => asm!("mov byte ptr [rcx], al", in("rcx") address, in("eax") value, options(nostack)),
            Width::Word => asm!("mov word ptr [rcx], ax", in("rcx") address, in("eax") value, options(nostack)),
            Width::Dword => asm!("mov dword ptr [rcx], eax", in("rcx") address, in("eax") value, options(nostack)),
        }
    }
    fence(Ordering::SeqCst);
}
