//! What a guest asks.

use alloc::vec::Vec;

use hvpci_core::wire::Version;

use super::{Descriptor, MessageType, Reader};

/// The most interrupts a function may be assigned (`reference/protocol.md` section 11).
const MAX_INTERRUPTS: u32 = 494;
/// The most processors in a list.
const MAX_PROCESSORS: usize = 32;

/// An interrupt as a guest wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptRequest {
    /// The guest's vector, or its SPI on arm64.
    pub vector: u32,
    /// 0 fixed, 1 lowest priority.
    pub delivery: u8,
    /// How many consecutive messages.
    pub count: u16,
    /// The target virtual processors.
    pub processors: Vec<u16>,
}

/// A guest's message, taken apart. Slots are as the packet had them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of reference/protocol.md section 5
pub enum Request<'a> {
    QueryProtocolVersion { version: Version },
    QueryBusRelations,
    QueryResourceRequirements { slot: u32 },
    GetResources { slot: u32 },
    D0Entry { window: u64 },
    D0Exit,
    PowerStateChange { slot: u32, state: u32 },
    ReadBlock { slot: u32, block: u32, bytes: u32 },
    WriteBlock { slot: u32, block: u32, data: &'a [u8], slack: usize },
    EjectionComplete { slot: u32 },
    ResourcesAssigned { slot: u32, descriptors: [Descriptor; 6], interrupts: Vec<InterruptRequest> },
    ResourcesReleased { slot: u32 },
    CreateInterrupt { slot: u32, interrupt: InterruptRequest },
    DeleteInterrupt { slot: u32, address: u64, data: u32 },
    ResetDevice { slot: u32 },
    TdispCommand { slot: u32, data: &'a [u8] },
}

/// Why a packet is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Too short for its type, or a count that does not fit.
    Malformed,
    /// No such message, or one that only hosts send.
    Unknown,
}

impl<'a> Request<'a> {
    /// Takes a packet apart. `payload` is what follows the VMBus descriptor, padded to 8 bytes.
    pub fn parse(payload: &'a [u8]) -> Result<(MessageType, Request<'a>), (MessageType, RequestError)> {
        let mut reader = Reader::new(payload);
        let kind = MessageType(reader.u32().unwrap_or(0));
        if payload.len() < 4 {
            return Err((kind, RequestError::Malformed));
        }
        match parse_body(kind, &mut reader) {
            Ok(Some(request)) => Ok((kind, request)),
            Ok(None) => Err((kind, RequestError::Malformed)),
            Err(error) => Err((kind, error)),
        }
    }

    /// The slot the request names, where it names one.
    pub const fn slot(&self) -> Option<u32> {
        match self {
            Request::QueryProtocolVersion { .. }
            | Request::QueryBusRelations
            | Request::D0Entry { .. }
            | Request::D0Exit => None,
            Request::QueryResourceRequirements { slot }
            | Request::GetResources { slot }
            | Request::PowerStateChange { slot, .. }
            | Request::ReadBlock { slot, .. }
            | Request::WriteBlock { slot, .. }
            | Request::EjectionComplete { slot }
            | Request::ResourcesAssigned { slot, .. }
            | Request::ResourcesReleased { slot }
            | Request::CreateInterrupt { slot, .. }
            | Request::DeleteInterrupt { slot, .. }
            | Request::ResetDevice { slot }
            | Request::TdispCommand { slot, .. } => Some(*slot),
        }
    }
}

/// The body of a message; `Ok(None)` when it is malformed.
fn parse_body<'a>(kind: MessageType, reader: &mut Reader<'a>) -> Result<Option<Request<'a>>, RequestError> {
    Ok(match kind {
        MessageType::QUERY_PROTOCOL_VERSION => {
            reader.u32().map(|version| Request::QueryProtocolVersion { version: Version(version) })
        }
        MessageType::QUERY_BUS_RELATIONS => Some(Request::QueryBusRelations),
        MessageType::FDO_D0ENTRY => d0_entry(reader),
        MessageType::FDO_D0EXIT => Some(Request::D0Exit),
        MessageType::QUERY_RESOURCE_REQUIREMENTS => {
            reader.u32().map(|slot| Request::QueryResourceRequirements { slot })
        }
        MessageType::GET_RESOURCES => reader.u32().map(|slot| Request::GetResources { slot }),
        MessageType::DEVICE_POWER_STATE_CHANGE => power(reader),
        MessageType::READ_BLOCK => read_block(reader),
        MessageType::WRITE_BLOCK => write_block(reader),
        MessageType::EJECTION_COMPLETE => reader.u32().map(|slot| Request::EjectionComplete { slot }),
        MessageType::RESOURCES_ASSIGNED => assigned(reader, InterruptForm::V1),
        MessageType::RESOURCES_ASSIGNED2 => assigned(reader, InterruptForm::V2),
        MessageType::RESOURCES_ASSIGNED3 => assigned(reader, InterruptForm::V3),
        MessageType::RESOURCES_RELEASED => reader.u32().map(|slot| Request::ResourcesReleased { slot }),
        MessageType::CREATE_INTERRUPT => create(reader, InterruptForm::V1),
        MessageType::CREATE_INTERRUPT2 => create(reader, InterruptForm::V2),
        MessageType::CREATE_INTERRUPT3 => create(reader, InterruptForm::V3),
        MessageType::DELETE_INTERRUPT => delete(reader),
        MessageType::RESET_DEVICE => reader.u32().map(|slot| Request::ResetDevice { slot }),
        MessageType::TDISP_COMMAND => tdisp(reader),
        _ => return Err(RequestError::Unknown),
    })
}

fn d0_entry<'a>(reader: &mut Reader<'a>) -> Option<Request<'a>> {
    reader.u32()?;
    Some(Request::D0Entry { window: reader.u64()? })
}

fn power<'a>(reader: &mut Reader<'a>) -> Option<Request<'a>> {
    let (slot, state) = (reader.u32()?, reader.u32()?);
    (1..=4).contains(&state).then_some(Request::PowerStateChange { slot, state })
}

fn read_block<'a>(reader: &mut Reader<'a>) -> Option<Request<'a>> {
    let (block, slot, bytes) = (reader.u32()?, reader.u32()?, reader.u32()?);
    (1..=128).contains(&bytes).then_some(Request::ReadBlock { slot, block, bytes })
}

fn write_block<'a>(reader: &mut Reader<'a>) -> Option<Request<'a>> {
    let (block, slot, count) = (reader.u32()?, reader.u32()?, reader.u32()?);
    if !(1..=128).contains(&count) {
        return None;
    }
    let data = reader.take(usize::try_from(count).ok()?)?;
    Some(Request::WriteBlock { slot, block, data, slack: reader.rest().len() })
}

fn delete<'a>(reader: &mut Reader<'a>) -> Option<Request<'a>> {
    let slot = reader.u32()?;
    reader.take(4)?; // reserved and message count: the host keys on address and data alone
    let data = reader.u32()?;
    Some(Request::DeleteInterrupt { slot, address: reader.u64()?, data })
}

fn tdisp<'a>(reader: &mut Reader<'a>) -> Option<Request<'a>> {
    let slot = reader.u32()?;
    let length = usize::try_from(reader.u64()?).ok()?;
    Some(Request::TdispCommand { slot, data: reader.take(length)? })
}

fn create<'a>(reader: &mut Reader<'a>, form: InterruptForm) -> Option<Request<'a>> {
    let slot = reader.u32()?;
    Some(Request::CreateInterrupt { slot, interrupt: form.read(reader)? })
}

fn assigned<'a>(reader: &mut Reader<'a>, form: InterruptForm) -> Option<Request<'a>> {
    let slot = reader.u32()?;
    let mut descriptors = [Descriptor::default(); 6];
    for descriptor in &mut descriptors {
        *descriptor = Descriptor::read(reader)?;
    }
    let (count, _reserved) = (reader.u32()?, reader.u32()?);
    if count > MAX_INTERRUPTS {
        return None;
    }
    // Hosts want room for one interrupt even where there is none (section 5).
    if reader.rest().len() < form.entry_bytes() {
        return None;
    }
    let mut interrupts = Vec::new();
    for _ in 0..count {
        interrupts.push(form.read(&mut Reader::new(reader.take(form.entry_bytes())?))?);
    }
    Some(Request::ResourcesAssigned { slot, descriptors, interrupts })
}

/// The three layouts of an interrupt description.
#[derive(Clone, Copy)]
enum InterruptForm {
    V1,
    V2,
    V3,
}

impl InterruptForm {
    /// The bytes of one entry in RESOURCES_ASSIGNED*.
    const fn entry_bytes(self) -> usize {
        match self {
            InterruptForm::V1 => 16,
            InterruptForm::V2 => 72,
            InterruptForm::V3 => 80,
        }
    }

    fn read(self, reader: &mut Reader<'_>) -> Option<InterruptRequest> {
        let vector = match self {
            InterruptForm::V1 | InterruptForm::V2 => u32::from(reader.u8()?),
            InterruptForm::V3 => reader.u32()?,
        };
        let delivery = reader.u8()?;
        if let InterruptForm::V3 = self {
            reader.u8()?;
        }
        let count = reader.u16()?;
        let processors = match self {
            InterruptForm::V1 => {
                reader.u32()?;
                let mask = reader.u64()?;
                (0..64).filter(|cpu| (mask >> cpu) & 1 == 1).collect()
            }
            InterruptForm::V2 | InterruptForm::V3 => {
                let listed = usize::from(reader.u16()?);
                let mut list = Reader::new(reader.take(MAX_PROCESSORS.saturating_mul(2))?);
                if listed > MAX_PROCESSORS {
                    return None;
                }
                (0..listed).filter_map(|_| list.u16()).collect::<Vec<u16>>()
            }
        };
        let valid = (1..=32).contains(&count) && count.is_power_of_two() && delivery <= 1 && !processors.is_empty();
        valid.then_some(InterruptRequest { vector, delivery, count, processors })
    }
}
