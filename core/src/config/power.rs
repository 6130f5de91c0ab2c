//! Decode by message: background maps (Prefetch) and the message style of Windows.

use super::report::EnableRefused;
use super::space::ConfigSpace;
use crate::Slot;
use crate::backend::ConfigPort;
use crate::decode::Policy;

/// What must go to the host before, and besides, POWER_STATE_CHANGE to D0, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PowerPlan {
    /// POWER_STATE_CHANGE to D3 first: decode may be on, and the BARs must change (I2).
    pub power_off_first: bool,
    /// RESOURCES_ASSIGNED with these BAR addresses, by lower register; `None` if the host holds them already. Report its
    /// completion with [`ConfigSpace::bars_assigned`].
    pub bars: Option<[Option<u64>; 6]>,
}

impl ConfigSpace {
    /// A background map of the function is about to be asked for (POWER_STATE_CHANGE to D0 under [`Policy::Prefetch`]).
    /// Counts the map. On an error nothing was noted and the message must not be sent. Any context.
    pub fn prefetch_started(&mut self, slot: Slot) -> Result<(), EnableRefused> {
        let at = self.find(slot).ok_or(EnableRefused::NoFunction { slot })?;
        let allowed = self.check_prefetch(at, slot);
        if let Err(refused) = allowed {
            self.refuse(at, refused);
            return allowed;
        }
        if let Some(function) = self.attached_mut(at).filter(|function| function.decode.guest().has_bars()) {
            let edge = function.decode.prefetch_started();
            function.count(edge);
        }
        Ok(())
    }

    fn check_prefetch(&self, at: usize, slot: Slot) -> Result<(), EnableRefused> {
        self.check_enable(at)?;
        // A function that did not answer when its BARs were written may not have them.
        let told = self.functions.get(at).is_some_and(|function| function.decode.bars_agree() && !function.awaiting);
        if !told || self.has_conflicts(at) {
            return Err(EnableRefused::BarsNotTold { slot });
        }
        Ok(())
    }

    /// The background map ended. A guest that enabled or disabled the function meanwhile has settled the matter. Any
    /// context.
    pub fn prefetch_finished(&mut self, slot: Slot, ok: bool) {
        if let Some(function) = self.find(slot).and_then(|at| self.attached_mut(at)) {
            function.decode.prefetch_finished(ok);
        }
    }

    /// The guest starts a function by message: says what must be sent, or why not (I3; counted and reported). Functions
    /// that only linger in the way are cleared through the window. From here on the function's range is taken, until
    /// [`ConfigSpace::power_completed`] or [`ConfigSpace::power_abandoned`] is called. Any context.
    pub fn plan_power_on(&mut self, port: &mut dyn ConfigPort, slot: Slot) -> Result<PowerPlan, EnableRefused> {
        let at = self.find_present(slot).ok_or(EnableRefused::NoFunction { slot })?;
        self.with_page(port, at, |function, page, reports| function.probe_again(page, reports));
        let Some(function) = self.functions.get(at) else { return Err(EnableRefused::NoFunction { slot }) };
        let (host, agree) = (function.decode.host(), function.decode.bars_agree());
        let addresses = function.decode.guest().addresses();
        if host.is_mapped() && agree {
            self.power_on_begins(at, addresses);
            return Ok(PowerPlan::default());
        }
        let plan = PowerPlan { power_off_first: host.may_be_mapped() && !agree, bars: (!agree).then_some(addresses) };
        if let Err(refused) = self.check_enable(at) {
            self.refuse(at, refused);
            return Err(refused);
        }
        self.flush_conflicts(port, at);
        self.power_on_begins(at, addresses);
        if let Some(function) = self.functions.get_mut(at).filter(|_| plan.bars.is_some()) {
            // Until the answer to RESOURCES_ASSIGNED is there, if it ever is, the host may have either.
            function.decode.host_bars_unknown();
        }
        Ok(plan)
    }

    fn power_on_begins(&mut self, at: usize, addresses: [Option<u64>; 6]) {
        if let Some(function) = self.functions.get_mut(at) {
            function.powering = Some(addresses);
        }
    }

    /// What [`ConfigSpace::plan_power_on`] allowed will not be asked of the host, or no longer: its range is free again. Any
    /// context.
    pub fn power_abandoned(&mut self, slot: Slot) {
        if let Some(function) = self.find(slot).and_then(|at| self.functions.get_mut(at)) {
            function.powering = None;
        }
    }

    /// The guest stops a function by message. Returns whether POWER_STATE_CHANGE to D3 must be sent (and reported with
    /// [`ConfigSpace::power_completed`]); under [`Policy::Absorbing`] with nobody bound it lingers instead. Any context.
    pub fn plan_power_off(&mut self, slot: Slot) -> bool {
        let Some(function) = self.find(slot).and_then(|at| self.attached_mut(at)) else { return false };
        if function.decode.policy() == Policy::Absorbing && function.decode.may_linger() {
            function.decode.guest_decode_becomes(false);
            return false;
        }
        true
    }

    /// POWER_STATE_CHANGE completed: to D0 (`on`) or to D3. Updates both views and the ledger. Any context.
    pub fn power_completed(&mut self, slot: Slot, on: bool, ok: bool) {
        let Some(function) = self.find(slot).and_then(|at| self.attached_mut(at)) else { return };
        if on {
            // After D3 that makes way for other BARs, D0 is still to come.
            function.powering = None;
        }
        if !ok {
            function.decode.host_decode_unknown();
            function.decode.guest_decode_becomes(false);
            return;
        }
        if function.decode.guest().has_bars() {
            let edge = function.decode.host_decode_becomes(on);
            function.count(edge);
            function.decode.guest_decode_becomes(on);
        } else {
            // The host has written Memory, which is an ordinary bit here.
            function.command.lost();
        }
    }

    /// The host was told BAR addresses by RESOURCES_ASSIGNED, with decode off; the guest has them too. Any context.
    pub fn bars_assigned(&mut self, slot: Slot, addresses: &[Option<u64>; 6]) {
        if let Some(function) = self.find(slot).and_then(|at| self.attached_mut(at)) {
            function.decode.bars_assigned(addresses);
        }
    }
}
