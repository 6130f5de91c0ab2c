//! What a test tells the host by the control file.

use core::time::Duration;

use hvpci_core::{Slot, Time};
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{BusId, Fault, FaultPlan, Storm, Trigger};

use crate::{Standin, armed, scene};

/// Runs one line. `None` for a line that makes no sense.
///
/// Numbers are decimal or 0x-hexadecimal; BUS counts from 0, SLOT is the wire's slot number.
pub fn run(standin: &mut Standin, now: Time, line: &str) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let verb = words.next()?;
    let mut number = || -> Option<u64> { parse(words.next()?) };
    let host = &mut standin.host;
    if verb == "clear" {
        host.clear_violations();
        return Some(());
    }
    if verb == "forgive" {
        host.clear_violations();
        host.clear_leaks();
        return Some(());
    }
    let bus = BusId(u32::try_from(number()?).ok()?);
    host.instance(bus)?;
    match verb {
        "at" => {
            let (trigger, commands) = line.splitn(3, ' ').nth(2)?.split_once(' ')?;
            armed::arm(standin, bus.0, trigger, commands)?;
        }
        "offer" => host.offer(bus),
        "rescind" => host.rescind(bus, now),
        "crash" => {
            host.crash(bus);
            standin.deaf.insert(bus.0);
        }
        "cycle" => host.power_cycle(bus, now),
        "leftover" => scene::leave_over(host, bus, bus.0),
        "relations" => host.send_relations(bus, now),
        "silent" => host.set_faults(bus, FaultPlan::default().and(Trigger::From(1), Fault::LoseRequest)),
        "storm" => {
            let (packets, seed) = (number()?, number()?);
            standin.storms.entry(bus.0).or_insert_with(|| Storm::new(seed)).send(now, packets);
        }
        "calm" => _ = standin.storms.remove(&bus.0),
        "nofault" => {
            host.set_faults(bus, FaultPlan::default());
            standin.armed.remove(&bus.0);
        }
        "fault" => {
            let plan = fault(words.next()?, words.next()?, words.next())?;
            host.set_faults(bus, plan);
        }
        "eject" => host.eject(bus, now, slot(number()?)?),
        "remove" => host.remove_function(bus, now, slot(number()?)?).then_some(())?,
        "gone" => host.set_gone(bus, slot(number()?)?, number()? != 0),
        "invalidate" => host.invalidate_block(bus, now, slot(number()?)?, number()?),
        "add" => {
            let (slot, kind, gigabytes) = (slot(number()?)?, number()?, number()?);
            let serial = host.instance(bus)?.first_dword().wrapping_add(slot.to_wire());
            let function = scene::function(u32::try_from(kind).ok()?, u32::try_from(gigabytes).ok()?);
            host.add_function(bus, now, function.at(slot).with_serial(serial)).then_some(())?;
        }
        _ => return None,
    }
    Some(())
}

/// `fault BUS TRIGGER KIND [ARGUMENT]`: the trigger is `step:N`, `from:N`, `every:TYPE` or `TYPE:N`, TYPE being the low
/// byte of a message type.
fn fault(trigger: &str, kind: &str, argument: Option<&str>) -> Option<FaultPlan> {
    let (left, right) = trigger.split_once(':')?;
    let of_type = |low: u64| Some(MessageType(0x4249_0000 | u32::try_from(low).ok()?));
    let trigger = match left {
        "step" => Trigger::Step(parse(right)?),
        "from" => Trigger::From(parse(right)?),
        "every" => Trigger::Every(of_type(parse(right)?)?),
        number => Trigger::Message(of_type(parse(number)?)?, u32::try_from(parse(right)?).ok()?),
    };
    let argument = argument.map(parse).unwrap_or(Some(0))?;
    let bytes = usize::try_from(argument).ok()?;
    let status = u32::try_from(argument & 0xFFFF_FFFF).ok()?;
    let fault = match kind {
        "drop" => Fault::Drop,
        "lose" => Fault::LoseRequest,
        "refuse" => Fault::Refuse(status),
        "delay" => Fault::Delay(Duration::from_millis(argument)),
        "truncate" => Fault::Truncate(bytes),
        "extend" => Fault::Extend(bytes),
        "status" => Fault::WrongStatus(status),
        "id" => Fault::WrongTransactionId,
        "duplicate" => Fault::Duplicate,
        "unknown" => Fault::UnknownMessage,
        "garbage" => Fault::Garbage,
        "rescind" => Fault::Rescind,
        "close" => Fault::CloseChannel,
        "gone" => Fault::DeviceGone(slot(argument)?),
        _ => return None,
    };
    Some(FaultPlan::default().and(trigger, fault))
}

fn slot(number: u64) -> Option<Slot> {
    Slot::from_wire(u32::try_from(number).ok()?)
}

fn parse(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
