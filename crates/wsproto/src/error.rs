//! Whose fault it was: [`LocalProtocolError`] is yours, [`RemoteProtocolError`] is the peer's.
//!
//! The errors of the handshake are with the handshake: they carry an HTTP status instead of a close code.

use core::error::Error;
use core::fmt;

use crate::close::{CloseCode, CloseFrame};
use crate::reply::Reply;

/// The caller asked for something that the protocol does not allow. Nothing was sent, nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocalProtocolError {
    /// The handshake is not complete: neither end may send a frame (RFC 6455 §4.1).
    NotOpen,
    /// "The application MUST NOT send any more data frames after sending a Close frame" (RFC 6455 §5.5.1).
    CloseSent,
    /// A fragmented message is not finished, and this is not its continuation: the kind (text or binary) differs.
    /// Frames of two messages must not mix (§5.4): send the last fragment first.
    MessageUnfinished,
    /// A Ping or Pong with more than 125 bytes (§5.5).
    ControlPayloadTooLong,
    /// A frame written by hand ([`Sender::send_header`](crate::Sender::send_header)) in a message whose first
    /// frame was encoded by an extension: finish that message with `send`.
    MessageEncoded,
    /// A payload of 2⁶³ bytes or more: "the most significant bit MUST be 0" (§5.2).
    PayloadTooLong,
    /// An extension's encoder failed. The message may be half encoded, so nothing can follow it: the sender
    /// is closed, and the transport is to be closed without a Close frame.
    Extension(ExtensionError),
}

impl fmt::Display for LocalProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "nothing can be sent before the handshake is complete",
            Self::CloseSent => "nothing can be sent after a Close",
            Self::MessageUnfinished => "a message of the other kind is not finished: send its last fragment first",
            Self::ControlPayloadTooLong => "a Ping or Pong has at most 125 bytes of payload",
            Self::MessageEncoded => "this message was begun with an extension: finish it with `send`",
            Self::PayloadTooLong => "a frame's payload must be shorter than 2^63 bytes",
            Self::Extension(error) => return write!(f, "the encoder of an extension failed: {error}"),
        })
    }
}

impl Error for LocalProtocolError {}

/// The peer broke the protocol, or a limit. The connection is over: it gives this error for ever.
///
/// [`response`](Self::response) is the Close that tells the peer why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemoteProtocolError {
    /// A reserved bit is set that no negotiated extension defines (RFC 6455 §5.2), or on a control frame.
    ReservedBits,
    /// An opcode that is reserved: 3–7 or 11–15 (§5.2).
    ReservedOpcode(u8),
    /// "All control frames [...] MUST NOT be fragmented" (§5.5).
    FragmentedControlFrame,
    /// "All control frames MUST have a payload length of 125 bytes or less" (§5.5).
    ControlPayloadTooLong,
    /// "[...] the minimal number of bytes MUST be used to encode the length" (§5.2).
    LengthNotMinimal,
    /// A 64-bit length: "the most significant bit MUST be 0" (§5.2).
    LengthTooLarge,
    /// "The server MUST close the connection upon receiving a frame that is not masked" (§5.1).
    Unmasked,
    /// "A client MUST close a connection if it detects a masked frame" (§5.1).
    Masked,
    /// A continuation frame, and no message to continue (§5.4).
    UnexpectedContinuation,
    /// A text or binary frame before the last fragment of the message before it (§5.4).
    MessageUnfinished,
    /// Text that is not UTF-8 (§8.1).
    InvalidUtf8,
    /// A Close frame with a body of one byte (§5.5.1).
    CloseBodyTooShort,
    /// A Close frame with a code that must not be sent (§7.4).
    InvalidCloseCode(u16),
    /// A Close frame whose reason is not UTF-8 (§5.5.1).
    InvalidCloseReason,
    /// A frame with a longer payload than the limit, in bytes ([`Limits::frame`](crate::Limits::frame)).
    FrameTooBig {
        /// The limit in force, in bytes.
        limit: u64,
    },
    /// A message with more bytes than the limit ([`Limits::message`](crate::Limits::message)).
    MessageTooBig {
        /// The limit in force, in bytes.
        limit: u64,
    },
    /// A message in more fragments than the limit ([`Limits::fragments`](crate::Limits::fragments)).
    TooManyFragments {
        /// The limit in force, in frames.
        limit: u64,
    },
    /// A negotiated extension refused what the peer sent.
    Extension(ExtensionError),
    /// The transport ended without a Close frame. Other APIs report it as 1006; it is never sent.
    UnexpectedEof,
}

impl RemoteProtocolError {
    /// The code that tells the peer what it did (RFC 6455 §7.4.1); `None` for [`UnexpectedEof`](Self::UnexpectedEof),
    /// whose 1006 "MUST NOT be set as a status code in a Close control frame".
    #[must_use]
    pub const fn close_code(self) -> Option<CloseCode> {
        Some(match self {
            Self::UnexpectedEof => return None,
            Self::InvalidUtf8 | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::MESSAGE_TOO_BIG,
            Self::Extension(error) => error.code,
            _ => CloseCode::PROTOCOL_ERROR,
        })
    }

    /// The Close that is owed to the peer for this ("SHOULD send a Close frame with an appropriate status code
    /// before" closing, §7.1.7); `None` where the transport has ended.
    #[must_use]
    pub fn response(self) -> Option<Reply> {
        self.close_code().map(|code| Reply::close(&CloseFrame::new(code, self.rule())))
    }

    /// What was broken, short enough for the reason of a Close frame.
    const fn rule(self) -> &'static str {
        match self {
            Self::ReservedBits => "a reserved bit is set",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::FragmentedControlFrame => "fragmented control frame",
            Self::ControlPayloadTooLong => "control frame with more than 125 bytes",
            Self::LengthNotMinimal => "payload length is not in its shortest form",
            Self::LengthTooLarge => "payload length has its top bit set",
            Self::Unmasked => "frame from a client is not masked",
            Self::Masked => "frame from a server is masked",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::MessageUnfinished => "new message before the end of the last one",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::CloseBodyTooShort => "Close frame with a body of one byte",
            Self::InvalidCloseCode(_) => "close code that must not be sent",
            Self::InvalidCloseReason => "close reason is not UTF-8",
            Self::FrameTooBig { .. } => "frame is too big",
            Self::MessageTooBig { .. } => "message is too big",
            Self::TooManyFragments { .. } => "message has too many fragments",
            Self::Extension(error) => error.message,
            Self::UnexpectedEof => "the transport ended without a Close frame",
        }
    }
}

impl fmt::Display for RemoteProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer broke the protocol: {}", self.rule())?;
        match self {
            Self::ReservedOpcode(opcode) => write!(f, " ({opcode:#x})"),
            Self::InvalidCloseCode(code) => write!(f, " ({code})"),
            Self::FrameTooBig { limit } | Self::MessageTooBig { limit } => write!(f, " (the limit is {limit} bytes)"),
            Self::TooManyFragments { limit } => write!(f, " (the limit is {limit})"),
            _ => Ok(()),
        }
    }
}

impl Error for RemoteProtocolError {}

/// What an extension's decoder or encoder has to say against the data it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExtensionError {
    /// The code for the Close frame, such as 1002 for a bit that must not be set, 1007 for broken data.
    pub code: CloseCode,
    /// What was broken, as the reason of the Close frame: at most 123 bytes.
    pub message: &'static str,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for ExtensionError {}
