//! Whole messages from their pieces.

use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

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
    /// Whether the rest of a message that is too long is passed over.
    skipping: bool,
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
        Self { limit, begun: None, skipping: false }
    }

    /// Adds a piece. `Some` is the whole message that it ends.
    ///
    /// # Errors
    ///
    /// When the message is longer than the limit: once. What was joined is dropped, and so is the rest of the message; the
    /// next one begins anew.
    pub fn push<'b>(&mut self, piece: Message<'b>) -> Result<Option<Data<'b>>, TooBig> {
        if self.skipping {
            self.skipping = !piece.message_finished;
            return Ok(None);
        }
        let joined = self.begun.as_ref().map_or(0, Begun::len);
        let len = joined.saturating_add(piece.data.as_bytes().len());
        if len > self.limit {
            self.begun = None;
            self.skipping = !piece.message_finished;
            return Err(TooBig { limit: self.limit });
        }
        let whole = match self.begun.take() {
            None if piece.message_finished => return Ok(Some(piece.data)),
            None => Begun::new(&piece.data, capacity(len, self.limit)),
            Some(begun) => begun.join(&piece.data, capacity(len, self.limit)),
        };
        if piece.message_finished {
            return Ok(Some(match whole {
                Begun::Text(text) => Data::from(text),
                Begun::Binary(bytes) => Data::from(bytes),
            }));
        }
        self.begun = Some(whole);
        Ok(None)
    }
}

impl Begun {
    /// The first piece, in a buffer of this capacity.
    fn new(first: &Data<'_>, capacity: usize) -> Self {
        let empty = match first {
            Data::Text(_) => Self::Text(String::new()),
            Data::Binary(_) => Self::Binary(Vec::new()),
        };
        empty.join(first, capacity)
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// The pieces so far and one more, in a buffer of this capacity if the one there is does not suffice. Pieces of two
    /// kinds, which no connection gives, make a binary message.
    fn join(self, more: &Data<'_>, capacity: usize) -> Self {
        match (self, more) {
            (Self::Text(mut text), Data::Text(more)) => {
                if text.capacity() - text.len() < more.len() {
                    text.reserve_exact(capacity - text.len());
                }
                text.push_str(more);
                Self::Text(text)
            }
            (begun, more) => {
                let mut bytes = match begun {
                    Self::Text(text) => text.into_bytes(),
                    Self::Binary(bytes) => bytes,
                };
                let more = more.as_bytes();
                if bytes.capacity() - bytes.len() < more.len() {
                    bytes.reserve_exact(capacity - bytes.len());
                }
                bytes.extend_from_slice(more);
                Self::Binary(bytes)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::Cow;
    use alloc::vec;

    #[test]
    fn one_piece_comes_back_borrowed() {
        let text = String::from("whole");
        let whole = Assembler::new(5).push(Message::text(text.as_str())).unwrap().unwrap();
        assert!(matches!(whole, Data::Text(Cow::Borrowed(same)) if core::ptr::eq(same, text.as_str())));
    }

    #[test]
    fn pieces_are_joined_and_the_next_message_begins_anew() {
        let mut assembler = Assembler::new(100);
        for _ in 0..2 {
            assert_eq!(assembler.push(Message::binary(&b"ab"[..]).unfinished()), Ok(None));
            assert_eq!(assembler.push(Message::binary(&b""[..]).unfinished()), Ok(None));
            assert_eq!(assembler.push(Message::binary(&b"c"[..])), Ok(Some(Data::from(&b"abc"[..]))));
        }
        assert_eq!(assembler.push(Message::text("")), Ok(Some(Data::from(""))));
    }

    #[test]
    fn f04_the_limit_is_exact_on_the_running_sum() {
        let mut assembler = Assembler::new(4);
        assert_eq!(assembler.push(Message::text("abc").unfinished()), Ok(None));
        assert_eq!(assembler.push(Message::text("d")), Ok(Some(Data::from("abcd"))));
        assert_eq!(assembler.push(Message::text("abc").unfinished()), Ok(None));
        assert_eq!(assembler.push(Message::text("de")), Err(TooBig { limit: 4 }));
        assert_eq!(assembler.push(Message::text("abcde")), Err(TooBig { limit: 4 }));
        assert_eq!(assembler.push(Message::text("new")), Ok(Some(Data::from("new"))), "nothing is left over");
    }

    #[test]
    fn the_rest_of_a_message_that_is_too_long_is_no_message() {
        let mut assembler = Assembler::new(4);
        assert_eq!(assembler.push(Message::text("DROP ").unfinished()), Err(TooBig { limit: 4 }));
        assert_eq!(assembler.push(Message::text("this").unfinished()), Ok(None));
        assert_eq!(assembler.push(Message::text("tail")), Ok(None));
        assert_eq!(assembler.push(Message::text("next")), Ok(Some(Data::from("next"))));
    }

    #[test]
    fn pieces_of_two_kinds_become_binary() {
        let mut assembler = Assembler::new(4);
        assert_eq!(assembler.push(Message::text("a").unfinished()), Ok(None));
        assert_eq!(assembler.push(Message::binary(&b"b"[..])), Ok(Some(Data::from(&b"ab"[..]))));
    }

    #[test]
    fn f05_buffers_grow_in_few_steps_that_end_at_the_limit() {
        for limit in [1, 63, 64, 1000, 1 << 20, usize::MAX] {
            let mut steps = vec![];
            let mut len = 1;
            while len <= limit && steps.last() != Some(&limit) {
                let next = capacity(len, limit);
                assert!(next >= len && next <= limit, "{len} of {limit}: {next}");
                steps.push(next);
                len = next.saturating_add(1);
            }
            assert_eq!(steps.last(), Some(&limit));
            assert!(steps.len() <= 64, "{steps:?}");
            let halves = steps.windows(2).all(|pair| pair[0] <= pair[1] / 2);
            assert!(halves, "old and new buffer are more than 1.5 of the new one: {steps:?}");
        }
    }
}
