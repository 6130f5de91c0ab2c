//! From text to events.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::error::{RecordingError, quoted};
use super::event::{ChannelId, Event, EventKind, Recording, Section};

mod line;

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;
/// The longest line that is read. The largest packet (`reference/protocol.md` section 1) takes some 89,000 characters.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// What an event line looks like.
const EVENT_LINE: &str = "a line number, seconds and an event (`00017 1.242710 [3f5ae738] CFG RD off=0x004 len=2 -> 0000`), \
                          `######## section NAME`, or a `#` comment";

/// What is wrong with a line: what was found, and what is allowed there.
struct Fault {
    found: String,
    allowed: String,
}

impl Fault {
    fn new(found: &str, allowed: impl Into<String>) -> Fault {
        Fault { found: quoted(found), allowed: allowed.into() }
    }
}

impl Recording {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Recording, RecordingError> {
        let file = path.display().to_string();
        let io = |error| RecordingError::Io { file: file.clone(), error };
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(path).map_err(io)?;
        opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(RecordingError::TooLarge { file, limit: MAX_FILE_BYTES });
        }
        Recording::parse(&file, &bytes)
    }

    /// Parses the bytes of a file. `file` is its name: errors carry it, and its stem names the section of a file that has
    /// no section lines.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Recording, RecordingError> {
        let mut sections: Vec<Section> = Vec::new();
        let mut open = true;
        let mut recognised = false;
        // Some editors put a byte order mark in front.
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        for (index, raw) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let malformed = |fault: Fault| RecordingError::Malformed {
                file: file.to_owned(),
                line: index + 1,
                found: fault.found,
                allowed: fault.allowed,
            };
            let text = text_of(raw).map_err(malformed)?;
            if text.is_empty() {
                continue;
            }
            if let Some(heading) = text.strip_prefix("########") {
                // Whatever else such a line announces (`counts by message`) holds no events.
                let name = heading.trim().strip_prefix("section").filter(|rest| rest.starts_with(char::is_whitespace));
                open = name.is_some();
                if let Some(name) = name {
                    sections.push(Section { name: name.trim().to_owned(), events: Vec::new() });
                }
                continue;
            }
            if text.starts_with('#') {
                continue;
            }
            if !open {
                return Err(malformed(Fault::new(
                    text,
                    "`#` comments and `######## section NAME` after a closing block",
                )));
            }
            let event = event(index + 1, text).map_err(malformed)?;
            recognised |= !matches!(event.kind, EventKind::Other { .. });
            if sections.is_empty() {
                sections.push(Section { name: stem(file), events: Vec::new() });
            }
            if let Some(section) = sections.last_mut() {
                section.events.push(event);
            }
        }
        if !recognised {
            return Err(RecordingError::NoEvents { file: file.to_owned() });
        }
        Ok(Recording { file: file.to_owned(), sections })
    }
}

/// The name of a file without directories and without `.trace.txt` or another extension.
fn stem(file: &str) -> String {
    let name = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
    let stem =
        || Path::new(name.as_ref()).file_stem().map_or_else(|| name.to_string(), |s| s.to_string_lossy().into_owned());
    name.strip_suffix(".trace.txt").map_or_else(stem, str::to_owned)
}

/// The text of a line, without its end; a fault if it is no text.
fn text_of(raw: &[u8]) -> Result<&str, Fault> {
    if raw.len() > MAX_LINE_BYTES {
        let found = format!("a line of {} bytes", raw.len());
        return Err(Fault { found, allowed: format!("lines of at most {MAX_LINE_BYTES} bytes") });
    }
    let text = std::str::from_utf8(raw).map_err(|_| Fault::new(&String::from_utf8_lossy(raw), "UTF-8 text"))?;
    let text = text.trim();
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Fault::new(text, "printable text"));
    }
    Ok(text)
}

/// One event line: its columns and its kind.
fn event(line: usize, text: &str) -> Result<Event, Fault> {
    let (number, rest) = word(text);
    let (seconds, rest) = word(rest);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = Some(number).filter(|text| digits(text)).and_then(|text| text.parse().ok());
    let (Some(number), Some(time)) = (number, duration(seconds)) else {
        return Err(Fault::new(text, EVENT_LINE));
    };
    if rest.is_empty() {
        return Err(Fault::new(text, EVENT_LINE));
    }
    let (channel, rest) = channel_column(rest)?;
    Ok(Event { line, number, time, kind: line::kind(channel, rest)? })
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// Seconds with up to nine decimals.
fn duration(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10u32.pow(9 - u32::try_from(fraction.len()).ok()?);
    Some(Duration::new(whole.parse().ok()?, fraction.parse::<u32>().ok()?.checked_mul(scale)?))
}

/// The `[3f5ae738]` column, where there is one.
fn channel_column(text: &str) -> Result<(Option<ChannelId>, &str), Fault> {
    let Some(rest) = text.strip_prefix('[') else {
        return Ok((None, text));
    };
    let id = rest.split_once(']').filter(|(id, _)| id.len() == 8).and_then(|(id, rest)| Some((hex(id)?, rest)));
    let Some((id, rest)) = id else {
        return Err(Fault::new(text, "a channel column of eight hex digits, `[3f5ae738]`"));
    };
    let id = u32::try_from(id).map_err(|_| Fault::new(text, "eight hex digits"))?;
    Ok((Some(ChannelId(id)), rest.trim_start()))
}

/// A number of hex digits only (no sign, no prefix), at most 64 bits.
fn hex(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// A number as the trace prints it outside payloads: `0x` and hex digits, or decimal digits.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => hex(digits),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}
