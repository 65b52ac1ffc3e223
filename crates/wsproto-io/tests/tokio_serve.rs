//! What `serve` does with each connection, from its bound to its errors.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/peer.rs"]
mod peer;

use std::future::pending;
use std::time::{Duration, Instant};

use ends::{A_WHILE, FOR_EVER, PATIENCE, Server, ask, head, request, rest, soon};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use wsproto::{CloseCode, Message as Piece};
use wsproto_io::wsproto::handshake::OriginPolicy;
use wsproto_io::{
    AcceptOptions, Client, ConnectOptions, Decision, Error, Message, Page, Rejected, ServeOptions, Transport,
    WebSocket, connect,
};

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

/// The rejection that this client gets.
async fn rejected(options: ConnectOptions, url: String) -> Box<Rejected> {
    match soon(options.connect(url)).await {
        Err(Error::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_is_one_too_many_waits_until_another_leaves() {
    let mut server = Server::echo(ServeOptions::new().max_connections(2)).await;
    let mut first = connect(server.url("/")).await.unwrap();
    // One in its handshake counts, too.
    let half_open = TcpStream::connect(server.address).await.unwrap();
    let mut third = tokio::spawn(connect(server.url("/")));
    assert!(timeout(A_WHILE, &mut third).await.is_err());
    first.send("still served").await.unwrap();
    assert_eq!(soon(first.recv()).await.unwrap(), Some(text("still served")));

    drop(half_open);
    assert!(server.error().await.1.contains("unexpected end of file"));
    let mut third = soon(third).await.unwrap().unwrap();
    let mut fourth = tokio::spawn(connect(server.url("/")));
    assert!(timeout(A_WHILE, &mut fourth).await.is_err());
    soon(first.close(CloseCode::NORMAL, "")).await.unwrap();
    let mut fourth = soon(fourth).await.unwrap().unwrap();
    for socket in [&mut third, &mut fourth] {
        socket.send("served").await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(text("served")));
    }
}

/// Knows who asks, takes its time, and tells by the path what becomes of them.
async fn decide(client: std::net::SocketAddr, path: String) -> Decision {
    yield_now().await;
    assert!(client.ip().is_loopback());
    match path.as_str() {
        "/chat" => Decision::accept().subprotocol("v2").header("X-Served-By", "us").unwrap(),
        "/plain" => Decision::accept(),
        "/unknown" => Decision::accept().subprotocol("v9"),
        "/html" => Decision::reject(404).header("Content-Type", "text/html").unwrap().body("<h1>no</h1>"),
        "/101" => Decision::reject(101),
        "/slow" => pending().await,
        _ => Decision::reject(401).header("WWW-Authenticate", "Bearer").unwrap().body("who are you?\n"),
    }
}

async fn deciding() -> Server {
    let accept = AcceptOptions::new().subprotocol("v1");
    let options =
        ServeOptions::new().accept(accept).decide(|client, request| decide(client, request.path().to_owned()));
    Server::echo(options).await
}

#[tokio::test]
async fn a_decision_accepts_with_a_subprotocol_and_a_header() {
    let server = deciding().await;
    let offering = ConnectOptions::new().subprotocol("v3").subprotocol("v2").subprotocol("v1");
    let mut socket = soon(offering.connect(server.url("/chat?room=1"))).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("v2"));
    socket.send("hello").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(text("hello")));
    // Where it names none, that of the options.
    assert_eq!(soon(offering.connect(server.url("/plain"))).await.unwrap().subprotocol(), Some("v1"));

    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = request("/chat", "Sec-WebSocket-Protocol: v2\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nX-Served-By: us\r\n"), "{head}");
}

#[tokio::test]
async fn a_decision_rejects_with_status_header_and_body() {
    let mut server = deciding().await;
    let rejection = rejected(ConnectOptions::new(), server.url("/")).await;
    assert_eq!((rejection.status, rejection.body.as_slice()), (401, &b"who are you?\n"[..]));
    assert_eq!(rejection.headers.text("WWW-Authenticate"), Some("Bearer"));
    assert_eq!(rejection.headers.text("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(server.error().await.1, "the request was rejected here with status 401");

    let rejection = rejected(ConnectOptions::new(), server.url("/html")).await;
    assert_eq!((rejection.status, rejection.body.as_slice()), (404, &b"<h1>no</h1>"[..]));
    assert_eq!(rejection.headers.values("Content-Type").collect::<Vec<_>>(), [b"text/html"]);
}

#[tokio::test]
async fn a_decision_that_cannot_be_written_is_the_servers_fault() {
    let mut server = deciding().await;
    for (path, told) in [
        ("/unknown", "the client did not offer this subprotocol"),
        ("/101", "a handshake cannot be rejected with status 101"),
    ] {
        let rejection = rejected(ConnectOptions::new().subprotocol("v2"), server.url(path)).await;
        assert_eq!(rejection.status, 500, "{path}");
        let (client, error) = server.error().await;
        assert!(client.is_some() && error.contains(told), "{path}: {error}");
    }
}

#[tokio::test]
async fn only_the_origins_that_are_let_in_are_decided_about() {
    let list = OriginPolicy::list(["https://ours.example"]).unwrap();
    for (policy, let_in, kept_out) in [
        (OriginPolicy::SameHost, "http://HOST", Some("https://ours.example")),
        (list, "https://ours.example", Some("http://HOST")),
        (OriginPolicy::Any, "null", None),
    ] {
        let options = ServeOptions::new().accept(AcceptOptions::new().origins(policy)).decide(|_, request| {
            assert_ne!(request.path(), "/kept-out");
            async { Decision::accept() }
        });
        let mut server = Server::echo(options).await;
        let host = server.address.to_string();
        let from = |origin: &str| ConnectOptions::new().origin(origin.replace("HOST", &host));
        let page = soon(from(let_in).connect(server.url("/let-in"))).await.unwrap();
        let no_page = soon(connect(server.url("/no-page"))).await.unwrap();
        if let Some(origin) = kept_out {
            assert_eq!(rejected(from(origin), server.url("/kept-out")).await.status, 403);
            assert_eq!(server.error().await.1, "the request was rejected here with status 403");
        }
        drop((page, no_page));
    }
}

#[tokio::test]
async fn a_plain_get_gets_a_page_or_404() {
    let accept = AcceptOptions::new().pages(|request| match request.path() {
        "/" => Some(Page::html("<h1>Hello</h1>").header("Cache-Control", "no-cache").unwrap()),
        _ => None,
    });
    let mut server = Server::echo(ServeOptions::new().accept(accept)).await;
    let page = ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("\r\n\r\n<h1>Hello</h1>"), "{page}");
    for header in ["Content-Type: text/html", "Cache-Control: no-cache", "Content-Length: 14\r\n", "Connection: close"]
    {
        assert!(page.contains(&format!("\r\n{header}")), "{header}: {page}");
    }
    assert_eq!(server.error().await.1, "the client asked for a page, not for a WebSocket");
    let page = ask(server.address, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 404 ") && page.ends_with("there is no such page\n"), "{page}");
    // And a WebSocket where the page was.
    soon(connect(server.url("/"))).await.unwrap();
}

#[tokio::test]
async fn errors_of_handshakes_and_of_handlers_are_told_with_the_address() {
    let mut server = Server::start(ServeOptions::new(), |mut socket, client: Client| async move {
        match client.request.path() {
            "/fails" => Err(Error::other("the disk is full")),
            _ => socket.recv().await.map(drop),
        }
    })
    .await;

    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let address = stream.local_addr().unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 426 "));
    let (client, error) = server.error().await;
    assert_eq!(client, Some(address));
    assert!(error.starts_with("the client's request was refused with 426: "), "{error}");

    let mut socket = connect(server.url("/fails")).await.unwrap();
    let address = socket.stream().tcp().unwrap().local_addr().unwrap();
    assert_eq!(server.error().await, (Some(address), "the disk is full".to_owned()));
    assert_eq!(soon(socket.recv()).await.unwrap_err().close_code(), Some(1006));

    let socket = connect(server.url("/")).await.unwrap();
    let address = socket.stream().tcp().unwrap().local_addr().unwrap();
    drop(socket);
    let (client, error) = server.error().await;
    assert_eq!(client, Some(address));
    assert!(error.contains("without a closing handshake") || error.contains("the transport failed"), "{error}");

    // Where nothing goes wrong there is nothing to tell.
    let mut socket = connect(server.url("/")).await.unwrap();
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
    server.stop();
    server.ended().await;
    assert!(server.is_content());
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_connection_only() {
    let options = ServeOptions::new().max_connections(2);
    let server = Server::start(options, |mut socket: WebSocket<Transport>, client| async move {
        while let Some(message) = socket.recv().await? {
            assert_eq!(message, text("fine"), "{:?} asked for this panic", client.address);
            socket.feed(message).await?;
        }
        Ok(())
    })
    .await;
    let mut other = connect(server.url("/")).await.unwrap();
    // More often than there is room: what panicked makes room.
    for _ in 0..3 {
        let mut socket = soon(connect(server.url("/"))).await.unwrap();
        socket.send("panic").await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap_err().close_code(), Some(1006));
    }
    other.send("fine").await.unwrap();
    assert_eq!(soon(other.recv()).await.unwrap(), Some(text("fine")));
}

/// A handler that panics before there is a future, and a decision that panics.
#[tokio::test]
async fn a_closure_that_panics_ends_its_own_connection_only() {
    let options = ServeOptions::new().decide(|_, request| {
        assert_ne!(request.path(), "/decide", "this panic was asked for");
        async { Decision::accept() }
    });
    let server = Server::start(options, |socket, client| {
        assert_ne!(client.request.path(), "/handle", "this panic was asked for");
        ends::echo(socket, client)
    })
    .await;
    let mut other = connect(server.url("/")).await.unwrap();
    assert!(soon(connect(server.url("/decide"))).await.is_err());
    // (The handshake was accepted: the client may see it before the end.)
    if let Ok(mut socket) = soon(connect(server.url("/handle"))).await {
        assert_eq!(soon(socket.recv()).await.unwrap_err().close_code(), Some(1006));
    }
    other.send("fine").await.unwrap();
    assert_eq!(soon(other.recv()).await.unwrap(), Some(text("fine")));
}

#[tokio::test]
async fn h12_messages_that_come_with_the_request_are_answered() {
    let server = Server::echo(ServeOptions::new()).await;
    let early = peer::encode([Piece::text("early"), Piece::text("bird")]);
    let bytes = [request("/", "").as_bytes(), &early].concat();
    let end = request("/", "").len();
    // In one segment, and cut in the end of the head and in the frame.
    for cut in [bytes.len(), end - 3, end - 1, end, end + 1, end + 9] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&bytes[..cut]).await.unwrap();
        sleep(Duration::from_millis(20)).await;
        stream.write_all(&bytes[cut..]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
        let frames = peer::frames(&rest(&mut stream).await);
        assert!(frames.len() >= 2, "{cut}");
        assert_eq!((&frames[0].1[..], &frames[1].1[..]), (&b"early"[..], &b"bird"[..]), "{cut}");
    }
}

#[tokio::test]
async fn h14_who_does_not_finish_the_handshake_is_gone_at_the_deadline() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let accept = AcceptOptions::new().handshake_timeout(DEADLINE).ping_interval(None);
    let options =
        ServeOptions::new().accept(accept).decide(|client, request| decide(client, request.path().to_owned()));
    let mut server = Server::echo(options).await;
    let mut open = connect(server.url("/plain")).await.unwrap();
    let begun = Instant::now();
    let whole = request("/slow", "");
    // Silent; half a request; one byte now and then; a request about which nothing is ever decided.
    for (first, drips) in [("", false), (&whole[..40], false), (&whole[..40], true), (&whole[..], false)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let (mut input, mut output) = stream.into_split();
        let dripping = tokio::spawn(async move {
            // For longer than anybody waits here.
            while drips && output.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
            output
        });
        let mut bytes = Vec::new();
        let _ = soon(tokio::io::AsyncReadExt::read_to_end(&mut input, &mut bytes)).await;
        assert!(begun.elapsed() >= DEADLINE, "{first:?}");
        assert_eq!(server.error().await.1, "the handshake took too long", "{first:?}");
        dripping.abort();
    }
    assert!(begun.elapsed() < PATIENCE);
    // One whose handshake is done has all the time in the world.
    open.send("still here").await.unwrap();
    assert_eq!(soon(open.recv()).await.unwrap(), Some(text("still here")));
}

#[tokio::test]
async fn h14_half_open_connections_are_gone_and_make_room() {
    let accept = AcceptOptions::new().handshake_timeout(Duration::from_millis(300));
    let server = Server::echo(ServeOptions::new().accept(accept).max_connections(20)).await;
    let mut half_open = Vec::new();
    for _ in 0..20 {
        half_open.push(TcpStream::connect(server.address).await.unwrap());
    }
    // The client waits for its turn, and gets it.
    let patient = ConnectOptions::new().handshake_timeout(FOR_EVER);
    soon(patient.connect(server.url("/"))).await.unwrap();
    for stream in &mut half_open {
        assert!(rest(stream).await.is_empty());
    }
}
