//! The message style: decode by POWER_STATE_CHANGE, BARs by RESOURCES_ASSIGNED. The messages of one function follow each
//! other, as `driver::power_on` sends them; those of several functions are under way at once.

use super::device::{Broken, MEMORY, address, registers};
use super::mutants::Mutant;
use super::world::{World, slot};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Message {
    /// POWER_STATE_CHANGE to D3.
    Off,
    /// RESOURCES_ASSIGNED with the BAR here.
    Assign(u64),
    /// POWER_STATE_CHANGE to D0.
    On,
}

/// What is still to be sent for one function, the first of it being with the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence([Option<Message>; 3]);

impl Sequence {
    pub fn is_empty(&self) -> bool {
        self.0 == [None; 3]
    }

    fn push(&mut self, message: Message) {
        *self.0.iter_mut().find(|place| place.is_none()).unwrap() = Some(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let first = self.0[0];
        self.0 = [self.0[1], self.0[2], None];
        first
    }

    fn turns_on(&self) -> bool {
        self.0.contains(&Some(Message::On))
    }
}

impl World {
    /// Whether a function's range may not be given to another: its guest has decode on, or is about to.
    pub fn holds_its_range(&self, at: usize) -> bool {
        self.guest_memory(at) || self.sequences[at].turns_on()
    }

    pub fn power_on(&mut self, at: usize) {
        let target = address(self.written[at]);
        let allowed = self.may_enable(at, target);
        let mut plan = self.space.plan_power_on(&mut self.host, slot(at));
        if self.is_mutant(Mutant::RefusalIgnored) && plan.is_err() {
            plan = Ok(Default::default());
        }
        self.reference[at].command(MEMORY);
        let Ok(plan) = plan else {
            if allowed {
                self.host.breaks(Broken::I3);
            }
            self.reference[at].device.command = 0;
            return;
        };
        if plan.power_off_first && !self.is_mutant(Mutant::PowerOffLeftOut) {
            self.sequences[at].push(Message::Off);
        }
        if let Some(bars) = plan.bars {
            self.sequences[at].push(Message::Assign(bars[0].unwrap_or(0)));
        }
        self.sequences[at].push(Message::On);
        self.latched[at] = target;
    }

    pub fn power_off(&mut self, at: usize) {
        let isolated = self.space.options().isolated;
        if self.space.plan_power_off(slot(at)) {
            self.sequences[at].push(Message::Off);
        } else if isolated {
            self.host.breaks(Broken::I8);
        }
        self.reference[at].command(0);
    }

    pub fn answer(&mut self, at: usize, done: bool, ok: bool) {
        let Some(message) = self.sequences[at].pop() else { return };
        // Done, and said not to be: the guest must believe the worse of both.
        self.alarmed |= done != ok;
        let me = slot(at);
        match message {
            Message::Off => {
                if done {
                    self.host.set_memory(at, false);
                }
                self.space.power_completed(me, false, ok);
            }
            Message::Assign(base) => {
                if done {
                    for (register, value) in registers(base).into_iter().enumerate() {
                        self.host.write_bar(at, register, value);
                    }
                }
                if ok {
                    let mut bars = [None; 6];
                    bars[0] = Some(base);
                    self.space.bars_assigned(me, &bars);
                }
            }
            Message::On => {
                if done {
                    self.host.set_memory(at, true);
                }
                self.space.power_completed(me, true, ok);
            }
        }
        if !ok {
            // As `driver::power_on` does, whichever of its messages failed.
            self.space.power_abandoned(me);
            self.sequences[at] = Sequence::default();
            self.reference[at].device.command = 0;
        }
    }
}
