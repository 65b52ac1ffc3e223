//! Whole messages from their pieces.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::mem;

use crate::event::{Data, Message};

/// Joins the pieces of messages, up to a limit.
///
/// A message that came in one piece is given back as it is, borrowed, without a copy. The pieces of any other
/// are joined in one buffer, which never grows beyond the limit and leaves with the message.
///
/// ```
/// use wsproto::{Assembler, Data, Message};
/// let mut assembler = Assembler::new(1 << 20);
/// assert_eq!(assembler.push(Message::text("Hello, ").unfinished())?, None);
/// assert_eq!(assembler.push(Message::text("world"))?, Some(Data::from("Hello, world".to_string())));
/// # Ok::<(), wsproto::TooBig>(())
/// ```
#[derive(Debug)]
pub struct Assembler {
    limit: usize,
    begun: Option<Begun>,
}

/// The pieces so far.
#[derive(Debug)]
enum Begun {
    Text(String),
    Binary(Vec<u8>),
}

impl Assembler {
    /// An assembler for messages of at most `limit` bytes.
    ///
    /// Give the connection's [`Limits`](crate::Limits) the same limit: then the peer is told 1009 before a byte too
    /// many is delivered, and this limit is never met.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, begun: None }
    }

    /// Adds a piece. `Some` is the whole message that it ends.
    ///
    /// # Errors
    ///
    /// When the message is longer than the limit. What was joined is dropped, as the rest of the message is to be.
    pub fn push<'b>(&mut self, piece: Message<'b>) -> Result<Option<Data<'b>>, TooBig> {
        let joined = match self.begun.as_ref() {
            None => 0,
            Some(Begun::Text(text)) => text.len(),
            Some(Begun::Binary(bytes)) => bytes.len(),
        };
        let len = joined.saturating_add(piece.data.as_bytes().len());
        if len > self.limit {
            self.begun = None;
            return Err(TooBig { limit: self.limit });
        }
        if piece.message_finished && self.begun.is_none() {
            return Ok(Some(piece.data));
        }
        let capacity = capacity(len, self.limit);
        let begun = self.begun.get_or_insert_with(|| match piece.data {
            Data::Text(_) => Begun::Text(String::new()),
            Data::Binary(_) => Begun::Binary(Vec::new()),
        });
        match (begun, &piece.data) {
            (Begun::Text(text), Data::Text(more)) => {
                text.reserve_exact(if text.capacity() < len { capacity - text.len() } else { 0 });
                text.push_str(more);
            }
            (Begun::Binary(bytes), more) => {
                bytes.reserve_exact(if bytes.capacity() < len { capacity - bytes.len() } else { 0 });
                bytes.extend_from_slice(more.as_bytes());
            }
            // A connection never gives this. From hand-made pieces, the message becomes binary.
            (begun @ Begun::Text(_), Data::Binary(more)) => {
                let Begun::Text(text) = mem::replace(begun, Begun::Binary(Vec::new())) else { return Ok(None) };
                let mut bytes = text.into_bytes();
                bytes.extend_from_slice(more);
                *begun = Begun::Binary(bytes);
            }
        }
        if !piece.message_finished {
            return Ok(None);
        }
        Ok(self.begun.take().map(|whole| match whole {
            Begun::Text(text) => Data::Text(Cow::Owned(text)),
            Begun::Binary(bytes) => Data::Binary(Cow::Owned(bytes)),
        }))
    }
}

/// The next capacity for `len` bytes, as a share of the limit: whole, a half, a quarter, and so on. So growing is
/// amortised, the last step lands on the limit, and old and new buffer together are at most 1.5 limits.
fn capacity(len: usize, limit: usize) -> usize {
    let mut capacity = limit;
    while capacity / 2 >= len.max(LEAST) {
        capacity /= 2;
    }
    capacity
}

/// Smallest buffer to begin with, in bytes.
const LEAST: usize = 64;

/// A message is longer than the limit of the [`Assembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// The limit, in bytes.
    pub limit: usize,
}

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer's message is longer than {} bytes", self.limit)
    }
}

impl Error for TooBig {}
