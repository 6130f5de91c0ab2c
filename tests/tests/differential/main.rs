//! Each policy beside a plain device, under the accesses of recorded guests and what can be made of them: what the guest
//! reads is the same, the device is reachable whenever the plain one is, and the host maps no more often.
//!
//! Where no equality is promised the step is left out of the comparison, on both sides: a BAR written with decode on, and
//! an enable outside the windows or over another function (I1, I3). `core/src/config/tests/properties.rs` does those.

mod device;
mod recorded;

use device::{DEVICE_CONTROL, Defect, Device, MEMORY, MSI_CONTROL, MSI_ENABLE, PROBED, WINDOW, Window};
use hvpci_core::Slot;
use hvpci_core::backend::Width;
use hvpci_core::config::{ConfigOptions, ConfigSpace, FunctionSeed, Functions};
use hvpci_core::decode::Policy;
use hvpci_core::placement::{Aperture, Window as Claimed};
use hvpci_core::wire::{FunctionDescription, ProbedBars};
use proptest::prelude::*;
use recorded::{Op, guest, recorded};

fn slot(at: usize) -> Slot {
    Slot::from_wire(at as u32).unwrap()
}

/// The two sides.
struct Pair {
    space: ConfigSpace,
    window: Window,
    plain: Vec<Device>,
    /// Which were mapped ahead.
    prefetched: Vec<bool>,
    /// Whose MSI Enable the function must not have, whatever the guest sees.
    withheld: Vec<bool>,
    /// How many steps were compared, and how many left out.
    compared: u64,
    left_out: u64,
}

impl Pair {
    fn new(policy: Policy, cache: bool, functions: usize, defect: Option<Defect>) -> Pair {
        let options = ConfigOptions { policy, cache, capacity: 4, ..ConfigOptions::default() };
        let mut space = ConfigSpace::new(options).unwrap();
        space.claim_window(Claimed { aperture: Aperture::High, base: WINDOW.0, size: WINDOW.1 }).unwrap();
        let mut window = Window::new(functions, defect);
        for at in 0..functions {
            let description = FunctionDescription {
                slot: slot(at),
                vendor: 0x1414,
                device: 0xC03E,
                revision: 0,
                prog_if: 2,
                sub_class: 8,
                base_class: 1,
                subsystem_vendor: 0,
                subsystem: 0,
                serial: at as u32,
                numa_node: None,
            };
            let probed = ProbedBars(PROBED);
            let seed = FunctionSeed { description, probed, bars: [None; 6], host_bars_known: false };
            space.attach(&mut window, &seed).unwrap();
        }
        let plain = vec![Device::new(); functions];
        let none = vec![false; functions];
        Pair { space, window, plain, prefetched: none.clone(), withheld: none, compared: 0, left_out: 0 }
    }

    /// Whether both sides promise the same of this step.
    fn is_comparable(&self, at: usize, op: Op) -> bool {
        let Op::Write(offset, width, value) = op else { return true };
        let mut after = self.plain[at];
        let was = after.decodes();
        after.write(offset, width, value);
        if was {
            return !(0x10..0x28).contains(&(offset & !3));
        }
        let mut others = self.plain.iter().enumerate().filter(|(other, device)| *other != at && device.decodes());
        !after.decodes() || after.is_inside() && !others.any(|(_, other)| other.overlaps(&after))
    }

    fn step(&mut self, at: usize, op: Op) -> Result<(), String> {
        if !self.is_comparable(at, op) {
            self.left_out += 1;
            return Ok(());
        }
        self.compared += 1;
        self.window.devices.iter_mut().for_each(|device| device.undone = None);
        let (me, plain) = (slot(at), &mut self.plain[at]);
        match op {
            Op::Read(offset, width) => self.compare(at, offset, width)?,
            Op::Write(offset, width, value) => {
                let was = plain.decodes();
                self.space.write(&mut self.window, me, offset, usize::from(width.bytes()), value);
                plain.write(offset, width, value);
                if plain.decodes() && !was {
                    self.window.devices[at].used();
                }
            }
            Op::Bound(bound) => self.space.set_bound(&mut self.window, me, bound),
            Op::Lost => {
                self.window.devices[at].reset();
                self.space.host_lost_state(Functions::One(me));
                plain.reset();
            }
            Op::Prefetch(done) => {
                // Only this policy maps ahead, and it says when.
                if self.space.options().policy == Policy::Prefetch && self.space.prefetch_started(me).is_ok() {
                    self.prefetched[at] = true;
                    if done {
                        self.window.power_on(at);
                    }
                    self.space.prefetch_finished(me, done);
                }
            }
            Op::Withhold(withheld) => {
                self.withheld[at] = withheld;
                if withheld {
                    self.space.withhold_messages(&mut self.window, me);
                } else {
                    self.space.pass_messages(&mut self.window, me);
                }
            }
            Op::Flr => {
                self.space.write(&mut self.window, me, DEVICE_CONTROL, 2, 0x8000);
                plain.write(DEVICE_CONTROL, Width::Word, 0x8000);
            }
        }
        (0..self.plain.len()).try_for_each(|of| self.hold(of)).map_err(|why| format!("{why} after {op:x?} on {at}"))
    }

    fn compare(&mut self, at: usize, offset: u16, width: Width) -> Result<(), String> {
        let read = self.space.read(&mut self.window, slot(at), offset, usize::from(width.bytes()));
        let expected = self.plain[at].read(offset, width);
        // The core has no interrupt line to offer; a plain device has a scratch register there.
        if read == expected || offset & !3 == 0x3C {
            return Ok(());
        }
        Err(format!("{width:?} at {offset:#x} of {at} reads {read:#x}, the plain device {expected:#x}"))
    }

    /// What must hold of each function after every step.
    fn hold(&self, at: usize) -> Result<(), String> {
        let (behind, plain) = (&self.window.devices[at], &self.plain[at]);
        if let Some(violation) = self.window.violations.first() {
            return Err(violation.clone());
        }
        if plain.decodes() && (!behind.decodes() || behind.ranges() != plain.ranges()) {
            return Err(format!("{at} is not reachable where it must be"));
        }
        let expected = plain.read(MSI_CONTROL, Width::Word) & if self.withheld[at] { !MSI_ENABLE } else { !0 };
        if behind.read(MSI_CONTROL, Width::Word) != expected {
            return Err(format!("{at}: MSI's Message Control is not {expected:#x}"));
        }
        let dearer = behind.maps > plain.maps || behind.unmaps > plain.unmaps;
        if dearer {
            let (ours, theirs) = ((behind.maps, behind.unmaps), (plain.maps, plain.unmaps));
            return Err(format!("{at}: {ours:?} maps and unmaps, the plain device {theirs:?}"));
        }
        Ok(())
    }

    /// The registers a guest looks at, whatever it looked at before.
    fn look_around(&mut self, at: usize) -> Result<(), String> {
        for offset in [0x00, 0x04, 0x08, 0x10, 0x14, 0x20, 0x24, 0x34, 0x40, 0x4C, 0x54, 0x7C, 0x90] {
            self.compare(at, offset, Width::Dword)?;
        }
        Ok(())
    }
}

/// Runs one recording on one function.
fn replay(policy: Policy, ops: &[Op], defect: Option<Defect>) -> Result<Pair, String> {
    let mut pair = Pair::new(policy, true, 1, defect);
    for op in ops {
        pair.step(0, *op)?;
    }
    pair.look_around(0)?;
    Ok(pair)
}

#[test]
fn the_recordings_as_they_are() {
    for policy in Policy::ALL {
        for (number, ops) in recorded().iter().enumerate() {
            let pair = replay(policy, ops, None).unwrap_or_else(|why| panic!("{policy}, section {number}: {why}"));
            assert!(pair.plain[0].maps > 0, "section {number} never turns decode on");
            assert!(pair.left_out * 20 < pair.compared, "section {number}: {} steps left out", pair.left_out);
        }
    }
}

/// A map in the background after every single access changes nothing that the guest sees.
#[test]
fn the_recordings_with_maps_in_the_background() {
    for (number, ops) in recorded().iter().enumerate() {
        for done in [true, false] {
            let ops: Vec<Op> = ops.iter().flat_map(|op| [*op, Op::Prefetch(done)]).collect();
            let pair = replay(Policy::Prefetch, &ops, None).unwrap_or_else(|why| panic!("section {number}: {why}"));
            assert!(pair.prefetched[0], "section {number}: nothing was mapped ahead");
        }
    }
}

/// It does cost something where it is undone as it is used, or where a map too many is made behind it.
#[test]
fn a_map_in_the_background_is_the_only_one() {
    for defect in [Defect::MappedAfresh, Defect::MappedTwice] {
        let noticed = recorded().iter().filter(|ops| {
            let ops: Vec<Op> = ops.iter().flat_map(|op| [*op, Op::Prefetch(true)]).collect();
            replay(Policy::Prefetch, &ops, Some(defect)).is_err()
        });
        assert_ne!(noticed.count(), 0, "{defect:?}");
    }
}

/// The comparison can fail: with a defect between core and device it does, under every policy.
#[test]
fn a_defect_does_not_go_unnoticed() {
    use Defect::*;
    for defect in [MappedTwice, SetLost, Misplaced, ReadFromCache, StatusLost, EnableStuck, EnableLost] {
        for policy in Policy::ALL {
            let noticed = recorded().iter().filter(|ops| {
                // Recorded guests write neither Device Control nor Status, and have no MSI: writes that no policy touches.
                let mut ops = ops.to_vec();
                ops.push(Op::Write(DEVICE_CONTROL, Width::Word, 0x2810 | 0x7));
                ops.push(Op::Write(6, Width::Word, 0xF900));
                ops.extend([Op::Withhold(true), Op::Write(MSI_CONTROL, Width::Word, MSI_ENABLE), Op::Withhold(false)]);
                replay(policy, &ops, None).unwrap();
                replay(policy, &ops, Some(defect)).is_err()
            });
            assert_ne!(noticed.count(), 0, "{defect:?} under {policy}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(hvpci_tests::cases(4000)))]

    #[test]
    fn bent_recordings_on_two_functions_at_once(
        policy in prop::sample::select(&Policy::ALL[..]),
        cache in any::<bool>(),
        curious in any::<bool>(),
        (first, second) in (guest(0), guest(1)),
        turns in prop::collection::vec(any::<bool>(), 64),
    ) {
        let mut pair = Pair::new(policy, cache, 2, None);
        let mut guests = [first.into_iter(), second.into_iter()];
        for turn in turns.iter().cycle() {
            let at = usize::from(*turn);
            let Some(op) = guests[at].next().map(|op| (at, op)).or_else(|| Some((1 - at, guests[1 - at].next()?))) else {
                break;
            };
            pair.step(op.0, op.1).map_err(TestCaseError::fail)?;
            if curious {
                pair.look_around(op.0).map_err(TestCaseError::fail)?;
            }
        }
        for at in 0..2 {
            pair.look_around(at).map_err(TestCaseError::fail)?;
            pair.step(at, Op::Write(4, Width::Word, MEMORY)).map_err(TestCaseError::fail)?;
        }
        prop_assert!(pair.compared > pair.left_out, "hardly anything was compared");
    }
}
