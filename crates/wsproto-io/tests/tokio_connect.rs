//! What a client sends, and what it makes of each answer.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/tokio.rs"]
mod support;

use std::time::{Duration, Instant};

use ends::{ACCEPTANCE, PATIENCE, Server, soon, speak};
use support::{End, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::TcpListener;
use wsproto::CloseCode;
use wsproto_io::wsproto::handshake::ResponseError;
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Message, Rejected, ServeOptions, Timeout, connect};

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

/// What comes of this answer, and what the server heard.
async fn answered(options: &ConnectOptions, answer: impl AsRef<[u8]>) -> (Error, String) {
    let (address, server) = speak([answer]).await;
    let error = soon(options.connect(format!("ws://{address}/"))).await.unwrap_err();
    (error, soon(server).await.unwrap().remove(0))
}

async fn rejected(options: &ConnectOptions, answer: impl AsRef<[u8]>) -> Box<Rejected> {
    match answered(options, answer).await.0 {
        Error::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    }
}

/// A connection to this one, so that it can be looked at what it asked for.
async fn asked(options: &ConnectOptions, user_info: &str, path: &str) -> String {
    let (address, server) = speak([format!("{ACCEPTANCE}\r\n")]).await;
    drop(soon(options.connect(format!("ws://{user_info}{address}{path}"))).await.unwrap());
    soon(server).await.unwrap().remove(0)
}

#[tokio::test]
async fn user_information_is_sent_as_basic_authentication_and_not_in_the_path() {
    let head = asked(&ConnectOptions::new(), "Aladdin:open%20sesame@", "/cave?x=y").await;
    assert!(head.starts_with("GET /cave?x=y HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
    assert!(head.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    let options = ConnectOptions::new().header("Authorization", "Bearer token").unwrap();
    let head = asked(&options, "Aladdin:open%20sesame@", "/").await;
    assert!(head.contains("\r\nAuthorization: Bearer token\r\n") && !head.contains("Basic"), "{head}");
    let head = asked(&ConnectOptions::new(), "", "/").await;
    assert!(!head.contains("Authorization"), "{head}");
}

#[tokio::test]
async fn headers_and_the_origin_go_to_the_server() {
    let options = ConnectOptions::new().origin("https://page.example").compression(None);
    let options = options.header("Cookie", "a=b").unwrap().header("X-Raw", b"\xff").unwrap();
    let server = Server::start(
        ServeOptions::new().accept(AcceptOptions::new().origins(wsproto::handshake::OriginPolicy::Any)),
        |mut socket, client| async move {
            let headers = client.request.headers();
            assert_eq!(headers.value("X-Raw"), Some(&b"\xff"[..]));
            let seen =
                format!("{:?} {:?} {}", headers.text("Cookie"), client.request.origin(), client.request.target());
            socket.send(&seen).await?;
            socket.recv().await.map(drop)
        },
    )
    .await;
    let mut socket = soon(options.connect(server.url("/a?b"))).await.unwrap();
    let seen = r#"Some("a=b") Some("https://page.example") /a?b"#;
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(text(seen)));
    assert_eq!(socket.extensions(), None);
    for (name, value) in [("X Y", "z"), ("X", "a\r\nY: b")] {
        assert!(ConnectOptions::new().header(name, value).is_err(), "{name}: {value}");
    }
    // Those that the handshake writes itself are refused before anybody is asked.
    let options = ConnectOptions::new().header("Sec-WebSocket-Key", "x").unwrap();
    assert!(matches!(soon(options.connect(server.url("/"))).await, Err(Error::Handshake(_))));
}

#[tokio::test]
async fn a_rejection_keeps_status_headers_and_body_however_it_is_framed() {
    for framed in [
        "HTTP/1.1 401 No\r\nX: y\r\nContent-Length: 4\r\n\r\nwho?",
        "HTTP/1.1 401 No\r\nX: y\r\n\r\nwho?",
        "HTTP/1.0 401 No\r\nX: y\r\n\r\nwho?",
        "HTTP/1.1 401 No\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n2;e=f\r\no?\r\n0\r\nT: z\r\n\r\n",
        "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 401 No\r\nX: y\r\nContent-Length: 4\r\n\r\nwho?more",
    ] {
        let rejected = rejected(&ConnectOptions::new(), framed).await;
        assert_eq!((rejected.status, rejected.headers.text("x")), (401, Some("y")), "{framed}");
        assert_eq!((rejected.body.as_slice(), rejected.truncated), (&b"who?"[..], false), "{framed}");
    }
}

#[tokio::test]
async fn a_rejection_that_ends_early_or_is_malformed_is_kept_as_far_as_it_came() {
    for (framed, body) in [
        ("HTTP/1.1 503 x\r\nContent-Length: 400\r\n\r\nhalf", "half"),
        ("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "half"),
        ("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", "half"),
        ("HTTP/1.1 503 x\r\nContent-Length: 1\r\n\r\n", ""),
    ] {
        let rejected = rejected(&ConnectOptions::new(), framed).await;
        assert_eq!((rejected.status, rejected.truncated), (503, true), "{framed}");
        assert_eq!(rejected.body, body.as_bytes(), "{framed}");
    }
}

#[tokio::test]
async fn h15_of_a_long_rejection_the_beginning_is_read() {
    let long = vec![b'x'; 1 << 20];
    let whole = [&b"HTTP/1.1 403 No\r\n\r\n"[..], &long].concat();
    let rejection = rejected(&ConnectOptions::new(), &whole).await;
    assert_eq!((rejection.body.len(), rejection.truncated), (64 * 1024, true));
    let options = ConnectOptions::new().rejection_limit(10);
    assert_eq!(rejected(&options, &whole).await.body, b"xxxxxxxxxx");
    let chunked = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n89abcdef\r\n0\r\n\r\n";
    let rejection = rejected(&options, chunked).await;
    assert_eq!((rejection.body.as_slice(), rejection.truncated), (&b"0123456789"[..], true));
    // Exactly as long as the limit is not too long.
    let rejection = rejected(&options, "HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\n0123456789").await;
    assert_eq!((rejection.body.len(), rejection.truncated), (10, false));
}

#[tokio::test]
async fn h05_a_response_that_does_not_prove_the_key_fails() {
    for accept in ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", "[accept]x"] {
        let answer = ACCEPTANCE.replace("[accept]", accept) + "\r\n\x01";
        let (error, _) = answered(&ConnectOptions::new(), answer).await;
        assert!(matches!(error, Error::Response(ResponseError::Accept)), "{accept}: {error:?}");
    }
    let missing = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let (error, _) = answered(&ConnectOptions::new(), missing).await;
    assert!(matches!(error, Error::Response(ResponseError::Accept)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_the_servers_fault() {
    for (answer, expected) in [
        ("", Some(ResponseError::UnexpectedEof)),
        ("HTTP/1.1 101 x\r\nUpgrade: webs", Some(ResponseError::UnexpectedEof)),
        ("SSH-2.0-OpenSSH\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n\r\n", None),
    ] {
        let (error, _) = answered(&ConnectOptions::new(), answer).await;
        match (&error, expected) {
            (Error::Response(error), Some(expected)) => assert_eq!(*error, expected, "{answer}"),
            (Error::Response(_), None) => {}
            (Error::Rejected(rejected), None) => assert_eq!((rejected.status, &answer[9..12]), (200, "200")),
            (other, _) => panic!("{answer}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn h12_what_comes_with_the_response_is_the_first_input() {
    // A message in two fragments with a Ping between, and a Close.
    let frames = b"\x01\x03ear\x89\x00\x80\x02ly\x88\x05\x03\xe8bye";
    let (address, server) = speak([[format!("{ACCEPTANCE}\r\n").as_bytes(), frames].concat()]).await;
    let mut socket = soon(connect(format!("ws://{address}/"))).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(text("early")));
    assert_eq!(soon(socket.recv()).await.unwrap(), None);
    assert_eq!(socket.closed().unwrap().reason, "bye");
    soon(server).await.unwrap();
}

#[tokio::test]
async fn a_subprotocol_is_one_that_was_offered() {
    let options = ConnectOptions::new().subprotocol("v1").subprotocol("v2");
    let accept = AcceptOptions::new().subprotocol("v9").subprotocol("v2");
    let server = Server::echo(ServeOptions::new().accept(accept)).await;
    let socket = soon(options.connect(server.url("/"))).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("v2"));
    // A server may choose none.
    assert_eq!(soon(connect(server.url("/"))).await.unwrap().subprotocol(), None);

    let chosen = format!("{ACCEPTANCE}Sec-WebSocket-Protocol: v3\r\n\r\n");
    for options in [options, ConnectOptions::new()] {
        let (error, _) = answered(&options, &chosen).await;
        assert!(matches!(error, Error::Response(ResponseError::Subprotocol)), "{error:?}");
    }
    let options = ConnectOptions::new().subprotocol("v 1");
    assert!(matches!(soon(options.connect(server.url("/"))).await, Err(Error::Handshake(_))));
}

#[tokio::test]
async fn h14_a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = ConnectOptions::new().handshake_timeout(Duration::from_millis(200));
    // Nobody accepts: the system does. And one who says a byte now and then.
    let begun = Instant::now();
    let error = soon(options.connect(&url)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    assert!((Duration::from_millis(200)..PATIENCE).contains(&begun.elapsed()));
    drop(listener.accept().await.unwrap());

    let dripping = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(b"H").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let (near, mut far) = duplex(4096);
    let slow = tokio::spawn(async move {
        far.write_all(b"HTTP/1.1 101 x\r\nX: ").await.unwrap();
        while far.write_all(b"y").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let error = soon(options.connect_on("ws://a/", near)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    soon(slow).await.unwrap();
    // What is no HTTP from its first byte on is not waited for.
    assert!(soon(options.connect(&url)).await.is_err());
    soon(dripping).await.unwrap();
}

/// A transport that nobody answers on, in time that passes by itself when everything waits.
#[tokio::test(start_paused = true)]
async fn h14_the_time_for_the_handshake_is_10_s() {
    let (near, _far) = duplex(4096);
    let begun = tokio::time::Instant::now();
    let error = ConnectOptions::new().connect_on("ws://a/", near).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(error.to_string(), "the handshake took too long");
}

/// A listener whose queue is full: the system lets further connections wait.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let fill = async {
        let mut queued = Vec::new();
        loop {
            let connecting = tokio::net::TcpStream::connect(address);
            match tokio::time::timeout(ends::A_WHILE, connecting).await {
                Ok(stream) => queued.push(stream.unwrap()),
                Err(_) => break queued,
            }
        }
    };
    let _queued = soon(fill).await;
    let options = ConnectOptions::new().connect_timeout(Duration::from_millis(200));
    let begun = Instant::now();
    let error = soon(options.connect(format!("ws://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Connect)), "{error:?}");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(error.to_string(), "no connection in time");
}

#[tokio::test]
async fn a_port_where_nobody_listens_and_a_name_that_nobody_has_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    match soon(connect(&url)).await {
        Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
        other => panic!("{other:?}"),
    }
    // A label of a name has at most 63 bytes: it is nobody's, and nobody is asked.
    let name = format!("{}.invalid", "a".repeat(64));
    let patient = ConnectOptions::new().connect_timeout(PATIENCE);
    match soon(patient.connect(format!("ws://{name}/"))).await {
        Err(Error::Resolve { host, .. }) => assert_eq!(host, name),
        other => panic!("{other:?}"),
    }
}

/// Whichever family the server listens on, and whichever the system prefers.
#[tokio::test]
async fn localhost_is_found_in_both_families() {
    let mut families = 0;
    for family in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(family).await else {
            continue; // this machine does not have it
        };
        let address = listener.local_addr().unwrap();
        tokio::spawn(wsproto_io::serve(listener, ServeOptions::new(), ends::echo));
        let name_has_it = tokio::net::lookup_host(("localhost", 0)).await.unwrap().any(|it| it.ip() == address.ip());
        let urls =
            [Some(format!("ws://{address}/")), name_has_it.then(|| format!("ws://localhost:{}/", address.port()))];
        for url in urls.into_iter().flatten() {
            let mut socket = soon(connect(&url)).await.unwrap();
            socket.send(&url).await.unwrap();
            assert_eq!(soon(socket.recv()).await.unwrap(), Some(text(&url)));
            families += 1;
        }
    }
    assert!(families >= 2, "{families}");
}

#[tokio::test]
async fn a_stream_of_ones_own_carries_the_websocket() {
    let (near, far) = duplex(64);
    let server = tokio::spawn(async move {
        let mut socket = wsproto_io::accept(far).await?;
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok::<_, Error>(())
    });
    let mut socket = soon(ConnectOptions::new().connect_on("ws://nowhere.example:81/a", near)).await.unwrap();
    soon(socket.send("hello")).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(text("hello")));
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
    soon(server).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_opened_can_be_wrapped_before_the_handshake() {
    let server = Server::echo(ServeOptions::new()).await;
    let url = server.url("/");
    let options = ConnectOptions::new().nodelay(false);
    let transport = soon(options.open(&url)).await.unwrap();
    assert_eq!(transport.tcp().unwrap().peer_addr().unwrap(), server.address);
    assert!(!transport.tcp().unwrap().nodelay().unwrap());
    assert!(ConnectOptions::new().open(&url).await.unwrap().tcp().unwrap().nodelay().unwrap());
    let wrapped = tokio::io::BufStream::new(transport);
    let mut socket = soon(options.connect_on(&url, wrapped)).await.unwrap();
    soon(socket.send("hello")).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(text("hello")));
}

/// A server that rejects a request before it has read all of it: its answer is told, not that writing failed.
#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_read_is_told() {
    let (near, mut far) = duplex(64);
    let options = ConnectOptions::new().header("X-Long", vec![b'x'; 4000]).unwrap();
    let server = tokio::spawn(async move {
        let mut some = [0; 10];
        far.read_exact(&mut some).await.unwrap();
        far.write_all(b"HTTP/1.1 431 x\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    match soon(options.connect_on("ws://a/", near)).await {
        Err(Error::Rejected(rejected)) => assert_eq!(rejected.status, 431),
        other => panic!("{other:?}"),
    }
    soon(server).await.unwrap();
}

/// What comes of a server that says this when it has read the request, and then keeps the connection open.
async fn said_and_held(options: &ConnectOptions, answer: &'static [u8]) -> (Error, Duration) {
    let (near, mut far) = duplex(4096);
    let server = tokio::spawn(async move {
        far.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    });
    let begun = tokio::time::Instant::now();
    let error = options.connect_on("ws://a/", near).await.unwrap_err();
    server.abort();
    (error, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_rejection_whose_body_does_not_end_is_told_at_the_deadline() {
    let options = ConnectOptions::new().handshake_timeout(Duration::from_secs(3));
    for answer in [
        &b"HTTP/1.1 403 No\r\nX: y\r\n\r\nwho?"[..],
        b"HTTP/1.1 403 No\r\nX: y\r\nContent-Length: 100\r\n\r\nwho?",
        b"HTTP/1.1 403 No\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwho?\r\n",
    ] {
        match said_and_held(&options, answer).await {
            (Error::Rejected(rejected), time) => {
                assert_eq!((rejected.status, rejected.headers.text("X")), (403, Some("y")));
                assert_eq!((rejected.body.as_slice(), rejected.truncated), (&b"who?"[..], true));
                assert_eq!(time.as_secs(), 3);
            }
            other => panic!("{other:?}"),
        }
    }
    // A head that is not complete says nothing.
    let (error, time) = said_and_held(&options, b"HTTP/1.1 403 No\r\n").await;
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    assert_eq!(time.as_secs(), 3);
}

/// Writing fails, and what the server had said before is all that comes.
#[tokio::test]
async fn a_rejection_behind_a_failed_write_is_told_also_where_it_ends_with_the_transport() {
    for (answer, end, body) in [
        ("HTTP/1.1 431 x\r\n\r\nlong", End::Fin, "long"),
        ("HTTP/1.1 431 x\r\nContent-Length: 9\r\n\r\nlong", End::Fin, "long"),
        ("HTTP/1.1 431 x\r\n\r\nlong", End::Reset, "long"),
        ("HTTP/1.1 431 x\r\nContent-Length: 4\r\n\r\nlong", End::Fin, "long"),
    ] {
        let wire = Wire::new(answer, end).in_pieces(7);
        wire.state().broken = Some(std::io::ErrorKind::BrokenPipe);
        match soon(ConnectOptions::new().connect_on("ws://a/", wire)).await {
            Err(Error::Rejected(rejected)) => {
                assert_eq!((rejected.status, rejected.body.as_slice()), (431, body.as_bytes()), "{answer}");
            }
            other => panic!("{answer}, {end:?}: {other:?}"),
        }
    }
    // Where nothing came, it is the failure to write that is told.
    for end in [End::Fin, End::Reset] {
        let wire = Wire::new("HTTP/1.1 4", end);
        wire.state().broken = Some(std::io::ErrorKind::BrokenPipe);
        match soon(ConnectOptions::new().connect_on("ws://a/", wire)).await {
            Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe),
            other => panic!("{end:?}: {other:?}"),
        }
    }
}

#[cfg(feature = "http")]
#[tokio::test]
async fn a_request_of_the_http_crate_says_where_and_what() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let request = http::Request::builder()
        .uri(format!("http://u:p@{address}/a?b"))
        .header("Sec-WebSocket-Protocol", "v1")
        .header("Cookie", "a=b")
        .body(())
        .unwrap();
    let client = tokio::spawn(async move { ConnectOptions::new().subprotocol("v2").connect(request).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = ends::head(&mut stream).await;
    drop(stream);
    assert!(soon(client).await.unwrap().is_err());
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
    for header in ["Cookie: a=b", "Authorization: Basic dTpw", "Sec-WebSocket-Protocol: v1, v2"] {
        assert!(head.to_lowercase().contains(&format!("\r\n{header}\r\n").to_lowercase()), "{header}: {head}");
    }
}

/// The option is at fault, so nobody is called.
#[tokio::test]
async fn an_option_that_cannot_be_written_is_told_before_the_server_is_called() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let result = ConnectOptions::new().subprotocol("a b").connect(&url).await;
    assert!(matches!(result, Err(Error::Handshake(_))), "{result:?}");
    let called = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(called.is_err(), "the server was called");
}

/// A server of another protocol speaks first, and waits: that is seen at once.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_speak_http_is_told_at_once() {
    for greeting in [&b"SSH-2.0-x\r\n"[..], b"220 mail\r\n", b"\x15\x03\x01\x00\x02\x02\x46"] {
        let (near, mut far) = tokio::io::duplex(1000);
        tokio::io::AsyncWriteExt::write_all(&mut far, greeting).await.unwrap();
        let begun = tokio::time::Instant::now();
        let error = ConnectOptions::new().connect_on("ws://a/", near).await.unwrap_err();
        assert!(error.to_string().contains("not HTTP") && begun.elapsed().is_zero(), "{error}");
    }
}
