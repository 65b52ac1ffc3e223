//! Our server for what `wsproto serve` does not do: closes, pings and sends fragments, as the path says.
//!
//! usage: `peer-server [--no-deflate] [--cert FILE --key FILE]`; the paths stand in `conformance/peers/README.md`.
//!
//! Prints `listening on PORT`, and ends with its standard input.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write as _};
use std::sync::Arc;

use lexopt::prelude::*;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use wsproto::extension::deflate::PerMessageDeflate;
use wsproto::handshake::Request;
use wsproto::{CloseCode, Limits};
use wsproto_conformance::peers::{LIMIT, MAX_MESSAGE_SIZE, Target};
use wsproto_io::tls::ServerTls;
use wsproto_io::{AcceptOptions, Decision, Message, ServeOptions, Transport, WebSocket, serve};

type Socket = WebSocket<Transport>;
type Failure = Box<dyn Error + Send + Sync>;

/// Most WebSockets of one connection of HTTP/2: all that the cases open. (nghttpx does not end its direction of a stream,
/// which therefore keeps its place for some seconds more.)
const STREAMS: u32 = 1000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (mut deflate, mut cert, mut key) = (true, None, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-deflate") => deflate = false,
            Long("cert") => cert = Some(arguments.value()?),
            Long("key") => key = Some(arguments.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let accept = AcceptOptions::new()
        .limits(Limits::default().message(MAX_MESSAGE_SIZE))
        .subprotocol("chat")
        .close_timeout(LIMIT)
        .compression(deflate.then(PerMessageDeflate::new));
    let mut options = ServeOptions::new()
        .accept(accept)
        .http2(STREAMS)
        .decide(move |_, request| async move { decide(&request, deflate) })
        .on_error(|_, error| complain(error))
        .shutdown(async {
            // Who started this server ends it by closing its standard input, or by its own end.
            let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        });
    match (cert, key) {
        (Some(cert), Some(key)) => options = options.tls(ServerTls::from_files(cert, key)?),
        (None, None) => {}
        _ => return Err("--cert and --key belong together".into()),
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?.port())?;
    let server = Arc::new(Server::default());
    serve(listener, options, move |socket, client| {
        let server = Arc::clone(&server);
        async move {
            if let Err(failure) = server.handle(socket, &Target::parse(client.request.target())).await {
                complain(&*failure);
            }
            Ok(())
        }
    })
    .await;
    Ok(())
}

/// Lets in who says truly whether compression will be agreed on.
fn decide(request: &Request, deflate: bool) -> Decision {
    let offered = request.extensions().any(|extension| extension.name() == "permessage-deflate");
    let agreed = if offered && deflate { "on" } else { "off" };
    if Target::parse(request.target()).field("deflate") == Some(agreed) {
        Decision::accept()
    } else {
        Decision::reject(400).body(format!("deflate is {agreed}"))
    }
}

fn complain(error: &dyn Error) {
    let _ = writeln!(io::stderr(), "peer-server: {error}");
}

#[derive(Default)]
struct Server {
    /// The Close that was received on the connection of an id, for as long as this server lives: one run of the cases.
    seen: watch::Sender<HashMap<String, Value>>,
}

impl Server {
    async fn handle(&self, mut socket: Socket, target: &Target) -> Result<(), Failure> {
        let field = |name| target.field(name).ok_or_else(|| format!("the request has no {name}"));
        match target.path.as_str() {
            "/close" => {
                let code = CloseCode::new(field("code")?.parse()?).ok_or("a close code that cannot be sent")?;
                socket.close(code, field("reason")?).await?;
            }
            "/ping" => {
                let round_trip = socket.ping().await?;
                tokio::select! {
                    time = round_trip => time?,
                    message = socket.recv() => return Err(format!("expected a Pong, got {message:?}").into()),
                };
                socket.send(format!("pong {}", field("payload")?)).await?;
            }
            "/subprotocol" => socket.send(json!(socket.subprotocol()).to_string()).await?,
            "/seen" => socket.send(self.seen(field("id")?).await?.to_string()).await?,
            "/fragments" => {
                // A character takes up to 4 bytes.
                let most = field("piece")?.parse::<usize>()?.max(4);
                while let Some(message) = socket.recv().await? {
                    send_fragments(&mut socket, &message, most).await?;
                }
            }
            _ => {
                while let Some(message) = socket.recv().await? {
                    socket.feed(message).await?;
                }
            }
        }
        while socket.recv().await?.is_some() {}
        if let (Some(id), Some(closed), true) = (target.field("id"), socket.closed(), target.path != "/seen") {
            let close = json!({"code": closed.code, "reason": closed.reason});
            self.seen.send_modify(|seen| drop(seen.insert(id.to_owned(), close)));
        }
        Ok(())
    }

    /// The Close of that connection, which may still have to come.
    async fn seen(&self, id: &str) -> Result<Value, Failure> {
        let mut news = self.seen.subscribe();
        let seen = timeout(LIMIT, news.wait_for(|seen| seen.contains_key(id))).await??;
        Ok(seen[id].clone())
    }
}

/// Sends a message in pieces of at most that many bytes; of a text, whole characters.
async fn send_fragments(socket: &mut Socket, message: &Message, most: usize) -> Result<(), wsproto_io::Error> {
    let mut rest = message.as_bytes();
    loop {
        let mut end = most.min(rest.len());
        while end < rest.len() && message.as_text().is_some() && rest[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        let (start, tail) = rest.split_at(end);
        let piece = match message {
            Message::Text(_) => wsproto::Message::text(String::from_utf8_lossy(start)),
            Message::Binary(_) => wsproto::Message::binary(start),
        };
        if tail.is_empty() {
            return socket.send(piece).await;
        }
        socket.feed(piece.unfinished()).await?;
        rest = tail;
    }
}
