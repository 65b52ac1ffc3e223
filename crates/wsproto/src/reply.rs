//! What one direction owes the other: a Pong or a Close.

use core::fmt;

use crate::close::CloseFrame;
use crate::inline::Inline;

/// Longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;

/// A control frame that the protocol wants sent: the Pong to a Ping, or a Close (RFC 6455 §5.5).
///
/// The receiving half gives it ([`Event::response`](crate::Event::response),
/// [`RemoteProtocolError::response`](crate::RemoteProtocolError::response)), the sending half pays it
/// ([`Sender::reply`](crate::Sender::reply)). It owns its payload inline, so it may wait, and cross threads,
/// without an allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    close: bool,
    payload: Inline<MAX_CONTROL_PAYLOAD>,
}

impl Reply {
    /// The Pong to a Ping: "identical 'Application data' as found in the message body of the Ping frame being
    /// replied to" (§5.5.3). `ping` was checked to be at most 125 bytes when it was received.
    pub(crate) fn pong(ping: &[u8]) -> Self {
        let mut payload = Inline::new();
        payload.extend(ping);
        Self { close: false, payload }
    }

    /// A Close, with the frame's code and reason.
    #[must_use]
    pub fn close(frame: &CloseFrame<'_>) -> Self {
        let mut payload = Inline::new();
        if let Some(code) = frame.code() {
            payload.extend(&code.as_u16().to_be_bytes());
            payload.extend(frame.reason().as_bytes());
        }
        Self { close: true, payload }
    }

    /// Whether this is a Close (else it is a Pong).
    #[must_use]
    pub const fn is_close(&self) -> bool {
        self.close
    }

    /// The payload of the control frame, at most 125 bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.payload.as_bytes()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(if self.close { "Close" } else { "Pong" }).field(&self.payload()).finish()
    }
}

/// The one place that two halves of a connection need between them: the reply that is owed.
///
/// A newer Pong replaces an older one ("MAY elect to send a Pong frame for only the most recently processed
/// Ping frame", RFC 6455 §5.5.3). A Close replaces a Pong and is never replaced.
#[derive(Clone, Debug, Default)]
pub struct ReplySlot(Option<Reply>);

impl ReplySlot {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Notes what is owed now.
    pub fn put(&mut self, reply: Reply) {
        if !self.0.as_ref().is_some_and(Reply::is_close) {
            self.0 = Some(reply);
        }
    }

    /// What is owed, to be paid now.
    pub const fn take(&mut self) -> Option<Reply> {
        self.0.take()
    }

    /// Whether nothing is owed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCode;

    #[test]
    fn the_slot_keeps_the_latest_pong_and_the_first_close() {
        let close = |code| Reply::close(&CloseFrame::new(code, "why"));
        let mut slot = ReplySlot::new();
        slot.put(Reply::pong(b"1"));
        slot.put(Reply::pong(b"2"));
        assert_eq!(slot.take(), Some(Reply::pong(b"2")));
        assert!(slot.is_empty());
        slot.put(Reply::pong(b"3"));
        slot.put(close(CloseCode::NORMAL));
        slot.put(Reply::pong(b"4"));
        slot.put(close(CloseCode::GOING_AWAY));
        assert_eq!(slot.take(), Some(close(CloseCode::NORMAL)));
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn a_close_carries_code_and_reason() {
        let reply = Reply::close(&CloseFrame::new(CloseCode::NORMAL, "bye"));
        assert_eq!(reply.payload(), b"\x03\xe8bye");
        assert!(reply.is_close());
        assert_eq!(Reply::close(&CloseFrame::empty()).payload(), b"");
        assert!(!Reply::pong(b"x").is_close());
    }
}
