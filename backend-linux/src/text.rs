//! Texts for the kernel log, without allocating.

use core::fmt;

use hvpci_core::bus::Report;
use hvpci_core::config::ConfigReport;

/// A line of at most `N` bytes; what does not fit is cut off at a character.
#[derive(Clone, Copy, Debug)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    /// An empty line.
    pub const fn new() -> Line<N> {
        Line { bytes: [0; N], length: 0 }
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Line<N> {
        Line::new()
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let mut utf8 = [0; 4];
            let encoded = character.encode_utf8(&mut utf8).as_bytes();
            let end = self.length.saturating_add(encoded.len());
            let Some(place) = self.bytes.get_mut(self.length..end) else { return Err(fmt::Error) };
            place.copy_from_slice(encoded);
            self.length = end;
        }
        Ok(())
    }
}

/// How important a message is: 0 errors, 1 warnings, 2 information, 3 every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error = 0,
    /// Something is odd or was refused.
    Warning = 1,
    /// Worth a line once.
    Information = 2,
    /// For those who look for something.
    Event = 3,
}

/// A report of the engine half, in words.
pub struct Words<'a>(pub &'a Report);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Report::Negotiated(version) => write!(f, "the host speaks version {version}"),
            Report::D0Retry(status) => {
                write!(f, "D0 entry was refused ({status:?}): clearing away what a previous kernel left behind")
            }
            Report::Failed(error) => write!(f, "the bus failed: {error}"),
            Report::Rescinded => f.write_str("the host took the bus away"),
            Report::FunctionFound(found) => {
                write!(f, "function {}: {:04x}:{:04x}, serial {}", found.slot, found.vendor, found.device, found.serial)
            }
            Report::FunctionFailed { slot, error } => write!(f, "function {slot} can't be used: {error}"),
            Report::EjectRequested(slot) => write!(f, "the host wants function {slot} back"),
            Report::EjectOverdue(slot) => {
                write!(f, "the driver of function {slot} has not let go of it; the host may now take it by force")
            }
            Report::PrefetchOverdue(slot) => {
                write!(
                    f,
                    "the host has not mapped function {slot} in time; the function is used without waiting longer"
                )
            }
            Report::FunctionGone(slot) => write!(f, "function {slot} is gone"),
            Report::BadBar { slot, bar, defect } => {
                write!(
                    f,
                    "function {slot}: BAR {bar} is left out, what the host says of it makes no sense ({defect:?})"
                )
            }
            Report::BadWindow(error) => write!(f, "MMIO space given back: {error}"),
            Report::Quarantined { slot, bytes } => {
                write!(f, "{bytes:#x} bytes of MMIO space of function {slot} stay out of use until the bus is closed")
            }
            Report::BlocksInvalidated { slot, mask } => write!(f, "function {slot}: config blocks {mask:#x} changed"),
            Report::InterruptLost(handle) => write!(f, "interrupt {} is lost after the resume", handle.number()),
            Report::Odd(odd) => write!(f, "ignored from the host: {odd:?}"),
        }
    }
}

impl Words<'_> {
    /// How important it is.
    pub fn level(&self) -> Level {
        match self.0 {
            Report::Failed(_) | Report::FunctionFailed { .. } => Level::Error,
            Report::D0Retry(_)
            | Report::EjectOverdue(_)
            | Report::PrefetchOverdue(_)
            | Report::BadBar { .. }
            | Report::BadWindow(_)
            | Report::Quarantined { .. }
            | Report::InterruptLost(_)
            | Report::Odd(_) => Level::Warning,
            Report::Negotiated(_)
            | Report::Rescinded
            | Report::FunctionFound(_)
            | Report::EjectRequested(_)
            | Report::FunctionGone(_) => Level::Information,
            Report::BlocksInvalidated { .. } => Level::Event,
        }
    }
}

/// A report of the config half, in words.
pub struct ConfigWords<'a>(pub &'a ConfigReport);

impl fmt::Display for ConfigWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ConfigReport::EnableRefused(refused) => write!(f, "memory decode was not turned on: {refused}"),
            ConfigReport::StaleBar { slot, register } => write!(
                f,
                "BAR {register} of function {slot} was moved with decode on; the host follows at the next enable"
            ),
            ConfigReport::Reset { slot } => write!(f, "function {slot} was reset"),
            ConfigReport::BarsResized { slot } => write!(f, "the BARs of function {slot} were resized"),
        }
    }
}

impl ConfigWords<'_> {
    /// How important it is.
    pub fn level(&self) -> Level {
        match self.0 {
            ConfigReport::EnableRefused(_) => Level::Error,
            ConfigReport::StaleBar { .. } => Level::Event,
            ConfigReport::Reset { .. } | ConfigReport::BarsResized { .. } => Level::Event,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write;

    use super::*;
    use hvpci_core::Slot;
    use hvpci_core::bus::Odd;

    #[test]
    fn a_line_is_cut_at_a_character() {
        let mut line = Line::<6>::new();
        assert!(write!(line, "abc\u{e4}\u{e4}").is_err());
        assert_eq!(line.as_bytes(), "abc\u{e4}".as_bytes());
    }

    #[test]
    fn reports_read_as_sentences() {
        let mut line = Line::<128>::new();
        let report = Report::EjectRequested(Slot::ZERO);
        write!(line, "{}", Words(&report)).unwrap();
        assert_eq!(line.as_bytes(), b"the host wants function 00.0 back");
        assert_eq!(Words(&Report::Odd(Odd::BadSlot(999))).level(), Level::Warning);
        assert!(Level::Error < Level::Event);
    }
}
