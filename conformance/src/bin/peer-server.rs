//! Our server for what `wsproto serve` does not do: closes, pings and sends fragments, as the path says.
//!
//! usage: `peer-server [--no-deflate]`; the paths stand in `conformance/peers/README.md`.
//!
//! Prints `listening on PORT`, and ends with its standard input.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use lexopt::prelude::*;
use serde_json::{Value, json};
use wsproto::extension::deflate::PerMessageDeflate;
use wsproto::{CloseCode, Event, Limits};
use wsproto_conformance::peers::{LIMIT, MAX_MESSAGE_SIZE, Target};
use wsproto_io::blocking::{AcceptOptions, WebSocket};
use wsproto_io::{Decision, Message};

type Socket = WebSocket<TcpStream>;
type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut deflate = true;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-deflate") => deflate = false,
            other => return Err(other.unexpected().into()),
        }
    }
    let options = AcceptOptions::new()
        .limits(Limits::default().message(MAX_MESSAGE_SIZE))
        .subprotocol("chat")
        .close_timeout(LIMIT)
        .compression(deflate.then(PerMessageDeflate::new));
    let server = Arc::new(Server { options, deflate, seen: Mutex::default(), news: Condvar::new() });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?.port())?;
    thread::spawn(move || accept(&server, &listener));
    // Who started this server ends it by closing its standard input, or by its own end.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn accept(server: &Arc<Server>, listener: &TcpListener) {
    for stream in listener.incoming() {
        let server = Arc::clone(server);
        thread::spawn(move || {
            if let Err(failure) = stream.map_err(Into::into).and_then(|stream| server.serve(stream)) {
                let _ = writeln!(io::stderr(), "peer-server: {failure}");
            }
        });
    }
}

struct Server {
    options: AcceptOptions,
    deflate: bool,
    /// The Close that was received on the connection of an id.
    seen: Mutex<HashMap<String, Value>>,
    news: Condvar,
}

impl Server {
    fn serve(&self, stream: TcpStream) -> Result<(), Failure> {
        let mut target = Target::new("");
        let mut socket = self.options.accept_with(stream, |request| {
            target = Target::parse(request.target());
            let offered = request.extensions().any(|extension| extension.name() == "permessage-deflate");
            let agreed = if offered && self.deflate { "on" } else { "off" };
            if target.field("deflate") == Some(agreed) {
                Decision::accept()
            } else {
                Decision::reject(400).body(format!("deflate is {agreed}"))
            }
        })?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        let field = |name| target.field(name).ok_or_else(|| format!("the request has no {name}"));
        match target.path.as_str() {
            "/close" => {
                let code = CloseCode::new(field("code")?.parse()?).ok_or("a close code that cannot be sent")?;
                socket.close(code, field("reason")?)?;
            }
            "/ping" => ping(&mut socket, field("payload")?)?,
            "/subprotocol" => {
                let agreed = json!(socket.subprotocol()).to_string();
                socket.send(agreed)?;
            }
            "/seen" => socket.send(self.wait_for(field("id")?)?.to_string())?,
            "/fragments" => {
                let piece = field("piece")?.parse()?;
                while let Some(message) = socket.recv()? {
                    send_fragments(&mut socket, &message, piece)?;
                }
            }
            _ => {
                while let Some(message) = socket.recv()? {
                    socket.feed(message)?;
                }
            }
        }
        while socket.recv()?.is_some() {}
        if let (Some(id), Some(closed), true) = (target.field("id"), socket.closed(), target.path != "/seen") {
            let close = json!({"code": closed.code, "reason": closed.reason});
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), close);
            self.news.notify_all();
        }
        Ok(())
    }

    /// The Close of that connection, which may still have to come.
    fn wait_for(&self, id: &str) -> Result<Value, Failure> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(seen, LIMIT, |seen| !seen.contains_key(id));
        let (mut seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        seen.remove(id).ok_or_else(|| format!("no Close came on connection {id}").into())
    }
}

/// Sends a Ping, and reports its Pong.
fn ping(socket: &mut Socket, payload: &str) -> Result<(), Failure> {
    socket.ping(payload.as_bytes())?;
    while let Some(mut batch) = socket.read()? {
        match batch.next()? {
            None => {}
            Some(Event::Pong(pong)) if pong.payload == payload.as_bytes() => {
                return Ok(batch.send(format!("pong {payload}"))?);
            }
            Some(other) => return Err(format!("expected a Pong with {payload:?}, got {other:?}").into()),
        }
    }
    Err("expected a Pong, got the end".into())
}

/// Sends a message in pieces of at most that many bytes; of a text, whole characters.
fn send_fragments(socket: &mut Socket, message: &Message, piece: usize) -> Result<(), wsproto_io::Error> {
    let mut rest = message.as_bytes();
    while rest.len() > piece {
        let mut end = piece;
        let part = if message.as_text().is_some() {
            while rest[end] & 0xc0 == 0x80 {
                end -= 1;
            }
            wsproto::Message::text(String::from_utf8_lossy(&rest[..end]))
        } else {
            wsproto::Message::binary(&rest[..end])
        };
        socket.feed(part.unfinished())?;
        rest = &rest[end..];
    }
    match message {
        Message::Text(_) => socket.send(wsproto::Message::text(String::from_utf8_lossy(rest))),
        Message::Binary(_) => socket.send(rest),
    }
}
