//! Many connections for minutes, with faults: `conformance/src/bin/soak`.

use anyhow::Result;

use crate::command::CommandLine;

/// How long `cargo xtask check` lets it run, in minutes.
pub(crate) const MINUTES: u32 = 2;

/// Connections at a time.
pub(crate) const CONNECTIONS: u32 = 500;

/// Builds the program, and lets it run.
pub(crate) fn run(minutes: u32, connections: u32) -> Result<()> {
    CommandLine::new("cargo run --quiet --release --locked -p wsproto-conformance --bin soak --")
        .args(["--minutes".to_owned(), minutes.to_string()])
        .args(["--connections".to_owned(), connections.to_string()])
        .run()
}
