//! Compression of messages: permessage-deflate (RFC 7692).
//!
//! [`PerMessageDeflate`] is what a client offers and what a server accepts. Make one for all your connections, and
//! clone it: the clones share the [`CodecPool`].
//!
//! ```
//! use wsproto::extension::{Extension, Params, PerMessageDeflate};
//!
//! let server = PerMessageDeflate::new();
//! let client = PerMessageDeflate::new();
//!
//! let offers = client.offers(); // sent in the request
//! assert_eq!(offers[0].to_string(), "permessage-deflate; client_max_window_bits");
//!
//! let (answer, at_the_server) = server.accept(&offers[0]).expect("a legal offer"); // sent in the response
//! assert_eq!(
//!     answer.to_string(),
//!     "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
//! );
//!
//! let at_the_client = client.finalize(&answer).expect("a legal answer");
//! # let _ = (at_the_server, at_the_client);
//! ```
//!
//! # What it costs
//!
//! A codec is large: an encoder takes 165 KB with the default settings and never less than 137 KB (380 KB with a
//! window of 15 bits and a memory level of 8, as other libraries have it for each connection), a decoder 48 KB.
//! So **no connection keeps a codec while it waits.** A codec is borrowed from the pool for the length of one
//! compressed message. With context takeover, where a message may refer to what was said before, the connection
//! keeps that text instead, in each direction that was used: at most one negotiated window, 2^bits bytes (4 KiB for
//! 12 bits, 32 KiB for 15); and the borrowed codec is shown it first. Without takeover it keeps nothing, and before
//! the first compressed message neither.
//!
//! A message that is sent or received in several pieces holds its codec until its last piece. A peer that begins
//! a compressed message and does not end it holds one decoder, 48 KB and at most one window, for as long as you let
//! it: that is what timeouts are for.
//!
//! In time, a short message costs an encoder mostly what prepares it: its tables are cleared, its window is
//! overwritten, and the history, if there is one, is hashed, all of which grows with the window. A decoder copies the
//! history, no more. Hence the window of 12 bits that a server answers with by default, and that a client by default
//! compresses with.
//!
//! # When not to compress
//!
//! Compression tells secrets by lengths. Where an attacker can put text of his choice beside a secret, and sees how
//! long the compressed messages are, he learns when his guess equals a part of the secret (CRIME, BREACH; RFC 7692
//! §8). Encryption does not help; context takeover makes "beside" reach over messages. Compression is on in both
//! directions where both ends have this extension, so:
//!
//! - for a connection that carries secrets beside foreign text, do not pass the extension to the handshake;
//! - for one message, use [`Sender::send_uncompressed`](crate::Sender::send_uncompressed): it is not
//!   compressed, and nothing that is sent later refers to it;
//! - [`no context takeover`](PerMessageDeflate::server_no_context_takeover) keeps messages apart from each other, but
//!   not what is in one message.
//!
//! Do not compress what is compressed already (pictures, archives) either.
//!
//! # What is accepted
//!
//! All that RFC 7692 §7.2 allows: blocks of every kind, stored ones, and any number of them with BFINAL as long as
//! they are not many more than a purpose could have (one for each frame, one for each 64 bytes, and 32 for nothing;
//! beyond that the connection fails with 1008). Data that is broken or ends inside a block fails it with 1007, after
//! what was decoded before. Distances beyond the negotiated window are decoded where the data is at hand.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::iter;

use crate::extension::{Extension, Negotiated, Params};
use crate::frame::{Role, Rsv};

mod codec;
mod decoder;
mod encoder;
mod history;
mod pool;
mod terms;

pub use pool::CodecPool;

use codec::Settings;
use decoder::DeflateDecoder;
use encoder::DeflateEncoder;
use terms::{Agreement, Terms};

/// The extension permessage-deflate (RFC 7692): a client's offers, or a server's policy.
///
/// What it costs, and when not to use it, stands in the [module's documentation](self). Make it once and clone it:
/// the clones share their codecs.
///
/// ```
/// # fn main() -> Result<(), wsproto::extension::deflate::OutOfRange> {
/// use wsproto::extension::PerMessageDeflate;
///
/// let small = PerMessageDeflate::new().server_max_window_bits(10)?.level(1)?.threshold(256);
/// let no_memory = PerMessageDeflate::new().server_no_context_takeover(true).client_no_context_takeover(true);
/// // For a client: first choice, and what to do with servers that cannot have their window limited.
/// let offers = small.clone().or_offer(PerMessageDeflate::new());
/// # let _ = (no_memory, offers);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PerMessageDeflate {
    terms: Terms,
    /// Further offers, after `terms`.
    fallbacks: Vec<Terms>,
    level: u8,
    mem_level: u8,
    threshold: usize,
    pool: CodecPool,
}

impl PerMessageDeflate {
    /// Level of compression by default: 6.
    pub const DEFAULT_LEVEL: u8 = 6;
    /// Memory level by default: 5, which compresses a little less than 8 and takes much less memory.
    pub const DEFAULT_MEM_LEVEL: u8 = 5;
    /// Shortest whole message that is compressed by default: 64 bytes.
    pub const DEFAULT_THRESHOLD: usize = 64;

    /// The default: takeover both ways; a client offers nothing but `client_max_window_bits`, which every server
    /// can accept; a server answers with windows of 12 bits, for the client's where the client offered it.
    ///
    /// With a pool of its own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            terms: Terms::default(),
            fallbacks: Vec::new(),
            level: Self::DEFAULT_LEVEL,
            mem_level: Self::DEFAULT_MEM_LEVEL,
            threshold: Self::DEFAULT_THRESHOLD,
            pool: CodecPool::default(),
        }
    }

    /// Whether the server must forget each message before the next (RFC 7692 §7.1.1.1); false by default.
    ///
    /// For a client a demand: an answer without it is no answer to this offer. It saves the memory for the history
    /// in this direction, at both ends, and costs compression.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.terms.server_no_context_takeover = on;
        self
    }

    /// Whether the client must forget each message before the next (§7.1.1.2); false by default.
    ///
    /// A client keeps to it, whatever the server answers.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.terms.client_no_context_takeover = on;
        self
    }

    /// The largest window that the server may compress with, 2^`bits` bytes (§7.1.2.1).
    ///
    /// For a client a demand, by default not made: servers that cannot limit their window decline it. For a server
    /// its own limit, 12 by default.
    ///
    /// # Errors
    ///
    /// Yours, where `bits` is not 8 to 15.
    pub fn server_max_window_bits(mut self, bits: u8) -> Result<Self, OutOfRange> {
        self.terms.server_max_window_bits = Some(within("server_max_window_bits", bits, 8, 15)?);
        Ok(self)
    }

    /// The largest window that the client may compress with, 2^`bits` bytes (§7.1.2.2).
    ///
    /// A client offers to keep to it, and does; by default it leaves the number to the server and takes 12 at most.
    /// For a server what it demands from clients that offer to be limited, 12 by default; the others may take 15.
    ///
    /// Takes back [`fixed_client_window`](Self::fixed_client_window).
    ///
    /// # Errors
    ///
    /// Yours, where `bits` is not 8 to 15.
    pub fn client_max_window_bits(mut self, bits: u8) -> Result<Self, OutOfRange> {
        self.terms.client_max_window_bits = Some(within("client_max_window_bits", bits, 8, 15)?);
        self.terms.fixed_client_window = false;
        Ok(self)
    }

    /// For clients: does not offer `client_max_window_bits`, so that the server may not limit the client's window.
    ///
    /// This and [`client_max_window_bits`](Self::client_max_window_bits) exclude each other: the one that is called
    /// last counts.
    #[must_use]
    pub const fn fixed_client_window(mut self) -> Self {
        self.terms.client_max_window_bits = None;
        self.terms.fixed_client_window = true;
        self
    }

    /// For clients: another offer, for servers that decline those so far. "The order of elements is important as it
    /// specifies the client's preference." (§5)
    ///
    /// Where an answer suits several offers, the client does not know which of them was accepted: of what they promise
    /// for its own direction it keeps the strictest, the smallest window and no takeover if one of them says so.
    ///
    /// Of `next` only the parameters count, and its own further offers: the rest is as it is here.
    #[must_use]
    pub fn or_offer(mut self, next: Self) -> Self {
        self.fallbacks.push(next.terms);
        self.fallbacks.extend(next.fallbacks);
        self
    }

    /// How hard to try: 1 is fast, 9 is thorough, 0 does not compress at all; 6 by default.
    ///
    /// # Errors
    ///
    /// Yours, where `level` is not 0 to 9.
    pub fn level(mut self, level: u8) -> Result<Self, OutOfRange> {
        self.level = within("level", level, 0, 9)?;
        Ok(self)
    }

    /// How much memory an encoder takes for what it has not written yet, from 1 to 9, each twice the one before; 5 by
    /// default, which makes an encoder of 165 KB.
    ///
    /// # Errors
    ///
    /// Yours, where `mem_level` is not 1 to 9.
    pub fn mem_level(mut self, mem_level: u8) -> Result<Self, OutOfRange> {
        self.mem_level = within("mem_level", mem_level, 1, 9)?;
        Ok(self)
    }

    /// Messages that are sent whole and are shorter than this, in bytes, stay uncompressed; 64 by default. 0
    /// compresses all.
    ///
    /// A message that is sent in fragments is compressed whatever its length, which is not known when it begins.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Takes codecs from this pool, instead of one that it shares with its clones only.
    #[must_use]
    pub fn pool(mut self, pool: &CodecPool) -> Self {
        self.pool = pool.clone();
        self
    }

    fn negotiated(&self, role: Role, agreement: Agreement) -> Negotiated {
        let (incoming, outgoing) = match role {
            Role::Client => (agreement.server, agreement.client),
            Role::Server => (agreement.client, agreement.server),
        };
        let settings = Settings { level: self.level, mem_level: self.mem_level, bits: outgoing.bits };
        let decoder = DeflateDecoder::new(self.pool.clone(), incoming.bits, incoming.takeover);
        let encoder = DeflateEncoder::new(self.pool.clone(), settings, outgoing.takeover, self.threshold);
        Negotiated { rsv: Rsv::RSV1, decoder: Box::new(decoder), encoder: Box::new(encoder) }
    }
}

impl Default for PerMessageDeflate {
    fn default() -> Self {
        Self::new()
    }
}

impl Extension for PerMessageDeflate {
    fn name(&self) -> &str {
        terms::NAME
    }

    fn offers(&self) -> Vec<Params> {
        iter::once(&self.terms).chain(&self.fallbacks).map(Terms::offer).collect()
    }

    fn accept(&self, offer: &Params) -> Option<(Params, Negotiated)> {
        let (answer, agreement) = self.terms.accept(offer)?;
        Some((answer, self.negotiated(Role::Server, agreement)))
    }

    fn finalize(&self, answer: &Params) -> Option<Negotiated> {
        // An answer does not say which offer it is for, and need not repeat what the client promised for itself
        // (§7.1.1.2, §7.1.2.2): it may be for any that it suits.
        let suited = iter::once(&self.terms).chain(&self.fallbacks).filter_map(|terms| terms.finalize(answer));
        let agreement = suited.reduce(Agreement::or)?;
        Some(self.negotiated(Role::Client, agreement))
    }
}

/// What ends a flush, and is left out at the end of a message: the length of an empty stored block (§7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A number for [`PerMessageDeflate`] that is not in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    setting: &'static str,
    given: u8,
    least: u8,
    most: u8,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, given, least, most } = self;
        write!(f, "{setting} is {least} to {most}, not {given}")
    }
}

impl Error for OutOfRange {}

const fn within(setting: &'static str, given: u8, least: u8, most: u8) -> Result<u8, OutOfRange> {
    if least <= given && given <= most { Ok(given) } else { Err(OutOfRange { setting, given, least, most }) }
}

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
