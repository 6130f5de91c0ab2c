//! The `hvpci` command.

use std::process::ExitCode;

use hvpci_mock::cli::{self, Tools};
use hvpci_mock::{recording, sim};

fn main() -> ExitCode {
    let tools = Tools { boot: sim::boot_tool, show: recording::show_tool, replay: recording::replay_tool };
    cli::run(std::env::args_os(), &tools)
}
