//! The caller's bytes, and how far the connection has read them.

use core::fmt;
use core::mem;

/// Bytes from the transport, in the caller's buffer, for [`Connection::receive`](crate::Connection::receive).
///
/// Payloads are unmasked in place and borrowed from here, so events live as long as the buffer's borrow `'b`,
/// not as long as the `Input` or the connection. What was not consumed yet is as the peer sent it.
pub struct Input<'b> {
    bytes: &'b mut [u8],
    consumed: usize,
}

impl<'b> Input<'b> {
    /// The bytes that were read. They are changed while they are consumed.
    #[must_use]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, consumed: 0 }
    }

    /// What is not consumed yet.
    #[must_use]
    pub fn remaining(&self) -> &[u8] {
        self.bytes
    }

    /// Whether all is consumed. Events may still come: see [`Connection::receive`](crate::Connection::receive).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes were consumed. The payload of a binary message or a control frame that was just given, where it is
    /// borrowed, ends here. Text may end before: what follows it is an unfinished character, or not UTF-8.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Consumes the next `n` bytes, which are there.
    pub(crate) fn take(&mut self, n: usize) -> &'b mut [u8] {
        let (taken, rest) = mem::take(&mut self.bytes).split_at_mut(n);
        self.bytes = rest;
        self.consumed += n;
        taken
    }

    /// The next `n` bytes, which are there, to be looked at. Who changes them changes them back.
    pub(crate) fn peek(&mut self, n: usize) -> &mut [u8] {
        &mut self.bytes[..n]
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("remaining", &self.bytes.len()).field("consumed", &self.consumed).finish()
    }
}
