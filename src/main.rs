//! The binary: parses its words and runs.

use std::process::ExitCode;

use signet::{app, cli};

fn main() -> ExitCode {
    app::run(cli::parse())
}
