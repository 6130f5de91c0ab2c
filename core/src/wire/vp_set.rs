//! The virtual processors an interrupt may be delivered to.

use core::fmt;

/// The most virtual processors a CREATE_INTERRUPT2 or 3 can name (`reference/protocol.md` section 11).
pub const MAX_VPS_IN_LIST: usize = 32;

/// The virtual processors that a CREATE_INTERRUPT of protocol 1.1 can name: a mask of 64 bits.
pub const MAX_VPS_IN_MASK: usize = 64;

/// Up to 64 virtual processor indices, in the order given.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VpSet {
    count: u8,
    // What lies behind `count` is zero, so that comparing and hashing the whole is right.
    vps: [u16; MAX_VPS_IN_MASK],
}

/// A set of virtual processors is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("more than 64 virtual processors")]
pub struct VpSetFull;

impl VpSet {
    /// No virtual processor.
    pub const EMPTY: VpSet = VpSet { count: 0, vps: [0; MAX_VPS_IN_MASK] };

    /// One virtual processor.
    pub fn single(vp: u16) -> VpSet {
        let mut set = VpSet::EMPTY;
        // An empty set has room.
        let _ = set.push(vp);
        set
    }

    /// The virtual processors of a list, in its order.
    pub fn from_list(vps: &[u16]) -> Result<VpSet, VpSetFull> {
        let mut set = VpSet::EMPTY;
        for vp in vps {
            set.push(*vp)?;
        }
        Ok(set)
    }

    /// The virtual processors of a mask: bit n is virtual processor n.
    pub fn from_mask(mask: u64) -> VpSet {
        let mut set = VpSet::EMPTY;
        for vp in 0..64u16 {
            if mask & 1u64.wrapping_shl(u32::from(vp)) != 0 {
                // There are as many places as bits.
                let _ = set.push(vp);
            }
        }
        set
    }

    /// Adds a virtual processor behind the others. It is not looked for among them.
    pub fn push(&mut self, vp: u16) -> Result<(), VpSetFull> {
        let place = self.vps.get_mut(usize::from(self.count)).ok_or(VpSetFull)?;
        *place = vp;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The virtual processors, in order.
    pub fn as_slice(&self) -> &[u16] {
        self.vps.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The virtual processors as a mask, or the first one above 63.
    pub fn mask(&self) -> Result<u64, u16> {
        self.as_slice().iter().try_fold(0u64, |mask, vp| {
            let bit = 1u64.checked_shl(u32::from(*vp)).ok_or(*vp)?;
            Ok(mask | bit)
        })
    }
}

impl Default for VpSet {
    fn default() -> VpSet {
        VpSet::EMPTY
    }
}

impl fmt::Debug for VpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.as_slice()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_lists_agree() {
        let set = VpSet::from_mask(0x8000_0000_0000_0005);
        assert_eq!(set.as_slice(), [0, 2, 63]);
        assert_eq!(set.mask(), Ok(0x8000_0000_0000_0005));
        assert_eq!(VpSet::from_list(&[0, 2, 63]), Ok(set));
        assert_eq!(VpSet::from_mask(u64::MAX).as_slice().len(), 64);
        assert_eq!(VpSet::from_list(&[0; 65]), Err(VpSetFull));
        assert_eq!(VpSet::from_list(&[3, 64]).unwrap().mask(), Err(64));
        assert_eq!(VpSet::single(9).as_slice(), [9]);
        assert_eq!(VpSet::default().mask(), Ok(0));
    }
}
