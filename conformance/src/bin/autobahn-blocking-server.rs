//! The server on the blocking driver that the Autobahn suite tests: a thread for each connection echoes what comes, in
//! pieces as they come.
//!
//! usage: `autobahn-blocking-server 127.0.0.1:PORT`

#![forbid(unsafe_code)]

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::thread;

use wsproto::{Event, Limits};
use wsproto_io::blocking::AcceptOptions;

/// Longest message, in bytes: the suite's 9.* cases send up to 16 MiB, more than the default limit.
const MAX_MESSAGE_SIZE: u64 = 64 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: autobahn-blocking-server 127.0.0.1:PORT")?;
    let listener = TcpListener::bind(&address)?;
    let options = AcceptOptions::new().limits(Limits::default().message(MAX_MESSAGE_SIZE));
    for stream in listener.incoming() {
        let (stream, options) = (stream?, options.clone());
        thread::spawn(move || {
            // How it ended is judged by the suite: most cases break the protocol on purpose.
            if let Err(error) = echo(&options, stream) {
                println!("{error}");
            }
        });
    }
    Ok(())
}

fn echo(options: &AcceptOptions, stream: TcpStream) -> Result<(), wsproto_io::Error> {
    let mut socket = options.accept(stream)?;
    while let Some(mut batch) = socket.read()? {
        while let Some(event) = batch.next()? {
            if let Event::Message(piece) = event {
                batch.feed(&piece)?;
            }
        }
    }
    Ok(())
}
