//! The state of the model: the config half between a guest and the strict host, and what each step does.
//!
//! Beside each function stands a write-through reference: the same device without anything in front of it. It says what
//! the guest must read (I4) and what at most it may cost (I6).

use hvpci_core::Slot;
use hvpci_core::config::{ConfigOptions, ConfigSpace, FunctionSeed, Functions, Reach};
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::placement::{Aperture, Window};
use hvpci_core::wire::{FunctionDescription, ProbedBars};

use super::Guest;
use super::device::{
    BUS_MASTER, Background, Broken, CAPABILITIES, DEVICE_CONTROL, Device, Host, MEMORY, MOST, PLACES, PMCSR, Reference,
    SIZE, address, registers,
};
use super::messages::Sequence;
use super::mutants::Mutant;

const PROBED: ProbedBars = ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0, 0, 0, 0]);

/// What the guest, its kernel or the host does with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Command(u16),
    Bar(usize, u32),
    /// Both registers of the BAR, for this place.
    Move(usize),
    Bound(bool),
    /// The guest reads COMMAND and the BARs.
    Read,
    /// The host resets the function and we are told.
    Lost,
    /// We are told of a loss that did not happen.
    FalseAlarm,
    Detach(Reach),
    /// The host has released what was detached.
    Released,
    Attach,
    /// A map in the background is asked for.
    Prefetch,
    /// It is there.
    PrefetchLands,
    /// Its answer comes: where it is not there, only the one that says so.
    PrefetchDone(bool),
    /// A function-level reset through config space, after which the device is silent for a while.
    Flr,
    /// It answers again.
    Returns,
    /// PMCSR gets this power state.
    Power(u8),
    /// The PCI core's restore: BARs at home and a driver's COMMAND, each written only where a read shows something else.
    Restore,
    /// D0 exit of the bus, functions kept.
    Suspend,
    Resume,
    /// The device is taken away with its maps, and nobody says so.
    Vanish,
    /// A liveness test.
    Alive,
    /// A plain read of the vendor id.
    ReadIds,
    /// A plain read of a register that the read cache keeps.
    ReadPointer,
    /// Message style: a driver starts or stops.
    PowerOn,
    PowerOff,
    /// Message style: the host takes the next message: whether it does what it says, and whether it says so.
    Answer {
        done: bool,
        ok: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub space: ConfigSpace,
    pub host: Host,
    pub functions: usize,
    pub reference: [Reference; MOST],
    /// What the guest has written to the BARs, decode or not.
    pub written: [[u32; 2]; MOST],
    /// What the guest has written to COMMAND.
    pub command: [u16; MOST],
    /// The BARs as they stood at the guest's last 0->1.
    pub latched: [u64; MOST],
    pub attached: [bool; MOST],
    /// Detached, and the host has not released it yet.
    pub departing: [bool; MOST],
    /// The guest has seen that the device does not answer.
    pub seen_dead: [bool; MOST],
    /// In a function-level reset.
    pub resetting: [bool; MOST],
    /// The last answer to a liveness test, for the mutant that remembers it.
    pub was_alive: [Option<bool>; MOST],
    /// Message style: what is on its way to the host.
    pub sequences: [Sequence; MOST],
    pub suspended: bool,
    /// I6 cannot be held against a false alarm or an untrue answer, which cost a pair.
    pub alarmed: bool,
}

pub fn slot(at: usize) -> Slot {
    Slot::from_wire(at as u32).unwrap()
}

impl World {
    pub fn new(guest: &Guest) -> World {
        let options = ConfigOptions {
            policy: guest.policy,
            style: guest.style,
            isolated: guest.isolated,
            capacity: MOST as u16,
            cache: guest.kind.caches(),
        };
        let mut space = ConfigSpace::new(options).unwrap();
        let claim = |space: &mut ConfigSpace, base| {
            space.claim_window(Window { aperture: Aperture::High, base, size: SIZE }).unwrap();
        };
        PLACES[..guest.functions].iter().for_each(|base| claim(&mut space, *base));
        if guest.mutant == Some(Mutant::ForeignWindow) {
            claim(&mut space, PLACES[0] & !0xFFFF_FFFF | PLACES[1] & 0xFFFF_FFFF);
        }
        let (strict, places) = (guest.policy != Policy::Eager, guest.functions);
        let host = Host { strict, places, mutant: guest.mutant, ..Host::default() };
        let mut world = World {
            space,
            host,
            functions: guest.functions,
            reference: Default::default(),
            written: Default::default(),
            command: Default::default(),
            latched: Default::default(),
            attached: Default::default(),
            departing: Default::default(),
            seen_dead: Default::default(),
            resetting: Default::default(),
            was_alive: Default::default(),
            sequences: Default::default(),
            suspended: false,
            alarmed: false,
        };
        (0..guest.functions).for_each(|at| world.attach(at));
        world.finish();
        world
    }

    pub fn policy(&self) -> Policy {
        self.space.options().policy
    }

    pub fn messages(&self) -> bool {
        self.space.options().style == GuestStyle::Messages
    }

    /// The host has what the guest writes; in message style it has the BARs by message, under whatever policy.
    fn eager(&self) -> bool {
        self.policy() == Policy::Eager && !self.messages()
    }

    pub fn is_mutant(&self, mutant: Mutant) -> bool {
        self.host.mutant == Some(mutant)
    }

    fn attach(&mut self, at: usize) {
        let base = PLACES[at];
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
        let bars = [Some(base), None, None, None, None, None];
        self.host.devices[at].silent = false;
        if self.messages() {
            self.host.devices[at] = Device { bar: registers(base), ..Device::default() };
        }
        let seed = FunctionSeed { description, probed: PROBED, bars, host_bars_known: self.messages() };
        self.space.attach(&mut self.host, &seed).unwrap();
        self.attached[at] = true;
        let decodes = self.eager();
        self.written[at] = registers(base);
        // Bus mastering is left as a previous kernel had it.
        let found = self.host.devices[at].command & BUS_MASTER;
        self.command[at] = found | if decodes { MEMORY } else { 0 };
        self.reference[at].device = Device { command: self.command[at], bar: registers(base), ..Device::default() };
        self.latched[at] = base;
        self.reference[at].maps += u32::from(decodes);
        (self.seen_dead[at], self.resetting[at], self.was_alive[at]) = (false, false, None);
        self.host.background[at] = Background::None;
    }

    pub fn guest_memory(&self, at: usize) -> bool {
        self.space.guest_view(slot(at)).is_some_and(|view| view.memory())
    }

    /// The guest's view after a loss of state: reset values.
    fn starts_afresh(&mut self, at: usize) {
        self.reference[at].device = Device::default();
        // Bus mastering is the host's own.
        (self.written[at], self.command[at]) = ([0; 2], self.host.devices[at].command & BUS_MASTER);
        if self.guest_memory(at) {
            self.host.breaks(Broken::I7);
        }
    }

    pub fn step(&mut self, at: usize, step: Step) {
        let me = slot(at);
        self.host.set_sent = false;
        match step {
            Step::Command(value) => self.write_command(at, value),
            Step::Bar(register, value) => self.write_bar(at, register, value),
            Step::Move(place) => {
                let [low, high] = registers(PLACES[place]);
                self.write_bar(at, 1, high);
                self.write_bar(at, 0, low);
            }
            Step::Bound(bound) => self.space.set_bound(&mut self.host, me, bound),
            Step::Read => self.read(at),
            Step::Lost | Step::FalseAlarm => {
                if step == Step::Lost {
                    self.host.reset(at);
                } else {
                    self.alarmed = true;
                }
                if !self.is_mutant(Mutant::LossUntold) {
                    self.space.host_lost_state(Functions::One(me));
                }
                self.starts_afresh(at);
            }
            Step::Detach(reach) => self.detach(at, reach),
            Step::Released => {
                self.departing[at] = false;
                self.host.reset(at);
                self.space.host_unmapped(Functions::One(me));
            }
            Step::Attach => self.attach(at),
            Step::Prefetch => {
                let allowed = self.space.prefetch_started(me).is_ok();
                if allowed || self.is_mutant(Mutant::PrefetchForced) {
                    self.host.background[at] = Background::Sent;
                }
            }
            Step::PrefetchLands => self.host.lands(at),
            Step::PrefetchDone(ok) => {
                // There, and said not to be: the guest must believe the worse of both.
                self.alarmed |= !ok && self.host.ahead[at];
                self.host.background[at] = Background::None;
                self.space.prefetch_finished(me, ok);
            }
            Step::Flr => {
                self.space.write(&mut self.host, me, DEVICE_CONTROL, 2, 0x8000);
                (self.seen_dead[at], self.resetting[at]) = (true, true);
                self.starts_afresh(at);
            }
            Step::Returns => (self.host.devices[at].silent, self.resetting[at]) = (false, false),
            Step::Vanish => {
                self.host.reset(at);
                self.host.devices[at].silent = true;
            }
            Step::Power(state) => {
                let wakes = self.host.devices[at].power == 3 && state == 0;
                self.space.write(&mut self.host, me, PMCSR, 2, u32::from(state));
                if wakes {
                    self.starts_afresh(at);
                }
            }
            Step::Restore => self.restore(at),
            Step::Suspend => {
                (0..self.functions).for_each(|at| self.host.reset(at));
                self.space.host_unmapped(Functions::All);
                (self.suspended, self.departing) = (true, [false; MOST]);
            }
            Step::Resume => self.resume(),
            Step::Alive => self.ask_whether_alive(at),
            Step::ReadIds => {
                let read = self.space.read(&mut self.host, me, 0, 2);
                let silent = self.host.devices[at].silent;
                // Only where somebody waits for the device the read is a liveness test.
                if self.seen_dead[at] && (read == 0xFFFF) != silent {
                    self.host.breaks(Broken::I9);
                }
                self.seen_dead[at] &= silent;
            }
            Step::ReadPointer => {
                let read = self.space.read(&mut self.host, me, CAPABILITIES, 1);
                let silent = self.host.devices[at].silent;
                let expected = if silent { 0xFF } else { 0x40 };
                if read != expected && (!silent || self.seen_dead[at]) {
                    self.host.breaks(Broken::I4);
                }
            }
            Step::PowerOn => self.power_on(at),
            Step::PowerOff => self.power_off(at),
            Step::Answer { done, ok } => self.answer(at, done, ok),
        }
        self.finish();
    }

    fn detach(&mut self, at: usize, reach: Reach) {
        let forgets = self.is_mutant(Mutant::DetachedAsGone) && reach == Reach::Clear;
        self.space.detach(&mut self.host, slot(at), if forgets { Reach::Gone } else { reach });
        self.attached[at] = false;
        self.departing[at] = reach == Reach::Host;
        self.sequences[at] = Sequence::default();
        if reach == Reach::Gone {
            self.host.reset(at);
        }
        if reach != Reach::Host {
            // Nobody waits for the answer any more.
            self.host.background[at] = Background::None;
        }
        if reach == Reach::Clear && self.host.devices[at].memory() {
            self.host.breaks(Broken::I5);
        }
        self.reference[at].command(0);
    }

    fn resume(&mut self) {
        self.suspended = false;
        if !self.is_mutant(Mutant::ResumeUntold) {
            self.space.host_lost_state(Functions::All);
        }
        for at in (0..self.functions).filter(|at| self.attached[*at]).collect::<Vec<_>>() {
            self.starts_afresh(at);
            (self.seen_dead[at], self.was_alive[at]) = (false, None);
            if self.messages() {
                // RESOURCES_ASSIGNED tells the host the BARs again, and the driver tells the config half.
                let (base, mut bars) = (PLACES[at], [None; 6]);
                bars[0] = Some(base);
                self.host.devices[at].bar = registers(base);
                self.space.restart(&mut self.host, slot(at), &bars, true);
                self.written[at] = registers(base);
                self.reference[at].device.bar = registers(base);
            }
        }
    }

    pub fn write_bar(&mut self, at: usize, register: usize, value: u32) {
        self.space.write(&mut self.host, slot(at), 0x10 + 4 * register as u16, 4, value);
        if self.is_mutant(Mutant::BarForwarded) {
            self.host.write_bar(at, register, value);
        }
        self.reference[at].bar(register, value);
        // Passed on as it is, it is ignored with decode on. In message style it is sent with the next power on, and counts
        // unless the guest knows that decode is on.
        let decodes = if self.messages() { self.guest_memory(at) } else { self.host.devices[at].memory() };
        if self.policy() != Policy::Eager || !decodes {
            self.written[at][register] = value & [0xFFF0_0000, u32::MAX][register];
        }
    }

    /// Whether decode may go on at an address: I3 protects functions whose guest has decode on. One that merely lingers
    /// must make way.
    pub fn may_enable(&self, at: usize, target: u64) -> bool {
        let taken = (0..self.functions)
            .any(|other| other != at && self.latched[other] == target && self.holds_its_range(other));
        self.host.is_legal(target) && !taken
    }

    pub fn write_command(&mut self, at: usize, value: u16) {
        let before = self.guest_memory(at);
        let target = address(self.written[at]);
        let allowed = self.eager() || self.may_enable(at, target);
        self.space.write(&mut self.host, slot(at), 0x04, 2, u32::from(value));
        self.reference[at].command(value);
        let after = self.guest_memory(at);
        let wanted = value & MEMORY != 0;
        self.command[at] = value & !MEMORY | if after { MEMORY } else { 0 };
        if wanted && !before && after != allowed || !wanted && after || wanted && before && !after {
            self.host.breaks(Broken::I3);
        }
        if after && !self.host.set_sent {
            self.host.breaks(Broken::I7);
        }
        if self.space.options().isolated && !wanted && self.host.devices[at].memory() {
            self.host.breaks(Broken::I8);
        }
        if after && !before {
            self.host.used(at);
            self.latched[at] = if self.eager() { self.host.devices[at].address() } else { target };
        }
        if wanted && !after {
            // Refused: the reference goes on as the guest believes.
            self.reference[at].device.command &= !MEMORY;
        }
        // The other bits are not the policy's business: they are at the host.
        if (self.host.devices[at].command ^ value) & BUS_MASTER != 0 {
            self.host.breaks(Broken::I4);
        }
    }
}
