//! The command `wsproto`: an echo server, a client for the terminal, and a load generator.

#![forbid(unsafe_code)]

mod bench;
mod connect;
mod descriptors;
mod frames;
mod interrupts;
mod serve;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// WebSockets on the command line.
#[derive(Debug, Parser)]
#[command(name = "wsproto", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Arguments),
    Serve(serve::Arguments),
    Connect(connect::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Connect(arguments) => connect::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closed standard error does not want it.
            let _ = writeln!(io::stderr(), "wsproto: {error}");
            ExitCode::FAILURE
        }
    }
}
