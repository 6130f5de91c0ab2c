//! The async driver: written once, runs on every platform.
//!
//! Two futures run a bus. [`pump`] carries packets, timers and resources; [`publisher`] shows functions to the OS and takes
//! them away again, which may take as long as a driver's probe, so the pump never waits for it. A backend gives each a
//! thread of its own kind (an ordered workqueue, a work item, a task on virtual time) and polls it when
//! [`Platform::wake`] was called or the deadline of its wait has come.
//!
//! The other functions are what a backend's callbacks call, in any context; they neither sleep nor allocate.

mod message;

use core::future::Future;
use core::task::Poll;

use crate::backend::{Platform, PlatformError, Waiter};
use crate::bus::{
    Action, ActionDone, BusStatus, InterruptRoom, Packet, PublishAction, Reply, Request, RequestError, SubmitError,
    Ticket,
};
use crate::config::{ConfigError, EnableRefused, Functions, Room};
use crate::decode::Ledger;
use crate::{OutOfMemory, Slot, Time};

pub use message::{disable_messages, enable_messages, message_capability, power_off, power_on};

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
            let done = perform(platform, action).await;
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

/// Does what the engine asked for.
async fn perform(platform: &dyn Platform, action: Action) -> ActionDone {
    match action {
        Action::OpenChannel => return ActionDone::ChannelOpened(platform.open_channel().await),
        Action::CloseChannel => platform.close_channel().await,
        Action::ReserveConfigWindow => {
            let window = platform.reserve_config_window().await;
            platform.with_config(&mut |config, _| config.forget_selector());
            return ActionDone::ConfigWindow(window);
        }
        Action::ReleaseConfigWindow => platform.release_config_window().await,
        Action::ReserveWindow(need) => return ActionDone::Window(platform.reserve_window(need).await),
        Action::ReleaseWindow(window) => platform.release_window(window).await,
        Action::PrefetchStarted { slot } => {
            let mut started = Ok(());
            platform.with_config(&mut |config, _| started = config.prefetch_started(slot));
            // The refusal is counted and reported by the config half.
            return started.map_or(ActionDone::PrefetchRefused, |()| ActionDone::Done);
        }
        Action::Attach { slot } => {
            make_room(platform);
            return ActionDone::Attached(attach(platform, slot));
        }
        Action::ClaimWindow(_) => {
            make_room(platform);
            tell_config_half(platform, action);
        }
        Action::HostLostState { slot } => {
            tell_config_half(platform, action);
            restart(platform, slot);
        }
        Action::InterruptRecreated { handle, slot, entry } => platform.interrupt_recreated(handle, slot, entry),
        quick => tell_config_half(platform, quick),
    }
    ActionDone::Done
}

/// Sees to it that the config half has room for another function and another window. Without memory it has not: whoever
/// needs the room finds that out.
fn make_room(platform: &dyn Platform) {
    let mut wanted = None;
    platform.with_config(&mut |config, _| wanted = config.wants_room());
    let Some(mut room) = wanted.and_then(|capacity| Room::new(capacity).ok()) else { return };
    platform.with_config(&mut |config, _| config.grow(&mut room));
}

/// Hands a function over from the engine half to the config half.
fn attach(platform: &dyn Platform, slot: Slot) -> Result<(), PlatformError> {
    let mut seed = None;
    platform.with_bus(&mut |bus, _| seed = bus.seed(slot));
    let Some(seed) = seed else { return Err(PlatformError::Refused) };
    let mut result = Err(PlatformError::Refused);
    platform.with_config(&mut |config, port| {
        result = config.attach(port, &seed).map_err(|error| match error {
            ConfigError::OutOfMemory | ConfigError::Full => PlatformError::OutOfMemory,
            _ => PlatformError::Refused,
        });
    });
    result
}

/// Message style: nobody restores BARs through config space, so where they were placed is told to the config half anew.
/// After a D0 entry RESOURCES_ASSIGNED follows by itself, before anybody is let at the functions; after a reset of one
/// function the next [`power_on`] sends it.
fn restart(platform: &dyn Platform, only: Option<Slot>) {
    for slot in
        (0..=u32::from(u8::MAX)).filter_map(Slot::from_wire).filter(|slot| only.is_none_or(|only| only == *slot))
    {
        let mut seed = None;
        platform.with_bus(&mut |bus, _| seed = bus.seed(slot));
        if let Some(seed) = seed.filter(|seed| seed.host_bars_known) {
            platform.with_config(&mut |config, port| config.restart(port, slot, &seed.bars, only.is_none()));
        }
    }
}

/// The actions that are one call on the config half.
fn tell_config_half(platform: &dyn Platform, action: Action) {
    platform.with_config(&mut |config, port| match action {
        Action::ClaimWindow(window) => {
            // A full table is impossible: the engine's pool has the same bound, and an unclaimed window only makes
            // enables be refused.
            let _ = config.claim_window(window);
        }
        Action::UnclaimWindow(window) => {
            let _ = config.unclaim_window(window);
        }
        Action::Detach { slot, reach } => {
            let _ = config.detach(port, slot, reach);
        }
        Action::FunctionGone { slot } => config.function_gone(slot),
        Action::HostLostState { slot } => config.host_lost_state(which(slot)),
        Action::HostUnmapped { slot } => config.host_unmapped(which(slot)),
        Action::PrefetchFinished { slot, ok } => config.prefetch_finished(slot, ok),
        Action::PowerCompleted { slot, on, ok } => config.power_completed(slot, on, ok),
        _ => {}
    });
}

/// All functions of the bus, or one.
fn which(slot: Option<Slot>) -> Functions {
    slot.map_or(Functions::All, Functions::One)
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

/// Makes room for the records of `total` interrupts in all. Sleepable contexts; nothing is allocated or freed under the
/// platform's lock, in which some kernels can do neither.
///
/// # Errors
///
/// Without memory; nothing changed then.
pub fn reserve_interrupts(platform: &dyn Platform, total: u16) -> Result<(), OutOfMemory> {
    let mut there = 0;
    platform.with_bus(&mut |bus, _| there = bus.interrupt_room());
    if there < usize::from(total) {
        let mut room = InterruptRoom::new(total)?;
        platform.with_bus(&mut |bus, _| bus.take_interrupt_room(&mut room));
    }
    Ok(())
}

/// Submits a request to the host. Any context. The ticket is polled with [`poll`] and, if nobody wants the answer any
/// more, given up with [`withdraw`]; a ticket that is neither keeps its place in the table.
pub fn submit(platform: &dyn Platform, request: Request) -> Result<Ticket, SubmitError> {
    let (mut request, mut result) = (Some(request), Err(SubmitError::NotUp));
    platform.with_bus(&mut |bus, port| {
        let Some(request) = request.take() else { return };
        let now = platform.now();
        result = bus.submit(now, request);
        bus.transmit(now, port);
    });
    platform.wake();
    result
}

/// Looks for the answer to a request. Any context; ends the ticket when it is ready. A platform that waits for it polls
/// again whenever [`Platform::wake`] was called, or, with interrupts off, each time it has drained the ring.
pub fn poll(platform: &dyn Platform, ticket: Ticket) -> Poll<Result<Reply, RequestError>> {
    let mut result = Poll::Pending;
    platform.with_bus(&mut |bus, _| {
        bus.handle_timeout(platform.now());
        result = bus.poll_reply(ticket);
    });
    result
}

/// Gives a request up. Any context. Its late answer is recognised and, if it created something, undone.
pub fn withdraw(platform: &dyn Platform, ticket: Ticket) {
    platform.with_bus(&mut |bus, _| bus.withdraw(ticket));
    platform.wake();
}

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// It was not taken: nothing was sent.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The host did not do it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Turning decode on would break invariant I3: nothing was sent.
    #[error(transparent)]
    Refused(#[from] EnableRefused),
}

/// Submits a request and waits for its answer. Sleepable context; ends at the request's deadline at the latest. One at a
/// time per function, because it waits as [`Waiter::Function`]: a platform with other places to wait at calls [`submit`]
/// and [`answer`].
pub async fn request(platform: &dyn Platform, request: Request) -> Result<Reply, RequestFailure> {
    let slot = request.slot();
    let ticket = submit(platform, request)?;
    Ok(answer(platform, ticket, |deadline| platform.wait(Waiter::Function(slot), deadline)).await?)
}

/// Waits for the answer to a request. `wait` waits, where the caller likes, until [`Platform::wake`] was called since it
/// last returned, or until the deadline it is given. Sleepable context; ends at the request's deadline at the latest. A
/// caller that drops the future before gives the request up with it, as by [`withdraw`].
pub async fn answer<W: Future<Output = ()>>(
    platform: &dyn Platform,
    ticket: Ticket,
    wait: impl Fn(Option<Time>) -> W,
) -> Result<Reply, RequestError> {
    let mut held = Held { platform, ticket: Some(ticket) };
    loop {
        if let Poll::Ready(result) = poll(platform, ticket) {
            held.ticket = None;
            return result;
        }
        // A time that has come already concerns the pump: waiting for it here would be spinning.
        let mut deadline = None;
        platform.with_bus(&mut |bus, _| deadline = bus.poll_timeout().filter(|at| *at > platform.now()));
        wait(deadline).await;
    }
}

/// A ticket that is given up when it is dropped.
struct Held<'a> {
    platform: &'a dyn Platform,
    ticket: Option<Ticket>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            withdraw(self.platform, ticket);
        }
    }
}

/// What a function has cost so far, both halves added up. Any context.
pub fn ledger(platform: &dyn Platform, slot: Slot) -> Ledger {
    let mut ledger = Ledger::default();
    platform.with_config(&mut |config, _| ledger = config.ledger(slot).unwrap_or_default());
    platform.with_bus(&mut |bus, _| ledger.messages = ledger.messages.saturating_add(bus.messages(slot)));
    ledger
}
