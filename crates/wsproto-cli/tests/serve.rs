//! `wsproto serve`: each line of its contract, with the built binary, over loopback.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use wsproto_io::Message;
use wsproto_io::blocking::ConnectOptions;
use wsproto_io::wsproto::CloseCode;

use support::{Server, assert_fails, run, text};

#[test]
fn serve_echoes_on_every_path() {
    let server = Server::start(&[]);
    for path in ["", "chat", "a/b?c=d"] {
        let mut socket = ConnectOptions::new().connect(&format!("{}{path}", server.url)).unwrap();
        for message in [Message::Text("hello".into()), Message::Binary(vec![0, 255]), Message::Text(String::new())] {
            socket.send(&message).unwrap();
            assert_eq!(socket.recv().unwrap(), Some(message));
        }
        socket.close(CloseCode::NORMAL, "").unwrap();
    }
}

#[test]
fn serve_echoes_fragments_and_long_messages() {
    let server = Server::start(&["--max-message-size", "20000000"]);
    let mut socket = server.connect();
    let long = vec![7; 20_000_000];
    let writing = Message::Binary(long);
    let (mut reader, mut writer) = {
        let piece = |text: &'static str| wsproto_io::wsproto::Message::text(text);
        socket.feed(piece("one ").unfinished()).unwrap();
        socket.feed(piece("").unfinished()).unwrap();
        socket.send(piece("message")).unwrap();
        assert_eq!(socket.recv().unwrap(), Some(Message::Text("one message".into())));
        socket.split()
    };
    let reading = thread::spawn(move || reader.recv());
    writer.send(&writing).unwrap();
    assert!(reading.join().unwrap().unwrap() == Some(writing));
}

#[test]
fn serve_has_a_limit() {
    let server = Server::start(&["--max-message-size", "10", "--no-deflate"]);
    let mut socket = server.connect();
    socket.send("0123456789").unwrap();
    assert_eq!(socket.recv().unwrap(), Some(Message::Text("0123456789".into())));
    socket.send("0123456789+").unwrap();
    assert!(matches!(socket.recv(), Ok(None)));
    assert_eq!(socket.closed().unwrap().code, 1009);
    // The default is 1 MiB.
    let server = Server::start(&[]);
    let mut socket = server.connect();
    socket.send(vec![7; 1 << 20]).unwrap();
    assert_eq!(socket.recv().unwrap().unwrap().as_bytes().len(), 1 << 20);
    socket.send(vec![7; (1 << 20) + 1]).unwrap();
    assert!(matches!(socket.recv(), Ok(None)));
    assert_eq!(socket.closed().unwrap().code, 1009);
}

fn raw_handshake(server: &Server, headers: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 4096];
    let n = stream.read(&mut answer).unwrap();
    text(&answer[..n])
}

#[test]
fn serve_compresses_unless_told_not_to() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    assert!(raw_handshake(&Server::start(&[]), offer).contains("\r\nSec-WebSocket-Extensions: permessage-deflate"));
    assert!(!raw_handshake(&Server::start(&["--no-deflate"]), offer).contains("permessage-deflate"));
}

#[test]
fn serve_speaks_the_subprotocols_it_was_given() {
    let server = Server::start(&["--subprotocol", "chat", "--subprotocol", "v2"]);
    let socket = ConnectOptions::new().subprotocol("x").subprotocol("v2").subprotocol("chat").connect(&server.url);
    assert_eq!(socket.unwrap().subprotocol(), Some("v2"));
    let socket = ConnectOptions::new().subprotocol("x").connect(&server.url);
    assert_eq!(socket.unwrap().subprotocol(), None);
}

#[test]
fn serve_looks_at_the_origin() {
    let status = |server: &Server, origin: &str| {
        raw_handshake(server, &format!("Origin: {origin}\r\n")).split(' ').nth(1).unwrap().to_owned()
    };
    let server = Server::start(&[]);
    assert_eq!(status(&server, "http://evil.example"), "403");
    assert_eq!(status(&server, &format!("http://{}", server.address())), "101");
    let server = Server::start(&["--origin", "https://good.example", "--origin", "http://other.example"]);
    assert_eq!(status(&server, "https://good.example"), "101");
    assert_eq!(status(&server, "http://other.example"), "101");
    assert_eq!(status(&server, "https://evil.example"), "403");
    assert_eq!(status(&Server::start(&["--origin", "any"]), "https://evil.example"), "101");
    assert_fails(
        &run(&["serve", "--listen", "127.0.0.1:0", "--origin", "nonsense"], b""),
        "an origin has the form `scheme://host` or `scheme://host:port`, without a path",
    );
}

#[test]
fn serve_answers_a_plain_get() {
    let server = Server::start(&[]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET /any HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("This is a WebSocket echo server"), "{answer}");
}

#[test]
fn t07_serve_tells_everybody_when_it_stops() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(&[]);
        let mut sockets: Vec<_> = (0..20).map(|_| server.connect()).collect();
        // One that does not read and one that never finished its handshake do not hold it up.
        let mut rude = ConnectOptions::new().compression(None).connect(&server.url).unwrap();
        rude.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        while rude.send(vec![7; 100_000]).is_ok() {}
        let half_open = TcpStream::connect(server.address()).unwrap();
        let begun = Instant::now();
        server.signal(signal);
        for socket in &mut sockets {
            assert!(matches!(socket.recv(), Ok(None)));
            assert_eq!(socket.closed().unwrap().code, 1001);
        }
        assert_eq!(server.wait(Duration::from_secs(5)).code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop((rude, half_open));
    }
}

#[test]
fn serve_logs_connections_only_when_asked() {
    for (arguments, expected) in [(&["-v"][..], true), (&[], false)] {
        let mut server = Server::start(arguments);
        let mut socket = ConnectOptions::new().connect(&format!("{}path", server.url)).unwrap();
        socket.close(CloseCode::NORMAL, "").unwrap();
        thread::sleep(Duration::from_millis(100));
        server.signal("-TERM");
        server.wait(Duration::from_secs(5));
        let log = server.stderr();
        assert_eq!(log.contains("connected to /path") && log.contains("closed with code 1000"), expected, "{log}");
        assert!(expected || log.is_empty(), "{log}");
    }
}

#[test]
fn serve_says_that_the_port_is_in_use() {
    let server = Server::start(&[]);
    let output = run(&["serve", "--listen", server.address()], b"");
    assert_fails(&output, "Address already in use (os error 98)");
}
