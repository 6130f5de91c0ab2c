//! Arbitrary accesses of a guest, under every policy, in front of a strict host.

use arbitrary::{Result, Unstructured};
use hvpci_core::Slot;
use hvpci_core::config::{ConfigOptions, ConfigSpace, FunctionSeed, Functions, Reach};
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::placement::{Aperture, Window};
use hvpci_core::wire::{FunctionDescription, MsiEntry, ProbedBars};

use super::device::{ATTRIBUTES, FUNCTIONS, Host, MASKS, MSI_CONTROL, MSI_ENABLE};

const HIGH: u64 = 0x10_0000_0000;
const LOW: u64 = 0xF000_0000;

/// What a bus can be: policy, guest style, isolated VM.
const KINDS: [(Policy, GuestStyle, bool); 12] = [
    (Policy::Eager, GuestStyle::ConfigSpace, false),
    (Policy::Deferred, GuestStyle::ConfigSpace, false),
    (Policy::Absorbing, GuestStyle::ConfigSpace, false),
    (Policy::Prefetch, GuestStyle::ConfigSpace, false),
    (Policy::Deferred, GuestStyle::ConfigSpace, true),
    (Policy::Deferred, GuestStyle::Messages, false),
    (Policy::Absorbing, GuestStyle::Messages, false),
    (Policy::Deferred, GuestStyle::Messages, true),
    // What came later, so that the inputs of before mean what they meant.
    (Policy::Eager, GuestStyle::ConfigSpace, true),
    (Policy::Eager, GuestStyle::Messages, false),
    (Policy::Eager, GuestStyle::Messages, true),
    (Policy::Prefetch, GuestStyle::Messages, false),
];

fn slot(at: usize) -> Slot {
    Slot::from_wire(at as u32).expect("a slot of the device table")
}

/// Invariants I1, I2, I3 and I5 hold whatever the guest does (I2 and I3 not for Eager), a function whose messages are withheld
/// has no MSI Enable, and nothing panics.
pub fn config(bytes: &[u8]) {
    // Running out of bytes is the ordinary end.
    let _ = drive(&mut Unstructured::new(bytes));
}

fn seed(at: usize) -> FunctionSeed {
    let description = FunctionDescription {
        slot: slot(at),
        vendor: 0x1414,
        device: 0xB111,
        revision: 0,
        prog_if: 0,
        sub_class: 2,
        base_class: 3,
        subsystem_vendor: 0,
        subsystem: 0,
        serial: 0,
        numa_node: None,
    };
    let probed = ProbedBars(core::array::from_fn(|n| MASKS[n] | ATTRIBUTES[n]));
    let bars = [Some(HIGH + ((at as u64) << 20)), None, Some(LOW + ((at as u64) << 16)), None, None, None];
    FunctionSeed { description, probed, bars, host_bars_known: false }
}

fn drive(input: &mut Unstructured<'_>) -> Result<()> {
    let (policy, style, isolated) = *input.choose(&KINDS)?;
    let options = ConfigOptions { policy, style, isolated, capacity: FUNCTIONS as u16, cache: input.arbitrary()? };
    let mut space = ConfigSpace::new(options).expect("valid options");
    let windows = [(Aperture::High, HIGH, 3 << 20), (Aperture::Low, LOW, 3 << 16)];
    for (aperture, base, size) in windows {
        space.claim_window(Window { aperture, base, size }).expect("valid windows");
    }
    let mut host = Host::new(policy != Policy::Eager, windows.map(|(_, base, size)| (base, size)).to_vec());
    let mut attached = [false; FUNCTIONS];
    let mut withheld = [false; FUNCTIONS];
    let first = input.int_in_range(1..=FUNCTIONS)?;
    for (at, attached) in attached.iter_mut().enumerate().take(first) {
        space.attach(&mut host, &seed(at)).expect("room for all");
        *attached = true;
    }
    while !input.is_empty() {
        let at = input.int_in_range(0..=FUNCTIONS - 1)?;
        step(input, &mut space, &mut host, &mut attached, &mut withheld, at)?;
        check(&space, &host, &attached, &withheld);
        if input.ratio(1, 8)? {
            while space.take_report().is_some() {}
        }
    }
    for (at, _) in attached.iter().enumerate().filter(|(_, attached)| **attached) {
        space.detach(&mut host, slot(at), Reach::Clear);
        assert!(!host.functions[at].memory(), "I5: function {at} stays mapped");
    }
    Ok(())
}

fn step(
    input: &mut Unstructured<'_>,
    space: &mut ConfigSpace,
    host: &mut Host,
    attached: &mut [bool; FUNCTIONS],
    withheld: &mut [bool; FUNCTIONS],
    at: usize,
) -> Result<()> {
    let me = slot(at);
    match input.int_in_range(0..=15)? {
        // A plausible guest: BARs at places that may or may not be legal, COMMAND, the registers that reset.
        0..=2 => {
            let place = input.int_in_range(0..=3u32)?;
            let (register, value) = *input.choose(&[
                (0x10, place << 20),
                (0x14, 0x10),
                (0x14, place),
                (0x18, LOW as u32 + (place << 16)),
                (0x10, u32::MAX),
            ])?;
            space.write(host, me, register, 4, value);
        }
        3..=5 => space.write(host, me, 0x04, 2, u32::from(input.int_in_range(0..=7u16)?)),
        6 => space.write(host, me, 0x44, 2, u32::from(input.int_in_range(0..=3u16)?)),
        7 => space.write(host, me, 0x58, 2, if input.arbitrary()? { 0x8000 } else { 0x2810 }),
        // Any access at all.
        8 => space.write(host, me, input.arbitrary()?, input.int_in_range(0..=8)?, input.arbitrary()?),
        9 => {
            let _ =
                space.read(host, Slot::from_devfn(input.arbitrary()?), input.arbitrary()?, input.int_in_range(0..=8)?);
        }
        10 => {
            let value = space.read(host, me, input.int_in_range(0..=255u16)?, *input.choose(&[1, 2, 4])?);
            let _ = value;
        }
        11 => space.set_bound(host, me, input.arbitrary()?),
        12 => {
            host.reset(at);
            space.host_lost_state(Functions::One(me));
        }
        13 if attached[at] => {
            let reach = *input.choose(&[Reach::Host, Reach::Clear, Reach::Gone])?;
            space.detach(host, me, reach);
            // Who comes anew comes with nothing withheld.
            (attached[at], withheld[at]) = (false, false);
            if reach != Reach::Clear {
                host.reset(at);
                space.host_unmapped(Functions::One(me));
            }
        }
        13 => attached[at] = space.attach(host, &seed(at)).is_ok(),
        14 if policy_prefetches(space) => {
            if space.prefetch_started(me).is_ok() {
                host.set_memory(at, true);
                space.prefetch_finished(me, input.arbitrary()?);
            }
        }
        14 => space.set_read_cache(me, input.arbitrary()?),
        _ => match input.int_in_range(0..=3)? {
            0 => assert_eq!(space.alive(host, me), attached[at]),
            1 => messages(input, space, host, me)?,
            2 if space.options().style == GuestStyle::Messages => power_on(input, space, host, at)?,
            3 if space.options().style == GuestStyle::Messages && space.plan_power_off(me) => {
                power(input, space, host, at, false)?;
            }
            what @ (2 | 3) if space.options().style == GuestStyle::ConfigSpace && attached[at] => {
                withheld[at] = what == 2;
                withhold(space, host, me, withheld[at]);
            }
            _ => {}
        },
    }
    Ok(())
}

/// Message interrupts are switched on or off.
fn messages(input: &mut Unstructured<'_>, space: &mut ConfigSpace, host: &mut Host, me: Slot) -> Result<()> {
    let Some(capability) = space.message_capability(host, me) else { return Ok(()) };
    if input.arbitrary()? {
        let entry = MsiEntry::new(0xFEE0_0000, 0x31, 1);
        let _ = space.enable_messages(host, me, capability, &entry, input.int_in_range(0..=33)?);
    } else {
        space.disable_messages(host, me, capability);
    }
    Ok(())
}

/// The host has no messages for plain MSI, or has them: the guest's view does not change, and the function has the Enable bit
/// that the guest sees, or none.
fn withhold(space: &mut ConfigSpace, host: &mut Host, me: Slot, withhold: bool) {
    let seen = space.read(host, me, MSI_CONTROL, 2);
    if withhold {
        space.withhold_messages(host, me);
    } else {
        space.pass_messages(host, me);
    }
    assert_eq!(space.read(host, me, MSI_CONTROL, 2), seen, "the guest's MSI Enable changed by itself");
    let expected = seen & if withhold { !MSI_ENABLE } else { !0 };
    assert_eq!(host.functions[me.to_wire() as usize].message_control(), expected, "withheld: {withhold}");
}

/// A function is started by message, as `driver::power_on` does it.
fn power_on(input: &mut Unstructured<'_>, space: &mut ConfigSpace, host: &mut Host, at: usize) -> Result<()> {
    let me = slot(at);
    let Ok(plan) = space.plan_power_on(host, me) else { return Ok(()) };
    if plan.power_off_first && !power(input, space, host, at, false)? {
        space.power_abandoned(me);
        return Ok(());
    }
    if let Some(bars) = plan.bars {
        let (done, ok) = answer(input)?;
        if done {
            host.assign(at, &bars);
        }
        if !ok {
            space.power_abandoned(me);
            return Ok(());
        }
        space.bars_assigned(me, &bars);
    }
    power(input, space, host, at, true)?;
    Ok(())
}

/// POWER_STATE_CHANGE. Whether the host said that it went well.
fn power(input: &mut Unstructured<'_>, space: &mut ConfigSpace, host: &mut Host, at: usize, on: bool) -> Result<bool> {
    let (done, ok) = answer(input)?;
    if done {
        host.set_memory(at, on);
    }
    space.power_completed(slot(at), on, ok);
    Ok(ok)
}

/// Whether the host does what it is asked, and whether it says so: what it did not do it does not claim.
fn answer(input: &mut Unstructured<'_>) -> Result<(bool, bool)> {
    Ok(*input.choose(&[(true, true), (true, true), (true, false), (false, false)])?)
}

fn policy_prefetches(space: &ConfigSpace) -> bool {
    space.options().policy == Policy::Prefetch
}

fn check(space: &ConfigSpace, host: &Host, attached: &[bool; FUNCTIONS], withheld: &[bool; FUNCTIONS]) {
    for (at, attached) in attached.iter().enumerate() {
        let function = &host.functions[at];
        let guest = space.guest_view(slot(at)).is_some_and(|view| view.memory());
        assert!(!guest || function.memory(), "I1: function {at} is not mapped, and the guest believes it is");
        assert!(*attached || !function.memory(), "I5: function {at} is gone, and mapped");
        let enabled = function.message_control() & MSI_ENABLE != 0;
        assert!(!withheld[at] || !enabled, "function {at} has the MSI Enable that is withheld");
    }
}
