//! Commands that wait for a step of a bus: `at BUS message:N|access:N COMMAND[;COMMAND]`.

use alloc::string::String;

use hvpci_core::Time;

use crate::{Standin, command};

/// What the guest does that is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It sends a message.
    Message,
    /// It reads or writes in the config window.
    Access,
}

/// Commands, and how many steps of their kind the bus still has to the one they are run at.
pub struct Armed {
    step: Step,
    left: u64,
    commands: String,
}

/// Those that make sense while the guest is in the middle of something; and `rescind` where that is no message. (A message would
/// reach a channel that is not there, which the host takes amiss: for that there is a fault.)
const VERBS: &[&str] = &["add", "eject", "remove", "gone", "invalidate", "relations"];

unsafe extern "C" {
    fn standin_poll_soon();
}

/// Has commands run at a step from now on, once, instead of those that waited before. None for words that make no sense.
pub fn arm(standin: &mut Standin, bus: u32, trigger: &str, commands: &str) -> Option<()> {
    let (step, count) = trigger.split_once(':')?;
    let step = match step {
        "message" => Step::Message,
        "access" => Step::Access,
        _ => return None,
    };
    let left = count.parse().ok().filter(|count| *count != 0)?;
    let fits = |command: &str| {
        let verb = command.split_ascii_whitespace().next().unwrap_or_default();
        VERBS.contains(&verb) || verb == "rescind" && step == Step::Access
    };
    if !commands.split(';').all(fits) {
        return None;
    }
    standin.armed.insert(bus, Armed { step, left, commands: String::from(commands) });
    Some(())
}

/// The guest does something on a bus, and the host has not seen it yet. Any context: commands change nothing but the host.
pub fn count(standin: &mut Standin, bus: u32, step: Step, now: Time) {
    let Some(armed) = standin.armed.get_mut(&bus).filter(|armed| armed.step == step) else { return };
    armed.left -= 1;
    if armed.left != 0 {
        return;
    }
    let Some(armed) = standin.armed.remove(&bus) else { return };
    let done = armed.commands.split(';').filter(|one| command::run(standin, now, one.trim()).is_some()).count();
    // one that the host refuses has not struck
    if done == armed.commands.split(';').count() {
        *standin.struck.entry(bus).or_insert(0) += 1;
    }
    // SAFETY: a plain call, allowed in any context. The guest is told once the C side has given the lock back.
    unsafe { standin_poll_soon() };
}
