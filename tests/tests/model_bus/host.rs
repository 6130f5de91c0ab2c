//! The abstract host of the model: what it was asked, what it holds, and what it may have mapped.

use hvpci_core::Slot;
use hvpci_core::bus::Transmit;
use hvpci_core::wire::{
    CreateInterruptReply, FunctionDescription, GuestMessage, MsiEntry, PowerState, PowerStateReply, ProbedBars,
    QueryProtocolVersionReply, Relations, RelationsForm, ResourceRequirementsReply, Status, StatusReply, Version,
};

use super::mutants::Mutant;
use super::world::Broken;

/// The size of each function's BAR.
pub const BAR: u64 = 1 << 20;
/// What each function answers to the query for its BARs: one 64-bit prefetchable BAR of 1 MiB.
const PROBED: ProbedBars = ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0, 0, 0, 0]);
/// Any refusal that is not a version mismatch.
const REFUSED: Status = Status(0xC000_0001);

/// What the host was asked and has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    Version,
    Requirements(u32),
    D0Entry,
    D0Exit,
    Assign(u32),
    Power(u32, bool),
    Create(u32),
    /// Something about a function that was released or removed since, with the answer it gets all the same.
    Overtaken(bool),
}

impl What {
    /// Power changes are done in the background; everything else is done in the order in which it was asked.
    fn in_background(self) -> bool {
        matches!(self, What::Power(..))
    }
}

/// A function as the host has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listed {
    pub slot: u32,
    pub serial: u32,
}

/// A range that the host may have mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapped {
    pub slot: u32,
    pub base: u64,
    /// A request is under way that may map it (again).
    pub asked: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    pub open: bool,
    pub rescinded: bool,
    /// The ring is gone: every send fails.
    pub closed: bool,
    /// The ring is full: every send is refused for now.
    pub full: bool,
    pub versioned: bool,
    pub d0: bool,
    pub list: Vec<Listed>,
    pub owes_list: bool,
    /// The guest was sent a list on this channel: it is told of changes.
    pub listed: bool,
    pub pending: Vec<(u64, What)>,
    /// Bit per slot: resources assigned.
    pub assigned: u8,
    /// Per slot: the function for which an eject was sent that was not completed.
    pub ejecting: [Option<u32>; 2],
    pub mapped: Vec<Mapped>,
    /// Bit per slot: a map was asked for by message, on this channel, of the function that the guest has there.
    pub asked: u8,
    /// Functions came or left since the guest last took a list.
    pub changed: bool,
    /// The highest transaction id so far.
    pub last_id: u64,
    pub mutant: Option<Mutant>,
}

pub fn bit(slot: u32) -> u8 {
    1 << slot
}

impl Host {
    /// Takes a packet. `bars` are the addresses that the engine has for each slot.
    pub fn receive(&mut self, packet: &Transmit, payload: &[u8], bars: &dyn Fn(u32) -> Option<u64>) -> Option<Broken> {
        if self.rescinded {
            return Some(Broken::SentAfterRescind);
        }
        if !self.open {
            return Some(Broken::SentWhileClosed);
        }
        if packet.wants_completion {
            if packet.transaction_id <= self.last_id {
                return Some(Broken::TransactionId);
            }
            self.last_id = packet.transaction_id;
        } else if packet.transaction_id != 0 {
            return Some(Broken::TransactionId);
        }
        let Ok(message) = GuestMessage::parse(payload) else { return Some(Broken::Protocol("unparsable")) };
        if !self.versioned && !matches!(message, GuestMessage::QueryProtocolVersion { .. }) {
            return Some(Broken::Protocol("before the version was agreed on"));
        }
        let mut ask = |what| {
            if !packet.wants_completion {
                return Some(Broken::TransactionId);
            }
            self.pending.push((packet.transaction_id, what));
            None
        };
        match message {
            GuestMessage::QueryProtocolVersion { .. } if self.versioned => Some(Broken::Protocol("second version")),
            GuestMessage::QueryProtocolVersion { .. } => ask(What::Version),
            GuestMessage::QueryBusRelations => {
                self.owes_list = true;
                None
            }
            GuestMessage::QueryResourceRequirements { slot } => ask(What::Requirements(slot.to_wire())),
            GuestMessage::D0Entry { .. } if self.d0 => Some(Broken::Protocol("D0 entry twice")),
            GuestMessage::D0Entry { .. } => ask(What::D0Entry),
            GuestMessage::D0Exit => ask(What::D0Exit),
            GuestMessage::ResourcesAssigned { slot, .. } if self.assigned & bit(slot.to_wire()) != 0 => {
                Some(Broken::Protocol("assigned twice"))
            }
            GuestMessage::ResourcesAssigned { .. } if !self.d0 => Some(Broken::Protocol("assigned outside D0")),
            GuestMessage::ResourcesAssigned { slot, .. } => ask(What::Assign(slot.to_wire())),
            GuestMessage::PowerStateChange { slot, state } => {
                let (slot, on) = (slot.to_wire(), state == PowerState::D0);
                let known = self.list.iter().any(|f| f.slot == slot);
                // On the way down the guest takes no lists, and cannot know of a function that was exchanged.
                if self.assigned & bit(slot) == 0 && known && !self.changed {
                    return Some(Broken::Protocol("power without resources"));
                }
                let broken = ask(What::Power(slot, on));
                self.asked |= if on { bit(slot) } else { 0 };
                if on && let Some(base) = bars(slot) {
                    self.may_map(slot, base, true);
                }
                broken
            }
            GuestMessage::CreateInterrupt { slot, .. } => ask(What::Create(slot.to_wire())),
            GuestMessage::DeleteInterrupt { slot, .. } => {
                let gone = !self.list.iter().any(|f| f.slot == slot.to_wire());
                let held = self.assigned & bit(slot.to_wire()) != 0;
                (!held && !gone).then_some(Broken::Protocol("interrupt deleted of a released function"))
            }
            GuestMessage::ResourcesReleased { .. } if self.mutant == Some(Mutant::LeftOpen) => None,
            GuestMessage::ResourcesReleased { slot } => {
                let slot = slot.to_wire();
                self.assigned &= !bit(slot);
                // What was asked for in the background is not undone by this, as far as the guest knows.
                self.mapped.retain(|m| m.slot != slot || m.asked);
                for (_, what) in self.pending.iter_mut().filter(|(_, what)| *what == What::Assign(slot)) {
                    *what = What::Overtaken(true);
                }
                None
            }
            GuestMessage::EjectionComplete { slot } => {
                let slot = slot.to_wire();
                let Some(serial) = self.ejecting[slot as usize].take() else { return Some(Broken::Eject) };
                if self.list.contains(&Listed { slot, serial }) {
                    self.remove(slot);
                }
                None
            }
            _ => Some(Broken::Protocol("unexpected message")),
        }
    }

    /// A range that the guest may have had mapped from now on.
    pub fn may_map(&mut self, slot: u32, base: u64, asked: bool) {
        match self.mapped.iter_mut().find(|m| m.slot == slot && m.base == base) {
            Some(mapped) => mapped.asked |= asked,
            None => self.mapped.push(Mapped { slot, base, asked }),
        }
        self.mapped.sort_by_key(|m| (m.slot, m.base));
    }

    /// Which of the pending requests may be answered now.
    pub fn answerable(&self) -> impl Iterator<Item = usize> + '_ {
        let first = self.pending.iter().position(|(_, what)| !what.in_background());
        (0..self.pending.len()).filter(move |at| first == Some(*at) || self.pending[*at].1.in_background())
    }

    /// Answers a request: its transaction id and the payload of the completion.
    pub fn answer(&mut self, at: usize, ok: bool, messages: bool) -> (u64, Vec<u8>) {
        let (id, what) = self.pending.remove(at);
        let status = if ok { Status::SUCCESS } else { REFUSED };
        let mut buf = [0; 256];
        let length = match what {
            What::Version => {
                let status = if ok { status } else { Status::REVISION_MISMATCH };
                self.versioned |= ok;
                QueryProtocolVersionReply { status, version: Version::V1_4 }.encode(&mut buf)
            }
            What::Requirements(slot) => {
                let there = self.list.iter().any(|f| f.slot == slot);
                let status = if there { status } else { REFUSED };
                ResourceRequirementsReply { status, bars: PROBED }.encode(&mut buf)
            }
            What::D0Entry => {
                self.d0 |= ok && self.mutant != Some(Mutant::D0Assumed);
                self.owes_list |= ok && messages;
                StatusReply { status }.encode(&mut buf)
            }
            What::D0Exit => {
                if ok && self.mutant != Some(Mutant::LeftOpen) {
                    self.leave_d0();
                }
                StatusReply { status }.encode(&mut buf)
            }
            What::Assign(slot) => {
                let there = self.list.iter().any(|f| f.slot == slot);
                if ok && there {
                    self.assigned |= bit(slot);
                }
                let status = if there { status } else { REFUSED };
                StatusReply { status }.encode(&mut buf)
            }
            What::Overtaken(done) => {
                let status = if done { status } else { REFUSED };
                StatusReply { status }.encode(&mut buf)
            }
            What::Power(slot, on) => {
                let more = self.pending.iter().any(|(_, w)| *w == What::Power(slot, true));
                let there = self.list.iter().any(|f| f.slot == slot) && self.assigned & bit(slot) != 0;
                for mapped in self.mapped.iter_mut().filter(|m| m.slot == slot) {
                    mapped.asked = more;
                }
                if !on || !ok || !there {
                    self.mapped.retain(|m| m.slot != slot || m.asked);
                }
                let status = if there { status } else { REFUSED };
                PowerStateReply { status, result: None }.encode(&mut buf)
            }
            What::Create(slot) => {
                let there = self.assigned & bit(slot) != 0;
                let status = if there { status } else { REFUSED };
                let entry = MsiEntry { address: 0xFEE0_0000, data: 0x30 + slot, message_count: 1, reserved: 0 };
                CreateInterruptReply { status, entry }.encode(&mut buf)
            }
        };
        (id, buf[..length.unwrap()].to_vec())
    }

    fn leave_d0(&mut self) {
        // Background work ends with it, though it is still answered.
        self.d0 = false;
        self.assigned = 0;
        self.mapped.clear();
    }

    /// The channel is closed: the host forgets everything but its functions.
    pub fn forget(&mut self) {
        self.leave_d0();
        self.asked = 0;
        (self.open, self.versioned, self.owes_list, self.ejecting) = (false, false, false, [None; 2]);
        (self.closed, self.full, self.listed) = (false, false, false);
        self.pending.clear();
    }

    /// A function is gone from the host: with its maps and resources.
    pub fn remove(&mut self, slot: u32) {
        self.changed = true;
        self.list.retain(|f| f.slot != slot);
        self.assigned &= !bit(slot);
        self.mapped.retain(|m| m.slot != slot);
        for (_, what) in &mut self.pending {
            let (What::Requirements(of) | What::Assign(of) | What::Power(of, _) | What::Create(of)) = *what else {
                continue;
            };
            if of == slot {
                *what = What::Overtaken(false);
            }
        }
    }

    /// The list of functions as a message.
    pub fn list_message(&mut self) -> Vec<u8> {
        (self.owes_list, self.listed) = (false, true);
        let functions: Vec<FunctionDescription> = self.list.iter().map(describe).collect();
        let mut buf = [0; 256];
        let length = Relations::encode_list(RelationsForm::V2, &functions, &mut buf).unwrap();
        buf[..length].to_vec()
    }
}

fn describe(function: &Listed) -> FunctionDescription {
    FunctionDescription {
        slot: Slot::from_wire(function.slot).unwrap(),
        vendor: 0x1414,
        device: 0xB111,
        revision: 1,
        prog_if: 0,
        sub_class: 2,
        base_class: 3,
        subsystem_vendor: 0,
        subsystem: 0,
        serial: function.serial,
        numa_node: None,
    }
}
