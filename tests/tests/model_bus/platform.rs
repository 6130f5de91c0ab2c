//! The abstract platform: what it holds, and whether it is asked for what makes sense.

use hvpci_core::backend::PlatformError;
use hvpci_core::bus::{Action, ActionDone, PublishAction};
use hvpci_core::decode::Policy;
use hvpci_core::placement::{Aperture, Window};

use super::events::Disturbance;
use super::host::{BAR, Listed, Mapped, What, bit};
use super::mutants::Mutant;
use super::world::{Broken, NOW, World, slot};

/// What the platform holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Platform {
    pub channel: bool,
    pub config_window: bool,
    /// Windows reserved, and whether the config half has them.
    pub windows: Vec<(Window, bool)>,
    /// Bit per slot.
    pub attached: u8,
    pub published: u8,
    pub pumping: Option<Action>,
    pub publishing: Option<PublishAction>,
}

impl Platform {
    /// Nothing is open, reserved, claimed, attached or published.
    pub fn is_bare(&self) -> bool {
        *self == Platform::default()
    }
}

impl World {
    /// Whether an action may be begun.
    pub fn begin(&mut self, action: Action) {
        match action {
            Action::OpenChannel => self.require(!self.platform.channel && !self.host.rescinded, "open once"),
            Action::CloseChannel => self.require(self.platform.channel, "close what is open"),
            Action::ReserveConfigWindow => self.require(!self.platform.config_window, "one config window"),
            Action::ReleaseConfigWindow => self.require(self.platform.config_window, "release the config window"),
            Action::ReserveWindow(_) => {}
            Action::ReleaseWindow(window) => {
                let spare = self.platform.windows.contains(&(window, false));
                self.require(spare, "release a window that is reserved and not claimed");
                let mapped = |base| window.contains(base, BAR);
                if self.host.mapped.iter().any(|m| mapped(m.base)) {
                    self.breaks(Broken::StillMapped);
                }
            }
            Action::ClaimWindow(window) => {
                self.require(self.platform.windows.contains(&(window, false)), "claim a window that is reserved");
            }
            Action::UnclaimWindow(window) => {
                self.require(self.platform.windows.contains(&(window, true)), "unclaim a window that is claimed");
                self.require(self.platform.attached == 0, "unclaim with nothing attached");
            }
            Action::Attach { slot } => {
                let number = slot.to_wire();
                let listed = self.host.list.iter().any(|f| f.slot == number) && self.host.open && !self.host.closed;
                // Message style: before they are assigned, see `Port::send`.
                let in_turn = (self.host.assigned & bit(number) == 0) == self.messages();
                let in_turn = in_turn || !listed || self.host.ejecting != [None; 2];
                self.require(in_turn, "attach with assigned resources, or, in message style, before");
                self.require(self.platform.attached & bit(number) == 0, "attach once");
                let Some(base) = self.bar(number) else { return self.require(false, "attach a function with BARs") };
                let claimed =
                    self.platform.windows.iter().any(|(window, claimed)| *claimed && window.contains(base, BAR));
                self.require(claimed, "attach inside a claimed window");
                let over = |m: &Mapped| m.slot != number && m.base < base + BAR && base < m.base + BAR;
                if self.host.mapped.iter().any(over) {
                    self.breaks(Broken::StillMapped);
                }
            }
            Action::Detach { slot, .. } => {
                self.untold &= !bit(slot.to_wire());
                self.require(self.platform.attached & bit(slot.to_wire()) != 0, "detach what is attached");
                self.require(self.platform.published & bit(slot.to_wire()) == 0, "detach what is not published");
            }
            Action::PrefetchStarted { slot }
            | Action::PrefetchFinished { slot, .. }
            | Action::PowerCompleted { slot, .. } => {
                let finished = matches!(action, Action::PrefetchFinished { .. });
                if finished && self.mutant != Some(Mutant::PrefetchEndLost) {
                    self.untold &= !bit(slot.to_wire());
                }
                self.require(self.platform.attached & bit(slot.to_wire()) != 0, "tell of what is attached");
            }
            Action::FunctionGone { .. }
            | Action::HostLostState { .. }
            | Action::HostUnmapped { .. }
            | Action::InterruptRecreated { .. } => {}
        }
    }

    pub fn pump_done(&mut self, ok: bool) {
        let Some(action) = self.platform.pumping.take() else { return };
        let done = match action {
            Action::OpenChannel if self.mutant == Some(Mutant::ActionSwallowed) => return,
            Action::OpenChannel if self.mutant == Some(Mutant::OpenedEarly) => ActionDone::ChannelOpened(Ok(())),
            Action::OpenChannel if ok && !self.host.rescinded => {
                (self.platform.channel, self.host.open) = (true, true);
                ActionDone::ChannelOpened(Ok(()))
            }
            Action::OpenChannel => ActionDone::ChannelOpened(Err(PlatformError::ChannelOpen)),
            Action::CloseChannel => {
                (self.platform.channel, self.untold) = (false, 0);
                if self.mutant != Some(Mutant::LeftOpen) {
                    self.host.forget();
                }
                if self.mutant == Some(Mutant::WindowsDropped) && self.suspended {
                    self.platform.windows.clear();
                }
                ActionDone::Done
            }
            Action::ReserveConfigWindow => {
                self.platform.config_window = ok;
                ActionDone::ConfigWindow(if ok { Ok(0xF000_0000) } else { Err(PlatformError::NoMmioSpace) })
            }
            Action::ReleaseConfigWindow => {
                self.platform.config_window = false;
                ActionDone::Done
            }
            Action::ReserveWindow(need) => ActionDone::Window(self.reserve(need.size, ok)),
            Action::ReleaseWindow(_) if self.mutant == Some(Mutant::WindowKept) => ActionDone::Done,
            Action::ReleaseWindow(window) => {
                self.platform.windows.retain(|(held, _)| *held != window);
                ActionDone::Done
            }
            Action::ClaimWindow(window) | Action::UnclaimWindow(window) => {
                let claim = matches!(action, Action::ClaimWindow(_));
                for held in self.platform.windows.iter_mut().filter(|(held, _)| *held == window) {
                    held.1 = claim && self.mutant != Some(Mutant::ClaimForgotten);
                }
                ActionDone::Done
            }
            Action::Attach { slot } => {
                if ok {
                    self.platform.attached |= bit(slot.to_wire());
                }
                ActionDone::Attached(if ok { Ok(()) } else { Err(PlatformError::Refused) })
            }
            Action::Detach { slot, .. } => {
                self.platform.attached &= !bit(slot.to_wire());
                self.host.asked &= !bit(slot.to_wire());
                ActionDone::Done
            }
            Action::PrefetchStarted { .. } if !ok => ActionDone::PrefetchRefused,
            _ => ActionDone::Done,
        };
        self.bus.action_done(NOW, done);
    }

    /// The lowest free place for a window, low space being full.
    fn reserve(&mut self, size: u64, ok: bool) -> Result<Window, PlatformError> {
        let free = |at: &u64| !self.platform.windows.iter().any(|(held, _)| held.base == *at);
        let place = (0..8).map(|n| 0x10_0000_0000 + n * 0x1000_0000).find(free).filter(|_| ok);
        let base = place.ok_or(PlatformError::NoMmioSpace)?;
        let window = Window { aperture: Aperture::High, base, size };
        self.platform.windows.push((window, false));
        Ok(window)
    }

    pub fn begin_publishing(&mut self, action: PublishAction) {
        match action {
            PublishAction::Publish { slot } => {
                let number = slot.to_wire();
                self.require(self.platform.attached & bit(number) != 0, "publish what is attached");
                self.require(self.platform.published & bit(number) == 0, "publish once");
                if self.waits_for_maps(number) {
                    self.breaks(Broken::ShownEarly);
                }
                // From here on the function's driver may turn decode on through the config window.
                if let (false, true, Some(base)) =
                    (self.messages(), self.host.d0 && !self.host.rescinded, self.bar(number))
                    && self.host.assigned & bit(number) != 0
                {
                    self.host.may_map(number, base, false);
                }
                self.platform.published |= bit(number);
            }
            PublishAction::Unpublish { slot, .. } => {
                self.require(self.platform.published & bit(slot.to_wire()) != 0, "unpublish what is published");
            }
        }
    }

    /// Whether a function may not be shown yet: every background map is asked for before, and its own is over and the config
    /// half knows. Nobody waits for a map for which a deadline has passed.
    fn waits_for_maps(&self, number: u32) -> bool {
        let happened = |disturbance: Disturbance| self.happened & (1 << disturbance as u32) != 0;
        if self.bus.options().policy != Policy::Prefetch || happened(Disturbance::Silence) {
            return false;
        }
        let mine =
            self.untold & bit(number) != 0 || self.host.pending.iter().any(|(_, w)| *w == What::Power(number, true));
        // The host's function is the one that the guest has there, and may stay.
        let is_known = |f: &Listed| {
            self.bus.function(slot(f.slot)).is_some_and(|function| function.description.serial == f.serial)
        };
        let stays = |f: &&Listed| self.host.ejecting[f.slot as usize] != Some(f.serial) && is_known(f);
        let wanted = self.host.list.iter().filter(stays).fold(0, |all, f| all | bit(f.slot));
        let unasked = self.platform.attached & !self.platform.published & wanted & !self.host.asked;
        // A function that failed is not waited for, and is there until it is taken away.
        let failed = happened(Disturbance::Fail) || happened(Disturbance::Refuse);
        mine || unasked != 0 && !failed
    }

    pub fn publisher_done(&mut self, ok: bool) {
        match self.platform.publishing.take() {
            Some(PublishAction::Publish { slot }) => {
                if !ok {
                    self.platform.published &= !bit(slot.to_wire());
                }
                let result = if ok { Ok(()) } else { Err(PlatformError::Refused) };
                self.bus.action_done(NOW, ActionDone::Published { slot, result });
            }
            Some(PublishAction::Unpublish { .. }) if self.mutant == Some(Mutant::PublisherStuck) => {}
            Some(PublishAction::Unpublish { slot, .. }) => {
                self.platform.published &= !bit(slot.to_wire());
                self.bus.action_done(NOW, ActionDone::Unpublished { slot });
            }
            None => {}
        }
    }
}
