//! The next step of the blocking driver: receive, write or read. It waits for nothing. (On tokio reading and writing go on
//! side by side: `tokio/io.rs`.)

use crate::incoming::Incoming;
use crate::outgoing::Outgoing;

/// What the driver does next while its caller waits for an event.
///
/// The order is the back-pressure (the two rules of the manual): events that are there come before everything, so nothing
/// is read that the application has not asked for; and what is queued is written before anything is read, so a peer
/// that does not read is not read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Give out the events of what was read.
    Receive,
    /// Write what is queued.
    Write,
    /// Read from the transport: nothing is unread, nothing is queued.
    Read,
    /// Nothing will come any more: the peer's Close was received, or the connection failed.
    End,
}

impl Step {
    pub(crate) fn next(incoming: &Incoming, outgoing: &Outgoing) -> Self {
        if incoming.has_unread() {
            Self::Receive
        } else if !outgoing.is_empty() {
            Self::Write
        } else if incoming.closed().is_some() {
            Self::End
        } else {
            Self::Read
        }
    }
}
