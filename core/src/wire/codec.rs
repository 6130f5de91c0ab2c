//! The two moves every message is made of: look at a layout at the front of some bytes, and put one there.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{EncodeError, InvalidSlot, MessageType, ParseError, Status};
use crate::Slot;

/// The front of every message that is about one function.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SlotHeader {
    pub(super) message_type: U32,
    pub(super) slot: U32,
}

impl SlotHeader {
    pub(super) fn new(message_type: MessageType, slot: u32) -> SlotHeader {
        SlotHeader { message_type: U32::new(message_type.0), slot: U32::new(slot) }
    }
}

/// The slot of a message, if such a slot can exist.
pub(super) fn slot(raw: U32) -> Result<Slot, InvalidSlot> {
    Slot::from_wire(raw.get()).ok_or(InvalidSlot(raw.get()))
}

/// The layout at the front of `bytes`, and what follows it.
pub(super) fn view<'a, T>(what: &'static str, bytes: &'a [u8]) -> Result<(&'a T, &'a [u8]), ParseError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_prefix(bytes).map_err(|_| ParseError::TooShort { what, need: size_of::<T>(), have: bytes.len() })
}

/// The layout of a reply whose first field is the status. A failed reply may end after the status: the fields that are
/// missing are zero then.
pub(super) fn reply<T>(what: &'static str, bytes: &[u8]) -> Result<T, ParseError>
where
    T: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned,
{
    if let Ok((whole, _)) = T::read_from_prefix(bytes) {
        return Ok(whole);
    }
    let (status, _) = view::<U32>(what, bytes)?;
    if Status(status.get()).is_success() {
        return Err(ParseError::TooShort { what, need: size_of::<T>(), have: bytes.len() });
    }
    let mut cut = T::new_zeroed();
    for (to, from) in cut.as_mut_bytes().iter_mut().zip(status.as_bytes()) {
        *to = *from;
    }
    Ok(cut)
}

/// Puts `layout` and then `tail` at the front of `buf`, zeroes up to `length`, and returns `length`, which the caller
/// chooses at least as long as both together.
pub(super) fn put<T>(buf: &mut [u8], layout: &T, tail: &[u8], length: usize) -> Result<usize, EncodeError>
where
    T: IntoBytes + Immutable,
{
    let have = buf.len();
    let too_small = EncodeError::BufferTooSmall { need: length, have };
    let out = buf.get_mut(..length).ok_or(too_small)?;
    let (head, rest) = out.split_at_mut_checked(size_of::<T>()).ok_or(too_small)?;
    layout.write_to(head).map_err(|_| too_small)?;
    let (data, padding) = rest.split_at_mut_checked(tail.len()).ok_or(too_small)?;
    data.copy_from_slice(tail);
    padding.fill(0);
    Ok(length)
}

/// A length in memory for a length in a message that has passed its bounds; saturates where `usize` is narrow.
pub(super) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// The first `count` entries of `stride` bytes in `bytes`.
pub(super) fn entries<'a>(
    what: &'static str,
    count: u32,
    stride: usize,
    limit: usize,
    bytes: &'a [u8],
) -> Result<&'a [u8], ParseError> {
    let count = u64::from(count);
    let list = to_usize(count)
        .checked_mul(stride)
        .and_then(|length| bytes.get(..length))
        .ok_or(ParseError::CountDoesNotFit { what, count, bytes: bytes.len() })?;
    if to_usize(count) > limit {
        return Err(ParseError::TooMany { what, count, limit });
    }
    Ok(list)
}
