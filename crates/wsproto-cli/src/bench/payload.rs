//! What is sent, and whether it came back.

use std::fmt;

/// The numbered messages of a connection: what is sent next, and what is to come back next.
pub(super) struct Payload {
    /// The next message: its number, and a text that is the same for all.
    bytes: Vec<u8>,
    sent: u64,
    received: u64,
    /// How much of the message that is coming back was compared.
    compared: usize,
}

/// A number, as far as the message has room for it.
const NUMBER: usize = 8;

impl Payload {
    pub(super) fn new(size: usize) -> Self {
        let bytes = (0..size).map(|index| b'a' + u8::try_from(index % 26).unwrap_or_default()).collect();
        Self { bytes, sent: 0, received: 0, compared: 0 }
    }

    /// The next message to send.
    pub(super) fn next(&mut self) -> &[u8] {
        let number = digits(self.sent);
        self.sent += 1;
        let length = self.bytes.len().min(NUMBER);
        self.bytes[..length].copy_from_slice(&number[..length]);
        &self.bytes
    }

    /// Compares the next piece of what comes back.
    pub(super) fn compare(&mut self, piece: &[u8], finished: bool) -> Result<(), Wrong> {
        let from = self.compared;
        let end = from + piece.len();
        let head = from.min(NUMBER)..end.min(NUMBER);
        let in_head = head.len();
        let Some(expected) = self.bytes.get(from + in_head..end) else { return Err(Wrong::Length) };
        if digits(self.received)[head] != piece[..in_head] {
            return Err(Wrong::Number);
        }
        if *expected != piece[in_head..] {
            return Err(Wrong::Text);
        }
        self.compared = end;
        if finished {
            if end != self.bytes.len() {
                return Err(Wrong::Length);
            }
            self.received += 1;
            self.compared = 0;
            if self.received > self.sent {
                return Err(Wrong::Unasked);
            }
        }
        Ok(())
    }
}

/// A number as 8 digits in base 26, the lowest first: valid in text, and different for long, whatever there is room for.
fn digits(mut number: u64) -> [u8; NUMBER] {
    let mut digits = [b'a'; NUMBER];
    for digit in &mut digits {
        *digit += u8::try_from(number % 26).unwrap_or_default();
        number /= 26;
    }
    digits
}

/// What is wrong with an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Length,
    Number,
    Text,
    Unasked,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "wrong echo: what came back has another length than what was sent",
            Self::Number => "wrong echo: what came back is not the next message that was sent",
            Self::Text => "wrong echo: what came back is not what was sent",
            Self::Unasked => "wrong echo: more came back than was sent",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_right_however_it_is_cut() {
        for size in [0, 1, 7, 8, 9, 100] {
            for step in [1, 3, 8, 200] {
                let mut payload = Payload::new(size);
                let sent: Vec<_> = (0..30).map(|_| payload.next().to_vec()).collect();
                for message in sent {
                    message.chunks(step).for_each(|piece| payload.compare(piece, false).unwrap());
                    payload.compare(b"", true).unwrap();
                }
                assert_eq!(payload.received, 30);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let sent = |size| {
            let mut payload = Payload::new(size);
            let first = payload.next().to_vec();
            let second = payload.next().to_vec();
            (payload, first, second)
        };
        for size in [1, 8, 20] {
            let (mut payload, first, second) = sent(size);
            assert_eq!(payload.compare(&second, true), Err(Wrong::Number), "{size}");
            let (mut payload, ..) = sent(size);
            assert_eq!(payload.compare(&first[..size - 1], true), Err(Wrong::Length));
            let (mut payload, ..) = sent(size);
            assert_eq!(payload.compare(&[&first[..], b"!"].concat(), true), Err(Wrong::Length));
        }
        let (mut payload, mut first, _) = sent(20);
        first[19] = b'!';
        assert_eq!(payload.compare(&first, true), Err(Wrong::Text));
        let mut payload = Payload::new(0);
        payload.next();
        assert_eq!([payload.compare(b"", true), payload.compare(b"", true)], [Ok(()), Err(Wrong::Unasked)]);
    }
}
