//! The server's end: from a stream to a WebSocket.

use std::net::Shutdown;

use wsproto::Connection;
use wsproto::extension::Extension;
use wsproto::handshake::http1::{self, RequestReader};
use wsproto::handshake::{
    AcceptConnection, Headers, OriginPolicy, RejectConnection, Request, RequestError, ServerHandshake,
};

use super::deadline::{Deadline, ignore_unsupported};
use super::stream::Stream;
use super::websocket::WebSocket;
use crate::decision::Decision;
use crate::error::{Error, Timeout};
use crate::options::{Common, common_setters};

/// Accepts a WebSocket on this stream: the server's side of the opening handshake, with the default
/// [`AcceptOptions`].
///
/// ```no_run
/// use std::net::TcpListener;
/// use wsproto_io::blocking;
///
/// let listener = TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     let stream = stream?;
///     std::thread::spawn(move || -> Result<(), wsproto_io::Error> {
///         let mut socket = blocking::accept(stream)?;
///         while let Some(message) = socket.recv()? {
///             socket.feed(message)?; // leaves when `recv` has to wait
///         }
///         Ok(())
///     });
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The client's, which was answered; the transport's; or the handshake took longer than 10 s.
pub fn accept<S: Stream>(stream: S) -> Result<WebSocket<S>, Error> {
    AcceptOptions::new().accept(stream)
}

/// What a server can choose.
#[derive(Clone, Debug, Default)]
pub struct AcceptOptions {
    common: Common,
    origins: OriginPolicy,
    subprotocols: Vec<String>,
    page: Option<String>,
}

impl AcceptOptions {
    /// The defaults: pages of the same host only, compression, messages of at most 1 MiB, 10 s for the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    common_setters!();

    /// Which origins are let in; the others are rejected with 403. Default: pages of the same host, and all that is not a
    /// page (and sends no `Origin`).
    #[must_use]
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// Adds a subprotocol that is spoken here. The first that the client offers and that is spoken here is agreed on,
    /// unless a decision names one.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Answers a plain GET, which asks for no WebSocket, with status 200 and this text. Default: the status 426.
    #[must_use]
    pub fn page(mut self, text: impl Into<String>) -> Self {
        self.page = Some(text.into());
        self
    }

    /// Accepts a WebSocket on this stream.
    ///
    /// # Errors
    ///
    /// The client's, which was answered; [`Declined`](Error::Declined) where the origin is not let in; the transport's; or
    /// the handshake took too long.
    pub fn accept<S: Stream>(&self, stream: S) -> Result<WebSocket<S>, Error> {
        self.accept_with(stream, |_| Decision::accept())
    }

    /// Accepts a WebSocket on this stream, if `decide` says so. It is asked after the request was found to be valid and its
    /// origin to be let in.
    ///
    /// ```no_run
    /// use wsproto_io::Decision;
    /// use wsproto_io::blocking::AcceptOptions;
    ///
    /// # let stream: std::net::TcpStream = todo!();
    /// let socket = AcceptOptions::new().accept_with(stream, |request| match request.path() {
    ///     "/chat" => Decision::accept(),
    ///     _ => Decision::reject(404).body("there is only /chat here\n"),
    /// })?;
    /// # Ok::<(), wsproto_io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept); [`Declined`](Error::Declined) also where `decide` rejected, and
    /// [`Handshake`](Error::Handshake) where its decision cannot be written: the client got a 500.
    pub fn accept_with<S: Stream>(
        &self,
        mut stream: S,
        decide: impl FnOnce(&Request) -> Decision,
    ) -> Result<WebSocket<S>, Error> {
        let deadline = Deadline::after(self.common.handshake_timeout, Timeout::Handshake);
        let (handshake, first) = self.read_request(&mut stream, deadline)?;
        let request = handshake.request();
        let mut decision =
            if self.origins.allows(request) { decide(request) } else { Decision::reject(403).body(FOREIGN_ORIGIN) };
        if decision.status.is_none() && decision.subprotocol.is_none() {
            decision.subprotocol =
                request.subprotocols().find(|name| self.subprotocols.iter().any(|own| own == name)).map(str::to_owned);
        }
        if let Some(status) = decision.status {
            return Err(reject(&mut stream, deadline, &handshake, status, decision));
        }
        let extensions: Vec<&dyn Extension> = self.common.extensions.iter().map(AsRef::as_ref).collect();
        let accept = AcceptConnection {
            origins: &self.origins,
            subprotocol: decision.subprotocol.as_deref(),
            extensions: &extensions,
            headers: decision.headers,
        };
        let accepted = match handshake.accept(&accept) {
            Ok(accepted) => accepted,
            Err(error) => {
                reject(&mut stream, deadline, &handshake, 500, Decision::reject(500));
                return Err(error.into());
            }
        };
        let mut out = Vec::new();
        http1::write_response(&accepted.response, &mut out);
        deadline.write_all(&mut stream, &out)?;
        ignore_unsupported(stream.set_read_timeout(None))?;
        ignore_unsupported(stream.set_write_timeout(None))?;

        let encoding = !accepted.extensions.is_empty();
        let limits = self.common.limits;
        let connection = Connection::server(accepted.extensions, limits);
        let mut socket = WebSocket::new(stream, connection, limits, first, encoding, self.common.close_timeout);
        socket.subprotocol = accepted.subprotocol;
        Ok(socket)
    }

    /// Reads the request. What follows it is the connection's first input.
    fn read_request<S: Stream>(&self, stream: &mut S, deadline: Deadline) -> Result<(ServerHandshake, Vec<u8>), Error> {
        let mut reader = RequestReader::new(self.common.head_limits);
        let mut bytes = Vec::new();
        let mut piece = [0; 2048];
        loop {
            match reader.receive(&bytes) {
                Ok(None) => {}
                Ok(Some((handshake, length))) => {
                    bytes.drain(..length);
                    bytes.shrink_to_fit();
                    return Ok((handshake, bytes));
                }
                Err(error) => return Err(self.refuse(stream, deadline, error)),
            }
            let n = deadline.read(stream, &mut piece)?;
            if n == 0 {
                return Err(Error::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.extend_from_slice(&piece[..n]);
        }
    }

    /// Answers a request that is refused, or is no request for a WebSocket.
    fn refuse<S: Stream>(&self, stream: &mut S, deadline: Deadline, error: RequestError) -> Error {
        let mut out = Vec::new();
        let page = self.page.as_ref().filter(|_| error == RequestError::NotWebSocket);
        match page {
            None => http1::write_error(error, &mut out),
            Some(text) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Content-Length: {}\r\n\r\n",
                    text.len()
                );
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
        answer(stream, deadline, &out);
        if page.is_some() { Error::PlainRequest } else { error.into() }
    }
}

/// The body of the rejection of an origin.
const FOREIGN_ORIGIN: &str = "pages of this origin are not let in\n";

fn reject<S: Stream>(
    stream: &mut S,
    deadline: Deadline,
    handshake: &ServerHandshake,
    status: u16,
    decision: Decision,
) -> Error {
    let mut headers = decision.headers;
    if !decision.body.is_empty() && !headers.contains("Content-Type") {
        headers = headers.with("Content-Type", "text/plain; charset=utf-8").unwrap_or_else(|_| Headers::new());
    }
    let reject = RejectConnection { status, headers, content_length: Some(decision.body.len() as u64) };
    match handshake.reject(&reject) {
        Ok(response) => {
            let mut out = Vec::new();
            http1::write_response(&response, &mut out);
            out.extend_from_slice(&decision.body);
            answer(stream, deadline, &out);
            Error::Declined(status)
        }
        Err(error) => {
            let fallback = RejectConnection::new(500);
            if let Ok(response) = handshake.reject(&fallback) {
                let mut out = Vec::new();
                http1::write_response(&response, &mut out);
                answer(stream, deadline, &out);
            }
            error.into()
        }
    }
}

/// Writes the answer with which a stream ends, so that it arrives: what the client still sends is read for a moment and
/// thrown away, never parsed.
fn answer<S: Stream>(stream: &mut S, deadline: Deadline, out: &[u8]) {
    if deadline.write_all(stream, out).is_err() || stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let linger = Deadline::after(std::time::Duration::from_millis(500), Timeout::Handshake);
    if stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).is_err() {
        return;
    }
    let mut piece = [0; 1024];
    for _ in 0..64 {
        match linger.read(stream, &mut piece) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
