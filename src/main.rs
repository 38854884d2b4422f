//! The binary: parses its words and runs.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use signet::{app, cli};

/// Deliveries begin on one thread and end on another, which glibc's allocator makes them wait for.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    app::run(cli::parse())
}
