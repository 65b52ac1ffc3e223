//! The opening handshake over a transport.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::{End, REQUEST, Wire, encode};
use wsproto::Message;
use wsproto::handshake::{OriginPolicy, RequestError};
use wsproto_io::blocking::{AcceptOptions, ConnectOptions, Untimed, accept};
use wsproto_io::{Decision, Error, Message as Owned, Timeout};

/// A server that says these bytes to whoever connects, and gives back what it heard.
fn speak(bytes: impl Into<Vec<u8>>) -> (String, JoinHandle<Vec<u8>>) {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; 4096];
        let n = stream.read(&mut heard).unwrap();
        heard.truncate(n);
        // The client may have had enough before the end.
        let _ = stream.write_all(&bytes);
        drop(stream);
        heard
    });
    (url, server)
}

/// Accepts in memory with these options; gives the error and what was answered.
fn refused(options: &AcceptOptions, request: &str) -> (Error, String) {
    let answer = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    struct Shared(Wire, std::rc::Rc<std::cell::RefCell<Vec<u8>>>);
    impl std::io::Read for Shared {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let wire = Shared(Wire::new(request, End::Fin), answer.clone());
    let error = options.accept(Untimed(wire)).unwrap_err();
    let answer = String::from_utf8(answer.borrow().clone()).unwrap();
    (error, answer)
}

#[test]
fn h12_frames_that_come_with_the_request_are_the_first_input() {
    for piece in [1, 3, 100, usize::MAX] {
        let mut bytes = REQUEST.as_bytes().to_vec();
        bytes.extend(encode([Message::text("early"), Message::text("bird")]));
        let mut wire = Wire::new(bytes, End::Fin);
        wire.piece = piece;
        let mut socket = accept(Untimed(wire)).unwrap();
        assert_eq!(socket.recv().unwrap(), Some(Owned::Text("early".into())));
        assert_eq!(socket.recv().unwrap(), Some(Owned::Text("bird".into())));
        assert!(socket.stream().0.written.starts_with(b"HTTP/1.1 101 "));
    }
}

#[test]
fn h12_frames_that_come_with_the_response_are_the_first_input() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; 4096];
        let n = stream.read(&mut heard).unwrap();
        let heard = String::from_utf8_lossy(&heard[..n]).into_owned();
        let key = heard.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = wsproto::handshake::Key::parse(key.as_bytes()).unwrap().accept();
        let mut bytes =
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ".to_vec();
        bytes.extend_from_slice(&accept);
        bytes.extend_from_slice(b"\r\n\r\n\x81\x05early");
        stream.write_all(&bytes).unwrap();
    });
    let mut socket = ConnectOptions::new().connect(&url).unwrap();
    assert_eq!(socket.recv().unwrap(), Some(Owned::Text("early".into())));
    assert_eq!(socket.recv().unwrap_err().close_code(), Some(1006));
    server.join().unwrap();
}

#[test]
fn h14_the_deadline_is_for_the_whole_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        for byte in REQUEST.as_bytes() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let options = AcceptOptions::new().handshake_timeout(Duration::from_millis(300));
    let begun = Instant::now();
    let error = options.accept(listener.accept().unwrap().0).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2), "each byte must not begin the time anew");
    client.join().unwrap();
}

#[test]
fn h14_a_client_waits_no_longer_for_a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = ConnectOptions::new().handshake_timeout(Duration::from_millis(100));
    let error = options.connect(&url).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error}");
    assert_eq!(error.to_string(), "the handshake took too long");
}

#[test]
fn h15_of_an_endless_rejection_64_kib_are_read() {
    let (url, server) = speak([&b"HTTP/1.1 403 No\r\n\r\n"[..], &vec![b'x'; 8 << 20]].concat());
    let Error::Rejected(rejected) = ConnectOptions::new().connect(&url).unwrap_err() else { panic!() };
    assert_eq!((rejected.status, rejected.body.len(), rejected.truncated), (403, 64 * 1024, true));
    server.join().unwrap();
}

#[test]
fn a_rejection_keeps_status_headers_and_body() {
    for response in [
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nwho?",
        "HTTP/1.0 401 No\r\nWWW-Authenticate: Basic\r\n\r\nwho?",
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n2\r\no?\r\n0\r\n\r\n",
    ] {
        let (url, server) = speak(response);
        let error = ConnectOptions::new().connect(&url).unwrap_err();
        assert_eq!(error.to_string(), "the server rejected the request with status 401");
        let Error::Rejected(rejected) = error else { panic!("{error}") };
        assert_eq!((rejected.body.as_slice(), rejected.truncated), (&b"who?"[..], false));
        assert_eq!(rejected.headers.text("www-authenticate"), Some("Basic"));
        server.join().unwrap();
    }
}

#[test]
fn a_rejection_whose_body_does_not_end_is_told_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 403 No\r\n\r\nwho?").unwrap();
        // Until the client has had enough.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = ConnectOptions::new().handshake_timeout(Duration::from_millis(300)).connect(&url).unwrap_err();
    let Error::Rejected(rejected) = error else { panic!("{error}") };
    assert_eq!((rejected.status, rejected.body.as_slice(), rejected.truncated), (403, &b"who?"[..], true));
    server.join().unwrap();
}

#[test]
fn a_rejection_behind_a_failed_write_is_told_also_where_it_ends_with_the_transport() {
    for (answer, end) in [
        ("HTTP/1.1 431 x\r\n\r\nlong", End::Fin),
        ("HTTP/1.1 431 x\r\nContent-Length: 9\r\n\r\nlong", End::Fin),
        ("HTTP/1.1 431 x\r\n\r\nlong", End::Reset),
    ] {
        let mut wire = Wire::new(answer, end);
        (wire.broken, wire.piece) = (true, 7);
        let error = ConnectOptions::new().connect_on("ws://a/", Untimed(wire)).unwrap_err();
        let Error::Rejected(rejected) = error else { panic!("{answer}, {end:?}: {error}") };
        assert_eq!((rejected.status, rejected.body.as_slice()), (431, &b"long"[..]), "{answer}");
    }
    let mut wire = Wire::new("HTTP/1.1 4", End::Fin);
    wire.broken = true;
    let error = ConnectOptions::new().connect_on("ws://a/", Untimed(wire)).unwrap_err();
    assert!(matches!(&error, Error::Io(io) if io.kind() == std::io::ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn h05_a_response_that_does_not_prove_the_key_fails() {
    let (url, server) = speak(
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x01",
    );
    let error = ConnectOptions::new().connect(&url).unwrap_err();
    assert!(matches!(error, Error::Response(_)), "{error}");
    let heard = server.join().unwrap();
    assert!(heard.ends_with(b"\r\n\r\n"), "no frame before the 101 is verified");
}

#[test]
fn what_a_client_sends_and_a_server_decides() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let options = AcceptOptions::new().subprotocol("v1").subprotocol("v2");
        let mut paths = Vec::new();
        let mut decide = |path: &str| {
            paths.push(path.to_owned());
            Decision::accept()
        };
        let first = options.accept_with(listener.accept().unwrap().0, |request| {
            assert_eq!(request.headers().text("X-Token"), Some("secret"));
            decide(request.target())
        });
        let second = options.accept_with(listener.accept().unwrap().0, |request| {
            decide(request.target());
            Decision::reject(404).header("X-Why", "because").unwrap().body("nothing here\n")
        });
        let third = options.accept_with(listener.accept().unwrap().0, |_| Decision::accept().subprotocol("v9"));
        assert!(matches!(second, Err(Error::Declined(404))));
        assert!(matches!(third, Err(Error::Handshake(_))), "{third:?}");
        (first.unwrap().subprotocol().map(str::to_owned), paths)
    });
    let options = ConnectOptions::new().subprotocol("v2").subprotocol("v1").header("X-Token", "secret").unwrap();
    let socket = options.connect(&url).unwrap();
    assert_eq!(socket.subprotocol(), Some("v2"), "the client's order counts");
    let Err(Error::Rejected(rejected)) = options.connect(&url) else { panic!() };
    assert_eq!((rejected.status, rejected.body.as_slice()), (404, &b"nothing here\n"[..]));
    assert_eq!(rejected.headers.text("X-Why"), Some("because"));
    assert_eq!(rejected.headers.text("Content-Type"), Some("text/plain; charset=utf-8"));
    // A decision that cannot be written is the server's bug, and the client's 500.
    assert!(matches!(options.connect(&url), Err(Error::Rejected(rejected)) if rejected.status == 500));
    let (subprotocol, paths) = server.join().unwrap();
    assert_eq!((subprotocol.as_deref(), paths), (Some("v2"), vec!["/chat?room=1".into(), "/chat?room=1".into()]));
}

#[test]
fn a_malformed_request_gets_its_answer() {
    for (request, status, error) in [
        (REQUEST.replace("GET", "POST"), 405, RequestError::Method),
        (REQUEST.replace("HTTP/1.1", "HTTP/1.0"), 505, RequestError::HttpVersion),
        (REQUEST.replace("Version: 13", "Version: 8"), 426, RequestError::Version),
        (REQUEST.replace("dGhl", "dG"), 400, RequestError::Key),
    ] {
        let (refusal, answer) = refused(&AcceptOptions::new(), &request);
        assert!(matches!(refusal, Error::Request(other) if other == error), "{refusal:?}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn a_plain_get_gets_a_page_where_there_is_one() {
    let request = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let (error, answer) = refused(&AcceptOptions::new(), request);
    assert!(matches!(error, Error::Request(RequestError::NotWebSocket)));
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    let (error, answer) = refused(&AcceptOptions::new().pages(|_| Some(wsproto_io::Page::text("hello\n"))), request);
    assert!(matches!(error, Error::PlainRequest));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"), "{answer}");
}

#[test]
fn h16_only_pages_of_the_same_host_are_let_in() {
    let with_origin = |origin: &str| REQUEST.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    for origin in ["http://evil.example", "null", "http://example.com.evil", "http://127.0.0.1"] {
        let (error, answer) = refused(&AcceptOptions::new(), &with_origin(origin));
        assert!(matches!(error, Error::Declined(403)), "{origin}: {error:?}");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let any = AcceptOptions::new().origins(OriginPolicy::Any);
        assert!(any.accept(Untimed(Wire::new(with_origin(origin), End::Fin))).is_ok());
    }
    assert!(accept(Untimed(Wire::new(with_origin("http://example.com"), End::Fin))).is_ok());
}

#[test]
fn urls() {
    let connect = |url: &str| ConnectOptions::new().connect_on(url, Untimed(Wire::new([], End::Fin))).unwrap_err();
    assert!(matches!(connect("wss://example.com/"), Error::TlsUnavailable));
    assert_eq!(
        connect("wss://example.com/").to_string(),
        "there is no TLS for this wss:// URL: the tokio driver has it, with the feature `tls`; or wrap the stream \
         yourself, and give it to `connect_on` with a ws:// URL that names the port"
    );
    for url in ["http://example.com/", "ws://", "ws://a b/", "ws://user@example.com/", "ws://example.com/#f", "ws:/x"] {
        assert!(matches!(connect(url), Error::Handshake(_)), "{url}");
    }
    assert!(matches!(connect("ws://example.com/"), Error::Response(_)));
}

#[test]
fn a_port_that_nobody_listens_on_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = ConnectOptions::new().connect(&format!("ws://127.0.0.1:{port}/")).unwrap_err();
    assert!(matches!(&error, Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused), "{error}");
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    // `localhost` may be ::1 first, where nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://localhost:{}/", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || accept(listener.accept().unwrap().0).map(drop));
    ConnectOptions::new().connect(&url).unwrap();
    server.join().unwrap().unwrap();
}
