//! The client's end: from a URL to a WebSocket.

use std::net::{TcpStream, ToSocketAddrs as _};

use wsproto::handshake::ClientRequest;
use wsproto::{Connection, OsRandom};

use super::deadline::{Deadline, ignore_unsupported};
use super::stream::Stream;
use super::websocket::WebSocket;
use crate::connecting::{Answer, Connecting, connecting_setters};
use crate::error::{Error, Timeout};

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
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    connecting: Connecting,
}

impl ConnectOptions {
    /// The defaults: compression, messages of at most 1 MiB, 10 s to connect, 10 s for the handshake, `TCP_NODELAY`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    connecting_setters!();

    /// Connects to a `ws://` URL. Looking up the name cannot be interrupted, but counts for the
    /// [time to connect](Self::connect_timeout).
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
        let mut request = ClientRequest::from_url(url)?;
        request.headers = self.connecting.headers.clone();
        if request.secure { Err(Error::TlsUnavailable) } else { Ok(request) }
    }

    /// Tries the addresses of the name in turn.
    fn dial(&self, request: &ClientRequest) -> Result<TcpStream, Error> {
        let (host, port) = (request.host().unwrap_or_default(), request.port().unwrap_or_default());
        let deadline = Deadline::after(self.connecting.connect_timeout, Timeout::Connect);
        let mut failure = Error::NoAddress;
        let addresses = (host, port).to_socket_addrs();
        for address in addresses.map_err(|error| Error::Resolve { host: host.to_owned(), error })? {
            let attempt = match deadline.left()? {
                Some(left) => TcpStream::connect_timeout(&address, left),
                None => TcpStream::connect(address),
            };
            match attempt {
                Ok(stream) => {
                    stream.set_nodelay(self.connecting.nodelay)?;
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
        let common = &self.connecting.common;
        let deadline = Deadline::after(common.handshake_timeout, Timeout::Handshake);
        let random = OsRandom::new()?;
        let (out, mut opening) = self.connecting.open(request, random)?;
        // A server may reject before it has read all: its answer tells more than the failure to write.
        let unwritten = deadline.write_all(&mut stream, &out).err();
        let mut piece = [0; 2048];
        loop {
            let read = match deadline.read(&mut stream, &mut piece) {
                Ok(0) => return Err(opening.end(unwritten)),
                Ok(n) => opening.receive(&piece[..n])?,
                Err(error) => return Err(opening.fail(unwritten.unwrap_or(error))),
            };
            match read {
                None => {}
                Some(Answer::Rejected(error)) => return Err(error),
                Some(Answer::Open(accepted, first)) => {
                    if let Some(error) = unwritten {
                        return Err(error);
                    }
                    ignore_unsupported(stream.set_read_timeout(None))?;
                    ignore_unsupported(stream.set_write_timeout(None))?;
                    let encoding = !accepted.extensions.is_empty();
                    let limits = common.limits;
                    let connection = Connection::client(accepted.extensions, limits, random);
                    let mut socket = WebSocket::new(stream, connection, limits, first, encoding, common.close_timeout);
                    socket.subprotocol = accepted.subprotocol;
                    return Ok(socket);
                }
            }
        }
    }
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
