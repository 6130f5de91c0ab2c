//! Reading the guest's packets.

use hvpci_core::wire::Version;
use hvpci_core::{Slot, Time};

use super::Bus;
use super::send::Call;
use crate::host::packet::{MessageType, Request, RequestError, Writer, status};
use crate::host::ring::GuestPacket;
use crate::host::shared::Shared;
use crate::host::{Fault, PacketKind, Severity, VersionReply, ViolationKind};

impl Bus {
    /// Does everything that is due: late ejects, and the guest's packets as far as their answers fit into the ring.
    pub(in crate::host) fn run(&mut self, shared: &mut Shared, now: Time) {
        self.expire_ejects(shared, now);
        while self.is_open() {
            // The longest answers: a list of all functions; descriptors and interrupts come back as long as they came.
            let other_bytes = self.functions.len().saturating_mul(28).saturating_add(256);
            let Some(packet) = self.ring.pop_guest(shared.options.ring_bytes, other_bytes) else { return };
            self.receive(shared, now, &packet);
        }
    }

    fn receive(&mut self, shared: &mut Shared, now: Time, packet: &GuestPacket) {
        // Windows-like guests complete the host's messages; that means nothing (section 1).
        if packet.kind == PacketKind::Completion {
            self.count_message(None);
            return;
        }
        let parsed = Request::parse(&packet.payload);
        let (kind, wslot) = match &parsed {
            Ok((kind, request)) => (*kind, request.slot()),
            Err((kind, _)) => (*kind, None),
        };
        self.count_message(wslot);
        if packet.wants_completion {
            self.check_transaction(shared, now, kind, packet.transaction_id);
        }
        let faults = self.faults.count_request(kind, packet.wants_completion);
        if !self.survives(shared, now, &faults) || faults.contains(&Fault::LoseRequest) {
            return;
        }
        let call = Call {
            now,
            kind,
            slot: wslot,
            wants_completion: packet.wants_completion,
            transaction_id: packet.transaction_id,
            faults,
        };
        let refused = call.faults.iter().find_map(|fault| match fault {
            Fault::Refuse(status) => Some(*status),
            _ => None,
        });
        if let Some(status) = refused {
            self.refused |= kind == MessageType::FDO_D0ENTRY;
            self.complete_status(shared, &call, status);
            return;
        }
        let problem = match &parsed {
            Err((kind, RequestError::Unknown)) => Some(ViolationKind::UnknownMessage(*kind)),
            Err((kind, RequestError::Malformed)) => Some(ViolationKind::Malformed(*kind)),
            Ok((kind, request)) => self.out_of_order(*kind, request),
        };
        if let Some(problem) = problem {
            shared.violation(now, self.id, wslot.and_then(Slot::from_wire), problem);
        }
        let stops = problem.is_some_and(|problem| {
            problem.severity() == Severity::Error
                && !matches!(problem, ViolationKind::NegotiatedTwice | ViolationKind::AssignedTwice)
        });
        match parsed {
            Ok((_, request)) if !stops => self.dispatch(shared, &call, request),
            _ => self.complete_status(shared, &call, status::BAD_DATA),
        }
    }

    fn check_transaction(&mut self, shared: &mut Shared, now: Time, kind: MessageType, id: u64) {
        if id == 0 {
            shared.violation(now, self.id, None, ViolationKind::ZeroTransactionId(kind));
        }
        if !self.ring.begin(id) {
            shared.violation(now, self.id, None, ViolationKind::TransactionIdInUse(id));
        }
    }

    fn dispatch(&mut self, shared: &mut Shared, call: &Call, request: Request<'_>) {
        if let Some(wslot) = request.slot() {
            // Functions that left, and slots that never had one, end here.
            match Slot::from_wire(wslot).filter(|slot| self.functions.contains_key(slot)) {
                Some(slot) => self.function_request(shared, call, slot, request),
                None => self.complete_status(shared, call, status::BAD_DATA),
            }
            return;
        }
        match request {
            Request::QueryProtocolVersion { version } => self.negotiate(shared, call, version),
            Request::QueryBusRelations => {
                self.subscribed = true;
                self.send_relations(shared, call.now);
                // No completion is defined; one that was asked for is empty (section 5).
                self.complete(shared, call, call.now, Writer::new().finish());
            }
            Request::D0Entry { window } => self.d0_entry(shared, call, window),
            Request::D0Exit => self.d0_exit(shared, call),
            _ => self.complete_status(shared, call, status::BAD_DATA),
        }
    }

    fn function_request(&mut self, shared: &mut Shared, call: &Call, slot: Slot, request: Request<'_>) {
        match request {
            Request::QueryResourceRequirements { .. } => self.query_requirements(shared, call, slot),
            Request::GetResources { .. } => self.get_resources(shared, call, slot),
            Request::PowerStateChange { state, .. } => self.power_state_change(shared, call, slot, state),
            Request::ReadBlock { block, bytes, .. } => self.read_block(shared, call, slot, block, bytes),
            Request::WriteBlock { block, data, slack, .. } => self.write_block(shared, call, slot, block, data, slack),
            Request::EjectionComplete { .. } => {
                self.complete_status(shared, call, status::SUCCESS);
                self.finish_eject(shared, call.now, slot);
            }
            Request::ResourcesAssigned { descriptors, interrupts, .. } => {
                self.assign(shared, call, slot, &descriptors, &interrupts);
            }
            Request::ResourcesReleased { .. } => self.released(shared, call, slot),
            Request::CreateInterrupt { interrupt, .. } => self.create_interrupt(shared, call, slot, &interrupt),
            Request::DeleteInterrupt { address, data, .. } => {
                self.delete_interrupt(shared, call, slot, address, data);
            }
            Request::ResetDevice { .. } => self.reset_device(shared, call, slot),
            Request::TdispCommand { .. } => self.complete_status(shared, call, status::NOT_SUPPORTED),
            Request::QueryProtocolVersion { .. }
            | Request::QueryBusRelations
            | Request::D0Entry { .. }
            | Request::D0Exit => {}
        }
    }

    fn negotiate(&mut self, shared: &Shared, call: &Call, version: Version) {
        let known = &shared.options.versions;
        let result = if known.contains(&version) {
            self.version = Some(version);
            status::SUCCESS
        } else {
            status::REVISION_MISMATCH
        };
        let named = match shared.options.version_reply {
            VersionReply::HighestKnown => known.iter().max().copied().unwrap_or(Version::V1_1),
            VersionReply::Fixed(version) => version,
        };
        self.complete(shared, call, call.now, Writer::starting(result).u32(named.0).finish());
    }
}
