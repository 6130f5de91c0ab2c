//! Any bytes as a recording: read, shown and replayed.

use std::io;

use hvpci_core::decode::Policy;
use hvpci_mock::recording::{Recording, replay, show};

/// Nothing panics; what reads as a recording can be shown, and replayed under any policy.
pub fn recording(bytes: &[u8]) {
    let recording = match Recording::parse("fuzz.trace.txt", bytes) {
        Ok(recording) => recording,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    show(&recording, &mut io::sink()).expect("a sink takes everything");
    // One policy an input, so that an execution stays short; the length gives each its turn.
    let policy = Policy::ALL[bytes.len() % Policy::ALL.len()];
    replay(&recording, policy).expect("no recording stops a replay");
}
