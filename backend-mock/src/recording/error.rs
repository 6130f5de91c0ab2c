//! Why a recording could not be read.

use std::fmt;
use std::io;

/// Why a recording could not be read. Prints as one line that names the file, the line, what was found and what is allowed.
#[derive(Debug)]
pub enum RecordingError {
    /// The file could not be read at all.
    Io {
        /// The file, as it was named.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file is larger than any recording.
    TooLarge {
        /// The file, as it was named.
        file: String,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A line is not what a recording's lines are.
    Malformed {
        /// The file, as it was named.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What stands there, shortened and made printable.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// No line of the file is an event of a vPCI recording.
    NoEvents {
        /// The file, as it was named.
        file: String,
    },
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordingError::Io { file, error } => write!(f, "{file}: {error}"),
            RecordingError::TooLarge { file, limit } => {
                write!(f, "{file}: larger than {} MiB, which no recording is", limit >> 20)
            }
            RecordingError::Malformed { file, line, found, allowed } => {
                write!(f, "{file}:{line}: found {found}; allowed: {allowed}")
            }
            RecordingError::NoEvents { file } => write!(
                f,
                "{file}: not a recording: no line is an event; allowed: lines of a line number, seconds, and an event such as \
                 `[3f5ae738] CFG RD off=0x004 len=2 -> 0000`"
            ),
        }
    }
}

impl std::error::Error for RecordingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecordingError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Text from a file, fit for one line of a terminal: control characters escaped, at most 80 characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}
