//! Extensions (RFC 6455 §9): the trait, and what a negotiation makes of it.
//!
//! An extension has three types: the configuration, which is offered or used as policy ([`Extension`]), and
//! what an agreement makes of it, a [`Decoder`] for the receiving half and an [`Encoder`] for the sending half.
//! A "disabled extension" does not exist, and the halves can part.
//!
//! Coders work like zlib: bytes in, bounded space out, and back comes how far they got; so they stack. The
//! core, not the extension, counts limits, validates UTF-8 and chooses the size of the pieces.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::error::ExtensionError;
use crate::event::MessageKind;
use crate::frame::Rsv;

#[cfg(feature = "deflate")]
pub mod deflate;
mod params;
mod stack;

#[cfg(feature = "deflate")]
pub use deflate::{CodecPool, PerMessageDeflate};
pub use params::Params;
pub(crate) use stack::{DecoderStack, EncoderStack};

/// What can be negotiated (RFC 6455 §9.1): a client's offers, or a server's policy. Immutable and shared: what a
/// connection changes lives in its [`Decoder`] and [`Encoder`].
pub trait Extension: Send + Sync {
    /// The registered name, a token such as `permessage-deflate`.
    fn name(&self) -> &str;

    /// For clients: what to offer, in order of preference; each with this extension's name.
    fn offers(&self) -> Vec<Params>;

    /// For servers: judges one offer with this extension's name. `Some` is the answer to send, and the agreement
    /// that it makes; `None` declines, and the next offer with this name, if there is one, is tried.
    fn accept(&self, offer: &Params) -> Option<(Params, Negotiated)>;

    /// For clients: judges the server's answer. `None` where it does not follow from [`offers`](Self::offers): the
    /// client "MUST _Fail the WebSocket Connection_" (RFC 6455 §4.1).
    fn finalize(&self, answer: &Params) -> Option<Negotiated>;
}

/// One extension as it was agreed on: the bits that it owns, and its two coders.
pub struct Negotiated {
    /// The reserved bits that this extension gives a meaning. No two extensions of a connection share one.
    pub rsv: Rsv,
    /// For what comes in.
    pub decoder: Box<dyn Decoder>,
    /// For what goes out.
    pub encoder: Box<dyn Encoder>,
}

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiated").field("rsv", &self.rsv).finish_non_exhaustive()
    }
}

/// Where a data frame stands. (Extensions see no control frames: a reserved bit on one is an error.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// The kind of the message.
    pub kind: MessageKind,
    /// Whether the frame begins the message (else it is a continuation).
    pub first: bool,
    /// Whether the frame ends the message (FIN).
    pub last: bool,
}

/// Whether the input of a coding step goes up to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More of this frame follows.
    No,
    /// The input goes up to the end of a frame that is not the message's last.
    Frame,
    /// The input goes up to the end of the message.
    Message,
}

/// How far a decoding step got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes of the output that were written, from its start.
    pub produced: usize,
    /// Whether there is, or may be, more to write: the decoder is called again with the rest of the input, which may
    /// be empty, or reach further than before, and new space. If not, all of the input was consumed.
    pub more: bool,
}

/// The receiving half of an extension: what was on the wire in, what the peer meant out.
pub trait Decoder: Send {
    /// Judges the start of a data frame: whether its payload goes through [`decode`](Self::decode).
    ///
    /// `rsv` holds all bits of the frame; bits that nobody negotiated were refused before.
    ///
    /// # Errors
    ///
    /// When the peer set a bit where this extension forbids it.
    fn start_frame(&mut self, frame: FrameInfo, rsv: Rsv) -> Result<bool, ExtensionError>;

    /// Decodes a piece of the frame's payload. `input` is unmasked and unchanged; `output` has at least 1 byte.
    ///
    /// Every frame that is decoded ends with at least one call with [`End::Frame`] or [`End::Message`].
    ///
    /// # Errors
    ///
    /// When the peer's data is broken. The connection fails with it.
    fn decode(&mut self, input: &[u8], end: End, output: &mut [u8]) -> Result<Progress, ExtensionError>;
}

/// The sending half of an extension: what the application said in, what goes on the wire out.
pub trait Encoder: Send {
    /// Decides about a data frame: `Some` with the reserved bits to set (may be none) where its payload of `len`
    /// bytes shall go through [`encode`](Self::encode), `None` to leave it as it is.
    ///
    /// `compress` is false where the application asked for this message to be left uncompressed.
    fn start_frame(&mut self, frame: FrameInfo, len: usize, compress: bool) -> Option<Rsv>;

    /// Encodes the payload, or a piece of it, and appends the result to `out`. `end` says what the piece ends.
    ///
    /// At [`End::Frame`] all of the input is written out, so that the peer can decode what it was sent so far.
    ///
    /// # Errors
    ///
    /// When encoding failed for good. The sender closes with it.
    fn encode(&mut self, input: &[u8], end: End, out: &mut Vec<u8>) -> Result<(), ExtensionError>;
}

/// The extensions that a connection runs with, in the order of the server's answer.
///
/// "[...] operations on the data will be made as bar(foo(data))" for the answer "foo, bar" (RFC 6455 §9.1).
#[derive(Debug, Default)]
pub struct Extensions {
    list: Vec<Negotiated>,
}

impl Extensions {
    /// No extensions.
    #[must_use]
    pub const fn none() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds the next extension of the answer.
    ///
    /// # Errors
    ///
    /// When it claims a reserved bit that another one has: the two cannot be used together (§9.1).
    pub fn push(&mut self, negotiated: Negotiated) -> Result<(), RsvConflict> {
        if self.list.iter().any(|other| other.rsv.intersects(negotiated.rsv)) {
            return Err(RsvConflict);
        }
        self.list.push(negotiated);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The two stacks that the halves of a connection work with; none where there are no extensions, so that
    /// the usual path has no virtual call.
    pub(crate) fn into_stacks(self) -> (Option<Box<DecoderStack>>, Option<Box<EncoderStack>>) {
        if self.list.is_empty() {
            return (None, None);
        }
        let mut rsv = Rsv::NONE;
        let (mut decoders, mut encoders) = (Vec::new(), Vec::new());
        for negotiated in self.list {
            rsv |= negotiated.rsv;
            decoders.push(negotiated.decoder);
            encoders.push((negotiated.encoder, negotiated.rsv));
        }
        // What was applied last on the wire is taken off first.
        decoders.reverse();
        (Some(Box::new(DecoderStack::new(decoders, rsv))), Some(Box::new(EncoderStack::new(encoders))))
    }
}

/// Two extensions claim the same reserved bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsvConflict;

impl fmt::Display for RsvConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two extensions claim the same reserved bit")
    }
}

impl Error for RsvConflict {}
