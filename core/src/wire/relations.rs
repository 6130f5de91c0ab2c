//! BUS_RELATIONS and BUS_RELATIONS2: the functions on the bus.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{entries, put, slot, view};
use super::{EncodeError, FunctionDescription, HostMessage, InvalidSlot, MessageType, ParseError};

/// The most entries a list may have: there are 256 slots on a bus (`reference/protocol.md` section 11).
pub const MAX_RELATIONS: usize = 256;

bitflags::bitflags! {
    /// The flags of a BUS_RELATIONS2 entry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct DescriptionFlags: u32 {
        /// The virtual NUMA node is valid.
        const NUMA_NODE_VALID = 1 << 0;
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    message_type: U32,
    count: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Description {
    vendor: U16,
    device: U16,
    revision: u8,
    prog_if: u8,
    sub_class: u8,
    base_class: u8,
    subsystem_vendor: U16,
    subsystem: U16,
    slot: U32,
    serial: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Description2 {
    first: Description,
    flags: U32,
    numa_node: U16,
    reserved: U16,
}

/// Which of the two list messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationsForm {
    /// BUS_RELATIONS: protocol 1.1 and 1.2, 20 bytes an entry.
    V1,
    /// BUS_RELATIONS2: protocol 1.3 and later, 28 bytes an entry, with a virtual NUMA node.
    V2,
}

impl RelationsForm {
    /// The message of this form.
    pub const fn message_type(self) -> MessageType {
        match self {
            RelationsForm::V1 => MessageType::BUS_RELATIONS,
            RelationsForm::V2 => MessageType::BUS_RELATIONS2,
        }
    }

    /// Bytes of one entry.
    pub const fn entry_length(self) -> usize {
        match self {
            RelationsForm::V1 => size_of::<Description>(),
            RelationsForm::V2 => size_of::<Description2>(),
        }
    }

    /// Bytes of a message with `count` entries.
    pub const fn message_length(self, count: usize) -> usize {
        size_of::<Header>().saturating_add(self.entry_length().saturating_mul(count))
    }
}

/// A list of functions, borrowed from the payload; its count has been checked against the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Relations<'a> {
    form: RelationsForm,
    entries: &'a [u8],
}

impl<'a> Relations<'a> {
    /// Which message it came in.
    pub const fn form(&self) -> RelationsForm {
        self.form
    }

    /// The number of entries, 0 to [`MAX_RELATIONS`].
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Whether the bus has no function.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, in the order sent. One with a slot that cannot exist is an error of its own; the others stand.
    /// Nothing is said about duplicates.
    pub fn iter(&self) -> RelationsIter<'a> {
        RelationsIter { form: self.form, chunks: self.entries.chunks_exact(self.form.entry_length()) }
    }

    /// Writes a list message and returns its length, `form.message_length(functions.len())`. The first form drops the
    /// NUMA nodes.
    pub fn encode_list(
        form: RelationsForm,
        functions: &[FunctionDescription],
        buf: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let limit = MAX_RELATIONS;
        let too_many = EncodeError::Count { what: "functions", count: functions.len(), limit };
        let count = u32::try_from(functions.len()).map_err(|_| too_many)?;
        if functions.len() > limit {
            return Err(too_many);
        }
        let header = Header { message_type: U32::new(form.message_type().0), count: U32::new(count) };
        let length = put(buf, &header, &[], form.message_length(functions.len()))?;
        let entries = buf.get_mut(size_of::<Header>()..length).unwrap_or_default();
        for (function, entry) in functions.iter().zip(entries.chunks_exact_mut(form.entry_length())) {
            let layout = Description2::new(function);
            match form {
                RelationsForm::V1 => put(entry, &layout.first, &[], form.entry_length())?,
                RelationsForm::V2 => put(entry, &layout, &[], form.entry_length())?,
            };
        }
        Ok(length)
    }

    pub(super) fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let header = Header { message_type: U32::new(self.form.message_type().0), count: U32::new(count) };
        put(buf, &header, self.entries, self.form.message_length(self.len()))
    }
}

pub(super) fn parse(form: RelationsForm, payload: &[u8]) -> Result<HostMessage<'_>, ParseError> {
    let what = match form {
        RelationsForm::V1 => "BUS_RELATIONS",
        RelationsForm::V2 => "BUS_RELATIONS2",
    };
    let (header, rest) = view::<Header>(what, payload)?;
    let entries = entries(what, header.count.get(), form.entry_length(), MAX_RELATIONS, rest)?;
    Ok(HostMessage::BusRelations(Relations { form, entries }))
}

/// The entries of a [`Relations`].
#[derive(Clone, Debug)]
pub struct RelationsIter<'a> {
    form: RelationsForm,
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl Iterator for RelationsIter<'_> {
    type Item = Result<FunctionDescription, InvalidSlot>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.chunks.next()?;
        // A chunk is exactly one entry, so neither view can fail; an iterator that ends is the harmless answer.
        match self.form {
            RelationsForm::V1 => view::<Description>("", entry).ok().map(|(layout, _)| layout.decode()),
            RelationsForm::V2 => view::<Description2>("", entry).ok().map(|(layout, _)| layout.decode()),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl ExactSizeIterator for RelationsIter<'_> {}

impl Description {
    fn decode(&self) -> Result<FunctionDescription, InvalidSlot> {
        Ok(FunctionDescription {
            slot: slot(self.slot)?,
            vendor: self.vendor.get(),
            device: self.device.get(),
            revision: self.revision,
            prog_if: self.prog_if,
            sub_class: self.sub_class,
            base_class: self.base_class,
            subsystem_vendor: self.subsystem_vendor.get(),
            subsystem: self.subsystem.get(),
            serial: self.serial.get(),
            numa_node: None,
        })
    }
}

impl Description2 {
    fn new(function: &FunctionDescription) -> Description2 {
        let flags = match function.numa_node {
            Some(_) => DescriptionFlags::NUMA_NODE_VALID,
            None => DescriptionFlags::empty(),
        };
        Description2 {
            first: Description {
                vendor: U16::new(function.vendor),
                device: U16::new(function.device),
                revision: function.revision,
                prog_if: function.prog_if,
                sub_class: function.sub_class,
                base_class: function.base_class,
                subsystem_vendor: U16::new(function.subsystem_vendor),
                subsystem: U16::new(function.subsystem),
                slot: U32::new(function.slot.to_wire()),
                serial: U32::new(function.serial),
            },
            flags: U32::new(flags.bits()),
            numa_node: U16::new(function.numa_node.unwrap_or(0)),
            reserved: U16::ZERO,
        }
    }

    fn decode(&self) -> Result<FunctionDescription, InvalidSlot> {
        let flags = DescriptionFlags::from_bits_truncate(self.flags.get());
        let node = flags.contains(DescriptionFlags::NUMA_NODE_VALID).then(|| self.numa_node.get());
        Ok(FunctionDescription { numa_node: node, ..self.first.decode()? })
    }
}
