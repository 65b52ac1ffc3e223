//! A WebSocket over HTTP/2 by hand (RFC 8441), with the crate `h2` and the bare core: says each argument, prints what comes back,
//! and leaves.
//!
//! `cargo run --features h2 --example http2_server`, then `cargo run --features h2 --example http2_client -- Hello world`.

use std::error::Error;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, Uri};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::{ClientHandshake, ClientRequest, Headers, Outcome, RequestHead, ResponseHead};
use wsproto::{Assembler, CloseCode, CloseFrame, Connection, Event, Input, Limits, Message, OsRandom, Transport};

#[path = "support/http2_stream.rs"]
mod http2_stream;

use http2_stream::{Stream, WINDOW};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut send = connect(TcpStream::connect("127.0.0.1:9003").await?).await?;
    let (connection, stream) = open(&mut send, "ws://127.0.0.1:9003/").await?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    for message in say(connection, stream, &words).await? {
        println!("{message}");
    }
    Ok(())
}

/// A connection, on which WebSockets can be opened; a task drives it.
pub(crate) async fn connect(tcp: TcpStream) -> Result<SendRequest<Bytes>> {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).initial_window_size(WINDOW).initial_max_send_streams(0);
    let (send, mut connection) = builder.handshake(tcp).await?;
    // The server's settings have come when it lets in streams: until then there are none.
    let (settle, settled) = oneshot::channel();
    let mut settle = Some(settle);
    tokio::spawn(poll_fn(move |cx| {
        let ended = Pin::new(&mut connection).poll(cx).map(|ended| ended.unwrap_or_else(|error| eprintln!("{error}")));
        if connection.max_concurrent_send_streams() > 0 {
            settle.take().map(|settle| settle.send(()));
        }
        ended
    }));
    settled.await?;
    Ok(send)
}

/// Opens a WebSocket.
pub(crate) async fn open(send: &mut SendRequest<Bytes>, url: &str) -> Result<(Connection, Stream)> {
    // Not before the server has said that it knows this (RFC 8441 §3).
    if !send.is_extended_connect_protocol_enabled() {
        return Err("the server has no WebSockets over HTTP/2".into());
    }
    let handshake = ClientHandshake::http2(ClientRequest {
        extensions: vec![Arc::new(PerMessageDeflate::default())],
        ..ClientRequest::from_url(url)?
    })?;
    poll_fn(|cx| send.poll_ready(cx)).await?;
    let (response, send) = send.send_request(request(&handshake.request())?, false)?;
    let (head, recv) = response.await?.into_parts();
    let headers = Headers::from_fields(head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))?;
    match handshake.response(ResponseHead::new(head.status.as_u16(), headers)?)? {
        Outcome::Accepted(accepted) => {
            let connection = Connection::client(accepted.extensions, Limits::default(), OsRandom::new()?);
            Ok((connection, Stream::new(recv, send)))
        }
        Outcome::Rejected(response) => Err(format!("rejected with {}", response.status()).into()),
    }
}

fn request(head: &RequestHead<'_>) -> Result<Request<()>> {
    let uri = Uri::builder().path_and_query(head.path);
    let uri = uri.scheme(head.scheme.unwrap_or_default()).authority(head.authority.unwrap_or_default()).build()?;
    let mut request = Request::builder().method(Method::CONNECT).uri(uri);
    for (name, value) in head.headers.iter() {
        request = request.header(name, value);
    }
    Ok(request.extension(Protocol::from(head.protocol.unwrap_or_default())).body(())?)
}

/// Sends all, then a Close; what was sent before still comes back.
pub(crate) async fn say(mut connection: Connection, mut stream: Stream, words: &[String]) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for word in words {
        connection.send(Message::text(word.as_str()), &mut out)?;
    }
    connection.send(CloseFrame::new(CloseCode::NORMAL, "done"), &mut out)?;
    // All of it leaves while the answers come: the windows need not have room for it.
    let (mut assembler, mut messages) = (Assembler::new(1 << 20), Vec::new());
    while let Some(mut bytes) = stream.read(&mut out).await? {
        let mut input = Input::new(&mut bytes);
        while let Some(event) = connection.receive(&mut input)? {
            match event {
                Event::Message(piece) => {
                    if let Some(message) = assembler.push(piece)? {
                        messages.push(String::from_utf8_lossy(message.as_bytes()).into_owned());
                    }
                }
                _ => event.response().into_iter().for_each(|reply| connection.reply(reply, &mut out)),
            }
        }
        // Both have closed. Over HTTP/2 a client, too, ends its direction at once.
        if connection.transport() != Transport::KeepOpen {
            stream.write(&mut out).await?;
            stream.finish().await?;
            return Ok(messages);
        }
    }
    connection.receive_eof()?;
    Ok(messages)
}
