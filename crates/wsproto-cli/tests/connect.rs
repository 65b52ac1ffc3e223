//! `wsproto connect`: each line of its contract, with the built binary, over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wsproto_io::blocking::AcceptOptions;
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{Decision, Error};

use support::{BINARY, Server, assert_fails, run, text};

fn connect(url: &str, arguments: &[&str], input: &[u8]) -> Output {
    run(&[&["connect", url][..], arguments].concat(), input)
}

/// A server for one connection.
fn once<T: Send + 'static>(work: impl FnOnce(TcpStream) -> T + Send + 'static) -> (String, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (url, thread::spawn(move || work(listener.accept().unwrap().0)))
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
        let output = connect_and_listen(&url);
        match end {
            None => assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), "")),
            Some(end) => assert_fails(&output, end),
        }
        server.join().unwrap();
    }
    let (url, server) = once(|stream| drop(AcceptOptions::new().accept(stream).unwrap()));
    assert_fails(&connect_and_listen(&url), "(1006)");
    server.join().unwrap();
}

/// As `connect`, with an input that does not end: so it sends nothing, not even a Close that might find the server gone.
fn connect_and_listen(url: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["connect", url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output
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
    assert_fails(&connect("http://127.0.0.1/", &[], b""), "the URL of a WebSocket begins with ws:// or wss://");
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
fn connect_pings() {
    let server = Server::start(&[]);
    let mut command = Command::new(BINARY);
    command.args(["connect", &server.url, "--ping", "0.05"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..3 {
        let line = said.next().unwrap().unwrap();
        let time = line.strip_prefix("ping: ").unwrap().strip_suffix(" ms").unwrap();
        assert!(time.parse::<f64>().unwrap() >= 0.0, "{line}");
    }
    drop(child.stdin.take());
    let last = said.last().unwrap().unwrap();
    assert!(last.contains(" answered, min/avg/max ") && last.ends_with(" ms"), "{last}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn connect_closes_at_an_interrupt() {
    let (url, server) = once(|stream| {
        let mut socket = AcceptOptions::new().accept(stream).unwrap();
        socket.send("hello").unwrap();
        assert!(matches!(socket.recv(), Ok(None)));
        socket.closed().unwrap().code
    });
    let mut command = Command::new(BINARY);
    command.args(["connect", &url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str(), server.join().unwrap()), (Some(0), "", 1000));
    drop(stdin);
}

/// What is typed behind the interrupt is for nobody; that is no failure.
#[test]
fn input_behind_an_interrupt_is_no_failure() {
    let (closing, closes) = mpsc::channel::<()>();
    let (url, server) = once(move |stream| {
        let mut socket = AcceptOptions::new().accept(stream).unwrap();
        socket.send("hello").unwrap();
        closes.recv().unwrap();
        assert!(matches!(socket.recv(), Ok(None)));
        socket.closed().unwrap().code
    });
    let mut command = Command::new(BINARY);
    command.args(["connect", &url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(20));
        stdin.write_all(b"more\n").unwrap();
    }
    closing.send(()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str(), server.join().unwrap()), (Some(0), "", 1000));
}

#[test]
fn a_second_signal_ends_connect_with_its_exit_code() {
    for (first, second, code) in [("-INT", "-INT", 130), ("-TERM", "-TERM", 143), ("-INT", "-TERM", 143)] {
        let (closing, closes) = mpsc::channel();
        let (url, server) = once(move |stream| {
            let socket = AcceptOptions::new().accept(stream).unwrap();
            // Its Close is seen and not answered.
            let close = socket.stream().read(&mut [0; 100]).unwrap();
            closing.send(close).unwrap();
            let _ = socket.stream().read(&mut [0; 100]);
        });
        let mut command = Command::new(BINARY);
        command.args(["connect", "-v", &url]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, mut said) = (child.stdin.take(), BufReader::new(child.stderr.take().unwrap()).lines());
        // It is connected.
        assert!(said.any(|line| line.unwrap().starts_with("extensions: ")));
        let signal =
            |signal: &str| Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success();
        assert!(signal(first) && closes.recv().unwrap() > 0 && signal(second));
        assert_eq!(child.wait().unwrap().code(), Some(code), "{first} {second}");
        server.join().unwrap();
        drop(stdin);
    }
}

/// `serve` speaks both versions on its port, with TLS and without.
#[test]
fn connect_uses_http2_where_it_is_asked_to() {
    for tls in [false, true] {
        let server = Server::start(if tls { &["--tls-self-signed"] } else { &[] });
        let url = server.url.replace("http", "ws");
        let mut arguments = vec!["connect", "--http2", "-v", &url];
        if tls {
            arguments.push("--insecure");
        }
        let output = run(&arguments, b"one\ntwo\n");
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "one\ntwo\n"), "{said}");
        assert!(said.contains("http: 2"), "{said}");
    }
}

/// Those of the stream alone, from the first on: HTTP/2 has no heads among them.
#[test]
fn connect_shows_frames_over_http2() {
    let server = Server::start(&[]);
    let output = connect(&server.url, &["--http2", "--show-frames", "--no-deflate"], b"one\n");
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "one\n"), "{said}");
    let frames: Vec<_> = said.lines().map(|line| line.split(" mask=").next().unwrap()).collect();
    for frame in ["text fin=1 rsv=000", "close fin=1 rsv=000"] {
        let shown = ['>', '<'].map(|arrow| frames.iter().position(|line| *line == format!("{arrow} {frame}")));
        assert!(shown[0].is_some() && shown[0] < shown[1], "{said}");
    }
    assert!(frames.len() == 4 && said.contains("len=3 6f 6e 65"), "{said}");
}
