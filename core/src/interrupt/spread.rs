//! Which virtual processor the next interrupt is for.

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
