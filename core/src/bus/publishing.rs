//! The publisher's half: showing functions to the OS and taking them away.

use super::child::{Child, Prefetch, Shown};
use super::phase::{Goal, Wind};
use super::{Bus, FunctionError, PublishAction};
use crate::Slot;
use crate::backend::PlatformError;

impl Bus {
    /// What the publisher is to do next; `None` while it is at something or when there is nothing. Sleepable contexts.
    ///
    /// Functions are taken away as soon as they leave, the highest slot first. A function is shown once every function
    /// that the host listed is ready or has failed, and every background map has been sent for; the lowest slot first. The
    /// lowest one's own background map is waited for, as long as [`super::Deadlines::prefetch`] says.
    pub fn poll_publish(&mut self) -> Option<PublishAction> {
        if self.publishing.is_some() {
            return None;
        }
        let action = self.next_unpublish().or_else(|| self.next_publish())?;
        let (slot, shown) = match action {
            PublishAction::Publish { slot } => (slot, Shown::Publishing),
            PublishAction::Unpublish { slot, .. } => (slot, Shown::Unpublishing),
        };
        if let Some(child) = self.child_mut(slot) {
            child.shown = shown;
        }
        self.publishing = Some(action);
        Some(action)
    }

    /// Whether [`Bus::poll_publish`] has something for the publisher. Any context.
    pub fn has_publish_work(&self) -> bool {
        self.publishing.is_none() && (self.next_unpublish().is_some() || self.next_publish().is_some())
    }

    fn next_unpublish(&self) -> Option<PublishAction> {
        let child = self.children.iter().rev().find(|child| child.retiring() && child.shown == Shown::Yes)?;
        if child.gone_untold() {
            // Its driver must not reach whatever is in the slot now.
            return None;
        }
        let reason = self.removal_reason(child.leaving);
        Some(PublishAction::Unpublish { slot: child.description.slot, reason })
    }

    fn next_publish(&self) -> Option<PublishAction> {
        let all_ready = || self.children.iter().all(|child| !child.wanted() || self.ready(child));
        if self.wind.is_some() || self.goal != Goal::Run || self.kept || !self.can_send() {
            return None;
        }
        if !all_ready() || !self.prefetches_started() {
            return None;
        }
        let slot = self.first_wanted(|child| child.shown == Shown::No)?;
        let child = self.child(slot)?;
        let mapping = child.kept_until().is_some() || matches!(child.prefetch, Prefetch::Finished(_));
        (!mapping).then_some(PublishAction::Publish { slot })
    }

    fn ready(&self, child: &Child) -> bool {
        child.attached && child.assigned == super::child::Assigned::Yes
    }

    /// The publisher's answer.
    pub(super) fn published(&mut self, slot: Slot, result: Result<(), PlatformError>) {
        if let Some(child) = self.child_mut(slot) {
            child.shown = if result.is_ok() { Shown::Yes } else { Shown::No };
        }
        if let Err(error) = result
            && self.wind != Some(Wind::Down)
        {
            self.fail_function(slot, FunctionError::Publish(error));
        }
    }

    /// The publisher's answer.
    pub(super) fn unpublished(&mut self, slot: Slot) {
        if let Some(child) = self.child_mut(slot) {
            child.shown = Shown::No;
            child.eject_deadline = None;
        }
    }
}
