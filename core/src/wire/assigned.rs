//! RESOURCES_ASSIGNED in its three forms, and the MSI resources it may carry.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{entries, put, slot, view};
use super::interrupt::RawEntry;
use super::mmio::RawDescriptor;
use super::{
    CreateForm, EncodeError, GuestMessage, MessageRequest, MessageType, MmioDescriptor, MsiEntry, ParseError, Status,
    StatusReply,
};
use crate::Slot;

/// The most MSI resources one message may carry (`reference/protocol.md` section 11).
pub const MAX_MSI_RESOURCES: usize = 494;

/// **Quirk**: the message is always sent with room for at least this many MSI resources, even when it carries none.
/// Linux, FreeBSD and OpenVMM's client all do ("space for one resource to satisfy Hyper-V", section 5).
pub const MSI_RESOURCE_ROOM: usize = 1;

/// The part both directions share, up to the count. The reserved u32 behind it need not be there when the count is 0.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Front {
    /// The message type, in a reply the status.
    first: U32,
    slot: U32,
    bars: [RawDescriptor; 6],
    msi_count: U32,
}

/// Bytes in front of the MSI resources: the front and a reserved u32.
const RESOURCES_AT: usize = 136;
/// The reserved u32.
const RESERVED: usize = 4;

/// Which of the three messages assigns resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignedForm {
    /// RESOURCES_ASSIGNED: protocol 1.1.
    V1,
    /// RESOURCES_ASSIGNED2: protocol 1.2 and later.
    V2,
    /// RESOURCES_ASSIGNED3: protocol 1.4 and later, for 32-bit vectors.
    V3,
}

impl AssignedForm {
    /// The message of this form.
    pub const fn message_type(self) -> MessageType {
        match self {
            AssignedForm::V1 => MessageType::RESOURCES_ASSIGNED,
            AssignedForm::V2 => MessageType::RESOURCES_ASSIGNED2,
            AssignedForm::V3 => MessageType::RESOURCES_ASSIGNED3,
        }
    }

    /// The form of the descriptors inside its MSI resources.
    const fn descriptor_form(self) -> CreateForm {
        match self {
            AssignedForm::V1 => CreateForm::V1,
            AssignedForm::V2 => CreateForm::V2,
            AssignedForm::V3 => CreateForm::V3,
        }
    }

    /// Bytes of one MSI resource in the request.
    pub const fn request_stride(self) -> usize {
        match self {
            AssignedForm::V1 => 16,
            AssignedForm::V2 => 72,
            AssignedForm::V3 => 80,
        }
    }

    /// Bytes of one translated MSI resource in the reply. **Quirk**: a request of the third form is answered with
    /// entries of the second form's size (section 5, OpenVMM's host).
    pub const fn reply_stride(self) -> usize {
        match self {
            AssignedForm::V1 => 16,
            AssignedForm::V2 | AssignedForm::V3 => 72,
        }
    }

    /// Bytes to send for a message with `count` MSI resources: 152, 208 and 216 with none, because of
    /// [`MSI_RESOURCE_ROOM`].
    pub const fn message_length(self, count: usize) -> usize {
        let room = if count < MSI_RESOURCE_ROOM { MSI_RESOURCE_ROOM } else { count };
        RESOURCES_AT.saturating_add(self.request_stride().saturating_mul(room))
    }
}

/// The MSI resources of a RESOURCES_ASSIGNED, borrowed from the payload. Linux, FreeBSD and UEFI send none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MsiResources<'a> {
    entries: Option<(AssignedForm, &'a [u8])>,
}

impl<'a> MsiResources<'a> {
    /// None.
    pub const NONE: MsiResources<'static> = MsiResources { entries: None };

    /// Writes `requests` into `buf` as MSI resources of `form`, to be put into a [`GuestMessage::ResourcesAssigned`].
    pub fn build(
        form: AssignedForm,
        requests: &[MessageRequest],
        buf: &'a mut [u8],
    ) -> Result<MsiResources<'a>, EncodeError> {
        if requests.len() > MAX_MSI_RESOURCES {
            let limit = MAX_MSI_RESOURCES;
            return Err(EncodeError::Count { what: "MSI resources", count: requests.len(), limit });
        }
        let stride = form.request_stride();
        let need = stride.saturating_mul(requests.len());
        let have = buf.len();
        let out = buf.get_mut(..need).ok_or(EncodeError::BufferTooSmall { need, have })?;
        for (entry, request) in out.chunks_exact_mut(stride).zip(requests) {
            request.encode(form.descriptor_form(), entry, stride)?;
        }
        Ok(MsiResources::view(form, out))
    }

    fn view(form: AssignedForm, entries: &'a [u8]) -> MsiResources<'a> {
        MsiResources { entries: (!entries.is_empty()).then_some((form, entries)) }
    }

    /// The number of resources.
    pub fn len(&self) -> usize {
        self.entries.map_or(0, |(form, bytes)| bytes.chunks_exact(form.request_stride()).len())
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// The resources, each parsed on its own.
    pub fn iter(&self) -> impl Iterator<Item = Result<MessageRequest, ParseError>> + use<'a> {
        let (form, bytes) = self.entries.unwrap_or((AssignedForm::V1, &[]));
        bytes
            .chunks_exact(form.request_stride())
            .map(move |entry| MessageRequest::parse("MSI resource", form.descriptor_form(), entry))
    }
}

pub(super) fn parse(form: AssignedForm, payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let what = match form {
        AssignedForm::V1 => "RESOURCES_ASSIGNED",
        AssignedForm::V2 => "RESOURCES_ASSIGNED2",
        AssignedForm::V3 => "RESOURCES_ASSIGNED3",
    };
    let (front, rest) = view::<Front>(what, payload)?;
    let bytes = rest.get(RESERVED..).unwrap_or_default();
    let list = entries(what, front.msi_count.get(), form.request_stride(), MAX_MSI_RESOURCES, bytes)?;
    Ok(GuestMessage::ResourcesAssigned {
        form,
        slot: slot(front.slot)?,
        bars: MmioDescriptor::decode_all(&front.bars),
        messages: MsiResources::view(form, list),
    })
}

pub(super) fn encode(
    form: AssignedForm,
    slot: Slot,
    bars: &[MmioDescriptor; 6],
    messages: &MsiResources<'_>,
    buf: &mut [u8],
) -> Result<usize, EncodeError> {
    if messages.entries.is_some_and(|(built_for, _)| built_for != form) {
        return Err(EncodeError::FormMismatch);
    }
    let list = messages.entries.map_or(&[][..], |(_, bytes)| bytes);
    let front = Front {
        first: U32::new(form.message_type().0),
        slot: U32::new(slot.to_wire()),
        bars: MmioDescriptor::encode_all(bars)?,
        msi_count: U32::new(u32::try_from(messages.len()).unwrap_or(u32::MAX)),
    };
    put_front(&front, list, form.message_length(messages.len()), buf)
}

/// Puts the front, the reserved u32 and the list.
fn put_front(front: &Front, list: &[u8], length: usize, buf: &mut [u8]) -> Result<usize, EncodeError> {
    put(buf, front, &[], length)?;
    let end = RESOURCES_AT.saturating_add(list.len());
    if let Some(place) = buf.get_mut(RESOURCES_AT..end) {
        place.copy_from_slice(list);
    }
    Ok(length)
}

/// The translated MSI resources in a reply, borrowed from the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TranslatedMessages<'a> {
    stride: usize,
    entries: &'a [u8],
}

impl<'a> TranslatedMessages<'a> {
    /// None.
    pub const NONE: TranslatedMessages<'static> = TranslatedMessages { stride: 16, entries: &[] };

    /// Writes `translated` into `buf`, to be put into a reply to a request of `form`.
    pub fn build(
        form: AssignedForm,
        translated: &[MsiEntry],
        buf: &'a mut [u8],
    ) -> Result<TranslatedMessages<'a>, EncodeError> {
        if translated.len() > MAX_MSI_RESOURCES {
            let limit = MAX_MSI_RESOURCES;
            return Err(EncodeError::Count { what: "MSI resources", count: translated.len(), limit });
        }
        let stride = form.reply_stride();
        let need = stride.saturating_mul(translated.len());
        let have = buf.len();
        let out = buf.get_mut(..need).ok_or(EncodeError::BufferTooSmall { need, have })?;
        for (place, entry) in out.chunks_exact_mut(stride).zip(translated) {
            put(place, &entry.encode(), &[], stride)?;
        }
        Ok(TranslatedMessages { stride, entries: out })
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.chunks_exact(self.stride).len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, in the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = MsiEntry> + use<'a> {
        let chunks = self.entries.chunks_exact(self.stride);
        chunks.filter_map(|entry| view::<RawEntry>("", entry).ok().map(|(raw, _)| MsiEntry::decode(raw)))
    }
}

/// The answer to RESOURCES_ASSIGNED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourcesAssignedReply<'a> {
    /// What became of the request; all that counts when it carried no MSI resources.
    pub status: Status,
    /// The slot as sent back.
    pub slot: u32,
    /// The descriptors as sent back.
    pub bars: [MmioDescriptor; 6],
    /// The interrupts made.
    pub translated: TranslatedMessages<'a>,
}

impl<'a> ResourcesAssignedReply<'a> {
    /// Reads the reply to a request of `form`. Only the status must be there; what is missing is zero, null and none,
    /// and so are the interrupts of a failed request.
    pub fn parse(form: AssignedForm, payload: &'a [u8]) -> Result<Self, ParseError> {
        let what = "reply to RESOURCES_ASSIGNED";
        let status = StatusReply::parse(payload)?.status;
        let mut parsed = Self { status, slot: 0, bars: MmioDescriptor::NONE, translated: TranslatedMessages::NONE };
        let Ok((front, rest)) = view::<Front>(what, payload) else {
            return Ok(parsed);
        };
        parsed.slot = front.slot.get();
        parsed.bars = MmioDescriptor::decode_all(&front.bars);
        if status.is_success() {
            let stride = form.reply_stride();
            let bytes = rest.get(RESERVED..).unwrap_or_default();
            let list = entries(what, front.msi_count.get(), stride, MAX_MSI_RESOURCES, bytes)?;
            parsed.translated = TranslatedMessages { stride, entries: list };
        }
        Ok(parsed)
    }

    /// Writes the reply and returns its length: 136 and the translated MSI resources.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let list = self.translated.entries;
        let front = Front {
            first: U32::new(self.status.0),
            slot: U32::new(self.slot),
            bars: MmioDescriptor::encode_all(&self.bars)?,
            msi_count: U32::new(u32::try_from(self.translated.len()).unwrap_or(u32::MAX)),
        };
        put_front(&front, list, RESOURCES_AT.saturating_add(list.len()), buf)
    }
}
