//! The config windows, and parts of BARs that the driver maps. Their pages are unreadable: every load and store of the
//! driver traps, is decoded, and is done by the mock host, as the hypervisor (or the device) would do it.

use std::ptr;

use hvpci_mock::host::BusId;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::world::with;
use crate::{rule, trace};

const PAGE: usize = 4096;

/// The windows that are mapped, and the physical ranges that belong to a bus.
#[derive(Debug, Default)]
pub struct State {
    windows: Vec<Window>,
    ranges: Vec<(u64, u64, BusId)>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    at: usize,
    bytes: usize,
    physical: u64,
    bus: Option<BusId>,
    live: bool,
    /// Behind it is a BAR that decodes, and not the config window.
    bar: bool,
}

impl State {
    /// A physical range that PnP gave to a bus.
    pub fn assign(&mut self, base: u64, bytes: u64, bus: BusId) {
        self.ranges.push((base, bytes, bus));
    }

    /// The driver maps I/O space.
    pub fn map(&mut self, physical: u64, bytes: usize, bar: bool) -> usize {
        let inside = |(base, size, _): &&(u64, u64, BusId)| {
            physical >= *base && physical + bytes as u64 <= base.saturating_add(*size)
        };
        let owner = self.ranges.iter().find(inside).map(|(_, _, bus)| *bus);
        rule!(owner.is_some(), "MmMapIoSpace({physical:#x}, {bytes:#x}): not among the resources PnP assigned");
        rule!(bytes.is_multiple_of(PAGE), "MmMapIoSpace({physical:#x}, {bytes:#x}): not whole pages");
        rule!(physical.is_multiple_of(PAGE as u64), "MmMapIoSpace({physical:#x}): not page-aligned");
        // SAFETY: a new private mapping that nothing can read or write.
        let at = unsafe {
            libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        assert_ne!(at, libc::MAP_FAILED, "the loader has no memory");
        trace!("{} of bus {owner:?} at {physical:#x}, {bytes:#x} bytes", if bar { "BAR" } else { "config window" });
        self.windows.push(Window { at: at as usize, bytes, physical, bus: owner, live: true, bar });
        at as usize
    }

    /// The driver unmaps I/O space. The addresses stay unreadable for good.
    pub fn unmap(&mut self, at: usize, bytes: usize) {
        let window = self.windows.iter_mut().find(|window| window.at == at && window.live);
        rule!(window.as_ref().is_some_and(|w| w.bytes == bytes), "MmUnmapIoSpace({at:#x}, {bytes:#x}): not mapped so");
        if let Some(window) = window {
            window.live = false;
        }
    }

    /// Mappings the driver has not given back.
    pub fn leaks(&self) -> Vec<String> {
        let live = self.windows.iter().filter(|window| window.live);
        live.map(|window| format!("I/O space at {:#x}, {:#x} bytes", window.physical, window.bytes)).collect()
    }

    fn find(&self, address: usize) -> Option<Window> {
        self.windows.iter().find(|w| (w.at..w.at + w.bytes).contains(&address)).copied()
    }
}

fn load(window: Window, address: usize, bytes: usize) -> u64 {
    rule!(window.live, "a load from I/O space that was unmapped");
    let offset = (address - window.at) as u32;
    with(|world| {
        let Some(bus) = window.bus else { return u64::MAX };
        if window.bar {
            return u64::from(world.host.memory_read(world.time(), window.physical + u64::from(offset)));
        }
        let (value, done) = world.host.window_page_load(bus, world.time(), offset, bytes as u32);
        world.advance_to(done);
        u64::from(value)
    })
}

fn store(window: Window, address: usize, bytes: usize, value: u64) {
    rule!(window.live, "a store to I/O space that was unmapped");
    let offset = (address - window.at) as u32;
    with(|world| {
        let Some(bus) = window.bus else { return };
        let now = world.time();
        let value = (value & 0xFFFF_FFFF) as u32;
        if window.bar {
            rule!(bytes == 4, "a store of {bytes} bytes to an MSI-X table");
            let mapped = world.host.memory_write(now, window.physical + u64::from(offset), value);
            rule!(mapped, "a store to {:#x}, which no BAR decodes", window.physical + u64::from(offset));
            return;
        }
        let done = world.host.window_page_store(bus, now, offset, bytes as u32, value);
        world.advance_to(done);
    });
}

/// Does the access at which the thread faulted, if it is one to a config window. False if it is something else.
///
/// # Safety
/// `context` is the register state of a SIGSEGV, `address` its fault address.
pub unsafe fn emulate(context: &mut libc::ucontext_t, address: usize) -> bool {
    let Some(window) = with(|world| world.mmio.find(address)) else {
        return false;
    };
    let registers = &mut context.uc_mcontext.gregs;
    let rip = registers[libc::REG_RIP as usize] as u64;
    // SAFETY: the instruction at which the thread faulted, at most 15 bytes; driver text is followed by its other sections.
    let code = unsafe { std::slice::from_raw_parts(rip as *const u8, 15) };
    let instruction = Decoder::with_ip(64, code, rip, DecoderOptions::NONE).decode();
    let bytes = instruction.memory_size().size();
    rule!(matches!(bytes, 1 | 2 | 4), "an access of {bytes} bytes to the config window");
    match (instruction.mnemonic(), instruction.op0_kind()) {
        (Mnemonic::Mov, OpKind::Memory) => {
            let value = match instruction.op1_kind() {
                OpKind::Register => read_register(registers, instruction.op1_register()),
                _ => instruction.immediate(1),
            };
            store(window, address, bytes, value);
        }
        (Mnemonic::Mov | Mnemonic::Movzx, OpKind::Register) => {
            let value = load(window, address, bytes);
            write_register(registers, instruction.op0_register(), value);
        }
        _ => rule!(false, "config window reached by {}: no single load or store", name(&instruction)),
    }
    registers[libc::REG_RIP as usize] = instruction.next_ip() as i64;
    true
}

fn name(instruction: &Instruction) -> String {
    let code: Code = instruction.code();
    format!("{code:?} at {:#x}", instruction.ip())
}

/// Where a general register lies in the signal context.
fn slot(register: Register) -> usize {
    let index = match register.full_register() {
        Register::RAX => libc::REG_RAX,
        Register::RBX => libc::REG_RBX,
        Register::RCX => libc::REG_RCX,
        Register::RDX => libc::REG_RDX,
        Register::RSI => libc::REG_RSI,
        Register::RDI => libc::REG_RDI,
        Register::RBP => libc::REG_RBP,
        Register::RSP => libc::REG_RSP,
        Register::R8 => libc::REG_R8,
        Register::R9 => libc::REG_R9,
        Register::R10 => libc::REG_R10,
        Register::R11 => libc::REG_R11,
        Register::R12 => libc::REG_R12,
        Register::R13 => libc::REG_R13,
        Register::R14 => libc::REG_R14,
        _ => libc::REG_R15,
    };
    index as usize
}

/// AH, BH, CH and DH lie a byte higher than their register's low byte.
fn shift(register: Register) -> u32 {
    if matches!(register, Register::AH | Register::BH | Register::CH | Register::DH) { 8 } else { 0 }
}

fn read_register(registers: &[libc::greg_t; 23], register: Register) -> u64 {
    registers[slot(register)].cast_unsigned() >> shift(register)
}

fn write_register(registers: &mut [libc::greg_t; 23], register: Register, value: u64) {
    let old = registers[slot(register)].cast_unsigned();
    let (mask, shift) = match register.size() {
        1 => (0xFF_u64, shift(register)),
        2 => (0xFFFF, 0),
        // A write to a 32-bit register clears the upper half.
        _ => (u64::MAX, 0),
    };
    let new = (old & !(mask << shift)) | ((value & mask) << shift);
    registers[slot(register)] = new.cast_signed();
}
