//! `wsproto serve`: each line of its contract, with the built binary, over loopback.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use wsproto_io::blocking::ConnectOptions;
use wsproto_io::tls::rustls::client::verify_server_name;
use wsproto_io::tls::rustls::pki_types::ServerName;
use wsproto_io::tls::rustls::server::ParsedCertificate;
use wsproto_io::tls::{ClientTls, Fingerprints};
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{Error, Http, Message, Timeout};

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

/// The answer to a GET of this path, with these headers.
fn page(server: &Server, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn serve_shows_a_browser_a_page_and_all_others_a_text() {
    let server = Server::start(&[]);
    let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    for (path, headers) in [("/any", browser), ("/", ""), ("/", "Accept: */*\r\n")] {
        let answer = page(&server, path, headers);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{answer}");
        assert!(answer.contains("\r\n\r\nThis is a WebSocket echo server"), "{answer}");
    }
    for path in ["/", "/?query"] {
        let answer = page(&server, path, browser);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let lines: Vec<&str> = head.lines().collect();
        assert_eq!(lines[0], "HTTP/1.1 200 OK");
        for line in [
            "Content-Type: text/html; charset=utf-8",
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self' ws: wss:; img-src data: blob:; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
            "Cache-Control: no-store",
            "Connection: close",
        ] {
            assert!(lines.contains(&line), "{line} is not in {head}");
        }
        assert!(body.starts_with("<!doctype html>") && body.trim_end().ends_with("</html>"), "{body}");
    }
}

#[test]
fn serve_takes_no_more_connections_than_it_may() {
    let server = Server::start(&["--max-connections", "2"]);
    let (first, second) = (server.connect(), server.connect());
    let third = ConnectOptions::new().handshake_timeout(Duration::from_millis(300)).connect(&server.url);
    assert!(matches!(third, Err(Error::Timeout(Timeout::Handshake))), "{third:?}");
    drop(first);
    let mut fourth = server.connect();
    fourth.send("hello").unwrap();
    assert_eq!(fourth.recv().unwrap(), Some(Message::Text("hello".into())));
    drop(second);
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
        let long = "x".repeat(300);
        for path in ["path?token=secret", &long] {
            drop(ConnectOptions::new().connect(&format!("{}{path}", server.url)).unwrap());
        }
        let mut socket = ConnectOptions::new().connect(&server.url).unwrap();
        socket.close(CloseCode::NORMAL, "").unwrap();
        thread::sleep(Duration::from_millis(100));
        server.signal("-TERM");
        server.wait(Duration::from_secs(5));
        let log = server.stderr();
        let long = format!("connected to /{}..., HTTP/1.1\n", &long[..199]);
        for line in ["connected to /path, HTTP/1.1\n", &long, "closed with code 1000\n"] {
            assert_eq!(log.contains(line), expected, "{line}: {log}");
        }
        assert!(!log.contains("secret"), "{log}");
        assert!(expected || log.is_empty(), "{log}");
    }
}

/// Its version of HTTP is told in the log, and to who asks for it; for all others it is a plain echo.
#[test]
fn serve_tells_by_which_version_of_http_a_connection_came() {
    for tls in [false, true] {
        let mut server = Server::start(if tls { &["-v", "--tls-self-signed"] } else { &["-v"] });
        let client = ClientTls::dangerous_without_verification().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (http, version) in [(Http::One, "HTTP/1.1"), (Http::Two, "HTTP/2")] {
            let options = wsproto_io::ConnectOptions::new().tls(client.clone()).http_version(http);
            for (path, told) in [("?http-version", true), ("a?b&http-version&c", true), ("?http-version=2", false)] {
                let url = format!("{}{path}", server.url);
                runtime.block_on(async {
                    let mut socket = options.connect(url).await.unwrap();
                    socket.send("hello").await.unwrap();
                    for expected in told.then_some(version).into_iter().chain(["hello"]) {
                        assert_eq!(socket.recv().await.unwrap(), Some(Message::Text(expected.into())));
                    }
                    socket.close(CloseCode::NORMAL, "").await.unwrap();
                });
            }
        }
        server.signal("-TERM");
        assert!(server.wait(Duration::from_secs(5)).success());
        let log = server.stderr();
        for version in ["HTTP/1.1", "HTTP/2"] {
            assert_eq!(log.matches(&format!("connected to /, {version}\n")).count(), 2, "{log}");
        }
    }
}

#[test]
fn serve_says_that_the_port_is_in_use() {
    let server = Server::start(&[]);
    let output = run(&["serve", "--listen", server.address()], b"");
    assert_fails(&output, "Address already in use (os error 98)");
}

#[test]
fn t07_a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&[]);
    // One that never answers the Close.
    let socket = server.connect();
    server.signal("-TERM");
    // The first has been seen when nobody is let in any more.
    while TcpStream::connect(server.address()).is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    server.signal("-INT");
    assert_eq!(server.wait(Duration::from_secs(5)).code(), Some(1));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(server.stderr(), "wsproto: ended by a second signal, before all connections were closed\n");
    drop(socket);
}

#[test]
fn t07_a_client_that_goes_on_sending_gets_the_close_whole() {
    let mut server = Server::start(&["-v"]);
    let mut socket = server.connect();
    // More than the server has read, when it stops.
    let mut echoes = 0;
    for round in 0..2000 {
        let sent = socket.feed(vec![7; 1000]).and_then(|()| socket.flush());
        if sent.is_err() {
            break;
        }
        if round == 100 {
            server.signal("-TERM");
        }
    }
    while let Ok(Some(_)) = socket.recv() {
        echoes += 1;
    }
    assert_eq!((socket.closed().unwrap().code, echoes > 0), (1001, true));
    assert_eq!(server.wait(Duration::from_secs(5)).code(), Some(0));
    let log = server.stderr();
    assert!(log.trim_end().ends_with("closed with code 1001: the server stops"), "{log}");
}

/// Connects with TLS, echoes, and closes. Gives the certificate that was presented.
fn echo_with_tls(server: &Server, tls: ClientTls) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut socket = wsproto_io::ConnectOptions::new().tls(tls).connect(server.url.as_str()).await.unwrap();
        socket.send("hello").await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some(Message::Text("hello".into())));
        let certificate = socket.stream().tls().unwrap().peer_certificates().unwrap()[0].to_vec();
        socket.close(CloseCode::NORMAL, "").await.unwrap();
        certificate
    })
}

/// A folder of this test's own, with these files.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    for (file, content) in files {
        fs::write(folder.join(file), content).unwrap();
    }
    folder
}

#[test]
fn serve_shows_the_certificate_it_was_given() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let folder = folder("tls-given", &[("cert.pem", &certificate), ("key.pem", &key)]);
    let file = |name| folder.join(name).display().to_string();
    let mut server = Server::start(&["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")]);
    assert!(server.url.starts_with("wss://"), "{}", server.url);
    let expected = Fingerprints::of_pem(certificate.as_bytes()).unwrap();
    let hex = expected.certificate.map(|byte| format!("{byte:02X}")).join(":");
    assert_eq!(server.line("certificate SHA-256: "), hex);
    assert_eq!(server.line("public key pin (SPKI SHA-256): "), expected.public_key_pin());
    let presented = echo_with_tls(&server, ClientTls::with_ca_pem(certificate.as_bytes()).unwrap());
    assert_eq!(presented, made.cert.der().to_vec());
}

#[test]
fn serve_makes_a_certificate_for_this_machine() {
    let mut server = Server::start(&["--tls-self-signed"]);
    assert_eq!(server.line("certificate SHA-256: ").split(':').count(), 32);
    assert_eq!(server.line("public key pin (SPKI SHA-256): ").len(), 44);
    let presented = echo_with_tls(&server, ClientTls::dangerous_without_verification().unwrap()).into();
    let parsed = ParsedCertificate::try_from(&presented).unwrap();
    for (name, is_its_own) in [("localhost", true), ("127.0.0.1", true), ("::1", true), ("other.example", false)] {
        let checked = verify_server_name(&parsed, &ServerName::try_from(name).unwrap());
        assert_eq!(checked.is_ok(), is_its_own, "{name}: {checked:?}");
    }
}

#[test]
fn serve_says_what_is_wrong_with_its_certificate() {
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (made, other) = (make(), make());
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let folder = folder(
        "tls-wrong",
        &[("cert.pem", &certificate), ("key.pem", &key), ("other.pem", &other.signing_key.serialize_pem())],
    );
    let file = |name| folder.join(name).display().to_string();
    let fails = |certificate: &str, key: &str, end: &str| {
        assert_fails(
            &run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key], b""),
            end,
        );
    };
    let (certificate, key, other) = (file("cert.pem"), file("key.pem"), file("other.pem"));
    let missing = file("missing.pem");
    fails(&missing, &key, &format!("{missing}: No such file or directory (os error 2)"));
    fails(&certificate, &missing, &format!("{missing}: No such file or directory (os error 2)"));
    fails(&key, &key, &format!("{key}: there is no certificate in it (-----BEGIN CERTIFICATE-----)"));
    fails(&certificate, &other, &format!("the key does not belong to the certificate: {other}"));
    for arguments in [
        &["--tls-cert", &certificate][..],
        &["--tls-key", &key],
        &["--tls-self-signed", "--tls-cert", &certificate, "--tls-key", &key],
        &["--max-connections", "0"],
    ] {
        let output = run(&[&["serve"][..], arguments].concat(), b"");
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.starts_with("error: "), "{error}");
    }
}
