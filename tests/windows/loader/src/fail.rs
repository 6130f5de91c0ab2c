//! How a run ends when something is wrong: one line that says what, the last things that happened, and an exit code that
//! tells the kinds apart. Nothing unwinds through the driver's frames.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The driver called a function that has no fake.
    Missing = 86,
    /// The driver called KeBugCheckEx.
    Bugcheck = 87,
    /// The driver faulted: a guard page, a wild pointer, an int3.
    Fault = 88,
    /// The driver broke a rule of an interface: IRQL, handle, order, argument.
    Rule = 89,
    /// The driver left something allocated.
    Leak = 90,
    /// A scenario did not find what it expects.
    Expectation = 91,
    /// Nothing can run any more.
    Deadlock = 92,
    /// The driver did something the mock host does not like.
    Host = 93,
    /// The parent lost patience.
    TimedOut = 94,
}

impl Verdict {
    /// All of them, for the parent that reads exit codes.
    pub const ALL: [Verdict; 9] = [
        Verdict::Missing,
        Verdict::Bugcheck,
        Verdict::Fault,
        Verdict::Rule,
        Verdict::Leak,
        Verdict::Expectation,
        Verdict::Deadlock,
        Verdict::Host,
        Verdict::TimedOut,
    ];

    /// The verdict with this exit code.
    pub fn from_code(code: i32) -> Option<Verdict> {
        Verdict::ALL.into_iter().find(|verdict| *verdict as i32 == code)
    }
}

static TRACE: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
static LOUD: AtomicBool = AtomicBool::new(false);
const TRACE_LINES: usize = 60;

/// Prints every line of the trace as it happens.
pub fn loud(on: bool) {
    LOUD.store(on, Ordering::Relaxed);
}

/// Notes something that happened.
pub fn trace(line: String) {
    if LOUD.load(Ordering::Relaxed) {
        eprintln!("    {line}");
    }
    let mut lines = TRACE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if lines.len() == TRACE_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// Ends the process.
pub fn fail(verdict: Verdict, why: &str) -> ! {
    // Somebody may hold the lock in the thread that failed: then there is no trace to print.
    if !LOUD.load(Ordering::Relaxed)
        && let Ok(lines) = TRACE.try_lock()
    {
        for line in lines.iter() {
            eprintln!("    {line}");
        }
    }
    eprintln!("{verdict:?}: {why}");
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(verdict as i32) }
}

/// Notes something that happened, formatted.
#[macro_export]
macro_rules! trace {
    ($($argument:tt)*) => { $crate::fail::trace(format!($($argument)*)) };
}

/// Ends the process if the driver broke a rule.
#[macro_export]
macro_rules! rule {
    ($holds:expr, $($argument:tt)*) => {
        if !$holds { $crate::fail::fail($crate::fail::Verdict::Rule, &format!($($argument)*)) }
    };
}

/// Ends the process if a scenario does not find what it expects.
#[macro_export]
macro_rules! expect {
    ($holds:expr, $($argument:tt)*) => {
        if !$holds { $crate::fail::fail($crate::fail::Verdict::Expectation, &format!($($argument)*)) }
    };
}
