//! What the host knows, as lines of `name key=value ...`.

use alloc::string::String;
use core::fmt::{self, Write};

use hvpci_core::Time;
use hvpci_core::decode::Ledger;
use hvpci_mock::host::{MapSpan, Severity};

use crate::Standin;

/// Violations and leaks shown in full; all are counted.
const SHOWN: usize = 12;

pub fn text(standin: &mut Standin, now: Time) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(standin, now, &mut out);
    out
}

fn write(standin: &Standin, now: Time, out: &mut String) -> fmt::Result {
    let host = &standin.host;
    for bus in host.buses() {
        let (channel, functions) = (host.channel(bus), host.slots(bus).len());
        let struck = host.faults_struck(bus) + standin.struck.get(&bus.0).copied().unwrap_or(0);
        write!(out, "bus={} channel={channel:?} functions={functions} struck={struck}", bus.0)?;
        ledger(out, &host.bus_ledger(bus))?;
        for slot in host.slots(bus) {
            let Some(function) = host.function(bus, slot) else { continue };
            write!(
                out,
                "function bus={} slot={} command={:#06x} assigned={} irqs={}",
                bus.0,
                slot.to_wire(),
                function.command,
                u8::from(function.assigned),
                function.interrupts.len()
            )?;
            ledger(out, &host.ledger(bus, slot))?;
        }
    }
    for (bus, storm) in &standin.storms {
        writeln!(out, "storm bus={bus} sent={} left={} row={}", storm.sent(), storm.left(), storm.most_in_a_row())?;
    }
    let started = standin.started.unwrap_or(now);
    write!(
        out,
        "total started_ns={} now_ns={} at_once={} fired={} refused={} errors={} violations={} leaks={}",
        started.as_nanos(),
        now.as_nanos(),
        at_once(host.timeline()),
        standin.fired,
        standin.not_delivered,
        host.violations().iter().filter(|violation| violation.severity() == Severity::Error).count(),
        host.violations().len(),
        host.leaks().len()
    )?;
    ledger(out, &host.total_ledger())?;
    if !standin.last_fire.is_empty() {
        writeln!(out, "fire {}", standin.last_fire)?;
    }
    for violation in host.violations().iter().take(SHOWN) {
        writeln!(out, "violation {violation}")?;
    }
    for leak in host.leaks().iter().take(SHOWN) {
        writeln!(out, "leak bus={} {:?} {:?}", leak.bus.0, leak.slot, leak.kind)?;
    }
    Ok(())
}

fn ledger(out: &mut String, ledger: &Ledger) -> fmt::Result {
    writeln!(
        out,
        " maps={} unmaps={} host_unmaps={} traps={} messages={} map_us={}",
        ledger.maps,
        ledger.unmaps,
        ledger.host_unmaps,
        ledger.traps,
        ledger.messages,
        ledger.host_map_time.as_micros()
    )
}

/// The most maps that were running at any one time.
fn at_once(spans: &[MapSpan]) -> usize {
    let running = |at: Time| spans.iter().filter(|span| span.start <= at && at < span.end).count();
    spans.iter().map(|span| running(span.start)).max().unwrap_or(0)
}
