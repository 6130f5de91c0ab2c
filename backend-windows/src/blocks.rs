//! Config blocks as the driver of a virtual function reaches them: the documented interface of the VPCI bus driver (vpci.h:
//! GUID_VPCI_INTERFACE_STANDARD and three IOCTLs), as numbers and bytes.

use hvpci_core::Slot;
use hvpci_core::bus::{BlockData, MAX_BLOCK, Request};

/// IOCTL_VPCI_INVALIDATE_BLOCK, IOCTL_VPCI_READ_BLOCK, IOCTL_VPCI_WRITE_BLOCK.
pub const INVALIDATE: u32 = ioctl(1);
/// See [`INVALIDATE`].
pub const READ: u32 = ioctl(2);
/// See [`INVALIDATE`].
pub const WRITE: u32 = ioctl(3);
/// Bytes of VPCI_READ_BLOCK_INPUT, and of what comes before the data in VPCI_WRITE_BLOCK_INPUT.
pub const HEAD: usize = 8;
/// Bytes of VPCI_INVALIDATE_BLOCK_OUTPUT.
pub const MASK: usize = 8;

/// CTL_CODE(FILE_DEVICE_BUS_EXTENDER, function, METHOD_NEITHER, FILE_READ_ACCESS | FILE_WRITE_ACCESS)
const fn ioctl(function: u32) -> u32 {
    0x2A << 16 | 3 << 14 | function << 2 | 3
}

/// Why a request for a block is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// A block has 1 to 128 bytes (VPCI_MAX_READ_WRITE_BLOCK_SIZE).
    #[error("a config block has 1 to 128 bytes, not {0}")]
    Length(usize),
    /// A buffer is shorter than what is said of it.
    #[error("the buffer is too small")]
    Buffer,
}

/// The request to read a block.
pub fn read(slot: Slot, block: u32, bytes: usize) -> Result<Request, BadBlock> {
    let length = u16::try_from(bytes).ok().filter(|length| (1..=MAX_BLOCK).contains(&usize::from(*length)));
    Ok(Request::ReadBlock { slot, block, bytes: length.ok_or(BadBlock::Length(bytes))? })
}

/// The request to write a block.
pub fn write(slot: Slot, block: u32, data: &[u8]) -> Result<Request, BadBlock> {
    let copy = BlockData::try_from(data).ok().filter(|copy| !copy.is_empty());
    Ok(Request::WriteBlock { slot, block, data: copy.ok_or(BadBlock::Length(data.len()))? })
}

/// The block and the length that VPCI_READ_BLOCK_INPUT and VPCI_WRITE_BLOCK_INPUT begin with.
pub fn head(bytes: [u8; HEAD]) -> (u32, usize) {
    let [b0, b1, b2, b3, l0, l1, l2, l3] = bytes;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    (u32::from_le_bytes([b0, b1, b2, b3]), usize::try_from(length).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_vpci_h() {
        assert_eq!((INVALIDATE, READ, WRITE), (0x2A_C007, 0x2A_C00B, 0x2A_C00F));
    }

    #[test]
    fn a_block_has_1_to_128_bytes() {
        assert_eq!(read(Slot::ZERO, 7, 0), Err(BadBlock::Length(0)));
        assert_eq!(read(Slot::ZERO, 7, 129), Err(BadBlock::Length(129)));
        assert_eq!(read(Slot::ZERO, 7, 65_537), Err(BadBlock::Length(65_537)));
        assert_eq!(read(Slot::ZERO, 7, 128), Ok(Request::ReadBlock { slot: Slot::ZERO, block: 7, bytes: 128 }));
        assert_eq!(write(Slot::ZERO, 7, &[]), Err(BadBlock::Length(0)));
        assert_eq!(write(Slot::ZERO, 7, &[0; 129]), Err(BadBlock::Length(129)));
        assert!(write(Slot::ZERO, 7, &[1; 128]).is_ok());
    }

    #[test]
    fn the_head_is_block_then_length() {
        assert_eq!(head([1, 2, 0, 0, 0x80, 0, 0, 0]), (0x201, 128));
        assert_eq!(head([0xFF; 8]), (u32::MAX, 0xFFFF_FFFF));
    }
}
