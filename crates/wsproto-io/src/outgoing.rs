//! What waits to be written, and when it is too much: the rules of the outgoing queue, without I/O.

use wsproto::frame::Mask;
use wsproto::{Data, LocalProtocolError, Message, Outgoing as Frame, Reply, ReplySlot, Sender};

use crate::lend;

/// From this many queued bytes on, no message is accepted before the transport has taken some.
pub(crate) const HIGH: usize = 64 * 1024;

/// Down to this many bytes the queue is written before a message is accepted again.
pub(crate) const LOW: usize = 16 * 1024;

/// A message longer than this is encoded in steps of this many bytes, so that it is never copied whole.
const STEP: usize = 64 * 1024;

/// From this many bytes on, a transport that can keep the queue's buffer is given it.
const LEAST_GIVEN: usize = 4 * 1024;

/// The sending half of a connection, and the bytes that wait for the transport.
///
/// Below [`HIGH`] queued bytes any one message is accepted; so the queue holds at most `HIGH + STEP` bytes, a frame header and
/// the control frames, which always fit. (Beyond `HIGH` only the latest Pong is kept, RFC 6455 §5.5.3.) Of a message longer
/// than `STEP` that is given up in the middle, the blocking driver ends the connection, and the tokio driver queues the rest:
/// only then does the queue hold more.
#[derive(Debug)]
pub(crate) struct Outgoing {
    sender: Sender,
    /// Whether an extension encodes messages: then a long message is cut into fragments.
    encoding: bool,
    queue: Vec<u8>,
    /// How much of the queue the transport has taken.
    written: usize,
    /// Bytes that the transport has taken in all.
    total: u64,
    /// Bytes that a thread has taken out of the queue, to write them without it.
    taken: usize,
    /// Whether the payload of a frame is not encoded whole: nothing else may be queued.
    in_frame: bool,
    /// The reply that finds no room. (Boxed: it is as large as it is rare.)
    owed: Option<Box<ReplySlot>>,
}

/// How far the encoding of a message is; the message itself is its owner's, who brings it along at each step.
#[derive(Debug)]
pub(crate) struct Encoding {
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    /// Bytes that are encoded.
    done: usize,
    /// Whether the message may be compressed.
    compress: bool,
    /// For a frame whose header stands in the queue: the mask of its payload.
    frame: Option<Option<Mask>>,
}

impl Encoding {
    pub(crate) const fn is_finished(&self) -> bool {
        self.rest.is_none()
    }
}

impl Outgoing {
    pub(crate) fn new(sender: Sender, encoding: bool) -> Self {
        Self { sender, encoding, queue: Vec::new(), written: 0, total: 0, taken: 0, in_frame: false, owed: None }
    }

    /// Bytes that wait for the transport.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len() - self.written + self.taken
    }

    /// Bytes that the transport has taken in all.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Whether nothing waits that could be written now. (In the middle of a frame a reply cannot.)
    pub(crate) fn is_empty(&self) -> bool {
        self.queued() == 0 && (self.owed.is_none() || self.in_frame)
    }

    /// Whether nothing waits, and no reply is owed.
    pub(crate) fn is_settled(&self) -> bool {
        self.queued() == 0 && self.owed.is_none()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queued() >= HIGH
    }

    /// Whether little enough waits for one who wants no more than `mark` bytes to.
    pub(crate) fn is_below(&self, mark: usize) -> bool {
        if mark == 0 { self.is_empty() } else { self.queued() <= mark }
    }

    pub(crate) const fn close_was_sent(&self) -> bool {
        self.sender.is_closed()
    }

    /// Begins to encode a message; one that is not long is encoded whole. Whether it may be compressed is decided where it
    /// begins: of a piece that goes on with a message, `compress` says nothing.
    pub(crate) fn begin(&mut self, message: &Message<'_>, compress: bool) -> Result<Encoding, LocalProtocolError> {
        let bytes = message.data.as_bytes();
        self.lend();
        if bytes.len() <= STEP {
            self.data(message, compress)?;
            return Ok(Encoding { rest: None });
        }
        let frame = if self.encoding {
            None
        } else {
            let (kind, len) = (message.data.kind(), bytes.len() as u64);
            Some(self.sender.send_header(kind, len, message.message_finished, &mut self.queue)?)
        };
        self.in_frame = frame.is_some();
        let mut encoding = Encoding { rest: Some(Rest { done: 0, compress, frame }) };
        self.encode_more(message, &mut encoding)?;
        Ok(encoding)
    }

    /// Encodes the next step of the message that `encoding` was begun for.
    pub(crate) fn encode_more(
        &mut self,
        message: &Message<'_>,
        encoding: &mut Encoding,
    ) -> Result<(), LocalProtocolError> {
        let Some(rest) = &mut encoding.rest else { return Ok(()) };
        self.lend();
        let bytes = message.data.as_bytes();
        let mut end = rest.done.saturating_add(STEP).min(bytes.len());
        match &mut rest.frame {
            Some(mask) => {
                let start = self.queue.len();
                self.queue.extend_from_slice(&bytes[rest.done..end]);
                if let Some(mask) = mask {
                    mask.apply(&mut self.queue[start..]);
                }
            }
            None => {
                let data = match &message.data {
                    Data::Text(text) => {
                        while !text.is_char_boundary(end) {
                            end -= 1;
                        }
                        Data::from(&text[rest.done..end])
                    }
                    Data::Binary(bytes) => Data::from(&bytes[rest.done..end]),
                };
                let message_finished = message.message_finished && end == bytes.len();
                let compress = rest.compress;
                self.data(&Message { data, frame_finished: true, message_finished }, compress)?;
            }
        }
        rest.done = end;
        if end == bytes.len() {
            encoding.rest = None;
            self.in_frame = false;
        }
        Ok(())
    }

    fn data(&mut self, message: &Message<'_>, compress: bool) -> Result<(), LocalProtocolError> {
        if compress {
            self.sender.send(message, &mut self.queue)
        } else {
            self.sender.send_uncompressed(message, &mut self.queue)
        }
    }

    /// Queues a control frame.
    pub(crate) fn control(&mut self, frame: impl Frame) -> Result<(), LocalProtocolError> {
        self.lend();
        self.sender.send(frame, &mut self.queue)
    }

    /// Whether the payload of a frame is not encoded whole: no other frame may be queued before it is.
    pub(crate) const fn is_in_frame(&self) -> bool {
        self.in_frame
    }

    /// Queues a reply, or where there is no room keeps it until there is.
    pub(crate) fn reply(&mut self, reply: Reply) {
        if self.has_no_room() || self.owed.is_some() {
            self.owed.get_or_insert_default().put(reply);
        } else {
            self.lend();
            self.sender.reply(reply, &mut self.queue);
        }
    }

    /// Whether a reply cannot be queued now.
    fn has_no_room(&self) -> bool {
        self.in_frame || self.is_full()
    }

    /// Queues the reply that found no room before.
    fn pay(&mut self) {
        if self.owed.is_some() && !self.has_no_room() {
            if let Some(reply) = self.owed.take().and_then(|mut slot| slot.take()) {
                self.lend();
                self.sender.reply(reply, &mut self.queue);
            }
        }
    }

    /// What the transport is to take next; empty where nothing waits.
    pub(crate) fn unwritten(&mut self) -> &[u8] {
        self.pay();
        &self.queue[self.written..]
    }

    /// Whether a transport that can keep the whole buffer should be given it: it is no small part of one, which is cheaper to
    /// copy than to be without.
    pub(crate) fn is_worth_giving(&self) -> bool {
        let len = self.queue.len();
        self.written == 0 && (LEAST_GIVEN..=HIGH + STEP).contains(&len) && len >= self.queue.capacity() / 2
    }

    /// Takes all that is queued out, for a thread that writes it while others queue more. It comes back with
    /// [`Self::put_back`].
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.pay();
        self.queue.drain(..self.written);
        self.written = 0;
        self.taken = self.queue.len();
        std::mem::take(&mut self.queue)
    }

    /// Takes back what was taken out, of which the transport took this many bytes.
    pub(crate) fn put_back(&mut self, mut taken: Vec<u8>, written: usize) {
        self.taken = 0;
        self.total += written as u64;
        if written < taken.len() {
            taken.drain(..written);
            taken.append(&mut self.queue);
            self.queue = taken;
        } else {
            lend::return_write_buffer(taken);
        }
    }

    /// Notes that the transport took this many bytes.
    pub(crate) fn advance(&mut self, n: usize) {
        self.written += n;
        self.total += n as u64;
        if self.written == self.queue.len() {
            self.release();
        } else if self.written >= HIGH {
            self.queue.drain(..self.written);
            self.written = 0;
        }
    }

    /// Forgets all that waits: the transport will not take it.
    pub(crate) fn discard(&mut self) {
        self.owed = None;
        self.release();
    }

    /// Gives the buffer back to the thread.
    fn release(&mut self) {
        self.written = 0;
        lend::return_write_buffer(std::mem::take(&mut self.queue));
    }

    /// Gives the queue a buffer, where it has none.
    fn lend(&mut self) {
        if self.queue.capacity() == 0 {
            self.queue = lend::write_buffer();
        }
    }
}
