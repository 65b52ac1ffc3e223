//! A client and a server over loopback.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use wsproto::CloseCode;
use wsproto_io::blocking::{AcceptOptions, ConnectOptions, WebSocket};
use wsproto_io::{Error, Message};

/// A server for one connection, and its URL.
fn serve<T: Send + 'static>(
    options: AcceptOptions,
    work: impl FnOnce(WebSocket<TcpStream>) -> T + Send + 'static,
) -> (String, JoinHandle<Result<T, Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        options.accept(stream).map(work)
    });
    (url, server)
}

fn echo(mut socket: WebSocket<TcpStream>) -> Result<Option<u16>, Error> {
    while let Some(message) = socket.recv()? {
        socket.feed(message)?;
    }
    Ok(socket.closed().map(|closed| closed.code))
}

#[test]
fn messages_of_every_length_form_come_back() {
    for compressed in [true, false] {
        let (mut server, mut client) = (AcceptOptions::new(), ConnectOptions::new());
        if !compressed {
            (server, client) = (server.compression(None), client.compression(None));
        }
        let (url, server) = serve(server, echo);
        let mut socket = client.connect(&url).unwrap();
        for len in [0, 1, 125, 126, 65_535, 65_536, 65_537, 200_000, 1 << 20] {
            let text: String = ('a'..='z').chain(['é', '€', '😀']).cycle().take(len / 2).collect();
            for message in [Message::Text(text), Message::Binary(vec![0xA5; len])] {
                socket.send(&message).unwrap();
                assert!(socket.recv().unwrap() == Some(message), "{len} bytes");
            }
        }
        socket.close(CloseCode::NORMAL, "done").unwrap();
        assert_eq!(socket.closed().unwrap().code, 1000);
        assert_eq!(server.join().unwrap().unwrap().unwrap(), Some(1000));
    }
}
