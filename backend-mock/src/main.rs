//! The `hvpci` command.

use std::process::ExitCode;

use hvpci_mock::cli::{self, ToolError, Tools};

fn main() -> ExitCode {
    let tools = Tools {
        boot: |_, _, _| Err(not_built_yet("boot")),
        show: |_, _, _| Err(not_built_yet("show")),
        replay: |_, _, _| Err(not_built_yet("replay")),
    };
    cli::run(std::env::args_os(), &tools)
}

fn not_built_yet(what: &str) -> ToolError {
    ToolError::Failed(format!("`hvpci {what}` is not built yet"))
}
