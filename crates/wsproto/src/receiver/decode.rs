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
        if len == 0 && left > 0 && !payload.more {
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
        // An unfinished character stands in front of what continues it.
        let front = self.character.as_bytes().len();
        let mut output = vec![0; front + space(len, payload.more, room)];
        output[..front].copy_from_slice(self.character.as_bytes());

        let piece = input.peek(len);
        let mut mask = payload.mask;
        unmask(&mut mask, piece);
        let progress = decoders.decode(piece, end, &mut output[front..]);
        let consumed = progress.map_or(0, |progress| progress.consumed);
        if let Some(mask) = &mut payload.mask {
            mask.skip(consumed);
            let mut again = *mask;
            again.apply(&mut piece[consumed..]);
        }
        let progress = progress.map_err(RemoteProtocolError::Extension)?;
        input.take(progress.consumed);
        payload.left -= progress.consumed as u64;
        payload.more = progress.more;

        let produced = u64::try_from(progress.produced).unwrap_or(u64::MAX);
        message.len = message.len.saturating_add(produced.min(room));
        output.truncate(front + progress.produced);
        if produced > room {
            output.truncate(output.len() - 1); // `space` is at most one byte more than there is room for
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

/// How much to decode at a time, in bytes: four times the input, since that is what text compresses to; all that
/// is allowed where that was not enough; and one byte more than there is room for, to see the excess.
fn space(input: usize, more: bool, room: u64) -> usize {
    const LEAST: usize = 512;
    let wanted = if more { MAX_DECODED } else { (4 * input).clamp(LEAST, MAX_DECODED) };
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1))
}
