//! A connection without a handshake: HTTP is somebody else's, here two functions that stand for a web server and for a client's
//! HTTP library. What they hand over is the socket, the extensions that were agreed on, and the bytes behind the heads.
//!
//! `cargo run --example post_handshake`: both ends, in one program.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::{Key, client_extensions_handshake, server_extensions_handshake};
use wsproto::{CloseCode, CloseFrame, Connection, Event, Extensions, Input, Limits, Message, OsRandom, Transport};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(listener.accept()?.0));

    let (mut socket, extensions, first) = shake_hands(TcpStream::connect(address)?)?;
    let mut connection = Connection::client(extensions, Limits::default(), OsRandom::new()?);
    let mut out = Vec::new();
    connection.send(Message::text("Hello"), &mut out)?;
    connection.send(CloseFrame::new(CloseCode::NORMAL, "done"), &mut out)?;
    socket.write_all(&out)?;
    let heard = run(&mut socket, connection, first)?;
    println!("the client heard {heard:?}");
    assert_eq!(heard, ["Hi"]);

    let heard = server.join().map_err(|_| "the server panicked")??;
    println!("the server heard {heard:?}");
    assert_eq!(heard, ["Hello"]);
    Ok(())
}

/// The server: says "Hi", and listens.
fn serve(socket: TcpStream) -> Result<Vec<String>> {
    let (mut socket, extensions, first) = accept(socket)?;
    let mut connection = Connection::server(extensions, Limits::default());
    let mut out = Vec::new();
    connection.send(Message::text("Hi"), &mut out)?;
    socket.write_all(&out)?;
    run(&mut socket, connection, first)
}

/// A connection to its end: as with a `WsConnection`, only that no event is about a handshake. The messages, each of one piece.
fn run(socket: &mut TcpStream, mut connection: Connection, mut bytes: Vec<u8>) -> Result<Vec<String>> {
    let (mut heard, mut out) = (Vec::new(), Vec::new());
    loop {
        let mut input = Input::new(&mut bytes); // the first: what stood behind the head
        while let Some(event) = connection.receive(&mut input)? {
            match event {
                Event::Message(message) => heard.push(String::from_utf8_lossy(message.data.as_bytes()).into_owned()),
                event => event.response().into_iter().for_each(|reply| connection.reply(reply, &mut out)),
            }
        }
        socket.write_all(&out)?;
        out.clear();
        if connection.transport() != Transport::KeepOpen {
            return Ok(heard);
        }
        bytes.resize(4096, 0);
        let n = socket.read(&mut bytes)?;
        bytes.truncate(n);
        if n == 0 {
            connection.receive_eof()?;
            return Ok(heard);
        }
    }
}

/// Stands for a web server, which knows what it serves where; only the extensions are asked about.
fn accept(mut socket: TcpStream) -> Result<(TcpStream, Extensions, Vec<u8>)> {
    let (head, first) = read_head(&mut socket)?;
    let key = values(&head, "Sec-WebSocket-Key").next().and_then(|key| Key::parse(key.as_bytes())).ok_or("no key")?;
    let requested = values(&head, "Sec-WebSocket-Extensions");
    let (answer, extensions) = server_extensions_handshake(requested, &[&PerMessageDeflate::default()]);
    let answer = answer.map_or(String::new(), |answer| format!("Sec-WebSocket-Extensions: {answer}\r\n"));
    let accept = key.accept();
    let accept = String::from_utf8_lossy(&accept);
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
    write!(socket, "{switching}\r\nSec-WebSocket-Accept: {accept}\r\n{answer}\r\n")?;
    Ok((socket, extensions, first))
}

/// Stands for a client's HTTP library. An answer that does not follow from the offer is an error (RFC 6455 §9.1).
fn shake_hands(mut socket: TcpStream) -> Result<(TcpStream, Extensions, Vec<u8>)> {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    socket.write_all(request.as_bytes())?;
    let (head, first) = read_head(&mut socket)?;
    if !head.starts_with("HTTP/1.1 101 ") {
        return Err("no WebSocket".into());
    }
    let accepted = values(&head, "Sec-WebSocket-Extensions");
    let extensions = client_extensions_handshake(accepted, &[&PerMessageDeflate::default()])?;
    Ok((socket, extensions, first))
}

/// A head, and what was read behind it: the first input of the connection.
fn read_head(socket: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let (mut bytes, mut space) = (Vec::new(), [0; 1024]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let first = bytes.split_off(end + 4);
            return Ok((String::from_utf8(bytes)?, first));
        }
        let n = socket.read(&mut space)?;
        if n == 0 || bytes.len() > 16 * 1024 {
            return Err("no head".into());
        }
        bytes.extend_from_slice(&space[..n]);
    }
}

/// The values of a header, one for each of its lines.
fn values<'h>(head: &'h str, name: &'h str) -> impl Iterator<Item = &'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
