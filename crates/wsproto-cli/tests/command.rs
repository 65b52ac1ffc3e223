//! The contract of the command: each line of it, with the built binary, over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wsproto_io::blocking::{AcceptOptions, ConnectOptions};
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{Decision, Error, Message};

use support::{BINARY, Server};

/// Runs `wsproto` with this input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = thread::spawn(move || {
        // Who fails early does not read it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn connect(url: &str, arguments: &[&str], input: &[u8]) -> Output {
    run(&[&["connect", url][..], arguments].concat(), input)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code 1, nothing on standard output, one line on standard error that ends with this.
fn assert_fails(output: &Output, end: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("wsproto: ") && error.lines().count() == 1, "{error}");
    assert!(error.trim_end().ends_with(end), "{error}");
}

/// A server for one connection.
fn once<T: Send + 'static>(work: impl FnOnce(TcpStream) -> T + Send + 'static) -> (String, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (url, thread::spawn(move || work(listener.accept().unwrap().0)))
}

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

#[test]
fn connect_sends_lines_and_prints_messages() {
    let server = Server::start(&[]);
    let input = "hello\n\nwörld \\ \r\nlast without an end".as_bytes();
    let output = connect(&server.url, &[], input);
    assert_eq!(text(&output.stdout), "hello\n\nwörld \\\\ \\r\nlast without an end\n");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let output = connect(&server.url, &["--no-deflate"], b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[test]
fn connect_sends_many_lines_and_loses_none() {
    let server = Server::start(&[]);
    let input: String = (0..50_000).map(|i| format!("line {i}\n")).collect();
    let output = connect(&server.url, &[], input.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout) == input);
}

#[test]
fn connect_sends_binary() {
    let server = Server::start(&[]);
    let output = connect(&server.url, &["--binary"], b"\x00\xff\nAz\n\n");
    assert_eq!(text(&output.stdout), "hex:00ff\nhex:417a\nhex:\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn connect_prints_what_comes_before_the_close() {
    let (url, server) = once(|stream| {
        let mut socket = AcceptOptions::new().accept(stream).unwrap();
        assert!(matches!(socket.recv(), Ok(Some(_))));
        // The client has sent its Close already; these were on their way.
        thread::sleep(Duration::from_millis(200));
        socket.feed("a\nb").unwrap();
        socket.feed(&b"\x01"[..]).unwrap();
        socket.flush().unwrap();
        assert!(matches!(socket.recv(), Ok(None)));
        socket.closed().unwrap().code
    });
    let output = connect(&url, &[], b"x\n");
    assert_eq!(text(&output.stdout), "a\\nb\nhex:01\n");
    assert_eq!((output.status.code(), server.join().unwrap()), (Some(0), 1000));
}

#[test]
fn connect_sends_headers_and_subprotocols() {
    let (url, server) = once(|stream| {
        let options = AcceptOptions::new().subprotocol("two");
        let socket = options.accept_with(stream, |request| {
            assert_eq!(request.headers().text("X-A"), Some("1: 2"));
            assert_eq!(request.headers().text("X-B"), Some(""));
            assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["one", "two"]);
            Decision::accept()
        });
        let mut socket = socket.unwrap();
        while socket.recv().unwrap().is_some() {}
    });
    let arguments = ["--header", "X-A: 1: 2", "--header", "X-B:", "--subprotocol", "one", "--subprotocol", "two"];
    let output = connect(&url, &arguments, b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    server.join().unwrap();
    assert_fails(&connect(&url, &["--header", "no colon"], b""), "a header is 'Name: value'");
    let server = Server::start(&[]);
    assert_fails(
        &connect(&server.url, &["--header", "Host: x"], b""),
        "this header is written by the handshake itself",
    );
}

#[test]
fn connect_sends_an_origin() {
    let server = Server::start(&["--origin", "http://good.example"]);
    assert!(connect(&server.url, &["--header", "Origin: http://good.example"], b"in").status.success());
    let output = connect(&server.url, &["--header", "origin: http://evil.example"], b"in");
    assert_fails(&output, "status 403: pages of this origin are not let in");
}

#[test]
fn connect_ends_as_the_peer_says() {
    for (code, reason, end) in [
        (1000, "", None),
        (1001, "restart", None),
        (1011, "", Some("the connection was closed with code 1011")),
        (4000, "go away", Some("the connection was closed with code 4000: go away")),
        (4000, "\x1b[2J\nforged", Some("the connection was closed with code 4000: \\u{1b}[2J\\nforged")),
    ] {
        let (url, server) = once(move |stream| {
            let mut socket = AcceptOptions::new().accept(stream).unwrap();
            socket.close(CloseCode::new(code).unwrap(), reason).unwrap();
        });
        // Its input does not end.
        let mut command = Command::new(BINARY);
        command.args(["connect", &url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        match end {
            None => assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), "")),
            Some(end) => assert_fails(&output, end),
        }
        server.join().unwrap();
        drop(stdin);
    }
    let (url, server) = once(|stream| drop(AcceptOptions::new().accept(stream).unwrap()));
    assert_fails(&connect(&url, &[], b""), "(1006)");
    server.join().unwrap();
}

#[test]
fn connect_has_a_limit() {
    let (url, server) = once(|stream| {
        let mut socket = AcceptOptions::new().accept(stream).unwrap();
        socket.send("0123456789").unwrap();
        socket.send("0123456789+").unwrap();
        (socket.recv().is_err(), socket.closed().map(|closed| closed.code))
    });
    let output = connect(&url, &["--max-message-size", "10"], b"");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), "0123456789\n"));
    assert!(text(&output.stderr).contains("too big"), "{}", text(&output.stderr));
    server.join().unwrap();
}

#[test]
fn connect_shows_frames() {
    let server = Server::start(&[]);
    let output = connect(&server.url, &["--show-frames", "--no-deflate"], b"hello\n");
    let frames = text(&output.stderr);
    let lines: Vec<&str> = frames.lines().collect();
    let starts = |line: &str, start: &str, end: &str| line.starts_with(start) && line.ends_with(end);
    let sent = |kind: &str, end: &str| {
        lines.iter().any(|line| starts(line, &format!("> {kind} fin=1 rsv=000 mask="), end) && !line.contains("mask=-"))
    };
    assert!(sent("text", " len=5 68 65 6c 6c 6f") && sent("close", " len=2 03 e8"), "{frames}");
    assert!(frames.contains("< text fin=1 rsv=000 mask=- len=5 68 65 6c 6c 6f\n"), "{frames}");
    assert!(frames.contains("< close fin=1 rsv=000 mask=- len=2 03 e8\n"), "{frames}");
    assert_eq!((lines.len(), text(&output.stdout).as_str()), (4, "hello\n"));
    // A long line is compressed: RSV1 shows it.
    let output = connect(&server.url, &["--show-frames"], format!("{}\n", "hello ".repeat(200)).as_bytes());
    assert!(text(&output.stderr).contains("> text fin=1 rsv=100 mask="), "{}", text(&output.stderr));
}

#[test]
fn connect_shows_a_rejection() {
    let (url, server) = once(|stream| {
        let answer = Decision::reject(403).body("no\nway \x1b[31m\n");
        assert!(matches!(AcceptOptions::new().accept_with(stream, |_| answer), Err(Error::Declined(403))));
    });
    let output = connect(&url, &[], b"");
    assert_fails(&output, "the server rejected the request with status 403: no\\nway \\u{1b}[31m");
    server.join().unwrap();
}

#[test]
fn connect_gives_clear_errors() {
    assert_fails(
        &connect("wss://127.0.0.1/", &[], b""),
        "give it to `connect_on` with a ws:// URL that names the port",
    );
    assert_fails(&connect("http://127.0.0.1/", &[], b""), "this is not a ws or wss URL");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_fails(&connect(&format!("ws://127.0.0.1:{port}/"), &[], b""), "Connection refused (os error 111)");
    let server = Server::start(&[]);
    let output = connect(&server.url, &[], b"fine\nnot \xff fine\n");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), "fine\n"));
    assert_eq!(
        text(&output.stderr),
        "wsproto: line 2 of standard input is not UTF-8 (use --binary to send it as it is)\n"
    );
}

#[test]
fn connect_has_a_timeout_for_connecting_and_for_closing() {
    // Accepts, and says nothing.
    let (url, server) = once(|mut stream| stream.read_to_end(&mut Vec::new()).map(drop));
    assert_fails(&connect(&url, &["--timeout", "0.3"], b""), "the handshake took too long");
    let _ = server.join().unwrap();
    // Does not answer the Close. (The same time is for the handshake, too, on a machine that may be busy.)
    let (url, server, done) = never_reads();
    assert_fails(&connect(&url, &["--timeout", "2"], b""), "the peer did not answer the Close in time");
    drop(done);
    server.join().unwrap();
}

/// Like `once`, but the connection stays open until the other end is gone.
fn never_reads() -> (String, thread::JoinHandle<()>, mpsc::Sender<()>) {
    let (done, wait) = mpsc::channel::<()>();
    let (url, server) = once(move |stream| {
        let socket = AcceptOptions::new().compression(None).accept(stream).unwrap();
        let _ = wait.recv();
        drop(socket);
    });
    (url, server, done)
}

#[test]
fn connect_ends_in_time_at_a_server_that_never_reads() {
    // One long line, many lines with and without an end: all of it was read from the input, not all can be sent.
    // (The time is for the handshake, too, on a machine that may be busy; the kernel may hold several megabytes.)
    let lines = "x".repeat(32 << 20);
    for input in [lines.clone(), lines.clone() + "\n", format!("a\n{lines}\nb\n")] {
        let (url, server, done) = never_reads();
        let url_of_client = url.clone();
        let (finished, wait) = mpsc::channel();
        thread::spawn(move || {
            finished.send(connect(&url_of_client, &["--timeout", "2", "--no-deflate"], input.as_bytes()))
        });
        let output = wait.recv_timeout(Duration::from_secs(60)).expect("it still waits");
        assert_fails(&output, "the server did not take all input in time");
        drop(done);
        server.join().unwrap();
    }
}

#[test]
fn connect_fails_where_the_server_closes_before_all_input_was_sent() {
    let (url, server) = once(|stream| {
        let mut socket = AcceptOptions::new().compression(None).accept(stream).unwrap();
        assert!(matches!(socket.recv(), Ok(Some(_))));
        let _ = socket.close(CloseCode::NORMAL, "enough");
    });
    let mut input = b"first\n".to_vec();
    // More than all buffers hold, and the second line does not end before the server has closed.
    input.extend(vec![b'x'; 64 << 20]);
    let output = connect(&url, &["--no-deflate"], &input);
    assert_eq!(output.status.code(), Some(1));
    assert_fails(&output, "the server closed the connection before all input was sent");
    server.join().unwrap();
}

#[test]
fn connect_has_no_longest_timeout() {
    let server = Server::start(&[]);
    for timeout in ["1e19", "1e300", "inf"] {
        let output = connect(&server.url, &["--timeout", timeout], b"x\n");
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "x\n"), "{timeout}");
    }
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let server = Server::start(&[]);
    let mut command = Command::new(BINARY);
    command.args(["connect", &server.url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all("x\n".repeat(10_000).as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_fails(&output, "standard output was closed");
}

#[test]
fn bad_arguments_are_explained() {
    for arguments in [
        &["serve", "--listen", "nonsense"][..],
        &["serve", "--max-message-size", "-1"],
        &["connect"],
        &["connect", "ws://x/", "--timeout", "0"],
        &["connect", "ws://x/", "--timeout", "soon"],
        &["connect", "ws://x/", "--timeout", "-1"],
        &["connect", "ws://x/", "--timeout", "NaN"],
        &["dance"],
    ] {
        let output = run(arguments, b"");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
    }
}
