//! WebSockets over HTTP/2 by hand (RFC 8441), with the crate `h2` and the bare core: each message is sent back. The driver does
//! this for those who want a server; this is for those who have one, of HTTP/2, and want WebSockets on it.
//!
//! `cargo run --features h2 --example http2_server`, then `cargo run --features h2 --example http2_client -- Hello world`.

use std::error::Error;

use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::{AcceptConnection, Headers, HttpVersion, OriginPolicy, RejectConnection};
use wsproto::handshake::{RequestHead, ResponseHead, ServerHandshake};
use wsproto::{Connection, Event, Input, Limits, Transport};

#[path = "support/http2_stream.rs"]
mod http2_stream;

use http2_stream::{Stream, WINDOW};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Most WebSockets of one connection.
const STREAMS: u32 = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9003").await?;
    println!("listening on {}, HTTP/2 without TLS", listener.local_addr()?);
    serve(listener).await
}

pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let deflate = PerMessageDeflate::default(); // one for all: they share its pool of codecs
    loop {
        let (tcp, client) = listener.accept().await?;
        let deflate = deflate.clone();
        tokio::spawn(async move {
            if let Err(error) = run(tcp, deflate).await {
                eprintln!("{client}: {error}");
            }
        });
    }
}

/// A connection. To ask for the next request drives all its streams, so it must not wait for any of them.
async fn run(tcp: TcpStream, deflate: PerMessageDeflate) -> Result<()> {
    let mut builder = h2::server::Builder::new();
    builder
        .enable_connect_protocol() // the setting without which no client asks (RFC 8441 §3)
        .max_concurrent_streams(STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * STREAMS) // a stream that is not read takes from no other
        .max_header_list_size(16 * 1024);
    let mut connection = builder.handshake(tcp).await?;
    while let Some(asked) = connection.accept().await {
        let (request, respond) = asked?;
        let deflate = deflate.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(request, respond, deflate).await {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// A request: a WebSocket, or a refusal.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    deflate: PerMessageDeflate,
) -> Result<()> {
    let (head, recv) = request.into_parts();
    let handshake = ServerHandshake::new(RequestHead {
        version: HttpVersion::Http2,
        method: head.method.as_str(),
        scheme: head.uri.scheme_str(),
        authority: head.uri.authority().map(http::uri::Authority::as_str),
        path: head.uri.path_and_query().map_or("", |path| path.as_str()),
        protocol: head.extensions.get::<Protocol>().map(Protocol::as_str),
        headers: Headers::from_fields(head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))?,
    });
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(error) => {
            // Where pages are served, this is the place for them: it is no request for a WebSocket.
            let refusal = error.response(HttpVersion::Http2);
            let mut send = respond.send_response(response(&refusal.head)?, false)?;
            return Ok(send.send_data(refusal.body.into(), true)?);
        }
    };
    if !OriginPolicy::SameHost.allows(handshake.request()) {
        respond.send_response(response(&handshake.reject(&RejectConnection::new(403))?)?, true)?;
        return Ok(());
    }
    let accepted = handshake.accept(&AcceptConnection { extensions: &[&deflate], ..Default::default() })?;
    let send = respond.send_response(response(&accepted.response)?, false)?;
    echo(Connection::server(accepted.extensions, Limits::default()), Stream::new(recv, send)).await
}

fn response(head: &ResponseHead) -> Result<Response<()>> {
    let mut response = Response::builder().status(head.status());
    for (name, value) in head.headers().iter() {
        response = response.header(name, value);
    }
    Ok(response.body(())?)
}

/// The WebSocket: events from what came, and DATA from what they asked for.
async fn echo(mut connection: Connection, mut stream: Stream) -> Result<()> {
    let mut out = Vec::new();
    while let Some(mut bytes) = stream.read(&mut out).await? {
        let mut input = Input::new(&mut bytes);
        let end = loop {
            match connection.receive(&mut input) {
                Ok(Some(Event::Message(message))) => connection.send(&message, &mut out)?,
                Ok(Some(event)) => event.response().into_iter().for_each(|reply| connection.reply(reply, &mut out)),
                Ok(None) => break Ok(()),
                Err(error) => {
                    error.response().into_iter().for_each(|reply| connection.reply(reply, &mut out));
                    break Err(error);
                }
            }
            if out.len() >= WINDOW as usize {
                stream.write(&mut out).await?; // little can become much, inflated
            }
        };
        stream.write(&mut out).await?;
        // Both have closed, or the client has been told what it did wrong.
        if connection.transport() != Transport::KeepOpen {
            stream.finish().await?;
            return Ok(end?);
        }
    }
    Ok(connection.receive_eof()?) // no Close: the stream is reset
}
