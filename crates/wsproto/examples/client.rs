//! A client on `std::net`, with nothing but the core: says each argument, prints what comes back, and leaves.
//!
//! `cargo run --example server`, then `cargo run --example client -- Hello world`.

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::http1::{self, HeadLimits, ResponseReader};
use wsproto::handshake::{ClientHandshake, ClientRequest, Outcome};
use wsproto::{Assembler, CloseCode, CloseFrame, Connection, Event, Input, Limits, Message, OsRandom, Transport};

fn main() -> Result<(), Box<dyn Error>> {
    let random = OsRandom::new()?;
    let mut socket = TcpStream::connect("127.0.0.1:9002")?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;

    // The handshake: write the request, read until the response is whole.
    let request = ClientRequest {
        extensions: vec![Arc::new(PerMessageDeflate::default())],
        ..ClientRequest::from_url("ws://127.0.0.1:9002/")?
    };
    let handshake = ClientHandshake::new(request, random.nonce())?;
    let mut out = Vec::new();
    http1::write_request(&handshake, &mut out)?;
    socket.write_all(&out)?;
    out.clear();
    let mut reader = ResponseReader::new(handshake, HeadLimits::default());
    let mut buffer = vec![0; 32 * 1024]; // larger than a head may be
    let mut filled = 0;
    let (outcome, head) = loop {
        let n = socket.read(&mut buffer[filled..])?;
        if n == 0 {
            return Err("the server left before its response was complete".into());
        }
        filled += n;
        if let Some(outcome) = reader.receive(&buffer[..filled])? {
            break outcome;
        }
    };
    let extensions = match outcome {
        Outcome::Accepted(accepted) => accepted.extensions,
        Outcome::Rejected(response) => return Err(format!("rejected with {}", response.status()).into()),
    };

    // The connection: all arguments in one write, then a Close; what was sent before still comes back.
    let mut connection = Connection::client(extensions, Limits::default(), random);
    for argument in env::args().skip(1) {
        connection.send(Message::text(argument), &mut out)?;
    }
    connection.send(CloseFrame::new(CloseCode::NORMAL, "done"), &mut out)?;
    socket.write_all(&out)?;
    out.clear();

    let mut assembler = Assembler::new(1 << 20);
    let mut range = head..filled;
    while connection.transport() == Transport::KeepOpen {
        let mut input = Input::new(&mut buffer[range]);
        while let Some(event) = connection.receive(&mut input)? {
            match event {
                Event::Message(piece) => {
                    if let Some(message) = assembler.push(piece)? {
                        println!("{}", String::from_utf8_lossy(message.as_bytes()));
                    }
                }
                Event::Close(close) => println!("closed with {:?} {:?}", close.code(), close.reason()),
                _ => event.response().into_iter().for_each(|reply| connection.reply(reply, &mut out)),
            }
        }
        socket.write_all(&out)?; // the Pong to a Ping, if there was one
        out.clear();
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            connection.receive_eof()?;
            break;
        }
        range = 0..n;
    }
    Ok(())
}
