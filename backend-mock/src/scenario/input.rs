//! Reading the text files users name.

use std::fs::File;
use std::io::{ErrorKind, Read};

use super::diagnostic::Diagnostic;
use super::size::format_size;

/// The text of the file at `path`, of at most `limit` bytes; `help` says what kind of file is meant.
///
/// # Errors
/// If there is no such file, or it cannot be read, is larger, or is not UTF-8.
pub(crate) fn read_text(path: &str, limit: u64, help: &str) -> Result<String, Diagnostic> {
    let mut bytes = Vec::new();
    // Bounded by reading, not by asking for the length: the path may name a pipe or a device.
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|error| {
        let found = match error.kind() {
            ErrorKind::NotFound => "no such file".into(),
            ErrorKind::IsADirectory => "is a directory".into(),
            _ => error.to_string(),
        };
        Diagnostic::new(format!("{path}: {found}")).help(help)
    })?;
    if bytes.len() as u64 > limit {
        return Err(Diagnostic::new(format!("{path}: more than {}", format_size(limit))).help(help));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        Diagnostic::new("not UTF-8 text").at(path, &text, good..good).help(help)
    })
}
