//! Ctrl-C, and the request to end.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asks the program to end: SIGINT and SIGTERM; elsewhere than on Unix, Ctrl-C.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    signals: (Signal, Signal),
}

/// The exit code of a program that SIGINT ended, as shells have it: 128 and the signal's number.
pub(crate) const INTERRUPTED: i32 = 130;

/// The same for SIGTERM.
#[cfg(unix)]
const TERMINATED: i32 = 143;

impl Interrupts {
    /// From here on they do not end the program by themselves. Within the runtime.
    pub(crate) fn new() -> io::Result<Self> {
        #[cfg(unix)]
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self {
            #[cfg(unix)]
            signals,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.exit_code().await;
    }

    /// Ends the program at the next one, with the exit code that stands for it.
    pub(crate) async fn end_at_next(&mut self) {
        std::process::exit(self.exit_code().await);
    }

    /// Waits for the next one; gives the exit code of a program that it ends.
    async fn exit_code(&mut self) -> i32 {
        #[cfg(unix)]
        tokio::select! {
            _ = self.signals.0.recv() => INTERRUPTED,
            _ = self.signals.1.recv() => TERMINATED,
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            INTERRUPTED
        }
    }
}
