//! A client's side of the handshake, over a connection of hyper's.

use std::future::poll_fn;
use std::pin::Pin;

use http::{Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use wsproto::OsRandom;
use wsproto::handshake::{ClientHandshake, Outcome, ResponseError, ResponseHead};

use super::settings::ExtendedConnect;
use super::stream::transport;
use super::upgrade::broken;
use crate::error::{Error, Rejected};
use crate::heads;
use crate::target::IntoTarget;
use crate::tokio::{ConnectOptions, Deadline, Multiplexed, Transport, WebSocket};

impl ConnectOptions {
    /// Opens a WebSocket on a connection of HTTP/1.1 that hyper has to the server of this URL; other requests may have been made
    /// on it before, none can be behind. Its task drives it `with_upgrades`.
    ///
    /// ```no_run
    /// # async fn run(tcp: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
    /// use hyper::body::Bytes;
    /// use hyper::client::conn::http1;
    /// use hyper_util::rt::TokioIo;
    /// use wsproto_io::ConnectOptions;
    ///
    /// type Body = http_body_util::Empty<Bytes>;
    /// let (mut send, connection) = http1::handshake::<_, Body>(TokioIo::new(tcp)).await?;
    /// tokio::spawn(connection.with_upgrades());
    /// let mut socket = ConnectOptions::new().connect_http1("ws://example.com/chat", &mut send).await?;
    /// socket.send("hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// `B` is the body of all requests of the connection: its default has to be empty. Of the options those for TCP and TLS have no
    /// meaning here, and redirects are not followed.
    ///
    /// # Errors
    ///
    /// As [`connect`](crate::connect).
    pub async fn connect_http1<B: Body + Default + 'static>(
        &self,
        target: impl IntoTarget,
        send: &mut http1::SendRequest<B>,
    ) -> Result<WebSocket<Transport>, Error> {
        let (random, deadline) = (OsRandom::new()?, self.deadline());
        let request = self.connecting().complete(self.target(target)?.request()?);
        let handshake = ClientHandshake::new(request, random.nonce())?;
        let request = heads::request(&handshake.request())?;
        let asked = async {
            send.ready().await?;
            send.send_request(request.map(|()| B::default())).await
        };
        let response = deadline.hold(async { asked.await.map_err(broken) }).await?;
        self.finish(&handshake, response, deadline, random).await
    }

    /// Opens a WebSocket on a stream of a connection of HTTP/2 that hyper has to the server of this URL (RFC 8441): on as many as
    /// one likes, beside other requests. [`drive`](crate::hyper::drive) drives it, and shows how.
    ///
    /// As [`connect_http1`](Self::connect_http1) else. What a stream of hyper's cannot do is told
    /// [there](crate::hyper#what-lies-beneath).
    ///
    /// # Errors
    ///
    /// As [`connect`](crate::connect); [`Http2Unsupported`](Error::Http2Unsupported) where the server has no WebSockets over
    /// HTTP/2.
    pub async fn connect_http2<B: Body + Default + 'static>(
        &self,
        target: impl IntoTarget,
        send: &mut http2::SendRequest<B>,
        extended: &ExtendedConnect,
    ) -> Result<WebSocket<Transport>, Error> {
        let (random, deadline) = (OsRandom::new()?, self.deadline());
        let request = self.connecting().complete(self.target(target)?.request()?);
        let handshake = ClientHandshake::http2(request)?;
        let mut request: Request<()> = heads::request(&handshake.request())?;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let asked = async {
            send.ready().await.map_err(broken)?;
            // "A sender MUST NOT send" it before the setting has come, with the value 1 (RFC 8441 §3).
            if !extended.is_enabled().await {
                return Err(Error::Http2Unsupported);
            }
            send.send_request(request.map(|()| B::default())).await.map_err(broken)
        };
        let response = deadline.hold(asked).await?;
        self.finish(&handshake, response, deadline, random).await
    }

    async fn finish(
        &self,
        handshake: &ClientHandshake,
        mut response: Response<Incoming>,
        deadline: Deadline,
        random: OsRandom,
    ) -> Result<WebSocket<Transport>, Error> {
        let version = response.version();
        let head = ResponseHead::new(response.status().as_u16(), heads::headers(response.headers())?)?;
        match handshake.response(head)? {
            Outcome::Accepted(accepted) => {
                // hyper takes only a 200 for it.
                let status = ResponseError::Status(response.status().as_u16());
                let on = response.extensions_mut().remove::<OnUpgrade>().ok_or(status)?;
                let upgraded = deadline.hold(async { on.await.map_err(broken) }).await?;
                let (transport, first) = transport(upgraded, version);
                let socket = self.opened(transport, accepted, first, random);
                Ok(if version == Version::HTTP_2 { socket.multiplexed(Multiplexed::PLAIN) } else { socket })
            }
            Outcome::Rejected(head) => {
                let headers = head.headers().clone();
                let mut rejected = Rejected { status: head.status(), headers, body: Vec::new(), truncated: true };
                let limit = self.connecting().rejection_limit;
                // What came until then is told.
                let _ = deadline.hold(read_body(response.into_body(), limit, &mut rejected)).await;
                Err(Error::Rejected(rejected.into()))
            }
        }
    }
}

/// Reads what it can of a rejection's body.
async fn read_body(mut body: Incoming, limit: u64, rejected: &mut Rejected) -> Result<(), Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        let frame = match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => {
                rejected.truncated = false;
                return Ok(());
            }
            Some(frame) => frame.map_err(broken)?,
        };
        // (Trailers are no body.)
        let Ok(piece) = frame.into_data() else { continue };
        let room = limit - rejected.body.len();
        rejected.body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return Ok(());
        }
    }
}
