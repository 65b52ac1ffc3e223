//! The client's end: from a URL to a WebSocket.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use wsproto::handshake::http1::{self, RejectionBody, ResponseReader};
use wsproto::handshake::{
    ClientHandshake, ClientRequest, Headers, InvalidHeader, Outcome, ResponseError, ResponseHead,
};
use wsproto::{Connection, OsRandom};

use super::deadline::{Deadline, ignore_unsupported};
use super::stream::Stream;
use super::websocket::WebSocket;
use crate::error::{Error, Rejected, Timeout};
use crate::options::{Common, common_setters};

/// Connects to a `ws://` URL, with the default [`ConnectOptions`].
///
/// ```no_run
/// use wsproto::CloseCode;
/// use wsproto_io::blocking;
///
/// let mut socket = blocking::connect("ws://127.0.0.1:9001/")?;
/// socket.send("hello")?;
/// println!("{:?}", socket.recv()?);
/// socket.close(CloseCode::NORMAL, "")?;
/// # Ok::<(), wsproto_io::Error>(())
/// ```
///
/// # Errors
///
/// Yours (the URL), the transport's, the server's, its rejection, or a time ran out: 10 s to connect, 10 s for the
/// handshake.
pub fn connect(url: &str) -> Result<WebSocket<TcpStream>, Error> {
    ConnectOptions::new().connect(url)
}

/// What a client can choose.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    common: Common,
    headers: Headers,
    origin: Option<String>,
    subprotocols: Vec<String>,
    connect_timeout: Duration,
    nodelay: bool,
    rejection_limit: u64,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            common: Common::default(),
            headers: Headers::new(),
            origin: None,
            subprotocols: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            nodelay: true,
            rejection_limit: RejectionBody::DEFAULT_LIMIT,
        }
    }
}

impl ConnectOptions {
    /// The defaults: compression, messages of at most 1 MiB, 10 s to connect, 10 s for the handshake, `TCP_NODELAY`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    common_setters!();

    /// Adds a header to the request, such as `Cookie` or `Authorization`.
    ///
    /// # Errors
    ///
    /// Yours: the name or the value cannot be written.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// The origin that the client acts for, where it acts like a browser.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Offers a subprotocol, in order of preference.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// The time to find the server's addresses and connect to one of them; default 10 s. Looking up a name cannot be
    /// interrupted, but counts.
    #[must_use]
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Whether small messages leave at once (`TCP_NODELAY`); default: yes.
    #[must_use]
    pub const fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = on;
        self
    }

    /// How much of a rejection's body is read, in bytes; default 64 KiB.
    #[must_use]
    pub const fn rejection_limit(mut self, bytes: u64) -> Self {
        self.rejection_limit = bytes;
        self
    }

    /// Connects to a `ws://` URL.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub fn connect(&self, url: &str) -> Result<WebSocket<TcpStream>, Error> {
        let request = self.request(url)?;
        let stream = self.dial(&request)?;
        self.shake_hands(request, stream)
    }

    /// Opens a WebSocket on a stream that leads to the server of this `ws://` URL. Where the stream is TLS, made by you,
    /// the URL is `ws` all the same, and names the port: `ws://example.com:443/`.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub fn connect_on<S: Stream>(&self, url: &str, stream: S) -> Result<WebSocket<S>, Error> {
        self.shake_hands(self.request(url)?, stream)
    }

    /// Connects the transport for a `ws://` URL, and makes no handshake: to wrap it before [`connect_on`](Self::connect_on).
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub fn open_tcp(&self, url: &str) -> Result<TcpStream, Error> {
        self.dial(&self.request(url)?)
    }

    fn request(&self, url: &str) -> Result<ClientRequest, Error> {
        let request = ClientRequest::from_url(url)?;
        if request.secure { Err(Error::TlsUnavailable) } else { Ok(request) }
    }

    /// Tries the addresses of the name in turn.
    fn dial(&self, request: &ClientRequest) -> Result<TcpStream, Error> {
        let (host, port) = (request.host().unwrap_or_default(), request.port().unwrap_or_default());
        let deadline = Deadline::after(self.connect_timeout, Timeout::Connect);
        let mut failure = Error::NoAddress;
        for address in (host, port).to_socket_addrs()? {
            let attempt = match deadline.left()? {
                Some(left) => TcpStream::connect_timeout(&address, left),
                None => TcpStream::connect(address),
            };
            match attempt {
                Ok(stream) => {
                    stream.set_nodelay(self.nodelay)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    failure = Error::Timeout(Timeout::Connect);
                }
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    fn shake_hands<S: Stream>(&self, request: ClientRequest, mut stream: S) -> Result<WebSocket<S>, Error> {
        let deadline = Deadline::after(self.common.handshake_timeout, Timeout::Handshake);
        let random = OsRandom::new()?;
        let request = ClientRequest {
            origin: self.origin.clone(),
            subprotocols: self.subprotocols.clone(),
            extensions: self.common.extensions.clone(),
            headers: self.headers.clone(),
            ..request
        };
        let handshake = ClientHandshake::new(request, random.nonce())?;
        let mut out = Vec::new();
        http1::write_request(&handshake, &mut out)?;
        // A server may reject before it has read all: its answer tells more than the failure to write.
        let written = deadline.write_all(&mut stream, &out);

        let mut reader = ResponseReader::new(handshake, self.common.head_limits);
        let mut bytes = Vec::new();
        let mut piece = [0; 2048];
        loop {
            match reader.receive(&bytes)? {
                Some((Outcome::Accepted(accepted), length)) => {
                    written?;
                    ignore_unsupported(stream.set_read_timeout(None))?;
                    ignore_unsupported(stream.set_write_timeout(None))?;
                    bytes.drain(..length);
                    bytes.shrink_to_fit();
                    let encoding = !accepted.extensions.is_empty();
                    let limits = self.common.limits;
                    let connection = Connection::client(accepted.extensions, limits, random);
                    let close_timeout = self.common.close_timeout;
                    let mut socket = WebSocket::new(stream, connection, limits, bytes, encoding, close_timeout);
                    socket.subprotocol = accepted.subprotocol;
                    return Ok(socket);
                }
                Some((Outcome::Rejected(head), length)) => {
                    let limit = self.rejection_limit;
                    return Err(read_rejection(&mut stream, deadline, &head, limit, &bytes[length..]));
                }
                None => {}
            }
            match (deadline.read(&mut stream, &mut piece), written.is_err()) {
                (Ok(0) | Err(Error::Io(_)), true) => return written.and(Err(ResponseError::UnexpectedEof.into())),
                (Ok(0), false) => return Err(ResponseError::UnexpectedEof.into()),
                (Ok(n), _) => bytes.extend_from_slice(&piece[..n]),
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// Reads the body of a rejection: at most the limit, and what came in time.
fn read_rejection<S: Stream>(
    stream: &mut S,
    deadline: Deadline,
    head: &ResponseHead,
    limit: u64,
    first: &[u8],
) -> Error {
    let mut reader = match RejectionBody::new(head, limit) {
        Ok(reader) => reader,
        Err(error) => return error.into(),
    };
    let mut body = Vec::new();
    let mut piece = [0; 2048];
    let mut bytes = first;
    let complete = loop {
        match reader.receive(bytes) {
            Ok((consumed, data)) => {
                body.extend_from_slice(&data.data);
                bytes = &bytes[consumed..];
                if data.body_finished {
                    break true;
                }
            }
            Err(_) => break false,
        }
        if bytes.is_empty() {
            match deadline.read(stream, &mut piece) {
                Ok(0) => break reader.receive_eof().is_ok(),
                Ok(n) => bytes = &piece[..n],
                Err(_) => break false,
            }
        }
    };
    let truncated = reader.is_truncated() || !complete;
    Error::Rejected(Box::new(Rejected { status: head.status(), headers: head.headers().clone(), body, truncated }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;

    #[test]
    fn the_limit_of_a_rejections_body_is_the_callers() -> Result<(), Box<dyn std::error::Error>> {
        for (limit, read, cut) in [(5, "hello", false), (4, "hell", true)] {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let stream = TcpStream::connect(listener.local_addr()?)?;
            let mut server = listener.accept()?.0;
            server.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello")?;
            let options = ConnectOptions::new().rejection_limit(limit);
            match options.connect_on("ws://localhost/", stream) {
                Err(Error::Rejected(rejected)) => {
                    assert_eq!((rejected.body.as_slice(), rejected.truncated), (read.as_bytes(), cut));
                }
                other => return Err(format!("{:?}", other.err()).into()),
            }
        }
        Ok(())
    }
}
