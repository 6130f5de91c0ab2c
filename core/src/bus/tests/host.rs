//! A scripted host: what it hears it answers, unless a test tells it not to.

use std::collections::VecDeque;

use super::super::*;
use crate::Slot;
use crate::backend::{PacketPort, SendError};
use crate::wire::*;

pub const GIB: u64 = 1 << 30;

pub fn slot(wslot: u32) -> Slot {
    Slot::from_wire(wslot).unwrap()
}

pub fn function(wslot: u32) -> FunctionDescription {
    FunctionDescription {
        slot: slot(wslot),
        vendor: 0x10DE,
        device: 0x20B0,
        revision: 0xA1,
        prog_if: 0,
        sub_class: 2,
        base_class: 3,
        subsystem_vendor: 0x10DE,
        subsystem: 0x1463,
        serial: 0x100 + wslot,
        numa_node: None,
    }
}

/// A 64-bit BAR 0 of 64 KiB and a 32-bit BAR 2 of 4 KiB.
pub const PROBED: ProbedBars = ProbedBars([0xFFFF_000C, 0xFFFF_FFFF, 0xFFFF_F000, 0, 0, 0]);
/// A 64-bit BAR 1 of 128 GiB.
pub const HUGE: ProbedBars = ProbedBars([0, 0x0000_000C, 0xFFFF_FFE0, 0, 0, 0]);
pub const CONFIG_WINDOW: u64 = 0xF800_0000;

/// What the guest said, without borrowed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Version(Version),
    Relations,
    Requirements(u32),
    D0Entry(u64),
    D0Exit,
    /// The descriptors are all null, or not.
    Assigned(AssignedForm, u32, bool),
    Released(u32),
    Power(u32, PowerState),
    Create(CreateForm, u32, u32),
    Delete(u32, MsiEntry),
    Read(u32, u32, u32),
    Write(u32, Vec<u8>),
    EjectComplete(u32),
    Reset(u32),
    Get(u32),
}

pub struct Host {
    pub versions: Vec<Version>,
    pub agreed: Version,
    pub functions: Vec<(FunctionDescription, ProbedBars)>,
    pub said: Vec<Said>,
    pub ids: Vec<u64>,
    pub inbox: VecDeque<(PacketKind, u64, Vec<u8>)>,
    /// Answers nothing any more.
    pub silent: bool,
    /// Requests to leave unanswered; they are kept with their ids.
    pub ignore: fn(&Said) -> bool,
    pub ignored: Vec<(u64, Said)>,
    /// The status to answer a request with, for those that are to fail.
    pub refuse: fn(&Said) -> Option<Status>,
    pub d0_refusals: usize,
    /// The ring takes nothing for so many attempts.
    pub ring_full: usize,
    pub closed: bool,
    pub rescinded: bool,
    pub bars: Vec<(u32, [MmioDescriptor; 6])>,
    pub next_data: u32,
    pub relations_before_d0_reply: bool,
}

impl Host {
    pub fn new() -> Host {
        Host {
            versions: Version::SPOKEN.to_vec(),
            agreed: Version::V1_1,
            functions: vec![(function(0), PROBED)],
            said: vec![],
            ids: vec![],
            inbox: VecDeque::new(),
            silent: false,
            ignore: |_| false,
            ignored: vec![],
            refuse: |_| None,
            d0_refusals: 0,
            ring_full: 0,
            closed: false,
            rescinded: false,
            bars: vec![],
            next_data: 0x40,
            relations_before_d0_reply: true,
        }
    }

    pub fn message(&mut self, message: HostMessage<'_>) {
        let mut buf = vec![0; 0x4000];
        let length = message.encode(&mut buf).unwrap();
        buf.truncate(length.next_multiple_of(8));
        self.inbox.push_back((PacketKind::InBand, 0, buf));
    }

    pub fn list(&mut self, functions: &[FunctionDescription]) {
        let mut buf = vec![0; 0x4000];
        let length = Relations::encode_list(self.agreed.relations_form(), functions, &mut buf).unwrap();
        buf.truncate(length.next_multiple_of(8));
        self.inbox.push_back((PacketKind::InBand, 0, buf));
    }

    pub fn relations(&mut self) {
        let functions: Vec<_> = self.functions.iter().map(|f| f.0).collect();
        self.list(&functions);
    }

    pub fn complete(&mut self, id: u64, payload: Vec<u8>) {
        self.inbox.push_back((PacketKind::Completion, id, payload));
    }

    fn reply(&mut self, id: u64, said: &Said) {
        let mut buf = vec![0; 256];
        let status = match (self.refuse)(said) {
            Some(status) => status,
            None => Status::SUCCESS,
        };
        if !status.is_success() {
            let length = StatusReply { status }.encode(&mut buf).unwrap();
            buf.truncate(length.next_multiple_of(8));
            return self.complete(id, buf);
        }
        let length = match said {
            Said::Version(version) => {
                let known = self.versions.contains(version);
                if known {
                    self.agreed = *version;
                }
                let status = if known { Status::SUCCESS } else { Status::REVISION_MISMATCH };
                // The version in the reply says nothing.
                QueryProtocolVersionReply { status, version: Version::V1_3 }.encode(&mut buf)
            }
            Said::D0Entry(_) if self.d0_refusals > 0 => {
                self.d0_refusals -= 1;
                StatusReply { status: Status(0xC000_0001) }.encode(&mut buf)
            }
            Said::D0Entry(_) if self.relations_before_d0_reply => {
                self.relations();
                StatusReply { status }.encode(&mut buf)
            }
            Said::D0Entry(_) => {
                StatusReply { status }.encode(&mut buf).unwrap();
                buf.truncate(8);
                self.complete(id, buf);
                return self.relations();
            }
            Said::Requirements(of) => {
                let bars =
                    self.functions.iter().find(|f| f.0.slot.to_wire() == *of).map_or(ProbedBars::default(), |f| f.1);
                ResourceRequirementsReply { status, bars }.encode(&mut buf)
            }
            Said::Create(..) => {
                self.next_data += 1;
                let entry = MsiEntry { address: 0xFEE0_0000, data: self.next_data, message_count: 1, reserved: 0 };
                CreateInterruptReply { status, entry }.encode(&mut buf)
            }
            Said::Read(_, _, bytes) => {
                let data = vec![0x5A; *bytes as usize];
                ReadBlockReply { status, data: &data }.encode(&mut buf)
            }
            Said::Get(_) => GetResourcesReply::Resources(MmioDescriptor::NONE).encode(&mut buf),
            _ => StatusReply { status }.encode(&mut buf),
        };
        buf.truncate(length.unwrap().next_multiple_of(8));
        self.complete(id, buf);
    }

    fn hear(&mut self, transmit: &Transmit, payload: &[u8]) {
        let wire = |slot: Slot| slot.to_wire();
        let said = match GuestMessage::parse(payload).unwrap() {
            GuestMessage::QueryProtocolVersion { version } => Said::Version(version),
            GuestMessage::QueryBusRelations => Said::Relations,
            GuestMessage::QueryResourceRequirements { slot } => Said::Requirements(wire(slot)),
            GuestMessage::D0Entry { window } => Said::D0Entry(window),
            GuestMessage::D0Exit => Said::D0Exit,
            GuestMessage::ResourcesAssigned { form, slot, bars, .. } => {
                self.bars.push((wire(slot), bars));
                Said::Assigned(form, wire(slot), bars == MmioDescriptor::NONE)
            }
            GuestMessage::ResourcesReleased { slot } => Said::Released(wire(slot)),
            GuestMessage::PowerStateChange { slot, state } => Said::Power(wire(slot), state),
            GuestMessage::CreateInterrupt { form, slot, vector, .. } => Said::Create(form, wire(slot), vector),
            GuestMessage::DeleteInterrupt { slot, entry } => Said::Delete(wire(slot), entry),
            GuestMessage::ReadBlock { slot, block, bytes } => Said::Read(wire(slot), block, bytes),
            GuestMessage::WriteBlock { slot, data, .. } => Said::Write(wire(slot), data.to_vec()),
            GuestMessage::EjectionComplete { slot } => {
                self.functions.retain(|(function, _)| function.slot != slot);
                Said::EjectComplete(wire(slot))
            }
            GuestMessage::ResetDevice { slot } => Said::Reset(wire(slot)),
            GuestMessage::GetResources { slot } => Said::Get(wire(slot)),
            other => panic!("the engine never says {other:?}"),
        };
        self.said.push(said.clone());
        let wants = !matches!(said, Said::Relations | Said::Released(_) | Said::Delete(..) | Said::EjectComplete(_));
        assert_eq!(transmit.wants_completion, wants, "{said:?}");
        if wants {
            // Not in order: a request about a function that the newest list does not have is held back.
            assert!(transmit.transaction_id != 0 && !self.ids.contains(&transmit.transaction_id), "used once, never 0");
            self.ids.push(transmit.transaction_id);
        } else {
            assert_eq!(transmit.transaction_id, 0);
        }
        if self.silent || (self.ignore)(&said) {
            return self.ignored.push((transmit.transaction_id, said));
        }
        match said {
            Said::Relations => self.relations(),
            said if wants => self.reply(transmit.transaction_id, &said),
            _ => {}
        }
    }
}

impl PacketPort for Host {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        assert!(!self.rescinded, "nothing is sent after a rescind");
        if self.closed {
            return Err(SendError::Closed);
        }
        if self.ring_full > 0 {
            self.ring_full -= 1;
            return Err(SendError::Busy);
        }
        self.hear(packet, payload);
        Ok(())
    }
}
