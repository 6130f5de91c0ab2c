//! The async driver: written once, runs on every platform.
//!
//! Two futures run a bus. [`pump`] carries packets, timers and resources; [`publisher`] shows functions to the OS and takes
//! them away again, which may take as long as a driver's probe, so the pump never waits for it. A backend gives each a
//! thread of its own kind (an ordered workqueue, a work item, a task on virtual time) and polls it when
//! [`Platform::wake`] was called or the deadline of its wait has come.
//!
//! The other functions are what a backend's callbacks call, in any context; they neither sleep nor allocate.

use core::task::Poll;

use crate::Slot;
use crate::backend::{Platform, PlatformError, Waiter};
use crate::bus::{
    Action, ActionDone, BusStatus, Packet, PublishAction, Reply, Request, RequestError, SubmitError, Ticket,
};
use crate::config::{ConfigError, EnableRefused, Functions, PowerPlan};
use crate::decode::Ledger;
use crate::wire::PowerState;

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
            let timeouts = bus.counters().timeouts;
            bus.handle_timeout(now);
            stirred = bus.counters().timeouts != timeouts;
            action = bus.poll_action();
            stirred |= bus.transmit(now, port);
            let shown = Some((bus.has_publish_work(), bus.status()));
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
        Action::Attach { slot } => return ActionDone::Attached(attach(platform, slot)),
        Action::HostLostState { slot } => {
            tell_config_half(platform, action);
            restart(platform, slot);
        }
        Action::InterruptRecreated { handle, slot, entry } => platform.interrupt_recreated(handle, slot, entry),
        quick => tell_config_half(platform, quick),
    }
    ActionDone::Done
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
/// time per function, because it waits as [`Waiter::Function`].
pub async fn request(platform: &dyn Platform, request: Request) -> Result<Reply, RequestFailure> {
    let slot = request.slot();
    let ticket = submit(platform, request)?;
    loop {
        if let Poll::Ready(result) = poll(platform, ticket) {
            return Ok(result?);
        }
        // A time that has come already concerns the pump: waiting for it here would be spinning.
        let mut deadline = None;
        platform.with_bus(&mut |bus, _| deadline = bus.poll_timeout().filter(|at| *at > platform.now()));
        platform.wait(Waiter::Function(slot), deadline).await;
    }
}

/// Message style: turns a function's decode on when its driver starts (D0), after telling the host its BARs if they have
/// changed. Sleepable context; one power change at a time per function. When this returns `Ok` the guest's view has
/// Memory set.
pub async fn power_on(platform: &dyn Platform, slot: Slot) -> Result<(), RequestFailure> {
    let mut plan = Err(EnableRefused::NoFunction { slot });
    platform.with_config(&mut |config, port| plan = config.plan_power_on(port, slot));
    let result = power_on_as_planned(platform, slot, plan?).await;
    if result.is_err() {
        platform.with_config(&mut |config, _| config.power_on_failed(slot));
    }
    result
}

async fn power_on_as_planned(platform: &dyn Platform, slot: Slot, plan: PowerPlan) -> Result<(), RequestFailure> {
    if plan.power_off_first {
        request(platform, Request::PowerState { slot, state: PowerState::D3 }).await?;
    }
    if let Some(bars) = plan.bars {
        request(platform, Request::AssignResources { slot, bars }).await?;
        platform.with_config(&mut |config, _| config.bars_assigned(slot, &bars));
    }
    request(platform, Request::PowerState { slot, state: PowerState::D0 }).await.map(|_| ())
}

/// Message style: turns a function's decode off when its driver stops (D3). Sleepable context; one power change at a time
/// per function.
pub async fn power_off(platform: &dyn Platform, slot: Slot) -> Result<(), RequestFailure> {
    let mut needed = false;
    platform.with_config(&mut |config, _| needed = config.plan_power_off(slot));
    if needed {
        request(platform, Request::PowerState { slot, state: PowerState::D3 }).await?;
    }
    Ok(())
}

/// What a function has cost so far, both halves added up. Any context.
pub fn ledger(platform: &dyn Platform, slot: Slot) -> Ledger {
    let mut ledger = Ledger::default();
    platform.with_config(&mut |config, _| ledger = config.ledger(slot).unwrap_or_default());
    platform.with_bus(&mut |bus, _| ledger.messages = ledger.messages.saturating_add(bus.messages(slot)));
    ledger
}
