//! Which virtual processors an interrupt is for.

use arrayvec::ArrayVec;

/// The most processors CREATE_INTERRUPT2 and 3 can name (`reference/protocol.md` section 5).
pub const MAX_LISTED_VPS: usize = 32;

/// The VP indexes of a CREATE_INTERRUPT request, in the order they go onto the wire. At most 32.
///
/// On x86 one is enough: the real targets are set by the retarget hypercall. The host picks the physical CPU that takes
/// the device's interrupt from *this* VP, so it matters all the same: see [`VpSpread`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VpList(ArrayVec<u16, MAX_LISTED_VPS>);

impl VpList {
    /// A list of one.
    pub fn one(vp: u16) -> VpList {
        VpList(ArrayVec::from_iter([vp]))
    }

    /// A list of several; `None` for more than 32.
    pub fn from_slice(vps: &[u16]) -> Option<VpList> {
        ArrayVec::try_from(vps).ok().map(VpList)
    }

    /// The indexes.
    pub fn as_slice(&self) -> &[u16] {
        &self.0
    }

    /// The 64-bit processor mask of CREATE_INTERRUPT (version 1.1).
    ///
    /// # Errors
    ///
    /// The first VP above 63, which the mask cannot name.
    pub fn to_mask(&self) -> Result<u64, u16> {
        let mut mask = 0u64;
        for &vp in &self.0 {
            mask |= 1u64.checked_shl(u32::from(vp)).ok_or(vp)?;
        }
        Ok(mask)
    }
}

/// Picks the VP for each CREATE_INTERRUPT in turn, so that a host which places the physical interrupt by it (since 2022,
/// `reference/protocol.md` section 9) spreads the load. One per VM serves best, as functions on different buses share the
/// host's CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VpSpread {
    last: Option<u16>,
}

impl VpSpread {
    /// Starts at the lowest candidate.
    pub const fn new() -> VpSpread {
        VpSpread { last: None }
    }

    /// The lowest candidate above the last one picked, or the lowest of all when there is none; `None` without
    /// candidates. The candidates (online VPs that the interrupt may go to) may come in any order.
    pub fn pick(&mut self, candidates: impl IntoIterator<Item = u16>) -> Option<u16> {
        let (mut lowest, mut next) = (None, None);
        let keep_lower = |kept: &mut Option<u16>, vp: u16| {
            if kept.is_none_or(|kept| vp < kept) {
                *kept = Some(vp);
            }
        };
        for vp in candidates {
            keep_lower(&mut lowest, vp);
            if self.last.is_none_or(|last| vp > last) {
                keep_lower(&mut next, vp);
            }
        }
        let picked = next.or(lowest)?;
        self.last = Some(picked);
        Some(picked)
    }
}
