//! Wakes a machine that has gone to sleep. A clock that counts instructions stands still while a machine sleeps, and an alarm by
//! any other clock may ring before a slow machine has fallen asleep: so the emulator says when it sleeps, and is told to wake it.

use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// For an emulator whose standard input and output are pipes: its machine protocol.
pub const WORDS: &[&str] = &["-qmp", "stdio"];

const GREETING: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n";
const ASLEEP: &str = "\"event\": \"SUSPEND\"";
const WAKE: &[u8] = b"{\"execute\":\"system_wakeup\"}\n";

/// Attends to the machine until the emulator ends; the thread then comes to its end, too.
pub fn attend(emulator: &mut Child) -> Result<JoinHandle<()>> {
    let output = emulator.stdout.take().context("the emulator's output is no pipe")?;
    let mut input = emulator.stdin.take().context("the emulator's input is no pipe")?;
    // An emulator that has ended already has said why elsewhere, and there is nobody to wake.
    let _ = input.write_all(GREETING);
    Ok(thread::spawn(move || converse(BufReader::new(output), input)))
}

fn converse(said: impl BufRead, mut commands: impl Write) {
    for line in said.lines() {
        let Ok(line) = line else { return };
        if line.contains(ASLEEP) && commands.write_all(WAKE).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WAKE, converse};

    #[test]
    fn a_machine_is_woken_each_time_it_sleeps() {
        let asleep = "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SUSPEND\"}\r\n";
        let awake =
            "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"WAKEUP\"}\r\n{\"return\": {}}\r\n";
        let mut commands = Vec::new();
        converse(format!("{{\"QMP\": {{}}}}\r\n{asleep}{awake}{asleep}").as_bytes(), &mut commands);
        assert_eq!(commands, [WAKE, WAKE].concat());
    }
}
