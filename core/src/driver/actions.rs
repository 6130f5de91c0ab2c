//! What the engine asks of the platform and of the config half.

use crate::Slot;
use crate::backend::{Platform, PlatformError};
use crate::bus::{Action, ActionDone};
use crate::config::{ConfigError, Functions, Room};

/// Does what the engine asked for.
pub(super) async fn perform(platform: &dyn Platform, action: Action) -> ActionDone {
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
/// function the next [`super::power_on`] sends it.
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
