//! WebSockets over HTTP/2: servers and clients of this crate, and clients made by hand on `h2` and the bare core.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/ends.rs"]
mod ends;

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use ends::{A_WHILE, Server, echo, soon};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wsproto::handshake::HttpVersion;
use wsproto::{CloseCode, CloseFrame, Connection, Event, Extensions, Input, Limits, Message as Frame};
use wsproto_io::{
    AcceptOptions, ConnectOptions, Decision, Error, Http, Message, Page, ServeOptions, Timeout, connect, serve,
};

/// Both versions.
fn options() -> ServeOptions {
    ServeOptions::new().http2(100)
}

/// A connection by hand.
struct ByHand {
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl ByHand {
    async fn to(server: &Server) -> Self {
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let (send, connection) = h2::client::handshake(tcp).await.unwrap();
        let driver = tokio::spawn(connection);
        while !send.is_extended_connect_protocol_enabled() {
            sleep(Duration::from_millis(5)).await;
        }
        Self { send, driver }
    }

    /// The response to a request, and the way to send more.
    async fn ask(&mut self, request: Request<()>, ends: bool) -> (Response<RecvStream>, SendStream<Bytes>) {
        self.send = soon(self.send.clone().ready()).await.unwrap();
        let (response, send) = self.send.send_request(request, ends).unwrap();
        (soon(response).await.unwrap(), send)
    }

    async fn open(&mut self) -> Stream {
        let (response, send) = self.ask(request("websocket"), false).await;
        assert_eq!(response.status(), StatusCode::OK);
        let core = Connection::client(Extensions::none(), Limits::none(), || [1, 2, 3, 4]);
        Stream { send, recv: response.into_body(), core, echoed: Default::default() }
    }
}

/// An extended CONNECT.
fn request(protocol: &'static str) -> Request<()> {
    let request = Request::builder().method(Method::CONNECT).uri("http://localhost/a?b");
    request.extension(Protocol::from_static(protocol)).header("sec-websocket-version", "13").body(()).unwrap()
}

/// A WebSocket by hand.
struct Stream {
    send: SendStream<Bytes>,
    recv: RecvStream,
    core: Connection,
    /// Bytes of messages that nobody has asked for.
    echoed: std::collections::VecDeque<u8>,
}

impl Stream {
    /// One DATA frame.
    async fn write(&mut self, frame: impl wsproto::Outgoing) {
        let mut out = Vec::new();
        self.core.send(frame, &mut out).unwrap();
        self.send.reserve_capacity(out.len());
        while self.send.capacity() < out.len() {
            soon(poll_fn(|cx| self.send.poll_capacity(cx))).await.unwrap().unwrap();
        }
        self.send.send_data(out.into(), false).unwrap();
    }

    /// What comes next; `None` at `END_STREAM`.
    async fn read(&mut self) -> Option<Result<Bytes, h2::Error>> {
        loop {
            let data = soon(self.recv.data()).await?;
            if let Ok(data) = &data {
                self.recv.flow_control().release_capacity(data.len()).unwrap();
                if data.is_empty() {
                    continue; // that which ends the stream
                }
            }
            return Some(data);
        }
    }

    /// Bytes of the echo of messages of one byte, one after the other.
    async fn message_of(&mut self, len: usize) -> Vec<u8> {
        while self.echoed.len() < len {
            let mut bytes = self.read().await.expect("a message").unwrap().to_vec();
            let mut input = Input::new(&mut bytes);
            while let Some(event) = self.core.receive(&mut input).unwrap() {
                if let Event::Message(piece) = event {
                    self.echoed.extend(piece.data.as_bytes());
                }
            }
        }
        self.echoed.drain(..len).collect()
    }

    /// The next message, or what a Close says.
    async fn message(&mut self) -> Result<Vec<u8>, u16> {
        let mut message = Vec::new();
        loop {
            let mut bytes = self.read().await.expect("a message").unwrap().to_vec();
            let mut input = Input::new(&mut bytes);
            while let Some(event) = self.core.receive(&mut input).unwrap() {
                match event {
                    Event::Message(piece) => {
                        message.extend_from_slice(piece.data.as_bytes());
                        if piece.message_finished {
                            return Ok(message);
                        }
                    }
                    Event::Close(close) => return Err(close.code().map_or(1005, u16::from)),
                    _ => {}
                }
            }
        }
    }
}

#[tokio::test]
async fn several_websockets_share_a_connection() {
    let mut server = Server::start(options(), |socket, client| async move {
        assert_eq!((client.request.version(), client.request.path()), (HttpVersion::Http2, "/chat"));
        assert!(socket.stream().tcp().is_none());
        echo(socket, client).await
    })
    .await;
    let connection = soon(ConnectOptions::new().http2(server.url("/"))).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(soon(connection.open("/chat?q")).await.unwrap());
    }
    let mut working = Vec::new();
    for (n, mut socket) in sockets.into_iter().enumerate() {
        working.push(tokio::spawn(async move {
            for len in [0, 125, 126, 65_535, 65_536, 1_000_000] {
                let message = Message::Binary((0..len).map(|at| (at * (n + 1) % 251) as u8).collect());
                soon(socket.send(&message)).await.unwrap();
                assert_eq!(soon(socket.recv()).await.unwrap(), Some(message));
            }
            soon(socket.close(CloseCode::NORMAL, "done")).await.unwrap();
            let closed = socket.closed().unwrap();
            assert_eq!(closed.code, 1000);
        }));
    }
    for work in working {
        work.await.unwrap();
    }
    drop(connection);
    server.stop();
    server.ended().await;
    assert!(server.is_content());
}

#[tokio::test]
async fn one_port_speaks_both_versions() {
    let server = Server::start(options(), |mut socket, client| async move {
        let version = format!("{:?}", client.request.version());
        socket.send(&version).await?;
        socket.close(CloseCode::NORMAL, "").await
    })
    .await;
    for (http, version) in [(Http::One, "Http11"), (Http::PreferTwo, "Http11"), (Http::Two, "Http2")] {
        let mut socket = soon(ConnectOptions::new().http_version(http).connect(server.url("/"))).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text(version.into())));
        assert_eq!(soon(socket.recv()).await.unwrap(), None);
        assert_eq!(socket.closed().unwrap().code, 1000);
    }
    // Bytes that begin as the preface does, and go on otherwise, are a request of HTTP/1.1.
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    for part in [&b"PRI"[..], b" / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        tokio::io::AsyncWriteExt::write_all(&mut tcp, part).await.unwrap();
        sleep(A_WHILE).await;
    }
    let mut answer = String::new();
    soon(tokio::io::AsyncReadExt::read_to_string(&mut tcp, &mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    // And where it is not wanted, it is none.
    let server = Server::echo(options().http2(None)).await;
    let refused = soon(ConnectOptions::new().http_version(Http::Two).connect(server.url("/"))).await;
    assert!(refused.is_err());
    assert!(soon(connect(server.url("/"))).await.is_ok());
}

/// What is no request for a WebSocket gets its answer, and the connection goes on.
#[tokio::test]
async fn p06_other_requests_have_their_answers() {
    let accept = AcceptOptions::new().pages(|request| (request.path() == "/").then(|| Page::html("x".repeat(100_000))));
    let options = options().accept(accept).decide(async |_, request| {
        if request.path() == "/no" { Decision::reject(403).body("no\n") } else { Decision::accept() }
    });
    let server = Server::echo(options).await;
    let mut client = ByHand::to(&server).await;
    let plain = |method: Method, path: &str| {
        Request::builder().method(method).uri(format!("http://localhost{path}")).body(()).unwrap()
    };
    let mut no = request("websocket");
    *no.uri_mut() = "http://localhost/no".parse().unwrap();
    let mut old = request("websocket");
    old.headers_mut().insert("sec-websocket-version", "12".parse().unwrap());
    let classic = Request::builder().method(Method::CONNECT).uri("localhost:80").body(()).unwrap();
    for (request, ends, status, len) in [
        (plain(Method::GET, "/"), true, 200, 100_000),
        (plain(Method::GET, "/other"), true, 404, 22),
        (plain(Method::POST, "/"), true, 400, 0),
        (request("connect-udp"), false, 501, 0),
        (classic, false, 501, 0),
        (no, false, 403, 3),
        (old, false, 400, 0),
    ] {
        let shown = format!("{request:?}");
        let (response, _send) = client.ask(request, ends).await;
        assert_eq!(response.status(), status, "{shown}");
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(Ok(data)) = soon(body.data()).await {
            read += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        assert!(read >= len, "{shown}: {read} bytes");
    }
    let mut stream = client.open().await;
    stream.write(Frame::text("still here")).await;
    assert_eq!(stream.message().await.unwrap(), b"still here");
    // Our client tells of the rejection, with its body.
    let connection = soon(ConnectOptions::new().http2(server.url("/"))).await.unwrap();
    match soon(connection.open("/no")).await {
        Err(Error::Rejected(rejected)) => assert_eq!((rejected.status, &rejected.body[..]), (403, &b"no\n"[..])),
        other => panic!("{other:?}"),
    }
}

/// `END_STREAM` comes behind both Closes, once and at once; and nothing behind it.
#[tokio::test]
async fn the_end_of_a_stream_is_end_stream_when_both_have_closed() {
    let server = Server::echo(options()).await;
    let mut client = ByHand::to(&server).await;
    let mut stream = client.open().await;
    stream.write(CloseFrame::new(CloseCode::NORMAL, "bye")).await;
    assert_eq!(stream.message().await, Err(1000));
    assert!(stream.read().await.is_none(), "END_STREAM");
    // We have not ended our direction: the server waits, and does not reset the stream.
    let reset = timeout(A_WHILE, poll_fn(|cx| stream.send.poll_reset(cx))).await;
    assert!(reset.is_err(), "{reset:?}");
    stream.send.send_data(Bytes::new(), true).unwrap();

    // The server closes first: its END_STREAM waits for our Close.
    let server =
        Server::start(options(), |mut socket, _| async move { socket.close(CloseCode::GOING_AWAY, "").await }).await;
    let mut client = ByHand::to(&server).await;
    let mut stream = client.open().await;
    assert_eq!(stream.message().await, Err(1001));
    assert!(timeout(A_WHILE, stream.recv.data()).await.is_err(), "it ends before our Close");
    stream.write(CloseFrame::new(CloseCode::GOING_AWAY, "")).await;
    assert!(stream.read().await.is_none(), "END_STREAM");
}

/// What ends otherwise ends with 1006, and with `RST_STREAM`, and the others go on.
#[tokio::test]
async fn p08_a_stream_that_breaks_leaves_the_others_alone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(options(), move |mut socket, _| {
        let tell = tell.clone();
        async move {
            let result = loop {
                match socket.recv().await {
                    Ok(Some(message)) => socket.feed(message).await?,
                    ended => break ended.map(|_| ()),
                }
            };
            tell.send((result.map_err(|error| error.close_code()), socket.closed().map(|closed| closed.code))).unwrap();
            Ok(())
        }
    })
    .await;
    let mut client = ByHand::to(&server).await;
    let mut sibling = client.open().await;
    for n in 0..50 {
        let mut stream = client.open().await;
        let mut half = Vec::new();
        stream.core.send(Frame::text("half of a message"), &mut half).unwrap();
        half.truncate(10);
        stream.send.send_data(half.into(), n % 2 == 0).unwrap();
        if n % 2 == 1 {
            stream.send.send_reset(Reason::CANCEL);
        }
        assert_eq!(soon(told.recv()).await.unwrap(), (Err(Some(1006)), Some(1006)), "{n}");
        sibling.write(Frame::text("on")).await;
        assert_eq!(sibling.message().await.unwrap(), b"on");
    }
    // A handler that drops its end resets the stream.
    let server = Server::start(options(), |_, _| async { Ok(()) }).await;
    let mut client = ByHand::to(&server).await;
    let mut stream = client.open().await;
    let reset = stream.read().await.unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(Reason::CANCEL));
    // And a stream that ended without a Close.
    let server = Server::echo(options()).await;
    let mut client = ByHand::to(&server).await;
    let mut stream = client.open().await;
    stream.send.send_data(Bytes::new(), true).unwrap();
    let reset = stream.read().await.unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(Reason::CANCEL));
}

/// A peer that takes nothing holds up its sender at the window, and nobody else; nothing is lost.
#[tokio::test]
async fn p07_a_stream_that_nobody_reads_stops_its_sender_alone() {
    let (go_on, goes_on) = tokio::sync::watch::channel(false);
    let server = Server::start(options(), move |socket, client| {
        let mut goes_on = goes_on.clone();
        async move {
            if client.request.path() == "/stalled" {
                goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
            }
            echo(socket, client).await
        }
    })
    .await;
    let options = ConnectOptions::new().compression(None);
    let connection = soon(options.http2(server.url("/"))).await.unwrap();
    let mut stalled = soon(connection.open("/stalled")).await.unwrap();
    // As much as the window and our own queue hold, and no more.
    let mut sent = 0_usize;
    while timeout(A_WHILE * 2, stalled.ready()).await.is_ok_and(|ready| ready.is_ok()) {
        stalled.feed(vec![sent as u8; 10_000]).await.unwrap();
        sent += 1;
        assert!(sent * 10_000 < 500_000, "it takes {sent} messages");
    }
    let mut siblings = Vec::new();
    for _ in 0..20 {
        let mut socket = soon(connection.open("/")).await.unwrap();
        siblings.push(tokio::spawn(async move {
            for n in 0..50_u8 {
                let message = Message::Binary(vec![n; 20_000]);
                soon(socket.send(&message)).await.unwrap();
                assert_eq!(soon(socket.recv()).await.unwrap(), Some(message));
            }
        }));
    }
    for sibling in siblings {
        sibling.await.unwrap();
    }
    go_on.send_replace(true);
    for n in 0..sent {
        assert_eq!(soon(stalled.recv()).await.unwrap(), Some(Message::Binary(vec![n as u8; 10_000])));
    }
    soon(stalled.close(CloseCode::NORMAL, "")).await.unwrap();
}

/// Each in a DATA frame of its own: `h2` gives up a connection on which as many wait for somebody to take them.
#[tokio::test]
async fn p07_many_small_frames_for_a_stalled_stream_end_nothing() {
    const COUNT: usize = 10_000;
    let (go_on, goes_on) = tokio::sync::watch::channel(false);
    // A window for few streams: so is the budget of `h2` for small frames.
    let server = Server::start(options().http2(21), move |socket, client| {
        let mut goes_on = goes_on.clone();
        async move {
            if client.request.headers().contains("stalled") {
                goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
            }
            echo(socket, client).await
        }
    })
    .await;
    let mut client = ByHand::to(&server).await;
    let mut siblings = Vec::new();
    for _ in 0..20 {
        siblings.push(client.open().await);
    }
    let mut request = request("websocket");
    request.headers_mut().insert("stalled", "1".parse().unwrap());
    let (response, send) = client.ask(request, false).await;
    let core = Connection::client(Extensions::none(), Limits::none(), || [1, 2, 3, 4]);
    let mut stalled = Stream { send, recv: response.into_body(), core, echoed: Default::default() };
    for n in 0..COUNT {
        // 7 bytes each; the window takes 9,362 of them.
        let mut out = Vec::new();
        stalled.core.send(Frame::binary(vec![n as u8]), &mut out).unwrap();
        stalled.send.reserve_capacity(out.len());
        if stalled.send.capacity() < out.len() && n >= 9_000 {
            break;
        }
        stalled.send.send_data(out.into(), false).unwrap();
        if n % 500 == 0 {
            for sibling in &mut siblings {
                sibling.write(Frame::text("on")).await;
                assert_eq!(sibling.message().await.unwrap(), b"on");
            }
        }
    }
    assert!(!client.driver.is_finished(), "the connection was given up");
    go_on.send_replace(true);
    for n in 0..9_000 {
        assert_eq!(stalled.message_of(1).await, [n as u8]);
    }
}

/// As a server that stops.
#[tokio::test]
async fn a_server_that_stops_closes_each_stream_with_1001() {
    let mut server = Server::echo(options()).await;
    let connection = soon(ConnectOptions::new().http2(server.url("/"))).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(soon(connection.open("/")).await.unwrap());
    }
    server.stop();
    for socket in &mut sockets {
        assert_eq!(soon(socket.recv()).await.unwrap(), None);
        assert_eq!(socket.closed().unwrap().code, 1001);
    }
    server.ended().await;
    assert!(soon(connection.open("/")).await.is_err());
}

/// What the deadline cuts off is gone when `serve` is, with its handlers.
#[tokio::test]
async fn a_server_that_has_stopped_leaves_no_stream_behind() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let handlers = std::sync::Arc::new(());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let options = options().shutdown_timeout(Duration::ZERO).shutdown(async { drop(stopped.await) });
    let held = std::sync::Arc::clone(&handlers);
    let serving = serve(listener, options, move |socket, _| {
        let held = std::sync::Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop((held, socket));
            Ok(())
        }
    });
    let client = tokio::spawn(async move {
        let connection = ConnectOptions::new().http2(&url).await.unwrap();
        let mut sockets = Vec::new();
        // More tasks than tokio runs between two looks at the test's own.
        for _ in 0..90 {
            sockets.push(soon(connection.open("/")).await.unwrap());
        }
        stop.send(()).unwrap();
        sockets
    });
    soon(serving).await;
    assert_eq!(std::sync::Arc::strong_count(&handlers), 1);
    drop(client.await.unwrap());
}

/// A connection whose peer is gone ends all its streams.
#[tokio::test]
async fn p08_the_end_of_a_connection_ends_all_its_streams() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(options(), move |mut socket, _| {
        let tell = tell.clone();
        async move {
            let code = socket.recv().await.unwrap_err().close_code();
            tell.send(code).unwrap();
            Ok(())
        }
    })
    .await;
    let mut client = ByHand::to(&server).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(client.open().await);
    }
    client.driver.abort();
    for _ in 0..20 {
        assert_eq!(soon(told.recv()).await.unwrap(), Some(1006));
    }
}

/// Streams that are opened and reset, without end (CVE-2023-44487).
#[tokio::test]
async fn p01_streams_that_are_reset_at_once_end_the_connection_that_does_it() {
    let mut server = Server::echo(options()).await;
    let mut client = ByHand::to(&server).await;
    let mut opened = 0;
    let ended = loop {
        if client.driver.is_finished() {
            break soon(client.driver).await.unwrap();
        }
        let Ok(ready) = soon(client.send.clone().ready()).await else { break soon(client.driver).await.unwrap() };
        client.send = ready;
        if let Ok((_, mut send)) = client.send.send_request(request("websocket"), false) {
            send.send_reset(Reason::CANCEL);
        }
        opened += 1;
        assert!(opened < 100_000, "it goes on");
        if opened % 10 == 0 {
            tokio::task::yield_now().await;
        }
    };
    // (A socket that is closed with unread bytes may destroy the GOAWAY.)
    let ended = ended.unwrap_err();
    assert!(matches!(ended.reason(), Some(Reason::ENHANCE_YOUR_CALM) | None), "{ended}");
    while !server.error().await.1.contains("excessive load") {}
    let mut client = ByHand::to(&server).await;
    let mut stream = client.open().await;
    stream.write(Frame::text("others live")).await;
    assert_eq!(stream.message().await.unwrap(), b"others live");
}

/// A server without the setting is not asked for a WebSocket.
#[tokio::test]
async fn p06_a_server_without_the_setting_is_not_asked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        // Until the client leaves.
        connection.accept().await.is_some()
    });
    let refused = soon(ConnectOptions::new().http_version(Http::Two).connect(&url)).await;
    assert!(matches!(refused, Err(Error::Http2Unsupported)), "{refused:?}");
    assert!(!soon(serving).await.unwrap(), "it was asked");
}

/// A server that never says what it can is waited for as long as for a handshake.
#[tokio::test]
async fn a_server_that_sends_no_settings_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = ConnectOptions::new().http_version(Http::Two).handshake_timeout(A_WHILE);
    let result = soon(options.connect(&url)).await;
    assert!(matches!(result, Err(Error::Timeout(Timeout::Handshake))), "{result:?}");
}

/// What was on its way before the client's end is let through, up to a bound.
#[tokio::test]
async fn what_comes_behind_our_end_is_thrown_away_with_a_bound() {
    let server = Server::echo(options()).await;
    let mut client = ByHand::to(&server).await;
    for (len, is_reset) in [(100_000, false), (2_000_000, true)] {
        let mut stream = client.open().await;
        stream.write(CloseFrame::new(CloseCode::NORMAL, "")).await;
        assert_eq!(stream.message().await, Err(1000));
        assert!(stream.read().await.is_none());
        // (h2 takes all, and sends what the window lets through.)
        stream.send.send_data(vec![7; len].into(), !is_reset).unwrap();
        let reset = timeout(A_WHILE * 4, poll_fn(|cx| stream.send.poll_reset(cx))).await;
        assert_eq!(matches!(reset, Ok(Ok(Reason::CANCEL))), is_reset, "{len}: {reset:?}");
    }
}

/// Limits of the head are those of the options; and a page's host is that of the connection's authority.
#[tokio::test]
async fn heads_are_bounded_and_hosts_checked() {
    let accept = AcceptOptions::new().hosts(["localhost"]).unwrap().pages(|_| Some(Page::text("here")));
    let server = Server::echo(options().accept(accept)).await;
    let mut client = ByHand::to(&server).await;
    let with = |headers: usize, host: &str| {
        let request = Request::builder().uri(format!("http://{host}/")).header("host", "localhost");
        (0..headers).fold(request, |request, n| request.header(format!("x-{n}"), "1")).body(()).unwrap()
    };
    for (request, status) in [
        (with(0, "localhost"), 200),
        (with(0, "evil.example"), 421),
        (with(60, "localhost"), 200),
        (with(70, "localhost"), 431),
    ] {
        assert_eq!(client.ask(request, true).await.0.status(), status);
    }
    // Cookies that came apart are one.
    let server = Server::start(options(), |mut socket, client| async move {
        let cookie = client.request.headers().text("Cookie").unwrap().to_owned();
        socket.send(&cookie).await?;
        socket.close(CloseCode::NORMAL, "").await
    })
    .await;
    let mut client = ByHand::to(&server).await;
    let mut request = request("websocket");
    for cookie in ["a=1", "b=2"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let (response, send) = client.ask(request, false).await;
    let core = Connection::client(Extensions::none(), Limits::none(), || [1, 2, 3, 4]);
    let mut stream = Stream { send, recv: response.into_body(), core, echoed: Default::default() };
    assert_eq!(stream.message().await.unwrap(), b"a=1; b=2");
}
