//! What was read and not yet taken: events from a lent buffer, without I/O.

use std::mem;

use wsproto::frame::Role;
use wsproto::{Assembler, Data, Event, Input, Limits, Message, Receiver, RemoteProtocolError, Reply, TooBig};

use crate::error::Closed;
use crate::lend::{self, ReadSize};

/// The receiving half of a connection, and the bytes that were read and not yet taken. What is rare is boxed: there are
/// many connections, and most of them wait.
#[derive(Debug)]
pub(crate) struct Incoming {
    receiver: Receiver,
    assembler: Assembler,
    buffer: Vec<u8>,
    marks: Marks,
    size: ReadSize,
    /// Whether the last read filled its buffer: then the next one hardly waits.
    filled: bool,
    /// A piece that was come upon while its control frames were looked for, before anybody asked for it.
    held: Option<Box<Message<'static>>>,
    closed: Option<Box<Closed>>,
    /// A message that is longer than the assembler takes, though not longer than the receiver does.
    too_big: Option<Box<RemoteProtocolError>>,
}

/// Where the application is in the buffer.
#[derive(Clone, Copy, Debug)]
struct Marks {
    start: usize,
    end: usize,
    /// Whether the receiver has said that there is nothing more.
    exhausted: bool,
}

impl Marks {
    const NOTHING: Self = Self { start: 0, end: 0, exhausted: true };
}

impl Incoming {
    /// `first` is what was read behind the head of the handshake.
    pub(crate) fn new(receiver: Receiver, limits: Limits, first: Vec<u8>) -> Self {
        let limit = usize::try_from(limits.message_limit()).unwrap_or(usize::MAX);
        let marks = Marks { start: 0, end: first.len(), exhausted: first.is_empty() };
        let (assembler, size) = (Assembler::new(limit), ReadSize::new());
        let (filled, held, closed, too_big) = (false, None, None, None);
        Self { receiver, assembler, buffer: first, marks, size, filled, held, closed, too_big }
    }

    /// Whether there may be events that need no more bytes.
    pub(crate) const fn has_unread(&self) -> bool {
        !self.marks.exhausted || self.held.is_some()
    }

    /// Whether there is a piece of a message that nobody has asked for yet.
    pub(crate) const fn holds_message(&self) -> bool {
        self.held.is_some()
    }

    /// Which end this is.
    pub(crate) const fn role(&self) -> Role {
        self.receiver.role()
    }

    /// What the peer's Close said, or what stands for it.
    pub(crate) const fn closed(&self) -> Option<&Closed> {
        match &self.closed {
            Some(closed) => Some(&**closed),
            None => None,
        }
    }

    /// What the connection failed with.
    pub(crate) fn error(&self) -> Option<RemoteProtocolError> {
        self.receiver.error().or(self.too_big.as_deref().copied())
    }

    /// Before a read that may wait: the thread frees what it keeps for writing, where it is large.
    pub(crate) fn before_waiting(&self) {
        if !self.filled {
            lend::before_waiting();
        }
    }

    /// Notes that a read waited for its whole time, and gave nothing.
    pub(crate) const fn quiet(&mut self) {
        self.size.quiet();
        self.filled = false;
    }

    /// A buffer to read into. It comes back with [`Self::received`].
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        self.give_back();
        lend::read_buffer(self.size.len())
    }

    /// Takes the buffer back, and with it the first `n` bytes as what was read.
    pub(crate) fn received(&mut self, buffer: Vec<u8>, n: usize) {
        if n == 0 {
            lend::return_read_buffer(buffer);
            return;
        }
        self.size.note(n);
        self.filled = n == buffer.len();
        self.buffer = buffer;
        self.marks = Marks { start: 0, end: n, exhausted: false };
    }

    /// Gives the buffer back to the thread, where all is taken from it.
    pub(crate) fn give_back(&mut self) {
        if self.marks.exhausted {
            lend::return_read_buffer(mem::take(&mut self.buffer));
            self.marks = Marks::NOTHING;
        }
    }

    /// Notes that the transport has ended.
    pub(crate) fn eof(&mut self) -> Result<(), RemoteProtocolError> {
        self.receiver.receive_eof().inspect_err(|error| self.closed = Some(Closed::failed(*error).into()))
    }

    /// Notes that the transport has failed.
    pub(crate) fn broken(&mut self) {
        self.closed.get_or_insert_with(|| Closed::abnormal().into());
    }

    /// The events of what was read. `'b` is the borrow of the buffer.
    pub(crate) fn events(&mut self) -> Events<'_> {
        Events {
            input: Input::new(&mut self.buffer[self.marks.start..self.marks.end]),
            receiver: &mut self.receiver,
            assembler: &mut self.assembler,
            closed: &mut self.closed,
            too_big: &mut self.too_big,
            marks: &mut self.marks,
            held: &mut self.held,
        }
    }
}

/// The events of what was read. What is not taken stays for the next time.
#[derive(Debug)]
pub(crate) struct Events<'b> {
    input: Input<'b>,
    receiver: &'b mut Receiver,
    assembler: &'b mut Assembler,
    closed: &'b mut Option<Box<Closed>>,
    too_big: &'b mut Option<Box<RemoteProtocolError>>,
    marks: &'b mut Marks,
    held: &'b mut Option<Box<Message<'static>>>,
}

impl<'b> Events<'b> {
    /// The next event, and the reply that is owed for it.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(Event<'b>, Option<Reply>)>, RemoteProtocolError> {
        if let Some(error) = self.too_big {
            return Err(**error);
        }
        if let Some(piece) = self.held.take() {
            return Ok(Some((Event::Message(*piece), None)));
        }
        match self.receiver.receive(&mut self.input) {
            Ok(Some(event)) => {
                if let Event::Close(frame) = &event {
                    *self.closed = Some(Closed::received(frame).into());
                }
                let reply = event.response();
                Ok(Some((event, reply)))
            }
            Ok(None) => {
                self.marks.exhausted = true;
                Ok(None)
            }
            Err(error) => {
                self.marks.exhausted = true;
                *self.closed = Some(Closed::failed(error).into());
                Err(error)
            }
        }
    }

    /// Keeps a piece for the next one who asks: its bytes are copied, since the buffer may go on.
    pub(crate) fn hold(&mut self, piece: Message<'_>) {
        let data = match piece.data {
            Data::Text(text) => Data::from(text.into_owned()),
            Data::Binary(bytes) => Data::from(bytes.into_owned()),
        };
        *self.held = Some(Box::new(Message { data, ..piece }));
    }

    /// Joins pieces; gives a message that is whole.
    pub(crate) fn join(&mut self, piece: Message<'b>) -> Result<Option<Data<'b>>, RemoteProtocolError> {
        self.assembler.push(piece).map_err(|TooBig { limit }| {
            let error = RemoteProtocolError::MessageTooBig { limit: limit as u64 };
            self.marks.exhausted = true;
            *self.closed = Some(Closed::failed(error).into());
            *self.too_big = Some(error.into());
            error
        })
    }

    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        self.marks.start += self.input.consumed();
    }
}
