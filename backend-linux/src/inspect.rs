//! What debugfs shows.

use core::ffi::c_void;
use core::fmt::Write;

use hvpci_core::backend::Platform;
use hvpci_core::decode::Ledger;
use hvpci_core::driver;

use crate::bus::slot;
use crate::entry::bus;
use crate::ffi::RawLedger;
use crate::text::Line;

fn raw(ledger: &Ledger) -> RawLedger {
    RawLedger {
        maps: ledger.maps,
        unmaps: ledger.unmaps,
        host_unmaps: ledger.host_unmaps,
        traps: ledger.traps,
        messages: ledger.messages,
        reads_served: ledger.reads_served,
        writes_absorbed: ledger.writes_absorbed,
        refused_enables: ledger.refused_enables,
        stale_bars: ledger.stale_bars,
        wasted_prefetches: ledger.wasted_prefetches,
        host_map_ns: u64::try_from(ledger.host_map_time.as_nanos()).unwrap_or(u64::MAX),
    }
}

/// # Safety
///
/// See [`bus`]. `ledger` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_ledger(rust: *mut c_void, devfn: u32, ledger: *mut RawLedger) -> i32 {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let Some(slot) = slot(devfn) else { return 0 };
    let mut there = false;
    platform.with_config(&mut |config, _| there = config.ledger(slot).is_some());
    if !there {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { ledger.write(raw(&driver::ledger(platform, slot))) };
    1
}

/// # Safety
///
/// See [`bus`]. `ledger` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_total(rust: *mut c_void, ledger: *mut RawLedger) {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let mut total = Ledger::default();
    platform.with_config(&mut |config, _| total = config.total_ledger());
    platform.with_bus(&mut |bus, _| {
        let counters = bus.counters();
        total.messages = counters.sent.saturating_add(counters.received);
    });
    // SAFETY: the caller's promise.
    unsafe { ledger.write(raw(&total)) };
}

/// # Safety
///
/// See [`bus`]. `buffer` is valid for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_describe(rust: *mut c_void, buffer: *mut u8, length: usize) -> usize {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let mut line = Line::<768>::new();
    platform.with_bus(&mut |bus, _| {
        // What does not fit is cut off.
        let _ = write!(line, "state: {:?}\npolicy: {}\n", bus.status(), bus.options().policy);
        let _ = match bus.version() {
            Some(version) => writeln!(line, "version: {version}"),
            None => writeln!(line, "version: none"),
        };
        let counters = bus.counters();
        let _ = writeln!(
            line,
            "packets: {} sent, {} received, {} times the ring was full",
            counters.sent, counters.received, counters.ring_full
        );
        let odd = [
            counters.malformed,
            counters.unknown_messages,
            counters.malformed_completions,
            counters.unknown_completions,
            counters.duplicate_completions,
            counters.bad_slots,
            counters.unknown_slots,
            counters.duplicate_slots,
            counters.functions_left_out,
        ];
        let odd = odd.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        let _ = writeln!(
            line,
            "odd packets: {odd}, late answers: {}, timeouts: {}, reports dropped: {}",
            counters.late_completions, counters.timeouts, counters.reports_dropped
        );
        let _ = writeln!(line, "quarantined bytes: {:#x}", bus.quarantined_bytes());
    });
    let text = line.as_bytes();
    let count = text.len().min(length);
    // SAFETY: the caller's promise; count is at most length.
    unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), buffer, count) };
    count
}
