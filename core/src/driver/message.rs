//! What message-style guests leave to their bus: power, and message interrupts. And messages that nobody may send.

use core::future::Future;

use super::request::{RequestFailure, answer, request_at, submit};
use crate::backend::{Platform, Waiter};
use crate::bus::Request;
use crate::config::{EnableRefused, MessageCapability, MessagesRefused};
use crate::wire::{MsiEntry, PowerState};
use crate::{Slot, Time};

/// Message style: turns a function's decode on when its driver starts (D0), after telling the host its BARs if they have
/// changed. Sleepable context; one power change at a time per function. When this returns `Ok` the guest's view has
/// Memory set.
pub async fn power_on(platform: &dyn Platform, slot: Slot) -> Result<(), RequestFailure> {
    power_on_at(platform, slot, |deadline| platform.wait(Waiter::Function(slot), deadline)).await
}

/// [`power_on`] that waits where the caller likes: see [`answer`].
pub async fn power_on_at<W: Future<Output = ()>>(
    platform: &dyn Platform,
    slot: Slot,
    wait: impl Fn(Option<Time>) -> W,
) -> Result<(), RequestFailure> {
    let mut plan = Err(EnableRefused::NoFunction { slot });
    platform.with_config(&mut |config, port| plan = config.plan_power_on(port, slot));
    let plan = plan?;
    let mut planned = Planned { platform, slot, open: true };
    if plan.power_off_first {
        request_at(platform, Request::PowerState { slot, state: PowerState::D3 }, &wait).await?;
    }
    if let Some(bars) = plan.bars {
        request_at(platform, Request::AssignResources { slot, bars }, &wait).await?;
        platform.with_config(&mut |config, _| config.bars_assigned(slot, &bars));
    }
    let ticket = submit(platform, Request::PowerState { slot, state: PowerState::D0 })?;
    // The engine tells the config half how that ends, whatever becomes of this future.
    planned.open = false;
    Ok(answer(platform, ticket, wait).await.map(|_| ())?)
}

/// A plan to turn decode on, until the host is asked to. Dropped before, it is given up.
struct Planned<'a> {
    platform: &'a dyn Platform,
    slot: Slot,
    open: bool,
}

impl Drop for Planned<'_> {
    fn drop(&mut self) {
        if self.open {
            self.platform.with_config(&mut |config, _| config.power_abandoned(self.slot));
        }
    }
}

/// Message style: turns a function's decode off when its driver stops (D3). Sleepable context; one power change at a time
/// per function.
pub async fn power_off(platform: &dyn Platform, slot: Slot) -> Result<(), RequestFailure> {
    power_off_at(platform, slot, |deadline| platform.wait(Waiter::Function(slot), deadline)).await
}

/// [`power_off`] that waits where the caller likes: see [`answer`].
pub async fn power_off_at<W: Future<Output = ()>>(
    platform: &dyn Platform,
    slot: Slot,
    wait: impl Fn(Option<Time>) -> W,
) -> Result<(), RequestFailure> {
    let mut needed = false;
    platform.with_config(&mut |config, _| needed = config.plan_power_off(slot));
    if needed {
        request_at(platform, Request::PowerState { slot, state: PowerState::D3 }, wait).await?;
    }
    Ok(())
}

/// How a function signals interrupts by message, for platforms whose operating system leaves that to the bus. Any context.
pub fn message_capability(platform: &dyn Platform, slot: Slot) -> Option<MessageCapability> {
    let mut capability = None;
    platform.with_config(&mut |config, port| capability = config.message_capability(port, slot));
    capability
}

/// Switches a function's messages on: see [`crate::config::ConfigSpace::enable_messages`]. Any context.
pub fn enable_messages(
    platform: &dyn Platform,
    slot: Slot,
    capability: MessageCapability,
    entry: &MsiEntry,
    count: u16,
) -> Result<(), MessagesRefused> {
    let mut result = Ok(());
    platform.with_config(&mut |config, port| {
        result = config.enable_messages(port, slot, capability, entry, count);
    });
    result
}

/// Switches a function's messages off, where it still answers. Any context.
pub fn disable_messages(platform: &dyn Platform, slot: Slot, capability: MessageCapability) {
    platform.with_config(&mut |config, port| config.disable_messages(port, slot, capability));
}

/// Keeps a function from sending plain MSI messages that the host does not know: see
/// [`crate::config::ConfigSpace::withhold_messages`]. For platforms whose operating system writes the registers itself, and
/// cannot mask every message. Any context.
pub fn withhold_messages(platform: &dyn Platform, slot: Slot) {
    platform.with_config(&mut |config, port| config.withhold_messages(port, slot));
}

/// Lets a function send its messages again, which are in its registers: see
/// [`crate::config::ConfigSpace::pass_messages`]. Any context.
pub fn pass_messages(platform: &dyn Platform, slot: Slot) {
    platform.with_config(&mut |config, port| config.pass_messages(port, slot));
}
