//! A WebSocket in one task.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::extension::Params;
use wsproto::frame::Role;
use wsproto::{CloseCode, Connection, Limits};

use super::batch::Batch;
use super::handle::{Counters, Handle};
use super::io::{Io, Times};
use super::pulse::RoundTrip;
use super::receiving::{poll_close, poll_message, poll_unread};
use super::sending::Sending;
use super::side::{Side, Tasks};
use super::split::{self, Reader, Writer};
#[cfg(any(feature = "h2", feature = "hyper"))]
use super::transport::Multiplexed;
use crate::error::{Closed, Error};
use crate::incoming::Incoming;
use crate::message::{IntoMessage, Message};
use crate::options::Keep;
use crate::outgoing::Outgoing;

/// A WebSocket over a transport of tokio's.
///
/// Made by [`connect`](crate::connect), [`accept`](crate::accept) and [`serve`](crate::serve). Pings and the peer's
/// Close are answered by themselves, and the peer is pinged when it is silent, while the task waits in one of the methods.
///
/// # When bytes leave
///
/// [`send`](Self::send) queues a message and writes. [`feed`](Self::feed) only queues; what is queued is written when
/// [`recv`](Self::recv) has to wait, when 64 KiB are queued, or by [`flush`](Self::flush). So a reply loop with `feed`
/// makes one write for all the messages of one read, and nothing is held back while it waits.
///
/// # Back-pressure
///
/// One read, at most 64 KiB, is taken from the transport at a time, and the next only when the application has taken all
/// its messages. At 64 KiB of queued bytes `send` and `feed` wait until the transport has taken all but 16 KiB. So a
/// slow application slows its peer down, and a slow peer the application. At most 128 KiB and a frame header wait in the
/// queue, and one read of 64 KiB, with one piece of a message, in front of the application; an idle connection has no
/// buffers.
///
/// While `send`, `feed` or `flush` waits, the connection reads, and answers the control frames in front of the first
/// message that the application has not taken; behind that nothing is read. So two applications that both only write,
/// each waiting for the other to read, wait until the [stall timeout](crate::AcceptOptions::stall_timeout) ends the
/// connection: read in another task ([`split`](Self::split)), or give the wait a [timeout](tokio::time::timeout).
///
/// # What a dropped future leaves
///
/// All state is in the `WebSocket`. A dropped `recv` loses nothing. A dropped `send` or `feed` has sent its message whole
/// or not at all; who must know which awaits [`ready`](Self::ready) first, behind which `feed` does not wait. (The rest
/// of a message of more than 64 KiB whose `send` is dropped in the middle is queued at once, so that it is sent whole:
/// then the queue is that much longer.) So each method can be a branch of `select!`; but each borrows the whole `WebSocket`:
/// who wants to receive and to wait for room at the same time, splits it.
///
/// A dropped `WebSocket` closes its socket; what was queued and not written is lost, and the peer sees 1006.
pub struct WebSocket<S> {
    /// Boxed: a WebSocket moves through many futures, and each would have room for it.
    pub(super) inner: Box<Inner<S>>,
}

pub(super) struct Inner<S> {
    pub(super) incoming: Incoming,
    pub(super) io: Io<S>,
    /// Where it is used as a stream and a sink: those may be in two tasks.
    pub(super) tasks: Option<Arc<Tasks>>,
    agreed: Option<Box<Agreed>>,
}

/// What the handshake agreed on, where that is anything. The extensions as text: an idle connection keeps what is short.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) subprotocol: Option<String>,
    extensions: Option<String>,
}

impl<S> WebSocket<S> {
    /// A WebSocket whose handshake happened elsewhere: on a stream of HTTP/2, in a proxy, or by agreement. It pings after
    /// 20 s of silence, and ends where the transport takes nothing for 60 s.
    ///
    /// `connection` was made for these `limits`; `first` holds the bytes that arrived behind the handshake, may be empty.
    pub fn from_connection(stream: S, connection: Connection, limits: Limits, first: Vec<u8>) -> Self {
        // Whether an extension encodes is not known: long messages are cut into fragments, which is always right.
        Self::new(stream, connection, limits, first, true, Times::new(Keep::default(), Duration::from_secs(10)))
    }

    pub(super) fn new(
        stream: S,
        connection: Connection,
        limits: Limits,
        first: Vec<u8>,
        encoding: bool,
        times: Times,
    ) -> Self {
        let role = connection.receiver.role();
        let (receiver, sender) = connection.split();
        let io = Io::new(stream, Outgoing::new(sender, encoding), role, times);
        let incoming = Incoming::new(receiver, limits, first);
        Self { inner: Box::new(Inner { incoming, io, tasks: None, agreed: None }) }
    }

    /// The transport is one stream of several.
    #[cfg(any(feature = "h2", feature = "hyper"))]
    pub(crate) fn multiplexed(mut self, by: Multiplexed<S>) -> Self {
        self.inner.io.multiplexed = Some(by);
        self
    }

    pub(super) fn agreed_on(&mut self, subprotocol: Option<String>, extensions: &[Params]) {
        if subprotocol.is_some() || !extensions.is_empty() {
            let names: Vec<_> = extensions.iter().map(ToString::to_string).collect();
            let extensions = (!names.is_empty()).then(|| names.join(", "));
            self.inner.agreed = Some(Agreed { subprotocol, extensions }.into());
        }
    }

    /// How the connection ended: what the peer's Close said, 1005 where it said nothing, 1006 where there was none. `None`
    /// while it has not ended.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.inner.incoming.closed()
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.inner.agreed.as_ref()?.subprotocol.as_deref()
    }

    /// The extensions that were agreed on, with their parameters, as the server's `Sec-WebSocket-Extensions` has them
    /// (RFC 6455 §9.1). `None` where there are none, or the handshake [happened elsewhere](Self::from_connection).
    #[must_use]
    pub fn extensions(&self) -> Option<&str> {
        self.inner.agreed.as_ref()?.extensions.as_deref()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.inner.incoming.role()
    }

    /// Bytes that are queued and not yet written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.inner.io.outgoing.queued()
    }

    /// What the connection has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.io.handle.counters()
    }

    /// A handle for other tasks: it reads the counters at any time, and can ask the connection to close.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.inner.io.handle.clone()
    }

    /// The transport.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.inner.io.stream
    }

    /// The transport, for its options. What is read from it or written to it by hand breaks the connection.
    #[must_use]
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.inner.io.stream
    }

    /// Two halves for two tasks.
    #[must_use]
    pub fn split(self) -> (Reader<S>, Writer<S>) {
        let Inner { incoming, io, agreed, .. } = *self.inner;
        split::split(incoming, io, agreed)
    }

    pub(super) fn parts(&mut self) -> (&mut Incoming, &mut Io<S>) {
        (&mut self.inner.incoming, &mut self.inner.io)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message, whole. `None` after the closing handshake: [`closed`](Self::closed) tells code and reason.
    ///
    /// Waits, if it must; meanwhile it writes what is queued.
    ///
    /// # Errors
    ///
    /// The peer's, the transport's, or a time that ran out: the connection is over.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        let (incoming, io) = self.parts();
        poll_fn(|cx| poll_message(incoming, Side::Own(io), cx)).await
    }

    /// What can be had without a copy: the events of one read, which borrow the reading buffer, and the pieces of messages
    /// that are longer than a read, as they arrive. `None` after the closing handshake.
    ///
    /// Waits, if it must; meanwhile it writes what is queued. What is left of the batch before is given first.
    ///
    /// ```no_run
    /// # use wsproto_io::wsproto::Event;
    /// # async fn echo(mut socket: wsproto_io::WebSocket<tokio::net::TcpStream>) -> Result<(), wsproto_io::Error> {
    /// while let Some(mut batch) = socket.read().await? {
    ///     while let Some(event) = batch.next() {
    ///         if let Event::Message(piece) = event {
    ///             match batch.feed(piece).await { // no copy but the one into the queue, no allocation
    ///                 Err(wsproto_io::Error::Closing) => break, // by a `Handle`, as when a server stops: read to the end
    ///                 fed => fed?,
    ///             }
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn read(&mut self) -> Result<Option<Batch<'_, S>>, Error> {
        let (incoming, io) = self.parts();
        let open = poll_fn(|cx| poll_unread(incoming, Side::Own(io), cx)).await?;
        Ok(open.then(|| Batch::new(incoming.events(), Side::Own(io))))
    }

    /// Sends a message: queues it, and writes what the transport takes. Waits where the queue is full: before the message,
    /// or with it. What the transport does not take at once leaves with the next call.
    ///
    /// A piece of a message ([`wsproto::Message::unfinished`]) is sent as a fragment, so that a message of any length can be
    /// sent as it is made.
    ///
    /// # Errors
    ///
    /// Yours, the transport's, or [`Closed`](Error::Closed) after the peer's Close; also after one that another task asked for
    /// by a [`Handle`]: then the connection has ended in order, and what came meanwhile was thrown away.
    pub async fn send<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        let (incoming, io) = self.parts();
        Sending::new(Side::Own(io), Some(incoming), message.into_message()).send().await
    }

    /// Queues a message. It is written with the others when [`recv`](Self::recv) has to wait, when 64 KiB are queued, or
    /// by [`flush`](Self::flush).
    ///
    /// Where 64 KiB are queued already, waits until the transport has taken all but 16 KiB. A message of any length is
    /// accepted; a long one is encoded in steps of 64 KiB, and not copied whole.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        let (incoming, io) = self.parts();
        Sending::new(Side::Own(io), Some(incoming), message.into_message()).feed().await
    }

    /// The same as [`send`](Self::send), but the message is not compressed (RFC 7692 §6: a sender may compress or not,
    /// message by message), and nothing that is sent later refers to it.
    ///
    /// For secrets beside text that an attacker chooses, and for what is compressed already. The choice belongs to a message,
    /// not to a piece: it is made with the first one, and holds for the pieces that follow, by whichever method they are sent.
    /// A message in pieces that is sent so holds no encoder between two.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_uncompressed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        let (incoming, io) = self.parts();
        Sending::new(Side::Own(io), Some(incoming), message.into_message()).uncompressed().send().await
    }

    /// The same as [`feed`](Self::feed), but the message is not compressed; as
    /// [`send_uncompressed`](Self::send_uncompressed).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn feed_uncompressed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        let (incoming, io) = self.parts();
        Sending::new(Side::Own(io), Some(incoming), message.into_message()).uncompressed().feed().await
    }

    /// Waits until there is room for a message: then the next [`feed`](Self::feed) of one of at most 64 KiB does not wait.
    ///
    /// # Errors
    ///
    /// The transport's, or [`Closed`](Error::Closed).
    pub async fn ready(&mut self) -> Result<(), Error> {
        let (incoming, io) = self.parts();
        poll_fn(|cx| io.poll_ready(Some(incoming), cx)).await
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// The transport's, or [`Closed`](Error::Closed).
    pub async fn flush(&mut self) -> Result<(), Error> {
        let (incoming, io) = self.parts();
        poll_fn(|cx| io.poll_flush(Some(incoming), cx)).await
    }

    /// Sends a Ping (RFC 6455 §5.5.2). Gives what waits for its Pong, and tells the time that the two took: while it waits,
    /// somebody must receive.
    ///
    /// ```no_run
    /// # async fn measure(mut socket: wsproto_io::WebSocket<tokio::net::TcpStream>) -> Result<(), wsproto_io::Error> {
    /// let round_trip = socket.ping().await?;
    /// tokio::spawn(async move { println!("{:?}", round_trip.await) });
    /// while let Some(message) = socket.recv().await? {
    ///     println!("{message:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn ping(&mut self) -> Result<RoundTrip, Error> {
        let (incoming, io) = self.parts();
        // One that is given up before it is queued is not sent: else those would pile up.
        poll_fn(|cx| io.poll_room(Some(incoming), cx)).await?;
        let round_trip = io.ping()?;
        poll_fn(|cx| io.poll_flush(Some(incoming), cx)).await?;
        Ok(round_trip)
    }

    /// Closes: sends a Close, then reads and discards until the peer's Close, then ends the transport (RFC 6455 §7.1.2).
    /// At most the [close timeout](crate::ConnectOptions::close_timeout). Dropped in the middle, it goes on with the next
    /// call, or with [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// The peer's, where it ended without a Close; the transport's; or [`Timeout::Close`](crate::Timeout::Close).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.send_close(code, reason);
        let (incoming, io) = self.parts();
        poll_fn(|cx| poll_close(incoming, Side::Own(io), cx)).await
    }

    /// Queues a Close, and does not wait: it leaves with the next call, and messages may still come, until
    /// [`recv`](Self::recv) gives `None`. From here on the [close timeout](crate::ConnectOptions::close_timeout) runs. Does
    /// nothing where a Close was sent before, or the connection has ended. A reason of more than 123 bytes is cut.
    pub fn send_close(&mut self, code: CloseCode, reason: &str) {
        self.inner.io.send_close(code, reason);
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.role())
            .field("subprotocol", &self.subprotocol())
            .field("queued", &self.queued())
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}
