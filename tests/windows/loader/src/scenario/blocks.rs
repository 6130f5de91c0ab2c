//! Config blocks: read, written and invalidated through the interface and the IOCTLs of vpci.h.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hvpci_core::Slot;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{BusId, Fault, FaultPlan, HostOptions};

use crate::nt::status;
use crate::pnp;
use crate::pnp::interface::BlockInterface;
use crate::scenario::Scenario;
use crate::scenario::machine::check_the_guest;
use crate::scenario::steps::{Up, at_host, boot, down, lose_function, start_children, up};
use crate::wdf::queue;
use crate::world::{Step, World, sleep, spawn, wait, with};
use crate::{expect, fail};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "blocks", about: "config blocks by the interface, at APC_LEVEL", steps: 1, run: interface },
    Scenario { name: "blocks-ioctl", about: "config blocks by IOCTL, sane and not", steps: 1, run: ioctl },
    Scenario {
        name: "blocks-changed",
        about: "a request to be told of changes: told, told later, cancelled, gone with its device",
        steps: 1,
        run: changed,
    },
    Scenario {
        name: "blocks-hostile",
        about: "the answer to a read is of an odd size, wrong, late, or never comes",
        steps: 9,
        run: hostile,
    },
    Scenario {
        name: "blocks-rescind",
        about: "rescind, surprise removal and stop while a read and a wait are under way",
        steps: 3,
        run: rescind,
    },
    Scenario { name: "blocks-threads", about: "eight threads read and write at once", steps: 1, run: threads },
];

pub(super) const INVALIDATE: u32 = 0x2A_C007;
const READ: u32 = 0x2A_C00B;
const WRITE: u32 = 0x2A_C00F;

const INVALID_DEVICE_REQUEST: i32 = 0xC000_0010_u32.cast_signed();
const BUFFER_TOO_SMALL: i32 = 0xC000_0023_u32.cast_signed();
const IO_TIMEOUT: i32 = 0xC000_00B5_u32.cast_signed();
const DEVICE_DATA_ERROR: i32 = 0xC000_009C_u32.cast_signed();

fn query(up: &Up) -> BlockInterface {
    BlockInterface::query(up.pdos[0])
        .unwrap_or_else(|| fail::fail(fail::Verdict::Expectation, "the child has no VPCI_INTERFACE_STANDARD"))
}

/// A bus whose function has block 3, of 16 bytes.
fn ready(file: &str) -> (crate::scenario::machine::Machine, BusId, Up) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    let data: Vec<u8> = (0..16).map(|n| n * 3 + 1).collect();
    with(|world| world.host.set_block(buses[0], Slot::ZERO, 3, &data));
    (machine, buses[0], up)
}

fn interface(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file);
    let interface = query(&up);
    let serial = with(|world| world.host.function(bus, Slot::ZERO)).map(|function| function.description.serial);
    expect!(serial == Some(interface.serial()), "serial {}, not {serial:?}", interface.serial());
    let wanted: Vec<u8> = (0..16).map(|n| n * 3 + 1).collect();
    for bytes in [1, 5, 8, 16] {
        let read = interface.read(3, bytes);
        expect!(read.as_deref() == Ok(&wanted[..bytes]), "{bytes} bytes of block 3: {read:x?}");
    }
    for bytes in [0, 129, 4096] {
        let read = interface.read(3, bytes);
        expect!(read == Err(status::INVALID_PARAMETER), "{bytes} bytes of a block: {read:x?}");
    }
    for bytes in [1_u8, 127, 128] {
        let data: Vec<u8> = (0..bytes).rev().collect();
        let wrote = interface.write(9, &data);
        expect!(wrote == 0, "{bytes} bytes into block 9: {wrote:#x}");
        let held = with(|world| world.host.block(bus, Slot::ZERO, 9).map(<[u8]>::to_vec));
        expect!(held.as_deref().is_some_and(|held| held.starts_with(&data)), "block 9 holds {held:x?}");
    }
    expect!(interface.write(9, &[]) == status::INVALID_PARAMETER, "an empty block was written");
    expect!(interface.write(9, &[0; 129]) == status::INVALID_PARAMETER, "129 bytes of a block were written");
    // A driver may ask for blocks while its device sleeps.
    pnp::power_down(up.pdos[0], pnp::D3);
    expect!(interface.read(3, 16).is_ok(), "no block in D3");
    let back = pnp::power_up(up.pdos[0], pnp::D3);
    expect!(back.is_ok(), "D0 failed: {back:x?}");
    lose_function(&up);
    let late = interface.read(3, 16);
    expect!(late == Err(status::NO_SUCH_DEVICE), "a block of a function that is gone: {late:x?}");
    expect!(interface.write(3, &[1]) == status::NO_SUCH_DEVICE, "a block of a function that is gone was written");
    interface.release();
    down(machine, &[bus]);
}

fn head(block: u32, length: u32) -> Vec<u8> {
    [block.to_le_bytes(), length.to_le_bytes()].concat()
}

/// Sends a control that ends at once.
fn control(up: &Up, code: u32, input: &[u8], output: &mut [u8]) -> (i32, u64) {
    let outcome = queue::send(up.pdos[0], code, input, output).map(queue::outcome);
    match outcome {
        Ok(Some(outcome)) => outcome,
        Ok(None) => fail::fail(fail::Verdict::Expectation, &format!("IOCTL {code:#x} is still pending")),
        Err(status) => (status, 0),
    }
}

fn ioctl(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file);
    let mut output = [0; 16];
    let read = control(&up, READ, &head(3, 16), &mut output);
    expect!(read == (0, 16) && output[..4] == [1, 4, 7, 10], "IOCTL_VPCI_READ_BLOCK: {read:x?}, {output:x?}");
    let wrote = control(&up, WRITE, &[head(9, 3), vec![7, 8, 9]].concat(), &mut []);
    let held = with(|world| world.host.block(bus, Slot::ZERO, 9).map(<[u8]>::to_vec));
    expect!(wrote == (0, 0) && held.as_deref() == Some(&[7, 8, 9]), "IOCTL_VPCI_WRITE_BLOCK: {wrote:x?}, {held:x?}");
    let odd: [(u32, Vec<u8>, usize, i32); 9] = [
        (READ, head(3, 16), 15, BUFFER_TOO_SMALL),
        (READ, head(3, 16)[..7].to_vec(), 16, BUFFER_TOO_SMALL),
        (READ, head(3, 129), 4096, status::INVALID_PARAMETER),
        (READ, head(3, u32::MAX), 16, BUFFER_TOO_SMALL),
        (WRITE, head(9, 1), 0, BUFFER_TOO_SMALL),
        (WRITE, [head(9, 0), vec![1]].concat(), 0, status::INVALID_PARAMETER),
        (INVALIDATE, vec![0; 7], 0, BUFFER_TOO_SMALL),
        (INVALIDATE, vec![0; 7], 8, BUFFER_TOO_SMALL),
        (0x22_0003, vec![0; 8], 0, INVALID_DEVICE_REQUEST),
    ];
    for (code, input, room, wanted) in odd {
        let mut output = vec![0; room];
        let (got, bytes) = control(&up, code, &input, &mut output);
        expect!((got, bytes) == (wanted, 0), "IOCTL {code:#x} with {} bytes: {got:#x}, {bytes}", input.len());
    }
    down(machine, &[bus]);
}

fn invalidate(bus: BusId, mask: u64) {
    at_host(|host, now| {
        host.invalidate_block(bus, now, Slot::ZERO, mask);
    });
    sleep(10_000_000);
}

fn changed(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file);
    let place = vec![0_u8; 8];
    let mask = || place.as_slice().try_into().map_or(0, u64::from_le_bytes);
    let ask = || queue::send(up.pdos[0], INVALIDATE, &place, &mut []).unwrap_or(0);
    // Asked first, told at once.
    let request = ask();
    sleep(1_000_000_000);
    expect!(queue::outcome(request).is_none(), "told of a change that was not: {:x?}", queue::outcome(request));
    invalidate(bus, 0x8000_0000_0000_0005);
    expect!(queue::outcome(request) == Some((0, 0)), "not told: {:x?}", queue::outcome(request));
    expect!(mask() == 0x8000_0000_0000_0005, "changed: {:#x}", mask());
    // Changes while nobody asks are kept, and told together.
    invalidate(bus, 1);
    invalidate(bus, 2);
    let request = ask();
    expect!(queue::outcome(request) == Some((0, 0)) && mask() == 3, "kept: {:#x}", mask());
    // One change, one answer; a cancelled request gets none and takes none with it.
    let (first, second) = (ask(), ask());
    queue::cancel(first);
    invalidate(bus, 16);
    expect!(queue::outcome(first) == Some((status::CANCELLED, 0)), "{:x?}", queue::outcome(first));
    expect!(queue::outcome(second) == Some((0, 0)) && mask() == 16, "after a cancel: {:#x}", mask());
    // What waits when the device goes is cancelled.
    let last = ask();
    down(machine, &[bus]);
    expect!(queue::outcome(last) == Some((status::CANCELLED, 0)), "{:x?}", queue::outcome(last));
}

fn hostile(file: &str, step: u32) {
    let kinds: [(Fault, Option<i32>); 9] = [
        (Fault::Truncate(0), Some(IO_TIMEOUT)),
        // The carrier pads to 8 bytes: a status of success and four bytes of nothing.
        (Fault::Truncate(3), Some(DEVICE_DATA_ERROR)),
        (Fault::Truncate(4), Some(DEVICE_DATA_ERROR)),
        (Fault::Truncate(7), Some(DEVICE_DATA_ERROR)),
        (Fault::Extend(4096), None),
        (Fault::Refuse(0xC000_0022), Some(0xC000_0022_u32.cast_signed())),
        (Fault::LoseRequest, Some(IO_TIMEOUT)),
        (Fault::Delay(Duration::from_secs(90)), Some(IO_TIMEOUT)),
        (Fault::WrongTransactionId, Some(IO_TIMEOUT)),
    ];
    let (fault, wanted) = kinds[step as usize - 1];
    let (mut machine, bus, up) = ready(file);
    with(|world| world.host.set_faults(bus, FaultPlan::at(MessageType::READ_BLOCK, 1, fault)));
    let interface = query(&up);
    let began = with(|world| world.now());
    let read = interface.read(3, 16);
    let waited = with(|world| world.now() - began) / 1_000_000_000;
    println!("{fault:?}: {read:x?} after {waited} s");
    expect!(read.as_ref().err().copied() == wanted && waited <= 61, "{fault:?}: {read:x?} after {waited} s");
    expect!(wanted.is_some() || read.is_ok_and(|data| data[..3] == [1, 4, 7]), "too long an answer was not cut");
    let again = interface.read(3, 16);
    expect!(again.is_ok(), "the next read failed: {again:x?}");
    sleep(60_000_000_000);
    interface.release();
    pnp::remove_bus(bus, false);
    machine.unload();
    check_the_guest();
}

fn rescind(file: &str, step: u32) {
    let (mut machine, bus, up) = ready(file);
    with(|world| world.host.set_faults(bus, FaultPlan::at(MessageType::READ_BLOCK, 1, Fault::LoseRequest)));
    let interface = query(&up);
    let place = vec![0_u8; 8];
    let waiting = queue::send(up.pdos[0], INVALIDATE, &place, &mut []).unwrap_or(0);
    let (ended, began) = (Arc::new(AtomicBool::new(false)), with(|world| world.now()));
    let over = Arc::clone(&ended);
    spawn("a function's driver", move || {
        let read = interface.read(3, 16);
        let waited = with(|world| world.now() - began) / 1_000_000_000;
        expect!(read == Err(status::NO_SUCH_DEVICE) && waited < 10, "{read:x?} after {waited} s");
        interface.release();
        over.store(true, Ordering::SeqCst);
        with(World::changed);
    });
    sleep(2_000_000_000);
    if step == 3 {
        pnp::remove_bus(bus, false);
    } else {
        at_host(|host, now| {
            if step == 1 {
                host.rescind(bus, now);
            } else {
                host.remove_function(bus, now, Slot::ZERO);
            }
        });
    }
    wait("the read", |_| if ended.load(Ordering::SeqCst) { Step::Done(()) } else { Step::Sleep });
    sleep(5_000_000_000);
    expect!(queue::outcome(waiting) == Some((status::CANCELLED, 0)), "{:x?}", queue::outcome(waiting));
    pnp::remove_bus(bus, false);
    machine.unload();
    check_the_guest();
}

fn threads(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file);
    let left = Arc::new(std::sync::atomic::AtomicU32::new(8));
    for thread in 0..8_u8 {
        let (interface, left) = (query(&up), Arc::clone(&left));
        spawn("a function's driver", move || {
            for round in 0..50_u8 {
                let data = [thread, round, 3, 4, 5];
                let wrote = interface.write(16 + u32::from(thread), &data);
                expect!(wrote == 0, "thread {thread}, round {round}: write {wrote:#x}");
                let read = interface.read(16 + u32::from(thread), 5);
                expect!(read.as_deref() == Ok(&data[..]), "thread {thread}, round {round}: {read:x?}");
            }
            interface.release();
            left.fetch_sub(1, Ordering::SeqCst);
            with(World::changed);
        });
    }
    // The function's power changes meanwhile: that waits elsewhere.
    for _ in 0..5 {
        pnp::power_down(up.pdos[0], pnp::D3_FINAL);
        let back = pnp::power_up(up.pdos[0], pnp::D3_FINAL);
        expect!(back.is_ok(), "D0 failed: {back:x?}");
    }
    wait("the threads", |_| if left.load(Ordering::SeqCst) == 0 { Step::Done(()) } else { Step::Sleep });
    down(machine, &[bus]);
}
