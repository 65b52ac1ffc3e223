//! Handshake and connection in one object, over HTTP/1.1.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::mem;

use crate::connection::{Connection, Transport};
use crate::error::{LocalProtocolError, RemoteProtocolError};
use crate::event::{Event, Outgoing};
use crate::extension::Params;
use crate::frame::MaskSource;
use crate::handshake::http1::{self, HeadLimits, PlainRequest, RejectionBody, RequestReader, ResponseReader};
use crate::handshake::{
    AcceptConnection, Accepted, ClientHandshake, ClientRequest, LocalHandshakeError, Outcome, RejectConnection,
    RejectData, Request, RequestError, ResponseError, ResponseHead, ServerHandshake,
};
use crate::input::Input;
use crate::limits::Limits;
use crate::reply::Reply;

/// A WebSocket from its first byte to its last: the handshake over HTTP/1.1 (RFC 6455 §4), then a [`Connection`].
///
/// For those who want one object. It keeps the head in progress (at most [`HeadLimits::size`], 16 KiB by default) until
/// it is whole, and from then on what a [`Connection`] keeps: no buffers.
///
/// ```
/// use wsproto::handshake::{AcceptConnection, ClientRequest};
/// use wsproto::{Event, Input, Message, WsConnection, WsEvent};
///
/// let mut out = Vec::new();
/// let request = ClientRequest::from_url("ws://localhost/")?;
/// # let (nonce, masks) = ([7; 16], || [1, 2, 3, 4]);
/// let mut client = WsConnection::client(request, nonce, masks, &mut out)?;
/// let mut server = WsConnection::server();
///
/// // The server takes the request and accepts it.
/// let mut answer = Vec::new();
/// let mut input = Input::new(&mut out);
/// while let Some(event) = server.receive(&mut input)? {
///     if let WsEvent::Request(request) = &event {
///         assert_eq!(request.path(), "/");
///         server.accept(&AcceptConnection::default(), &mut answer)?; // pages of other origins: an error, to be rejected
///         server.send(Message::text("welcome"), &mut answer)?;
///     }
/// }
///
/// // The client takes the answer and the message behind it.
/// let mut input = Input::new(&mut answer);
/// let mut received = 0;
/// while let Some(event) = client.receive(&mut input)? {
///     match event {
///         WsEvent::Accept(_) => assert!(client.connection().is_some()),
///         WsEvent::Connection(Event::Message(message)) => received += message.data.as_bytes().len(),
///         _ => unreachable!(),
///     }
/// }
/// assert_eq!(received, "welcome".len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WsConnection {
    phase: Phase,
    limits: Limits,
    head_limits: HeadLimits,
    /// How much of a rejection's body a client reads.
    rejection_limit: u64,
    plain: Option<Box<PlainRequest>>,
}

enum Phase {
    /// A server reads the request.
    Request {
        reader: RequestReader,
        head: Vec<u8>,
    },
    /// A server waits for its application's answer.
    Answer(Box<ServerHandshake>),
    /// A server sends the body of its rejection: this many bytes more, or until it says that it is finished.
    Rejecting {
        left: Option<u64>,
    },
    /// A client reads the response.
    Response {
        reader: Box<ResponseReader>,
        head: Vec<u8>,
        masks: Box<dyn MaskSource>,
    },
    /// A client reads the body of a rejection.
    Rejected(RejectionBody),
    Connection(Connection),
    /// The handshake failed, or a rejection is complete.
    Ended(Option<PeerError>),
}

/// What happens on a [`WsConnection`]. At most 64 bytes; match it by reference.
#[derive(Debug)]
#[non_exhaustive]
pub enum WsEvent<'b> {
    /// For servers: a copy of a valid request, to be answered with [`WsConnection::accept`] or [`WsConnection::reject`],
    /// now or later. Until then no further input is taken: keep what the [`Input`] still holds.
    Request(Box<Request>),
    /// For clients: the server accepted. The connection is open.
    Accept(Box<Accept>),
    /// For clients: the server rejected. [`RejectData`](Self::RejectData) follows.
    Reject(Box<ResponseHead>),
    /// For clients: a piece of the rejection's body.
    RejectData(RejectData<'b>),
    /// The connection is open, and this is what the peer said on it.
    Connection(Event<'b>),
}

/// What was agreed on when the server accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The response, with status 101; a server has appended it already.
    pub response: ResponseHead,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// The extensions that were agreed on, with their parameters, in the order of the answer.
    pub extensions: Vec<Params>,
}

impl WsConnection {
    /// A server's end, at the start of a connection of the transport.
    #[must_use]
    pub fn server() -> Self {
        let head_limits = HeadLimits::default();
        let reader = RequestReader::new(head_limits);
        Self::new(Phase::Request { reader, head: Vec::new() }, head_limits)
    }

    /// A client's end. The request is appended to `out`.
    ///
    /// `nonce` is 16 random bytes for the handshake (RFC 6455 §4.1), `masks` the source of the masks of the frames.
    ///
    /// # Errors
    ///
    /// Yours: a request that cannot be written. Nothing was appended.
    pub fn client(
        request: ClientRequest,
        nonce: [u8; 16],
        masks: impl MaskSource + 'static,
        out: &mut Vec<u8>,
    ) -> Result<Self, LocalHandshakeError> {
        let handshake = ClientHandshake::new(request, nonce)?;
        http1::write_request(&handshake, out)?;
        let head_limits = HeadLimits::default();
        let reader = Box::new(ResponseReader::new(handshake, head_limits));
        let phase = Phase::Response { reader, head: Vec::new(), masks: Box::new(masks) };
        Ok(Self::new(phase, head_limits))
    }

    fn new(phase: Phase, head_limits: HeadLimits) -> Self {
        let (limits, rejection_limit) = (Limits::default(), RejectionBody::DEFAULT_LIMIT);
        Self { phase, limits, head_limits, rejection_limit, plain: None }
    }

    /// The same with other limits for the connection, before it is open.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same with other limits for the peer's head, before it was read.
    #[must_use]
    pub fn with_head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        match &mut self.phase {
            // What has arrived of the head is looked at again.
            Phase::Request { reader, .. } => *reader = RequestReader::new(limits),
            Phase::Response { reader, .. } => reader.restart(limits),
            _ => {}
        }
        self
    }

    /// For clients: the same with another limit for the body of a rejection, in bytes, before its head was read; what is
    /// longer is not read to its end. Default [`RejectionBody::DEFAULT_LIMIT`], 64 KiB.
    #[must_use]
    pub fn with_rejection_limit(self, bytes: u64) -> Self {
        Self { rejection_limit: bytes, ..self }
    }

    /// The next event from the input, or `None` where it takes more bytes, or (a server) the answer to the request; what
    /// the input holds then is to be given again.
    ///
    /// Otherwise as [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// The peer's. Append what is owed for it with [`answer`](Self::answer), send that, then close the transport. Each
    /// further call gives the same error.
    pub fn receive<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<WsEvent<'b>>, PeerError> {
        let event = self.step(input);
        if let (Err(error), false) = (&event, matches!(self.phase, Phase::Connection(_))) {
            if let Phase::Request { reader, .. } = &mut self.phase {
                self.plain = reader.take_plain_request().map(Box::new);
            }
            self.phase = Phase::Ended(Some(*error));
        }
        event
    }

    /// For servers: the request that does not ask for a WebSocket, after [`RequestError::NotWebSocket`]. It may be answered
    /// as HTTP, by the caller, instead of with [`answer`](Self::answer); then the transport is to be closed.
    #[must_use]
    pub fn plain_request(&self) -> Option<&PlainRequest> {
        self.plain.as_deref()
    }

    fn step<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<WsEvent<'b>>, PeerError> {
        match &mut self.phase {
            Phase::Request { reader, head } => {
                let before = fill(head, input, self.head_limits);
                let read = reader.receive(head)?;
                input.take(read.as_ref().map_or(head.len(), |(_, length)| *length) - before);
                Ok(read.map(|(handshake, _)| {
                    let request = Box::new(handshake.request().clone());
                    self.phase = Phase::Answer(Box::new(handshake));
                    WsEvent::Request(request)
                }))
            }
            Phase::Response { reader, head, .. } => {
                let before = fill(head, input, self.head_limits);
                let read = reader.receive(head)?;
                input.take(read.as_ref().map_or(head.len(), |(_, length)| *length) - before);
                match read {
                    None => Ok(None),
                    Some((outcome, _)) => self.open(outcome).map(Some),
                }
            }
            Phase::Rejected(body) => {
                let (consumed, data) = body.receive(input.remaining())?;
                let (len, body_finished) = (data.data.len(), data.body_finished);
                let taken: &'b [u8] = input.take(consumed);
                if body_finished {
                    self.phase = Phase::Ended(None);
                }
                let data = Cow::Borrowed(&taken[consumed - len..]);
                Ok((len > 0 || body_finished).then_some(WsEvent::RejectData(RejectData { data, body_finished })))
            }
            Phase::Connection(connection) => Ok(connection.receive(input)?.map(WsEvent::Connection)),
            Phase::Answer(_) => Ok(None),
            Phase::Rejecting { .. } | Phase::Ended(None) => {
                // Behind a rejection nothing is parsed any more.
                input.take(input.len());
                Ok(None)
            }
            Phase::Ended(Some(error)) => Err(*error),
        }
    }

    /// A client has its response.
    fn open<'b>(&mut self, outcome: Outcome) -> Result<WsEvent<'b>, PeerError> {
        let before = mem::replace(&mut self.phase, Phase::Ended(None));
        match (outcome, before) {
            (Outcome::Accepted(accepted), Phase::Response { masks, .. }) => {
                let Accepted { response, subprotocol, agreed, extensions } = accepted;
                self.phase = Phase::Connection(Connection::client(extensions, self.limits, masks));
                Ok(WsEvent::Accept(Box::new(Accept { response, subprotocol, extensions: agreed })))
            }
            (Outcome::Accepted(Accepted { response, .. }) | Outcome::Rejected(response), _) => {
                self.phase = Phase::Rejected(RejectionBody::new(&response, self.rejection_limit)?);
                Ok(WsEvent::Reject(Box::new(response)))
            }
        }
    }

    /// Notes that the transport has ended.
    ///
    /// # Errors
    ///
    /// The peer's, where the handshake, or the connection, was not at its end.
    pub fn receive_eof(&mut self) -> Result<(), PeerError> {
        let error = match &mut self.phase {
            Phase::Connection(connection) => return Ok(connection.receive_eof()?),
            Phase::Rejecting { .. } | Phase::Ended(None) => return Ok(()),
            Phase::Ended(Some(error)) => *error,
            Phase::Request { .. } | Phase::Answer(_) => PeerError::Request(RequestError::UnexpectedEof),
            Phase::Response { .. } => PeerError::Response(ResponseError::UnexpectedEof),
            Phase::Rejected(body) => match body.receive_eof() {
                Ok(()) => {
                    self.phase = Phase::Ended(None);
                    return Ok(());
                }
                Err(error) => PeerError::Response(error),
            },
        };
        self.phase = Phase::Ended(Some(error));
        Err(error)
    }

    /// For servers: accepts the request. The response is appended to `out`, and the connection is open: frames may follow
    /// at once. Back comes what was agreed on.
    ///
    /// # Errors
    ///
    /// Yours: nothing was appended, and the request still waits for its answer (unless it was given before). With
    /// [`OriginNotAllowed`](LocalHandshakeError::OriginNotAllowed) that answer is to [`reject`](Self::reject) with 403.
    pub fn accept(&mut self, accept: &AcceptConnection<'_>, out: &mut Vec<u8>) -> Result<Accept, LocalHandshakeError> {
        let Accepted { response, subprotocol, agreed, extensions } = self.handshake()?.accept(accept)?;
        http1::write_response(&response, out);
        self.phase = Phase::Connection(Connection::server(extensions, self.limits));
        Ok(Accept { response, subprotocol, extensions: agreed })
    }

    /// For servers: rejects the request. The head of the response is appended to `out`; its body, if it has one, is to be
    /// appended with [`reject_data`](Self::reject_data).
    ///
    /// # Errors
    ///
    /// Yours, as for [`accept`](Self::accept).
    pub fn reject(&mut self, reject: &RejectConnection, out: &mut Vec<u8>) -> Result<(), LocalHandshakeError> {
        http1::write_response(&self.handshake()?.reject(reject)?, out);
        self.phase = match reject.body_length() {
            Some(0) => Phase::Ended(None),
            left => Phase::Rejecting { left },
        };
        Ok(())
    }

    /// For servers: appends a piece of the body of a rejection to `out`.
    ///
    /// # Errors
    ///
    /// Yours: there is no rejection whose body is not finished, the body is longer than was announced, or finished before.
    /// Nothing was appended.
    pub fn reject_data(&mut self, data: &RejectData<'_>, out: &mut Vec<u8>) -> Result<(), LocalHandshakeError> {
        let Phase::Rejecting { left } = &mut self.phase else { return Err(LocalHandshakeError::OutOfOrder) };
        if let Some(left) = left {
            let rest = left.checked_sub(data.data.len() as u64).ok_or(LocalHandshakeError::BodyLength)?;
            if data.body_finished && rest > 0 {
                return Err(LocalHandshakeError::BodyLength);
            }
            *left = rest;
        }
        if data.body_finished || *left == Some(0) {
            self.phase = Phase::Ended(None);
        }
        out.extend_from_slice(&data.data);
        Ok(())
    }

    /// Appends a frame to `out`; see [`Connection::send`].
    ///
    /// # Errors
    ///
    /// Yours: nothing was appended. Before the handshake is complete,
    /// [`NotOpen`](LocalProtocolError::NotOpen).
    pub fn send(&mut self, event: impl Outgoing, out: &mut Vec<u8>) -> Result<(), LocalProtocolError> {
        self.connection().ok_or(LocalProtocolError::NotOpen)?.send(event, out)
    }

    /// Appends a reply to `out`; see [`Connection::reply`].
    pub fn reply(&mut self, reply: Reply, out: &mut Vec<u8>) {
        if let Some(connection) = self.connection() {
            connection.reply(reply, out);
        }
    }

    /// Appends what is owed to the peer for its error: the HTTP answer to a malformed request, a Close on an open
    /// connection, else nothing.
    pub fn answer(&mut self, error: PeerError, out: &mut Vec<u8>) {
        match error {
            PeerError::Request(error) => http1::write_error(error, out),
            PeerError::Response(_) => {}
            PeerError::Connection(error) => {
                if let Some(reply) = error.response() {
                    self.reply(reply, out);
                }
            }
        }
    }

    /// What the transport is to do, once what was appended to `out` has been written.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match &self.phase {
            Phase::Connection(connection) => connection.transport(),
            Phase::Ended(_) => Transport::Close,
            _ => Transport::KeepOpen,
        }
    }

    /// The connection, once it is open.
    pub const fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Connection(connection) => Some(connection),
            _ => None,
        }
    }

    /// The connection alone, once it is open: to split it, for example.
    ///
    /// # Errors
    ///
    /// Where it is not open, this object comes back unchanged.
    // Boxed by whoever keeps it: it is asked for once.
    #[allow(clippy::result_large_err)]
    pub fn into_connection(self) -> Result<Connection, Self> {
        match self.phase {
            Phase::Connection(connection) => Ok(connection),
            phase => Err(Self { phase, ..self }),
        }
    }

    /// The request that waits for its answer.
    const fn handshake(&self) -> Result<&ServerHandshake, LocalHandshakeError> {
        match &self.phase {
            Phase::Answer(handshake) => Ok(handshake),
            _ => Err(LocalHandshakeError::OutOfOrder),
        }
    }
}

impl fmt::Debug for WsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase: &dyn fmt::Debug = match &self.phase {
            Phase::Request { .. } => &"reading a request",
            Phase::Answer(_) => &"waiting for the answer",
            Phase::Rejecting { .. } => &"rejecting",
            Phase::Response { .. } => &"reading a response",
            Phase::Rejected(_) => &"reading a rejection",
            Phase::Connection(connection) => connection,
            Phase::Ended(error) => error,
        };
        f.debug_tuple("WsConnection").field(phase).finish()
    }
}

/// Copies as much of the input behind the head as can belong to it, and one byte more, to see that it is too large.
/// Gives back how much of the head was there before.
fn fill(head: &mut Vec<u8>, input: &Input<'_>, limits: HeadLimits) -> usize {
    let before = head.len();
    let room = limits.size.saturating_add(1).saturating_sub(before);
    let bytes = input.remaining();
    head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    before
}

/// The peer broke a rule, of the handshake or of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerError {
    /// The client's request is not a valid one.
    Request(RequestError),
    /// The server's response is not the answer to our request.
    Response(ResponseError),
    /// The connection was open, and failed.
    Connection(RemoteProtocolError),
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Response(error) => error.fmt(f),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl Error for PeerError {}

impl From<RequestError> for PeerError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<ResponseError> for PeerError {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl From<RemoteProtocolError> for PeerError {
    fn from(error: RemoteProtocolError) -> Self {
        Self::Connection(error)
    }
}
