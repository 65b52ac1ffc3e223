//! How much a peer may ask for.

/// Limits of a connection, checked before anything is allocated or delivered.
///
/// What goes beyond one is the peer's [`MessageTooBig`](crate::RemoteProtocolError::MessageTooBig) or its like,
/// with close code 1009. Exactly the limit is still accepted.
///
/// ```
/// use wsproto::Limits;
/// let limits = Limits::default().message(64 << 20);
/// assert_eq!(limits.frame_limit(), 64 << 20); // follows the message's limit until it is set
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    message: u64,
    frame: Option<u64>,
    fragments: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 1 << 20, frame: None, fragments: 65_537 }
    }
}

impl Limits {
    /// No limits, for those who stream: what they keep of a message is then theirs to bound.
    #[must_use]
    pub const fn none() -> Self {
        Self { message: u64::MAX, frame: None, fragments: u64::MAX }
    }

    /// Longest message, in bytes, after inflation; default 1 MiB. A message that was sent as it is fails at the
    /// header of the frame that goes beyond; of an inflated one, exactly this many bytes are delivered first.
    #[must_use]
    pub const fn message(self, bytes: u64) -> Self {
        Self { message: bytes, ..self }
    }

    /// Longest payload of a frame on the wire, in bytes; default: the limit of a message. Checked at the header.
    ///
    /// Where it follows the message's limit, an encoded frame may be longer by what deflate can add at worst, an eighth and
    /// 64 bytes, so that each message within its limit can arrive. Set here, it is exact.
    #[must_use]
    pub const fn frame(self, bytes: u64) -> Self {
        Self { frame: Some(bytes), ..self }
    }

    /// Most frames of a message; default 65,537. Bounds the work that empty fragments can cause.
    #[must_use]
    pub const fn fragments(self, frames: u64) -> Self {
        Self { fragments: frames, ..self }
    }

    /// The limit of a message, in bytes.
    #[must_use]
    pub const fn message_limit(self) -> u64 {
        self.message
    }

    /// The limit of a frame's payload, in bytes.
    #[must_use]
    pub const fn frame_limit(self) -> u64 {
        match self.frame {
            Some(frame) => frame,
            None => self.message,
        }
    }

    /// The limit of a message's fragments.
    #[must_use]
    pub const fn fragments_limit(self) -> u64 {
        self.fragments
    }

    /// The limit for a frame that an extension encoded: data that does not compress grows. Deflate's fixed codes
    /// take at most 9 bits for a byte (RFC 1951 §3.2.6), a stored block 5 bytes more than it holds (§3.2.4).
    pub(crate) const fn encoded_frame_limit(self) -> u64 {
        match self.frame {
            Some(frame) => frame,
            None => self.message.saturating_add(self.message / 8 + 64),
        }
    }
}
