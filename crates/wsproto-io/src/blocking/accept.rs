//! The server's end: from a stream to a WebSocket.

use std::net::Shutdown;

use wsproto::Connection;
use wsproto::handshake::{Request, ServerHandshake};

use super::deadline::{Deadline, ignore_unsupported};
use super::stream::Stream;
use super::websocket::WebSocket;
use crate::accepting::{Accepting, LINGER, Refused, accepting_setters};
use crate::decision::Decision;
use crate::error::{Error, Timeout};

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
    accepting: Accepting,
}

impl AcceptOptions {
    /// The defaults: pages of the same host only, compression, messages of at most 1 MiB, 10 s for the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    accepting_setters!();

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
        let common = &self.accepting.common;
        let deadline = Deadline::after(common.handshake_timeout, Timeout::Handshake);
        let (handshake, first) = self.read_request(&mut stream, deadline)?;
        let request = handshake.request();
        let decision = self.accepting.prejudge(request).unwrap_or_else(|| decide(request));
        let (out, accepted) = match self.accepting.answer(&handshake, decision) {
            Ok(accepted) => accepted,
            Err(refused) => return Err(refuse(&mut stream, deadline, refused)),
        };
        deadline.write_all(&mut stream, &out)?;
        ignore_unsupported(stream.set_read_timeout(None))?;
        ignore_unsupported(stream.set_write_timeout(None))?;

        let encoding = !accepted.extensions.is_empty();
        let connection = Connection::server(accepted.extensions, common.limits);
        let mut socket = WebSocket::new(stream, connection, common.limits, first, encoding, common.close_timeout);
        socket.subprotocol = accepted.subprotocol;
        Ok(socket)
    }

    /// Reads the request. What follows it is the connection's first input.
    fn read_request<S: Stream>(&self, stream: &mut S, deadline: Deadline) -> Result<(ServerHandshake, Vec<u8>), Error> {
        let mut reading = self.accepting.reading();
        let mut piece = [0; 2048];
        loop {
            let n = deadline.read(stream, &mut piece)?;
            if n == 0 {
                return Err(Error::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            match reading.receive(&self.accepting, &piece[..n]) {
                Ok(Some(request)) => return Ok(request),
                Ok(None) => {}
                Err(refused) => return Err(refuse(stream, deadline, refused)),
            }
        }
    }
}

/// Writes the answer with which a stream ends, so that it arrives: what the client still sends is read for a moment and
/// thrown away, never parsed.
fn refuse<S: Stream>(stream: &mut S, deadline: Deadline, (out, error): Refused) -> Error {
    if deadline.write_all(stream, &out).is_err() || stream.shutdown(Shutdown::Write).is_err() {
        return error;
    }
    let linger = Deadline::after(LINGER, Timeout::Handshake);
    if stream.set_read_timeout(Some(LINGER)).is_err() {
        return error;
    }
    let mut piece = [0; 1024];
    for _ in 0..64 {
        match linger.read(stream, &mut piece) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    error
}
