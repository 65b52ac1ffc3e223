//! An echo server on `std::net`, with nothing but the core: one thread for each connection, two buffers each.
//!
//! `cargo run --example server`, then `cargo run --example client`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::http1::{self, HeadLimits, RequestReader};
use wsproto::handshake::{AcceptConnection, OriginPolicy, RejectConnection};
use wsproto::{Connection, Event, Input, Limits, Transport};

fn main() -> Result<(), Box<dyn Error>> {
    let deflate = PerMessageDeflate::default(); // one for all connections: they share its pool of codecs
    let listener = TcpListener::bind("127.0.0.1:9002")?;
    println!("listening on ws://{}/", listener.local_addr()?);
    for socket in listener.incoming() {
        let (socket, deflate) = (socket?, deflate.clone());
        thread::spawn(move || {
            if let Err(error) = serve(&socket, &deflate) {
                eprintln!("{error}");
            }
            let _ = socket.shutdown(Shutdown::Write); // what was written arrives
        });
    }
    Ok(())
}

fn serve(mut socket: &TcpStream, deflate: &PerMessageDeflate) -> Result<(), Box<dyn Error>> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?; // silence ends the connection; a ping would be kinder
    let mut buffer = vec![0; 32 * 1024]; // larger than a head may be
    let (mut filled, mut out) = (0, Vec::new());

    // The handshake: read until the head is whole. What follows it is the connection's first input.
    let mut reader = RequestReader::new(HeadLimits::default());
    let (handshake, head) = loop {
        let n = socket.read(&mut buffer[filled..])?;
        if n == 0 {
            return Err("the client left before its request was complete".into());
        }
        filled += n;
        match reader.receive(&buffer[..filled]) {
            Ok(Some(request)) => break request,
            Ok(None) => {}
            Err(error) => {
                http1::write_error(error, &mut out);
                socket.write_all(&out)?;
                return Err(error.into());
            }
        }
    };
    if !OriginPolicy::SameHost.allows(handshake.request()) {
        http1::write_response(&handshake.reject(&RejectConnection::new(403))?, &mut out);
        return Ok(socket.write_all(&out)?);
    }
    let accepted = handshake.accept(&AcceptConnection { extensions: &[deflate], ..Default::default() })?;
    http1::write_response(&accepted.response, &mut out);

    // The connection: events from what was read, one write for what they asked for.
    let mut connection = Connection::server(accepted.extensions, Limits::default());
    let mut range = head..filled;
    loop {
        let mut input = Input::new(&mut buffer[range]);
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
        };
        socket.write_all(&out)?;
        out.clear();
        end?;
        if connection.transport() != Transport::KeepOpen {
            return Ok(()); // a server closes first (RFC 6455 §7.1.1)
        }
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Ok(connection.receive_eof()?);
        }
        range = 0..n;
    }
}
