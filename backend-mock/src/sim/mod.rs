//! Whole boots on a virtual clock: host, core and guest together.

pub mod executor;
mod functions;
mod hook;
mod interrupts;
mod machine;
mod mmio;
mod platform;
mod port;
mod run;
pub mod sync;
mod vm;
mod watch;

pub use functions::Progress;
pub use hook::{Hook, PlatformStep};
pub use interrupts::HeldInterrupt;
pub use machine::Machine;
pub use platform::{AnyReport, MockPlatform, Vm};
pub use run::{SimError, boot_tool, run};
