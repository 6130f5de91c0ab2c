//! The policy over the two views of one function.

use super::plan::{Edge, Plan, Step, Why};
use super::{GuestView, HostDecode, HostView, Policy, Scope};
use crate::config::BarLayout;

/// COMMAND bit 1, Memory Space Enable (PCI Express Base 7.5.1.1.3).
pub const MEMORY: u16 = 1 << 1;

/// What becomes of a guest's write of a BAR register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BarWrite {
    /// Kept in the shadow; told to the host at the next 0->1, if it differs then.
    Shadowed,
    /// As `Shadowed`, while guest decode is on: guest and host disagree until the next 0->1 (I1).
    Stale,
    /// Must go to the host now, as it came (Eager).
    PassThrough,
}

/// The decode of one function: both views and the policy between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeState {
    policy: Policy,
    scope: Scope,
    guest: GuestView,
    host: HostView,
    /// A background map that was counted failed, or nobody knows: the next one is the same map, or the one it should have
    /// been.
    map_in_doubt: bool,
}

impl DecodeState {
    /// A function whose host state is not known. The scope is open: nobody is bound yet.
    pub fn new(policy: Policy, layout: BarLayout, addresses: &[Option<u64>; 6]) -> DecodeState {
        DecodeState {
            policy,
            scope: Scope::Open,
            guest: GuestView::new(layout, addresses),
            host: HostView::default(),
            map_in_doubt: false,
        }
    }

    /// The policy.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// What the guest believes.
    pub const fn guest(&self) -> &GuestView {
        &self.guest
    }

    /// What the host was told.
    pub const fn host(&self) -> &HostView {
        &self.host
    }

    /// Whether host decode is on behind the guest's back: a lingering clear, or a prefetch not yet asked for.
    pub const fn is_ahead(&self) -> bool {
        self.host.is_mapped() && !self.guest.memory()
    }

    /// Whether a clear that the guest makes now may stay away from the host.
    pub fn may_linger(&self) -> bool {
        match self.policy {
            Policy::Eager | Policy::Deferred => false,
            Policy::Absorbing => self.scope == Scope::Open,
            // Only a prefetched map may outlast a clear, and only one that the guest has not used: the guest's own
            // writes of COMMAND before it enables the device must not undo the prefetch.
            Policy::Prefetch => !self.guest.memory(),
        }
    }

    /// Whether every implemented register is known to hold, at the host, what the guest wrote.
    pub fn bars_agree(&self) -> bool {
        (0..6).all(|register| !self.is_dirty(register))
    }

    fn is_dirty(&self, register: u8) -> bool {
        self.guest.mask(register) != 0 && self.host.register(register) != Some(self.guest.address_bits(register))
    }

    /// Adds the BAR writes that bring the host to the guest's values, low register before high.
    fn push_bars(&self, plan: &mut Plan) {
        for register in (0..6).filter(|register| self.is_dirty(*register)) {
            push(plan, Step::WriteBar { register, value: self.guest.register(register) });
        }
    }

    /// The writes for a guest's write of COMMAND, for a function with memory BARs. `host_holds`: the host is known to
    /// hold the value's other bits already.
    ///
    /// If the plan [maps](super::maps), the caller checks I3 first, and takes [`DecodeState::plan_refused`] if it fails.
    pub fn plan_command(&self, value: u16, host_holds: bool) -> Plan {
        let mut plan = Plan::new();
        let clear = Step::WriteCommand { value: value & !MEMORY, why: Why::Clear };
        let set = Step::WriteCommand { value: value | MEMORY, why: Why::Set };
        let bits_on = Step::WriteCommand { value: value | MEMORY, why: Why::Bits };
        let wanted = value & MEMORY != 0;
        if self.policy == Policy::Eager {
            push(
                &mut plan,
                match (wanted, self.host.is_mapped()) {
                    (true, false) => set,
                    (true, true) => bits_on,
                    (false, true) => clear,
                    (false, false) => Step::WriteCommand { value, why: Why::Bits },
                },
            );
            return plan;
        }
        if wanted {
            // Always sent, even if equal: a reset through MMIO is invisible to us (I7).
            match self.host.decode() {
                HostDecode::On | HostDecode::Mapping if self.guest.memory() || self.bars_agree() => {
                    push(&mut plan, bits_on);
                    return plan;
                }
                HostDecode::On | HostDecode::Mapping => push(&mut plan, clear),
                // Decode might be on, and no BAR may be written then (I2).
                HostDecode::Unknown if !self.bars_agree() => push(&mut plan, clear),
                HostDecode::Unknown | HostDecode::Off => {}
            }
            self.push_bars(&mut plan);
            push(&mut plan, set);
            return plan;
        }
        match self.host.decode() {
            HostDecode::Unknown => push(&mut plan, clear),
            HostDecode::On | HostDecode::Mapping if !self.may_linger() => push(&mut plan, clear),
            _ if host_holds => {}
            HostDecode::On | HostDecode::Mapping => push(&mut plan, bits_on),
            HostDecode::Off => push(&mut plan, Step::WriteCommand { value, why: Why::Bits }),
        }
        plan
    }

    /// The writes for a guest's write of COMMAND whose Memory bit was refused (I3): the other bits go out, decode ends
    /// up off at the host.
    pub fn plan_refused(&self, value: u16, host_holds: bool) -> Plan {
        let mut plan = Plan::new();
        let value = value & !MEMORY;
        if self.host.may_be_mapped() {
            push(&mut plan, Step::WriteCommand { value, why: Why::Clear });
        } else if !host_holds {
            push(&mut plan, Step::WriteCommand { value, why: Why::Bits });
        }
        plan
    }

    /// The writes that make sure that host decode is off, where the guest does not rely on it being on; `value` is what
    /// COMMAND's other bits hold now. Empty when decode is off already or when the guest believes that it is on.
    pub fn plan_flush(&self, value: u16) -> Plan {
        let mut plan = Plan::new();
        if self.host.may_be_mapped() && !self.guest.memory() {
            push(&mut plan, Step::WriteCommand { value: value & !MEMORY, why: Why::Clear });
        }
        plan
    }

    /// The writes of bring-up for a config-space guest, after decode was found or made off.
    pub fn plan_start(&self, value: u16) -> Plan {
        let mut plan = Plan::new();
        if matches!(self.policy, Policy::Eager | Policy::Prefetch) {
            self.push_bars(&mut plan);
        }
        if self.policy == Policy::Eager {
            push(&mut plan, Step::WriteCommand { value: value | MEMORY, why: Why::Set });
        }
        plan
    }

    /// Takes note of a step that went out.
    pub fn stepped(&mut self, step: Step) -> Edge {
        match step {
            Step::WriteBar { register, value } => {
                self.host.set_register(register, value & self.guest.mask(register));
                Edge::None
            }
            Step::WriteCommand { value, .. } => self.host_decode_becomes(value & MEMORY != 0),
        }
    }

    /// Host decode is now `on`, because of a write or a message of ours.
    pub fn host_decode_becomes(&mut self, on: bool) -> Edge {
        let counted = core::mem::take(&mut self.map_in_doubt) && on;
        let was = self.host.is_mapped() || counted;
        self.host.set_decode(if on { HostDecode::On } else { HostDecode::Off });
        match (was, on) {
            (false, true) => Edge::Map,
            (true, false) => Edge::Unmap,
            _ => Edge::None,
        }
    }

    /// Guest decode is now `on`.
    pub const fn guest_decode_becomes(&mut self, on: bool) {
        self.guest.set_memory(on);
    }

    /// The guest wrote the bits of `value` in `lanes` to a BAR register.
    pub fn guest_writes_bar(&mut self, register: u8, value: u32, lanes: u32) -> BarWrite {
        if self.policy == Policy::Eager {
            // The host ignores BAR writes while decode is on (`reference/protocol.md` section 7), and so do we.
            if !self.host.is_mapped() {
                self.guest.write(register, value, lanes);
                self.host.set_register(register, self.guest.address_bits(register));
                if self.host.may_be_mapped() {
                    // Then the host has ignored it: which of the two is not known.
                    self.host.forget_register(register);
                }
            }
            return BarWrite::PassThrough;
        }
        let changed = self.guest.write(register, value, lanes);
        if changed && self.guest.memory() && self.is_dirty(register) { BarWrite::Stale } else { BarWrite::Shadowed }
    }

    /// The guest has the BARs at `addresses`, with decode off; the host is not told yet.
    pub fn place(&mut self, addresses: &[Option<u64>; 6]) {
        self.guest.place(addresses);
    }

    /// Guest and host have the BARs at `addresses`, by message.
    pub fn bars_assigned(&mut self, addresses: &[Option<u64>; 6]) {
        self.guest.place(addresses);
        self.host_bars_are_the_guests();
    }

    /// The host holds the guest's BAR values.
    pub fn host_bars_are_the_guests(&mut self) {
        for register in 0..6 {
            if self.guest.mask(register) != 0 {
                self.host.set_register(register, self.guest.address_bits(register));
            }
        }
    }

    /// A background map of the BARs as the host holds them was started.
    pub fn prefetch_started(&mut self) -> Edge {
        if self.host.is_mapped() {
            // What is mapped already does not depend on how this ends.
            return Edge::None;
        }
        self.host.set_decode(HostDecode::Mapping);
        Edge::Map
    }

    /// The background map ended. Says nothing new if the guest has used or undone it meanwhile.
    pub const fn prefetch_finished(&mut self, ok: bool) {
        if matches!(self.host.decode(), HostDecode::Mapping) {
            self.host.set_decode(if ok { HostDecode::On } else { HostDecode::Unknown });
            self.map_in_doubt = !ok;
        }
    }

    /// A driver was bound or unbound. The caller flushes a lingering clear when the scope closes.
    pub const fn set_scope(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// The host may have lost its state (I7). Returns whether a map was known to be there.
    pub fn host_lost_state(&mut self) -> bool {
        let was = self.host.is_mapped();
        self.map_in_doubt = false;
        self.host.set_decode(HostDecode::Unknown);
        self.host.forget_bars();
        self.guest.reset();
        was
    }

    /// The host turned decode off by itself and dropped the BARs. Returns whether a map was known to be there.
    pub const fn host_unmapped(&mut self) -> bool {
        let was = self.host.is_mapped();
        self.map_in_doubt = false;
        self.host.set_decode(HostDecode::Off);
        self.host.forget_bars();
        was
    }

    /// Nothing is known of the host's decode any more.
    pub const fn host_decode_unknown(&mut self) {
        self.host.set_decode(HostDecode::Unknown);
    }

    /// The host's BAR registers are not known any more; its decode is.
    pub const fn host_bars_unknown(&mut self) {
        self.host.forget_bars();
    }

    /// The BARs have other sizes now (Resizable BAR).
    pub fn relayout(&mut self, layout: BarLayout) {
        self.guest.relayout(layout);
        self.host.forget_bars();
    }
}

/// A plan has room for a clear, six registers and a set, which is the longest there is.
fn push(plan: &mut Plan, step: Step) {
    let full = plan.try_push(step).is_err();
    debug_assert!(!full, "a plan longer than a clear, six registers and a set");
}

#[cfg(test)]
mod tests {
    use super::super::plan::maps;
    use super::*;
    use crate::wire::ProbedBars;

    fn state(policy: Policy) -> DecodeState {
        let probed = ProbedBars([0xFFFF_F000; 6]);
        let addresses = core::array::from_fn(|n| Some(0x1000 * (n as u64 + 1)));
        let mut state = DecodeState::new(policy, BarLayout::from_probed(&probed).0, &addresses);
        state.host_decode_becomes(false);
        state
    }

    fn run(state: &mut DecodeState, value: u16) -> Vec<Step> {
        let plan = state.plan_command(value, false);
        for step in &plan {
            state.stepped(*step);
        }
        state.guest_decode_becomes(value & MEMORY != 0);
        plan.to_vec()
    }

    #[test]
    fn the_longest_plan_is_a_clear_six_registers_and_a_set() {
        let mut state = state(Policy::Absorbing);
        assert_eq!(run(&mut state, MEMORY).len(), 7);
        run(&mut state, 0);
        for register in 0..6 {
            state.guest_writes_bar(register, 0x10_0000 + 0x1000 * u32::from(register), u32::MAX);
        }
        let plan = run(&mut state, MEMORY);
        assert_eq!(plan.len(), 8);
        assert_eq!(plan[0], Step::WriteCommand { value: 0, why: Why::Clear });
        assert_eq!(plan[1], Step::WriteBar { register: 0, value: 0x10_0000 });
        assert_eq!(plan[7], Step::WriteCommand { value: MEMORY, why: Why::Set });
    }

    #[test]
    fn equal_writes_are_left_out_only_with_memory_clear_and_never_by_eager() {
        for policy in Policy::ALL {
            let mut state = state(policy);
            assert_eq!(state.plan_command(0, true).is_empty(), policy != Policy::Eager, "{policy}");
            run(&mut state, MEMORY);
            let again = state.plan_command(MEMORY, true);
            assert_eq!(again.to_vec(), [Step::WriteCommand { value: MEMORY, why: Why::Bits }], "{policy}");
            assert!(!maps(&again));
        }
    }

    #[test]
    fn only_absorbing_in_an_open_scope_lingers() {
        for (policy, scope, lingers) in [
            (Policy::Eager, Scope::Open, false),
            (Policy::Deferred, Scope::Open, false),
            (Policy::Absorbing, Scope::Open, true),
            (Policy::Absorbing, Scope::Closed, false),
            (Policy::Prefetch, Scope::Open, false),
        ] {
            let mut state = state(policy);
            state.set_scope(scope);
            run(&mut state, MEMORY);
            run(&mut state, 0);
            assert_eq!(state.is_ahead(), lingers, "{policy} {scope:?}");
            assert_eq!(state.plan_flush(4).is_empty(), !lingers);
        }
    }

    #[test]
    fn a_background_map_that_may_have_failed_is_made_sure_of_by_a_set_alone() {
        let mut state = state(Policy::Prefetch);
        for step in &state.plan_start(0) {
            state.stepped(*step);
        }
        state.prefetch_started();
        state.prefetch_finished(false);
        // The host holds the BARs: a clear before the set would only cost a pair if the map is there after all.
        let plan = state.plan_command(MEMORY, false);
        assert_eq!(plan.to_vec(), [Step::WriteCommand { value: MEMORY, why: Why::Set }]);
    }

    #[test]
    fn a_refused_enable_ends_with_decode_off() {
        let mut state = state(Policy::Absorbing);
        assert!(state.plan_refused(MEMORY | 4, true).is_empty());
        assert_eq!(state.plan_refused(MEMORY | 4, false).to_vec(), [Step::WriteCommand { value: 4, why: Why::Bits }]);
        run(&mut state, MEMORY);
        run(&mut state, 0);
        assert_eq!(state.plan_refused(MEMORY | 4, true).to_vec(), [Step::WriteCommand { value: 4, why: Why::Clear }]);
    }
}
