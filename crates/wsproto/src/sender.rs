//! Events in, bytes out: the direction from us to the peer, with no knowledge of the other.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::error::{ExtensionError, LocalProtocolError};
use crate::event::{MessageKind, Outgoing, OutgoingFrame};
use crate::extension::{EncoderStack, End, FrameInfo};
use crate::frame::{FrameHeader, Mask, MaskSource, Opcode, Rsv};
use crate::reply::{MAX_CONTROL_PAYLOAD, Reply};

type Result<T> = core::result::Result<T, LocalProtocolError>;

/// The sending half of a connection. It appends to the caller's buffer and keeps no bytes of its own.
pub struct Sender {
    /// Where the masks come from; a server has none.
    masks: Option<Box<dyn MaskSource>>,
    encoders: Option<Box<EncoderStack>>,
    /// The kind of the message whose last fragment was not sent yet.
    message: Option<MessageKind>,
    /// Whether its first frame was written by hand: the encoders never heard of it.
    by_hand: bool,
    ended: Option<Ended>,
}

/// Why nothing can follow.
#[derive(Clone, Copy, Debug)]
enum Ended {
    CloseSent,
    Failed(ExtensionError),
}

impl Sender {
    pub(crate) const fn new(masks: Option<Box<dyn MaskSource>>, encoders: Option<Box<EncoderStack>>) -> Self {
        Self { masks, encoders, message: None, by_hand: false, ended: None }
    }

    /// Appends the frame that says this to `out`; see [`Connection::send`](crate::Connection::send).
    ///
    /// # Errors
    ///
    /// Yours: nothing was appended. Only [`Extension`](LocalProtocolError::Extension) ends the connection.
    #[inline]
    pub fn send(&mut self, event: impl Outgoing, out: &mut Vec<u8>) -> Result<()> {
        self.write(event.frame(), true, out)
    }

    /// The same as [`send`](Self::send), but a message that begins here is left uncompressed (RFC 7692 §6: a sender
    /// may compress or not, message by message), up to its last fragment.
    ///
    /// For secrets beside text that an attacker chooses, and for what is compressed already.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_uncompressed(&mut self, event: impl Outgoing, out: &mut Vec<u8>) -> Result<()> {
        self.write(event.frame(), false, out)
    }

    /// Appends only the header of a data frame with a payload of `len` bytes; the payload is for the caller to
    /// write, for a client masked with the key that is given back.
    ///
    /// For payloads that should not be copied: vectored writes, messages encoded once, large payloads masked in
    /// steps. The payload is neither compressed nor checked: text must be UTF-8, and a fragment that is cut inside a
    /// character is the peer's to join. A continuation has the kind of its message.
    ///
    /// # Errors
    ///
    /// Yours: nothing was appended.
    pub fn send_header(
        &mut self,
        kind: MessageKind,
        len: u64,
        message_finished: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Mask>> {
        let frame = self.judge(kind, message_finished)?;
        if self.encoders.as_ref().is_some_and(|encoders| !frame.first && encoders.is_encoding()) {
            return Err(LocalProtocolError::MessageEncoded);
        }
        if len >> 63 != 0 {
            return Err(LocalProtocolError::PayloadTooLong);
        }
        self.message = (!message_finished).then_some(kind);
        self.by_hand |= frame.first;
        let mask = self.next_mask();
        header(frame, Rsv::NONE, mask, len).encode(out);
        Ok(mask.map(Mask::new))
    }

    /// Appends a reply that the receiving half gave; nothing after our own Close, where it is no longer owed.
    ///
    /// "After both sending and receiving a Close message, an endpoint considers the WebSocket connection closed" (RFC
    /// 6455 §5.5.1): a second Close never leaves, however two halves race.
    // By value: a debt is paid once.
    #[allow(clippy::needless_pass_by_value)]
    pub fn reply(&mut self, reply: Reply, out: &mut Vec<u8>) {
        if self.is_closed() {
            return;
        }
        let opcode = if reply.is_close() { Opcode::Close } else { Opcode::Pong };
        self.write_frame(control(opcode, reply.payload()), reply.payload(), out);
        if reply.is_close() {
            self.end(Ended::CloseSent);
        }
    }

    /// Whether nothing can follow: a Close was sent, or an extension's encoder failed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.ended.is_some()
    }

    /// What an extension's encoder failed with, if one did: then no Close was sent, and none can be.
    #[must_use]
    pub const fn error(&self) -> Option<ExtensionError> {
        match self.ended {
            Some(Ended::Failed(error)) => Some(error),
            _ => None,
        }
    }

    /// Nothing follows. Whoever holds on to a connection that has ended does not hold a codec with it.
    fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
        self.encoders = None;
    }

    const fn check_open(&self) -> Result<()> {
        match self.ended {
            None => Ok(()),
            Some(Ended::CloseSent) => Err(LocalProtocolError::CloseSent),
            Some(Ended::Failed(error)) => Err(LocalProtocolError::Extension(error)),
        }
    }

    #[inline]
    fn write(&mut self, frame: OutgoingFrame<'_>, compress: bool, out: &mut Vec<u8>) -> Result<()> {
        match frame {
            OutgoingFrame::Data { kind, payload, message_finished } => {
                let frame = self.judge(kind, message_finished)?;
                let len = payload.len();
                self.by_hand &= !frame.first;
                let encoders = if self.by_hand { None } else { self.encoders.as_mut() };
                match encoders.map_or(Ok(None), |encoders| encoders.start_frame(frame, len, compress)) {
                    Ok(Some(rsv)) => self.write_encoded(frame, rsv, payload, out)?,
                    Ok(None) => self.write_frame(header(frame, Rsv::NONE, None, len as u64), payload, out),
                    Err(error) => return Err(self.fail(error)),
                }
                self.message = (!message_finished).then_some(kind);
                Ok(())
            }
            OutgoingFrame::Ping(payload) => self.write_control(Opcode::Ping, payload, out),
            OutgoingFrame::Pong(payload) => self.write_control(Opcode::Pong, payload, out),
            OutgoingFrame::Close(close) => {
                self.write_control(Opcode::Close, Reply::close(close).payload(), out)?;
                self.end(Ended::CloseSent);
                Ok(())
            }
        }
    }

    fn fail(&mut self, error: ExtensionError) -> LocalProtocolError {
        self.end(Ended::Failed(error));
        LocalProtocolError::Extension(error)
    }

    /// Where a data frame of this kind would stand, if it may be sent now.
    #[inline]
    fn judge(&self, kind: MessageKind, message_finished: bool) -> Result<FrameInfo> {
        self.check_open()?;
        if self.message.is_some_and(|unfinished| unfinished != kind) {
            return Err(LocalProtocolError::MessageUnfinished);
        }
        Ok(FrameInfo { kind, first: self.message.is_none(), last: message_finished })
    }

    fn write_control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.check_open()?;
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(LocalProtocolError::ControlPayloadTooLong);
        }
        self.write_frame(control(opcode, payload), payload, out);
        Ok(())
    }

    /// Appends a frame whose payload is known.
    #[inline]
    fn write_frame(&mut self, mut header: FrameHeader, payload: &[u8], out: &mut Vec<u8>) {
        header.mask = self.next_mask();
        let (bytes, len) = header.bytes();
        out.reserve(len + payload.len());
        out.extend_from_slice(&bytes[..len]);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = header.mask {
            Mask::new(key).apply(&mut out[start..]);
        }
    }

    /// Appends a frame whose length is known only when its payload is encoded: a gap is left for the header, as
    /// long as it would be without encoding, and closed or widened afterwards.
    fn write_encoded(&mut self, frame: FrameInfo, rsv: Rsv, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mask = self.next_mask();
        let start = out.len();
        let (_, gap) = header(frame, rsv, mask, payload.len() as u64).bytes();
        out.resize(start + gap, 0);
        let end = if frame.last { End::Message } else { End::Frame };
        let encoded = self.encoders.as_mut().map_or(Ok(()), |encoders| encoders.encode(payload, end, out));
        if let Err(error) = encoded {
            out.truncate(start);
            return Err(self.fail(error));
        }
        if let Some(key) = mask {
            Mask::new(key).apply(&mut out[start + gap..]);
        }
        let (bytes, len) = header(frame, rsv, mask, (out.len() - start - gap) as u64).bytes();
        out.splice(start..start + gap, bytes[..len].iter().copied());
        Ok(())
    }

    #[inline]
    fn next_mask(&mut self) -> Option<[u8; 4]> {
        self.masks.as_mut().map(MaskSource::mask)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("message", &self.message).field("ended", &self.ended).finish_non_exhaustive()
    }
}

fn header(frame: FrameInfo, rsv: Rsv, mask: Option<[u8; 4]>, len: u64) -> FrameHeader {
    let opcode = match (frame.first, frame.kind) {
        (false, _) => Opcode::Continuation,
        (true, MessageKind::Text) => Opcode::Text,
        (true, MessageKind::Binary) => Opcode::Binary,
    };
    FrameHeader { fin: frame.last, rsv, opcode, mask, len }
}

const fn control(opcode: Opcode, payload: &[u8]) -> FrameHeader {
    FrameHeader { fin: true, rsv: Rsv::NONE, opcode, mask: None, len: payload.len() as u64 }
}
