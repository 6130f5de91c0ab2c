//! The async driver: written once, runs on every platform.
//!
//! Two futures run a bus. [`pump`] carries packets, timers and resources; [`publisher`] shows functions to the OS and takes
//! them away again, which may take as long as a driver's probe, so the pump never waits for it. A backend gives each a
//! thread of its own kind (an ordered workqueue, a work item, a task on virtual time) and polls it when
//! [`Platform::wake`] was called or the deadline of its wait has come.
//!
//! The other functions are what a backend's callbacks call, in any context; they neither sleep nor allocate.

mod actions;
mod message;
mod request;

use crate::Slot;
use crate::backend::{Platform, PlatformError, Waiter};
use crate::bus::{ActionDone, BusStatus, Packet, PublishAction};
use crate::decode::Ledger;

pub use message::{
    disable_messages, enable_messages, message_capability, pass_messages, power_off, power_off_at, power_on,
    power_on_at, withhold_messages,
};
pub use request::{RequestFailure, answer, poll, request, request_at, reserve_interrupts, submit, withdraw};

/// Runs the engine half of a bus until the bus is over: stopped, failed or gone, with everything given back.
///
/// Call [`start`] first. After a suspend it goes on waiting for the resume.
pub async fn pump(platform: &dyn Platform) {
    // What the others last had reason to look at: they are woken when it changes, not while it lasts.
    let mut seen = None;
    loop {
        let (mut action, mut deadline, mut over, mut stirred) = (None, None, false, false);
        platform.with_bus(&mut |bus, port| {
            let now = platform.now();
            bus.handle_timeout(now);
            action = bus.poll_action();
            stirred = bus.transmit(now, port);
            // Timeouts by number: those that a caller's `poll` dealt with, which ends other callers' requests as well, count.
            let shown = Some((bus.counters().timeouts, bus.has_publish_work(), bus.status()));
            stirred |= shown != seen;
            seen = shown;
            deadline = bus.poll_timeout();
            over = is_over(bus.status());
        });
        if stirred {
            // For callers whose requests have just ended, and for a publisher that may have looked before there was
            // something for it.
            platform.wake();
        }
        relay_reports(platform);
        if let Some(action) = action {
            let done = actions::perform(platform, action).await;
            platform.with_bus(&mut |bus, _| bus.action_done(platform.now(), done));
            platform.wake();
        } else if over {
            platform.wake();
            return;
        } else {
            platform.wait(Waiter::Pump, deadline).await;
        }
    }
}

/// Publishes and unpublishes functions until the bus is over.
pub async fn publisher(platform: &dyn Platform) {
    loop {
        let (mut action, mut over) = (None, false);
        platform.with_bus(&mut |bus, _| {
            action = bus.poll_publish().map(|action| match action {
                PublishAction::Publish { slot } => (action, bus.function(slot)),
                PublishAction::Unpublish { .. } => (action, None),
            });
            over = is_over(bus.status());
        });
        let done = match action {
            Some((PublishAction::Publish { slot }, function)) => {
                let result = match &function {
                    Some(function) => platform.publish(function).await,
                    None => Err(PlatformError::Refused),
                };
                ActionDone::Published { slot, result }
            }
            Some((PublishAction::Unpublish { slot, reason }, _)) => {
                platform.unpublish(slot, reason).await;
                ActionDone::Unpublished { slot }
            }
            None if over => return,
            None => {
                platform.wait(Waiter::Publisher, None).await;
                continue;
            }
        };
        platform.with_bus(&mut |bus, _| bus.action_done(platform.now(), done));
        platform.wake();
    }
}

/// Whether [`publisher`] would do anything now but wait again. Any context.
///
/// For a backend where waking costs something: if this is asked after every [`Platform::wake`], the publisher needs to be
/// polled only when it holds, because whatever makes it hold is followed by a wake.
pub fn publisher_wanted(platform: &dyn Platform) -> bool {
    let mut wanted = false;
    platform.with_bus(&mut |bus, _| wanted = bus.has_publish_work() || is_over(bus.status()));
    wanted
}

/// Nothing is open, nothing is reserved, and nothing will happen by itself.
fn is_over(status: BusStatus) -> bool {
    matches!(status, BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
}

/// Hands the reports of both halves to the platform.
fn relay_reports(platform: &dyn Platform) {
    loop {
        let mut report = None;
        platform.with_bus(&mut |bus, _| report = bus.poll_report());
        let Some(report) = report else { break };
        platform.report(&report);
    }
    loop {
        let mut report = None;
        platform.with_config(&mut |config, _| report = config.take_report());
        let Some(report) = report else { break };
        platform.config_report(&report);
    }
}

/// Asks for the bus to be brought up. Any context; [`pump`] does the work.
pub fn start(platform: &dyn Platform) {
    platform.with_bus(&mut |bus, _| bus.request_start(platform.now()));
    platform.wake();
}

/// Asks for the bus to be brought down and everything to be given back. Any context; [`pump`] does the work.
pub fn stop(platform: &dyn Platform) {
    platform.with_bus(&mut |bus, _| bus.request_stop(platform.now()));
    platform.wake();
}

/// Asks for the bus to be brought down while its functions and windows are kept. Any context.
pub fn suspend(platform: &dyn Platform) {
    platform.with_bus(&mut |bus, _| bus.request_suspend(platform.now()));
    platform.wake();
}

/// Asks for a suspended bus to be brought up again. Any context.
pub fn resume(platform: &dyn Platform) {
    platform.with_bus(&mut |bus, _| bus.request_resume(platform.now()));
    platform.wake();
}

/// A packet arrived. Call it from the channel callback, in any context, with a private copy of the payload: the ring
/// belongs to the host. Answers that the packet makes possible are sent before this returns.
pub fn packet_arrived(platform: &dyn Platform, packet: Packet<'_>) {
    platform.with_bus(&mut |bus, port| {
        let now = platform.now();
        bus.handle_packet(now, packet);
        bus.transmit(now, port);
    });
    platform.wake();
}

/// The host took the channel away. Any context. Every outstanding request ends now.
pub fn channel_rescinded(platform: &dyn Platform) {
    platform.with_bus(&mut |bus, _| bus.channel_rescinded(platform.now()));
    platform.wake();
}

/// A config read by the guest OS. Any context. Any width, alignment, offset and slot is accepted; what hardware would not
/// answer reads all ones.
pub fn config_read(platform: &dyn Platform, slot: Slot, offset: u16, bytes: usize) -> u32 {
    let mut value = u32::MAX;
    platform.with_config(&mut |config, port| value = config.read(port, slot, offset, bytes));
    value
}

/// A config write by the guest OS. Any context. May take as long as the host takes to map the function's BARs.
pub fn config_write(platform: &dyn Platform, slot: Slot, offset: u16, bytes: usize, value: u32) {
    platform.with_config(&mut |config, port| config.write(port, slot, offset, bytes, value));
}

/// A function driver was bound to the function (`true`) or has let go of it (`false`): the enumeration scope of
/// [`crate::decode::Policy::Absorbing`] closes or opens. Any context.
pub fn function_bound(platform: &dyn Platform, slot: Slot, bound: bool) {
    platform.with_config(&mut |config, port| config.set_bound(port, slot, bound));
}

/// What a function has cost so far, both halves added up. Any context.
pub fn ledger(platform: &dyn Platform, slot: Slot) -> Ledger {
    let mut ledger = Ledger::default();
    platform.with_config(&mut |config, _| ledger = config.ledger(slot).unwrap_or_default());
    platform.with_bus(&mut |bus, _| ledger.messages = ledger.messages.saturating_add(bus.messages(slot)));
    ledger
}
