//! The pump's half: actions and their answers.

use crate::Time;
use crate::backend::PlatformError;
use crate::config::Reach;

use super::child::{Assigned, Prefetch};
use super::phase::Link;
use super::status::count;
use super::windows::WindowState;
use super::{Action, ActionDone, Bus, BusError, FunctionError, PublishAction, RequestError};

impl Bus {
    /// What the pump is to do; `None` while it is at something or when there is nothing. Sleepable contexts: this is
    /// where lists are worked through and memory for placements is reserved. Call [`Bus::transmit`] afterwards.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.stirred &= self.action.is_some();
        let action = self.advance(true)?;
        match action {
            Action::OpenChannel => self.link = Link::Opening,
            Action::CloseChannel => self.link = Link::Closing,
            // The config half forgets the function that was in the slot before.
            Action::Attach { slot } => self.departed.retain(|departed| departed.slot != slot),
            _ => {}
        }
        self.action = Some(action);
        Some(action)
    }

    /// Takes the answer to an action of [`Bus::poll_action`] or [`Bus::poll_publish`]. Sleepable contexts.
    pub fn action_done(&mut self, _now: Time, done: ActionDone) {
        match done {
            ActionDone::Published { slot, result } if self.publishing == Some(PublishAction::Publish { slot }) => {
                self.publishing = None;
                self.published(slot, result);
            }
            ActionDone::Unpublished { slot } if matches!(self.publishing, Some(PublishAction::Unpublish { slot: of, .. }) if of == slot) =>
            {
                self.publishing = None;
                self.unpublished(slot);
            }
            ActionDone::Published { .. } | ActionDone::Unpublished { .. } => {
                count(&mut self.counters.unexpected_actions);
            }
            done => match self.action.take() {
                Some(action) => {
                    if !self.pump_done(action, done) {
                        self.action = Some(action);
                        count(&mut self.counters.unexpected_actions);
                    }
                }
                None => count(&mut self.counters.unexpected_actions),
            },
        }
    }

    /// `false` when the answer does not fit the action.
    fn pump_done(&mut self, action: Action, done: ActionDone) -> bool {
        match (action, done) {
            (Action::OpenChannel, ActionDone::ChannelOpened(result)) => self.channel_opened(result),
            (Action::ReserveConfigWindow, ActionDone::ConfigWindow(result)) => match result {
                Ok(address) => self.config_window = Some(address),
                Err(error) => self.fail(BusError::ConfigWindow(error)),
            },
            (Action::ReserveWindow(need), ActionDone::Window(result)) => self.window_answered(need, result),
            (Action::Attach { slot }, ActionDone::Attached(result)) => match (result, self.child_mut(slot)) {
                (Ok(()), Some(child)) => child.attached = true,
                (Ok(()), None) => {}
                (Err(error), _) => self.fail_function(slot, FunctionError::Attach(error)),
            },
            (Action::PrefetchStarted { slot }, ActionDone::PrefetchRefused) => {
                if let Some(child) = self.child_mut(slot) {
                    child.prefetch = Prefetch::Done;
                }
            }
            (action, ActionDone::Done) => return self.plain_done(action),
            _ => return false,
        }
        true
    }

    fn channel_opened(&mut self, result: Result<(), PlatformError>) {
        match result {
            Ok(()) => self.link = Link::Open,
            Err(error) => {
                self.link = Link::Closed;
                self.channel_lost(RequestError::Closed);
                if self.wind.is_none() {
                    self.fail(BusError::OpenChannel(error));
                }
            }
        }
    }

    fn plain_done(&mut self, action: Action) -> bool {
        match action {
            Action::CloseChannel => {
                self.link = Link::Closed;
                self.mute = self.rescinded;
                self.channel_lost(RequestError::Closed);
            }
            Action::ReleaseConfigWindow => self.config_window = None,
            Action::ReleaseWindow(window) => self.window_released(window),
            Action::ClaimWindow(window) => self.set_window(window, WindowState::Fresh, WindowState::Claimed),
            Action::UnclaimWindow(window) => self.set_window(window, WindowState::Claimed, WindowState::Spare),
            Action::Detach { slot, reach } => {
                if reach == Reach::Host {
                    self.departs(slot);
                }
                if let Some(child) = self.child_mut(slot) {
                    child.attached = false;
                }
            }
            Action::HostLostState { slot: None } => {
                self.host_lost = false;
                self.prefetch_anew();
            }
            Action::HostLostState { slot: Some(slot) } => {
                if let Some(child) = self.child_mut(slot) {
                    child.lost = false;
                }
            }
            Action::FunctionGone { slot } => {
                if let Some(child) = self.child_mut(slot) {
                    child.gone_told = true;
                }
            }
            Action::HostUnmapped { slot: None } => self.host_unmapped = false,
            Action::HostUnmapped { slot: Some(slot) } => self.departed.retain(|departed| departed.slot != slot),
            Action::PrefetchStarted { slot } => {
                if let Some(child) = self.child_mut(slot) {
                    child.prefetch = Prefetch::Announced;
                }
            }
            Action::PrefetchFinished { slot, .. } => {
                if let Some(child) = self.child_mut(slot) {
                    child.prefetch = Prefetch::Done;
                }
            }
            Action::PowerCompleted { slot, .. } => {
                if let Some(child) = self.child_mut(slot) {
                    child.power = None;
                }
            }
            Action::InterruptRecreated { handle, .. } => self.interrupt_told(handle),
            Action::OpenChannel | Action::ReserveConfigWindow | Action::ReserveWindow(_) | Action::Attach { .. } => {
                return false;
            }
        }
        true
    }

    fn set_window(&mut self, window: crate::placement::Window, from: WindowState, to: WindowState) {
        if let Some(owned) = self.windows.iter_mut().find(|owned| owned.window == window && owned.state == from) {
            owned.state = to;
        }
    }

    /// Whether the host has taken note of a function's resources. Any context.
    pub fn is_assigned(&self, slot: crate::Slot) -> bool {
        self.child(slot).is_some_and(|child| child.assigned == Assigned::Yes)
    }
}
