//! The codec against bytes that it did not make itself: recorded ones, and ones written by hand from the layouts.

mod guest_vectors;
mod host_vectors;
mod hostile;
mod mmio;
mod recorded;
mod replies;
mod round_trip;

use super::*;
use crate::Slot;

/// Bytes from hex digits; everything else in the text is for the eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

/// `front` in hex, then zeroes up to `length`.
fn hex_to(front: &str, length: usize) -> Vec<u8> {
    let mut bytes = hex(front);
    assert!(bytes.len() <= length);
    bytes.resize(length, 0);
    bytes
}

/// What an encoder writes into a buffer full of junk.
fn encoded(encode: impl Fn(&mut [u8]) -> Result<usize, EncodeError>) -> Vec<u8> {
    let mut buf = vec![0xA5; 48 << 10];
    let length = encode(&mut buf).unwrap();
    assert!(buf[length..].iter().all(|byte| *byte == 0xA5), "wrote behind the message");
    buf.truncate(length);
    // The exact room is enough, a byte less is an error that says so.
    let mut exact = vec![0x5A; length];
    assert_eq!(encode(&mut exact), Ok(length));
    assert_eq!(exact, buf, "the buffer's old content shows");
    let have = length - 1;
    assert_eq!(encode(&mut exact[..have]), Err(EncodeError::BufferTooSmall { need: length, have }));
    buf
}

/// Device 3, function 2: a slot whose number tells the wire's order from Linux's.
fn slot() -> Slot {
    Slot::from_wire(0x43).unwrap()
}

/// Kernel stacks are small and messages are passed by value.
#[test]
fn messages_are_small() {
    assert!(size_of::<GuestMessage<'_>>() <= 192, "{}", size_of::<GuestMessage<'_>>());
    assert!(size_of::<HostMessage<'_>>() <= 32, "{}", size_of::<HostMessage<'_>>());
    assert!(size_of::<ResourcesAssignedReply<'_>>() <= 192, "{}", size_of::<ResourcesAssignedReply<'_>>());
}
