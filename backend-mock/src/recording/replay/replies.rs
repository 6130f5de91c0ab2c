//! Answers to requests, by the request's kind.

use hvpci_core::wire::{
    AssignedForm, CreateInterruptReply, GetResourcesReply, MessageType, ParseError, PowerStateReply, ProbedBars,
    QueryProtocolVersionReply, ReadBlockReply, ResourceRequirementsReply, ResourcesAssignedReply, Status, StatusReply,
    TdispReply,
};

/// The longest answer that [`done`] makes.
const ROOM: usize = 64;

/// Whether a completion parses as the answer to a request; `bytes` is what a READ_BLOCK asked for.
pub(super) fn check_reply(request: MessageType, bytes: u32, payload: &[u8]) -> Result<(), ParseError> {
    match request {
        // Answered by a message of its own; a completion, where one was asked for, is empty.
        MessageType::QUERY_BUS_RELATIONS => Ok(()),
        MessageType::QUERY_PROTOCOL_VERSION => QueryProtocolVersionReply::parse(payload).map(drop),
        MessageType::QUERY_RESOURCE_REQUIREMENTS => ResourceRequirementsReply::parse(payload).map(drop),
        MessageType::GET_RESOURCES => GetResourcesReply::parse(payload).map(drop),
        MessageType::RESOURCES_ASSIGNED => ResourcesAssignedReply::parse(AssignedForm::V1, payload).map(drop),
        MessageType::RESOURCES_ASSIGNED2 => ResourcesAssignedReply::parse(AssignedForm::V2, payload).map(drop),
        MessageType::RESOURCES_ASSIGNED3 => ResourcesAssignedReply::parse(AssignedForm::V3, payload).map(drop),
        MessageType::DEVICE_POWER_STATE_CHANGE => PowerStateReply::parse(payload).map(drop),
        MessageType::CREATE_INTERRUPT | MessageType::CREATE_INTERRUPT2 | MessageType::CREATE_INTERRUPT3 => {
            CreateInterruptReply::parse(payload).map(drop)
        }
        MessageType::READ_BLOCK => ReadBlockReply::parse(payload, bytes).map(drop),
        MessageType::TDISP_COMMAND => TdispReply::parse(payload).map(drop),
        _ => StatusReply::parse(payload).map(drop),
    }
}

/// What a host says that refuses a version.
pub(super) fn wrong_version() -> Vec<u8> {
    Status::REVISION_MISMATCH.0.to_le_bytes().to_vec()
}

/// What a host says that has done what was asked; `probed` for a query of the BARs.
pub(super) fn done(request: MessageType, probed: ProbedBars) -> Vec<u8> {
    let mut bytes = vec![0; ROOM];
    let length = match request {
        MessageType::QUERY_RESOURCE_REQUIREMENTS => {
            ResourceRequirementsReply { status: Status::SUCCESS, bars: probed }.encode(&mut bytes).unwrap_or(0)
        }
        // The engine looks at the status alone, which comes first.
        _ => size_of::<Status>(),
    };
    bytes.truncate(length);
    bytes
}
