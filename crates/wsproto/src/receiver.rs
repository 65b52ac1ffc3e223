//! Bytes in, events out: the direction from the peer to us, with no knowledge of the other.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use crate::close::{CloseCode, CloseFrame};
use crate::error::RemoteProtocolError;
use crate::event::{Data, Event, Message, MessageKind, Ping, Pong};
use crate::extension::{DecoderStack, FrameInfo};
use crate::frame::header::FrameStart;
use crate::frame::{FrameHeader, MAX_HEADER, Mask, Opcode, Role, Rsv};
use crate::inline::Inline;
use crate::input::Input;
use crate::limits::Limits;
use crate::reply::MAX_CONTROL_PAYLOAD;
use crate::utf8::{self, Next, Unfinished};

mod decode;

type Result<T> = core::result::Result<T, RemoteProtocolError>;

/// The receiving half of a connection.
///
/// It keeps what the input cut in two (a header of ≤ 14 bytes, a control payload of ≤ 125, a character of ≤ 3)
/// and nothing else that arrives, so it cannot grow.
pub struct Receiver {
    role: Role,
    limits: Limits,
    phase: Phase,
    header: Inline<MAX_HEADER>,
    /// What is there of a control payload that the input cut in two. Without memory but for that: it is rare.
    control: Vec<u8>,
    character: Unfinished,
    message: Option<MessageSoFar>,
    decoders: Option<Box<DecoderStack>>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy)]
enum Phase {
    Header,
    Control(Control),
    Payload(Payload),
    Closed,
    Failed(RemoteProtocolError),
}

/// A control frame whose payload is not complete.
#[derive(Clone, Copy)]
struct Control {
    opcode: Opcode,
    /// Length of the payload: at most 125.
    len: usize,
    mask: Option<Mask>,
}

/// The rest of a data frame.
#[derive(Clone, Copy)]
struct Payload {
    kind: MessageKind,
    /// Bytes that were not consumed yet.
    left: u64,
    mask: Option<Mask>,
    fin: bool,
    /// Whether a decoder takes part.
    encoded: bool,
    /// How much space the decoder gets next, in bytes, where it has more to give for what it consumed; else 0.
    more: usize,
}

/// The message in progress: between its first frame and its last.
#[derive(Clone, Copy)]
struct MessageSoFar {
    kind: MessageKind,
    /// Bytes so far, after decoding; of a frame that is not encoded, all from its header on.
    len: u64,
    fragments: u64,
    /// Whether its first frame was encoded.
    encoded: bool,
}

impl Receiver {
    pub(crate) fn new(role: Role, decoders: Option<Box<DecoderStack>>, limits: Limits) -> Self {
        Self {
            role,
            limits,
            phase: Phase::Header,
            header: Inline::new(),
            control: Vec::new(),
            character: Unfinished::none(),
            message: None,
            decoders,
        }
    }

    /// The next event from the input, or `None` where it takes more bytes; see
    /// [`Connection::receive`](crate::Connection::receive).
    ///
    /// # Errors
    ///
    /// The peer's. The same again at each further call.
    pub fn receive<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>> {
        let event = self.step(input);
        if let Err(error) = event {
            self.end(Phase::Failed(error));
        }
        event
    }

    /// Notes that the transport has ended.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](RemoteProtocolError::UnexpectedEof) where no Close came before, or the error that the
    /// connection failed with.
    pub fn receive_eof(&mut self) -> Result<()> {
        let error = match self.phase {
            Phase::Closed => return Ok(()),
            Phase::Failed(error) => error,
            _ => RemoteProtocolError::UnexpectedEof,
        };
        self.end(Phase::Failed(error));
        Err(error)
    }

    /// Nothing more will come. Whoever holds on to a connection that has ended does not hold a codec with it.
    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.decoders = None;
    }

    /// Whether nothing more will come: a Close was received, or the connection failed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Failed(_))
    }

    /// What the connection failed with, if it did.
    #[must_use]
    pub const fn error(&self) -> Option<RemoteProtocolError> {
        match self.phase {
            Phase::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    #[inline]
    fn step<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>> {
        loop {
            // What begins here mostly ends here: it is stored only where the input ends first.
            let begun = match self.phase {
                Phase::Header => {
                    let Some(header) = self.read_header(input)? else { return Ok(None) };
                    if header.opcode.is_control() {
                        return self.read_control(Control::new(header), input);
                    }
                    self.begin_frame(header)?
                }
                Phase::Payload(payload) => payload,
                Phase::Control(control) => return self.read_control(control, input),
                Phase::Closed => {
                    // "[...] after receiving a control frame indicating the connection should be closed, a peer discards
                    // any further data received" (§1.4).
                    input.take(input.len());
                    return Ok(None);
                }
                Phase::Failed(error) => return Err(error),
            };
            if !begun.encoded {
                return self.read_payload(begun, input);
            }
            match self.decode(begun, input)? {
                None if input.is_empty() && !self.has_more() => return Ok(None),
                None => {}
                event => return Ok(event),
            }
        }
    }

    /// The header at the start of the input, which continues the one in progress.
    #[inline]
    fn read_header(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>> {
        if self.header.is_empty() {
            if let Some((header, len)) = self.judge_header(input.remaining())? {
                input.take(len);
                return Ok(Some(header));
            }
        }
        let before = self.header.len();
        self.header.extend(input.remaining());
        let Some((header, len)) = self.judge_header(self.header.as_bytes())? else {
            input.take(self.header.len() - before);
            return Ok(None);
        };
        input.take(len - before);
        self.header.clear();
        Ok(Some(header))
    }

    /// Reads a header and judges it as early as its bytes allow: the first two together, then the length.
    #[inline]
    fn judge_header(&self, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>> {
        let [b0, b1, rest @ ..] = bytes else { return Ok(None) };
        let start = FrameStart::decode(*b0, *b1)?;
        self.judge_start(start)?;
        let Some((len, rest)) = start.payload_len(rest)? else { return Ok(None) };
        self.judge_len(start, len)?;
        let Some((mask, rest)) = start.mask(rest) else { return Ok(None) };
        let header = FrameHeader { fin: start.fin, rsv: start.rsv, opcode: start.opcode, mask, len };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    #[inline]
    fn judge_start(&self, start: FrameStart) -> Result<()> {
        let negotiated = match &self.decoders {
            Some(decoders) if !start.opcode.is_control() => decoders.rsv(),
            _ => Rsv::NONE,
        };
        if !negotiated.contains(start.rsv) {
            return Err(RemoteProtocolError::ReservedBits);
        }
        match (self.role, start.masked) {
            (Role::Server, false) => return Err(RemoteProtocolError::Unmasked),
            (Role::Client, true) => return Err(RemoteProtocolError::Masked),
            _ => {}
        }
        let fragments = match (start.opcode, &self.message) {
            (Opcode::Continuation, None) => return Err(RemoteProtocolError::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(RemoteProtocolError::MessageUnfinished),
            (Opcode::Continuation, Some(message)) => message.fragments,
            (Opcode::Text | Opcode::Binary, None) => 0,
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
        };
        let limit = self.limits.fragments_limit();
        if fragments >= limit { Err(RemoteProtocolError::TooManyFragments { limit }) } else { Ok(()) }
    }

    #[inline]
    fn judge_len(&self, start: FrameStart, len: u64) -> Result<()> {
        let encoded = start.rsv != Rsv::NONE || self.message.is_some_and(|message| message.encoded);
        let limit = if encoded { self.limits.encoded_frame_limit() } else { self.limits.frame_limit() };
        if len > limit && !start.opcode.is_control() {
            return Err(RemoteProtocolError::FrameTooBig { limit });
        }
        Ok(())
    }

    #[inline]
    fn begin_frame(&mut self, header: FrameHeader) -> Result<Payload> {
        let mut message = match header.opcode {
            Opcode::Text => MessageSoFar::new(MessageKind::Text),
            Opcode::Binary => MessageSoFar::new(MessageKind::Binary),
            _ => self.message.ok_or(RemoteProtocolError::UnexpectedContinuation)?,
        };
        message.fragments += 1;
        let first = header.opcode != Opcode::Continuation;
        let encoded = match &mut self.decoders {
            None => false,
            Some(decoders) => {
                let frame = FrameInfo { kind: message.kind, first, last: header.fin };
                decoders.start_frame(frame, header.rsv).map_err(RemoteProtocolError::Extension)?
            }
        };
        if first {
            message.encoded = encoded;
        }
        if !encoded {
            message.len = match message.len.checked_add(header.len) {
                Some(len) if len <= self.limits.message_limit() => len,
                _ => return Err(self.message_too_big()),
            };
        }
        self.message = Some(message);
        let mask = header.mask.map(Mask::new);
        Ok(Payload { kind: message.kind, left: header.len, mask, fin: header.fin, encoded, more: 0 })
    }

    const fn message_too_big(&self) -> RemoteProtocolError {
        RemoteProtocolError::MessageTooBig { limit: self.limits.message_limit() }
    }

    /// Whether the decoder has more to give, without any input.
    const fn has_more(&self) -> bool {
        matches!(self.phase, Phase::Payload(Payload { more: 1.., .. }))
    }

    fn read_control<'b>(&mut self, mut control: Control, input: &mut Input<'b>) -> Result<Option<Event<'b>>> {
        let missing = control.len - self.control.len();
        let bytes = input.take(missing.min(input.len()));
        unmask(&mut control.mask, bytes);
        let payload = if bytes.len() == control.len {
            Cow::Borrowed(&*bytes)
        } else {
            self.control.reserve_exact(missing);
            self.control.extend_from_slice(bytes);
            if self.control.len() < control.len {
                self.phase = Phase::Control(control);
                return Ok(None);
            }
            Cow::Owned(mem::take(&mut self.control))
        };
        self.phase = Phase::Header;
        Ok(Some(match control.opcode {
            Opcode::Ping => Event::Ping(Ping { payload }),
            Opcode::Close => {
                let frame = close_frame(payload)?;
                self.end(Phase::Closed);
                Event::Close(frame)
            }
            _ => Event::Pong(Pong { payload }),
        }))
    }

    fn read_payload<'b>(&mut self, mut payload: Payload, input: &mut Input<'b>) -> Result<Option<Event<'b>>> {
        if !self.character.is_empty() {
            return self.read_character(payload, input);
        }
        let len = usize::try_from(payload.left).unwrap_or(usize::MAX).min(input.len());
        if len == 0 && payload.left > 0 {
            self.phase = Phase::Payload(payload);
            return Ok(None);
        }
        let bytes = input.take(len);
        unmask(&mut payload.mask, bytes);
        payload.left -= len as u64;
        match payload.kind {
            MessageKind::Binary => Ok(self.deliver(Data::Binary(Cow::Borrowed(bytes)), payload)),
            MessageKind::Text => {
                let (head, tail) = utf8::split_unfinished(bytes);
                self.character = Unfinished::new(tail);
                let text = utf8::validate(head);
                self.deliver_text(text.map(Cow::Borrowed).map_err(Cow::Borrowed), payload)
            }
        }
    }

    /// Finishes the character that the input, or the end of a frame, cut in two; byte by byte, so that the rest
    /// of the input can be borrowed.
    fn read_character<'b>(&mut self, mut payload: Payload, input: &mut Input<'b>) -> Result<Option<Event<'b>>> {
        while payload.left > 0 && !input.is_empty() {
            let byte = input.take(1);
            unmask(&mut payload.mask, byte);
            payload.left -= 1;
            match self.character.push(byte[0]) {
                Next::Unfinished => {}
                Next::Finished(character) => return self.deliver_text(Ok(Cow::Owned(character)), payload),
                Next::Invalid => return Err(RemoteProtocolError::InvalidUtf8),
            }
        }
        self.phase = Phase::Payload(payload);
        if payload.left > 0 { Ok(None) } else { self.deliver_text(Ok(Cow::Borrowed("")), payload) }
    }

    /// Delivers a piece of text, or the valid text (`Err`) in front of what is not. A character may still be
    /// unfinished, unless the message is at its end.
    fn deliver_text<'b>(
        &mut self,
        text: core::result::Result<Cow<'b, str>, Cow<'b, str>>,
        payload: Payload,
    ) -> Result<Option<Event<'b>>> {
        match text {
            Ok(text) if self.character.is_empty() || !(payload.fin && payload.ended()) => {
                Ok(self.deliver(Data::Text(text), payload))
            }
            Ok(text) | Err(text) => self.deliver_last(Data::Text(text), RemoteProtocolError::InvalidUtf8),
        }
    }

    /// Delivers a piece, unless there is nothing in it to tell.
    fn deliver<'b>(&mut self, data: Data<'b>, payload: Payload) -> Option<Event<'b>> {
        let frame_finished = payload.ended();
        let message_finished = frame_finished && payload.fin;
        self.phase = if frame_finished { Phase::Header } else { Phase::Payload(payload) };
        if message_finished {
            self.message = None;
        }
        if data.as_bytes().is_empty() && !frame_finished {
            return None;
        }
        Some(Event::Message(Message { data, frame_finished, message_finished }))
    }

    /// Delivers what was valid, if anything was; then the connection fails.
    fn deliver_last<'b>(&mut self, data: Data<'b>, error: RemoteProtocolError) -> Result<Option<Event<'b>>> {
        if data.as_bytes().is_empty() {
            return Err(error);
        }
        self.end(Phase::Failed(error));
        Ok(Some(Event::Message(Message { data, frame_finished: false, message_finished: false })))
    }
}

impl MessageSoFar {
    const fn new(kind: MessageKind) -> Self {
        Self { kind, len: 0, fragments: 0, encoded: false }
    }
}

impl Control {
    fn new(header: FrameHeader) -> Self {
        // The length was judged: at most 125.
        let len = usize::try_from(header.len).unwrap_or(MAX_CONTROL_PAYLOAD);
        Self { opcode: header.opcode, len, mask: header.mask.map(Mask::new) }
    }
}

impl Payload {
    const fn ended(&self) -> bool {
        self.left == 0 && self.more == 0
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Header => "between frames",
            Phase::Control(_) => "in a control frame",
            Phase::Payload(_) => "in a data frame",
            Phase::Closed => "closed",
            Phase::Failed(_) => "failed",
        };
        f.debug_struct("Receiver").field("role", &self.role).field("phase", &phase).finish_non_exhaustive()
    }
}

fn unmask(mask: &mut Option<Mask>, bytes: &mut [u8]) {
    if let Some(mask) = mask {
        mask.apply(bytes);
    }
}

/// What the body of a Close frame says (§5.5.1).
fn close_frame(body: Cow<'_, [u8]>) -> Result<CloseFrame<'_>> {
    let [a, b, reason @ ..] = &*body else {
        return if body.is_empty() { Ok(CloseFrame::empty()) } else { Err(RemoteProtocolError::CloseBodyTooShort) };
    };
    let number = u16::from_be_bytes([*a, *b]);
    let code = CloseCode::new(number).ok_or(RemoteProtocolError::InvalidCloseCode(number))?;
    core::str::from_utf8(reason).map_err(|_| RemoteProtocolError::InvalidCloseReason)?;
    let reason = match body {
        Cow::Borrowed(body) => core::str::from_utf8(&body[2..]).map(Cow::Borrowed).unwrap_or_default(),
        Cow::Owned(mut body) => Cow::Owned(String::from_utf8(body.split_off(2)).unwrap_or_default()),
    };
    Ok(CloseFrame::new(code, reason))
}
