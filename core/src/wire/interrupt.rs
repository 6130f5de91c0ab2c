//! CREATE_INTERRUPT in its three forms, and DELETE_INTERRUPT.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{SlotHeader, put, reply, slot, view};
use super::vp_set::MAX_VPS_IN_LIST;
use super::{EncodeError, GuestMessage, MessageType, ParseError, Status, VpSet};
use crate::Slot;

/// The most messages one CREATE_INTERRUPT may ask for: multi-MSI's 32 (`reference/protocol.md` section 11).
pub const MAX_MESSAGES_PER_REQUEST: u16 = 32;

/// The slot header in front of a descriptor.
const HEADER: usize = size_of::<SlotHeader>();

/// Which of the three messages creates interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CreateForm {
    /// CREATE_INTERRUPT: protocol 1.1, 8-bit vectors, a mask of 64 virtual processors.
    V1,
    /// CREATE_INTERRUPT2: protocol 1.2 and 1.3, 8-bit vectors, a list of virtual processors.
    V2,
    /// CREATE_INTERRUPT3: protocol 1.4 and later, 32-bit vectors, a list of virtual processors.
    V3,
}

impl CreateForm {
    /// The message of this form.
    pub const fn message_type(self) -> MessageType {
        match self {
            CreateForm::V1 => MessageType::CREATE_INTERRUPT,
            CreateForm::V2 => MessageType::CREATE_INTERRUPT2,
            CreateForm::V3 => MessageType::CREATE_INTERRUPT3,
        }
    }

    /// Bytes of the descriptor, the last two of them reserved in the second and third form. Linux leaves those out and
    /// OpenVMM has them; sending them suits both, and the ring's padding makes the packets equal.
    pub(super) const fn descriptor_length(self) -> usize {
        match self {
            CreateForm::V1 => 16,
            CreateForm::V2 => 72,
            CreateForm::V3 => 76,
        }
    }
}

/// How an interrupt is delivered. Other numbers are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryMode(pub u8);

impl DeliveryMode {
    /// To the processors named; the only mode on arm64.
    pub const FIXED: DeliveryMode = DeliveryMode(0);
    /// To the one of lowest priority among them (x86).
    pub const LOWEST_PRIORITY: DeliveryMode = DeliveryMode(1);
}

impl fmt::Debug for DeliveryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DeliveryMode::FIXED => f.pad("fixed"),
            DeliveryMode::LOWEST_PRIORITY => f.pad("lowest priority"),
            DeliveryMode(other) => write!(f, "delivery mode {other}"),
        }
    }
}

/// What a guest asks an interrupt to be: the descriptor inside CREATE_INTERRUPT and RESOURCES_ASSIGNED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageRequest {
    /// The vector; 8 bits before protocol 1.4, on arm64 the number of the SPI.
    pub vector: u32,
    /// How it is delivered.
    pub delivery: DeliveryMode,
    /// The number of messages: 1 for MSI-X, a power of two up to 32 for MSI. Not checked here.
    pub count: u16,
    /// The processors that may get it.
    pub targets: VpSet,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Descriptor1 {
    vector: u8,
    delivery: u8,
    count: U16,
    reserved: U32,
    mask: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Descriptor2 {
    vector: u8,
    delivery: u8,
    count: U16,
    vp_count: U16,
    vps: [U16; MAX_VPS_IN_LIST],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Descriptor3 {
    vector: U32,
    delivery: u8,
    reserved: u8,
    count: U16,
    vp_count: U16,
    vps: [U16; MAX_VPS_IN_LIST],
}

impl MessageRequest {
    /// Reads a descriptor of `form` at the front of `bytes`.
    pub(super) fn parse(what: &'static str, form: CreateForm, bytes: &[u8]) -> Result<MessageRequest, ParseError> {
        match form {
            CreateForm::V1 => view::<Descriptor1>(what, bytes).map(|(layout, _)| MessageRequest {
                vector: u32::from(layout.vector),
                delivery: DeliveryMode(layout.delivery),
                count: layout.count.get(),
                targets: VpSet::from_mask(layout.mask.get()),
            }),
            CreateForm::V2 => view::<Descriptor2>(what, bytes).and_then(|(layout, _)| {
                Ok(MessageRequest {
                    vector: u32::from(layout.vector),
                    delivery: DeliveryMode(layout.delivery),
                    count: layout.count.get(),
                    targets: targets(what, layout.vp_count, &layout.vps)?,
                })
            }),
            CreateForm::V3 => view::<Descriptor3>(what, bytes).and_then(|(layout, _)| {
                Ok(MessageRequest {
                    vector: layout.vector.get(),
                    delivery: DeliveryMode(layout.delivery),
                    count: layout.count.get(),
                    targets: targets(what, layout.vp_count, &layout.vps)?,
                })
            }),
        }
    }

    /// Writes a descriptor of `form` and zeroes up to `length`.
    pub(super) fn encode(&self, form: CreateForm, buf: &mut [u8], length: usize) -> Result<usize, EncodeError> {
        let short_vector = u8::try_from(self.vector).map_err(|_| EncodeError::Vector { vector: self.vector });
        let count = U16::new(self.count);
        match form {
            CreateForm::V1 => {
                let mask = self.targets.mask().map_err(|vp| EncodeError::VpOutsideMask { vp })?;
                let layout = Descriptor1 {
                    vector: short_vector?,
                    delivery: self.delivery.0,
                    count,
                    reserved: U32::ZERO,
                    mask: U64::new(mask),
                };
                put(buf, &layout, &[], length)
            }
            CreateForm::V2 => {
                let (vp_count, vps) = list(&self.targets)?;
                let layout = Descriptor2 { vector: short_vector?, delivery: self.delivery.0, count, vp_count, vps };
                put(buf, &layout, &[], length)
            }
            CreateForm::V3 => {
                let (vp_count, vps) = list(&self.targets)?;
                let vector = U32::new(self.vector);
                let layout = Descriptor3 { vector, delivery: self.delivery.0, reserved: 0, count, vp_count, vps };
                put(buf, &layout, &[], length)
            }
        }
    }
}

fn targets(what: &'static str, count: U16, vps: &[U16; MAX_VPS_IN_LIST]) -> Result<VpSet, ParseError> {
    let too_many = ParseError::TooMany { what, count: u64::from(count.get()), limit: MAX_VPS_IN_LIST };
    let mut set = VpSet::EMPTY;
    for vp in vps.get(..usize::from(count.get())).ok_or(too_many)? {
        set.push(vp.get()).map_err(|_| too_many)?;
    }
    Ok(set)
}

fn list(targets: &VpSet) -> Result<(U16, [U16; MAX_VPS_IN_LIST]), EncodeError> {
    let targets = targets.as_slice();
    let too_many = EncodeError::Count { what: "virtual processors", count: targets.len(), limit: MAX_VPS_IN_LIST };
    if targets.len() > MAX_VPS_IN_LIST {
        return Err(too_many);
    }
    let count = u16::try_from(targets.len()).map_err(|_| too_many)?;
    let mut vps = [U16::ZERO; MAX_VPS_IN_LIST];
    for (to, from) in vps.iter_mut().zip(targets) {
        *to = U16::new(*from);
    }
    Ok((U16::new(count), vps))
}

pub(super) fn parse_create(form: CreateForm, payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let what = match form {
        CreateForm::V1 => "CREATE_INTERRUPT",
        CreateForm::V2 => "CREATE_INTERRUPT2",
        CreateForm::V3 => "CREATE_INTERRUPT3",
    };
    let (header, rest) = view::<SlotHeader>(what, payload)?;
    let slot = slot(header.slot)?;
    let MessageRequest { vector, delivery, count, targets } = MessageRequest::parse(what, form, rest)?;
    Ok(GuestMessage::CreateInterrupt { form, slot, vector, delivery, count, targets })
}

pub(super) fn encode_create(
    form: CreateForm,
    slot: Slot,
    request: &MessageRequest,
    buf: &mut [u8],
) -> Result<usize, EncodeError> {
    let length = HEADER.saturating_add(form.descriptor_length());
    put(buf, &SlotHeader::new(form.message_type(), slot.to_wire()), &[], length)?;
    request.encode(form, buf.get_mut(HEADER..length).unwrap_or_default(), form.descriptor_length())?;
    Ok(length)
}

/// The 16 bytes that stand for an interrupt the host has made.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawEntry {
    reserved: U16,
    message_count: U16,
    data: U32,
    address: U64,
}

/// What the guest writes into a function's MSI capability or MSI-X table: the host's answer to CREATE_INTERRUPT, and
/// what DELETE_INTERRUPT gives back exactly as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsiEntry {
    /// The message address.
    pub address: u64,
    /// The message data.
    pub data: u32,
    /// The messages it stands for. 0 marks an alias in a multi-MSI group, which is never deleted
    /// (`reference/protocol.md` section 5).
    pub message_count: u16,
    /// Reserved; kept because the entry is given back exactly as it came.
    pub reserved: u16,
}

impl MsiEntry {
    /// An entry for `message_count` messages.
    pub const fn new(address: u64, data: u32, message_count: u16) -> MsiEntry {
        MsiEntry { address, data, message_count, reserved: 0 }
    }

    pub(super) fn decode(raw: &RawEntry) -> MsiEntry {
        MsiEntry {
            address: raw.address.get(),
            data: raw.data.get(),
            message_count: raw.message_count.get(),
            reserved: raw.reserved.get(),
        }
    }

    pub(super) fn encode(&self) -> RawEntry {
        RawEntry {
            reserved: U16::new(self.reserved),
            message_count: U16::new(self.message_count),
            data: U32::new(self.data),
            address: U64::new(self.address),
        }
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct DeleteInterrupt {
    header: SlotHeader,
    entry: RawEntry,
}

pub(super) fn parse_delete(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let (layout, _) = view::<DeleteInterrupt>("DELETE_INTERRUPT", payload)?;
    Ok(GuestMessage::DeleteInterrupt { slot: slot(layout.header.slot)?, entry: MsiEntry::decode(&layout.entry) })
}

pub(super) fn encode_delete(slot: Slot, entry: &MsiEntry, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let header = SlotHeader::new(MessageType::DELETE_INTERRUPT, slot.to_wire());
    put(buf, &DeleteInterrupt { header, entry: entry.encode() }, &[], size_of::<DeleteInterrupt>())
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CreateReply {
    status: U32,
    reserved: U32,
    entry: RawEntry,
}

/// The answer to CREATE_INTERRUPT, the same in every form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CreateInterruptReply {
    /// What became of the request.
    pub status: Status,
    /// The interrupt.
    pub entry: MsiEntry,
}

impl CreateInterruptReply {
    /// Reads a reply: 24 bytes, or a failed status alone.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let layout: CreateReply = reply("reply to CREATE_INTERRUPT", payload)?;
        Ok(Self { status: Status(layout.status.get()), entry: MsiEntry::decode(&layout.entry) })
    }

    /// Writes the reply and returns its length, 24.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let layout = CreateReply { status: U32::new(self.status.0), reserved: U32::ZERO, entry: self.entry.encode() };
        put(buf, &layout, &[], size_of::<CreateReply>())
    }
}
