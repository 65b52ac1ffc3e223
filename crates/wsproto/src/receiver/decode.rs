//! Payloads that an extension encoded: decoded piece by piece, up to the limit.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Payload, Phase, Receiver, Result, unmask};
use crate::error::RemoteProtocolError;
use crate::event::{Data, Event, MessageKind};
use crate::extension::End;
use crate::input::Input;
use crate::utf8::Unfinished;

impl Receiver {
    /// Decodes one piece. The input is unmasked for it, and what the decoder leaves is masked again, so that the
    /// rest of the input stays as the peer sent it.
    pub(super) fn decode<'b>(&mut self, mut payload: Payload, input: &mut Input<'b>) -> Result<Option<Event<'b>>> {
        let left = usize::try_from(payload.left).unwrap_or(usize::MAX);
        let len = left.min(input.len()).min(MAX_PIECE);
        if len == 0 && left > 0 && payload.more == 0 {
            self.phase = Phase::Payload(payload);
            return Ok(None);
        }
        let end = match (len == left, payload.fin) {
            (false, _) => End::No,
            (true, false) => End::Frame,
            (true, true) => End::Message,
        };
        let (Some(decoders), Some(message)) = (&mut self.decoders, &mut self.message) else { return Ok(None) };
        let room = self.limits.message_limit().saturating_sub(message.len);
        let wanted = payload.more.max(4 * len).clamp(LEAST_DECODED, MAX_DECODED);
        // One byte more than there is room for shows the excess.
        let space = wanted.min(usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1));
        let mut output = Space::new(space);

        let piece = input.peek(len);
        let mut mask = payload.mask;
        unmask(&mut mask, piece);
        let progress = decoders.decode(piece, end, output.as_mut());
        let consumed = progress.map_or(0, |progress| progress.consumed);
        if let Some(mask) = &mut payload.mask {
            mask.skip(consumed);
            let mut again = *mask;
            again.apply(&mut piece[consumed..]);
        }
        let progress = progress.map_err(RemoteProtocolError::Extension)?;
        input.take(progress.consumed);
        payload.left -= progress.consumed as u64;
        payload.more = if progress.more { wanted.saturating_mul(4) } else { 0 };

        let produced = u64::try_from(progress.produced).unwrap_or(u64::MAX);
        message.len = message.len.saturating_add(produced.min(room));
        // An unfinished character stands in front of what continues it.
        let mut output = output.into_vec(self.character.as_bytes(), progress.produced);
        if produced > room {
            output.truncate(output.len() - 1);
            return self.deliver_up_to_limit(output, payload.kind);
        }
        match payload.kind {
            MessageKind::Binary => Ok(self.deliver(Data::Binary(Cow::Owned(output)), payload)),
            MessageKind::Text => {
                let text = self.decoded_text(output);
                self.deliver_text(text, payload)
            }
        }
    }

    /// Delivers the last piece that the limit allows; then the connection fails.
    fn deliver_up_to_limit<'b>(&mut self, output: Vec<u8>, kind: MessageKind) -> Result<Option<Event<'b>>> {
        let error = self.message_too_big();
        match kind {
            MessageKind::Binary => self.deliver_last(Data::Binary(Cow::Owned(output)), error),
            MessageKind::Text => match self.decoded_text(output) {
                Ok(text) => self.deliver_last(Data::Text(text), error),
                Err(text) => self.deliver_last(Data::Text(text), RemoteProtocolError::InvalidUtf8),
            },
        }
    }

    /// Decoded bytes as text, less an unfinished character at the end; or the valid text (`Err`) in front of what
    /// is not.
    fn decoded_text<'b>(&mut self, output: Vec<u8>) -> core::result::Result<Cow<'b, str>, Cow<'b, str>> {
        self.character = Unfinished::none();
        String::from_utf8(output).map(Cow::Owned).or_else(|error| {
            let (valid, unfinished) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len().is_none());
            let mut bytes = error.into_bytes();
            if unfinished {
                self.character = Unfinished::new(&bytes[valid..]);
            }
            bytes.truncate(valid);
            let head = Cow::Owned(String::from_utf8(bytes).unwrap_or_default());
            if unfinished { Ok(head) } else { Err(head) }
        })
    }
}

/// Input is decoded in pieces of at most this many bytes, so that little is masked again.
const MAX_PIECE: usize = 4096;

/// Longest event of decoded data, in bytes.
const MAX_DECODED: usize = 16 * 1024;

/// Least space that a decoder gets, in bytes: it is on the stack. Else it is four times the input, since that is what text
/// compresses to, and four times more with each event where that was not enough.
const LEAST_DECODED: usize = 2048;

/// Space for a decoder. What is small is on the stack, so that a piece that gives nothing costs no allocation, and one that
/// gives little no more than it needs.
#[allow(clippy::large_enum_variant)]
enum Space {
    Small([u8; LEAST_DECODED], usize),
    Large(Vec<u8>),
}

impl Space {
    fn new(len: usize) -> Self {
        if len <= LEAST_DECODED { Self::Small([0; LEAST_DECODED], len) } else { Self::Large(vec![0; len]) }
    }

    fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes, len) => &mut bytes[..*len],
            Self::Large(bytes) => bytes,
        }
    }

    /// The first `len` bytes, behind those of `front`.
    fn into_vec(self, front: &[u8], len: usize) -> Vec<u8> {
        match self {
            // Whoever keeps an event keeps its memory: not much more than it holds.
            Self::Large(mut bytes) if front.is_empty() && len >= bytes.len() / 4 => {
                bytes.truncate(len);
                bytes
            }
            Self::Large(bytes) => [front, &bytes[..len]].concat(),
            Self::Small(bytes, _) => [front, &bytes[..len]].concat(),
        }
    }
}
