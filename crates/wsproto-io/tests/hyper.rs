//! WebSockets in servers and over clients of hyper's: this crate at one end or both, or bytes and frames by hand.

#![cfg(all(feature = "hyper", feature = "h2", feature = "tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod certificates;
#[path = "support/ends.rs"]
mod ends;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/hyper.rs"]
mod support;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use certificates::{Authority, Dates};
use ends::{A_WHILE, Server, ask, head, request, rest, soon};
use http::{Method, Request, Version};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Answering, By, HyperServer};
use tokio::io::{AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use wsproto::handshake::OriginPolicy;
use wsproto::{CloseCode, CloseFrame, Message as Frame};
use wsproto_io::hyper::{ExtendedConnect, drive, upgrade};
use wsproto_io::tls::{ClientTls, ServerTls};
use wsproto_io::{
    AcceptOptions, ConnectOptions, Decision, Error, Http, Message, Page, Rejected, ServeOptions, Timeout, Transport,
    WebSocket,
};

const VERSIONS: [Http; 2] = [Http::One, Http::Two];

fn by(http: Http) -> ConnectOptions {
    ConnectOptions::new().http_version(http)
}

async fn echoes(socket: &mut WebSocket<Transport>, lengths: impl IntoIterator<Item = usize>) {
    for length in lengths {
        let message = Message::Binary((0..length).map(|at| u8::try_from(at % 251).unwrap()).collect());
        soon(socket.send(&message)).await.unwrap();
        assert!(soon(socket.recv()).await.unwrap() == Some(message), "{length}");
    }
}

async fn closes(socket: &mut WebSocket<Transport>) {
    soon(socket.close(CloseCode::NORMAL, "done")).await.unwrap();
    assert_eq!(socket.closed().unwrap().code, 1000);
}

async fn rejected(options: &ConnectOptions, url: String) -> Box<Rejected> {
    match soon(options.connect(url)).await {
        Err(Error::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_of_all_lengths_over_both_versions() {
    let mut server = HyperServer::start(By::Auto, AcceptOptions::new()).await;
    for http in VERSIONS {
        let mut socket = soon(by(http).connect(server.url("/"))).await.unwrap();
        assert_eq!(server.seen().await, if http == Http::One { "tcp" } else { "hyper" });
        // (The windows of HTTP/2 are 64 KiB and 1 MiB by hyper's own defaults.)
        echoes(&mut socket, [0, 1, 125, 126, 65_535, 65_536, 1_000_000]).await;
        closes(&mut socket).await;
        assert_eq!(server.seen().await, "closed with code 1000: done");
    }
}

#[tokio::test]
async fn the_socket_comes_back_where_its_type_is_known() {
    for (way, transport) in [(By::Http1, "tcp"), (By::Auto, "tcp"), (By::Odd, "hyper"), (By::OddAuto, "hyper")] {
        let mut server = HyperServer::start(way, AcceptOptions::new()).await;
        let mut socket = soon(by(Http::One).connect(server.url("/"))).await.unwrap();
        assert_eq!(server.seen().await, transport);
        echoes(&mut socket, [70_000]).await;
        closes(&mut socket).await;
        assert_eq!(server.seen().await, "closed with code 1000: done");
    }
}

#[tokio::test]
async fn tls_comes_back_as_well() {
    let authority = Authority::new("ours");
    let leaf = authority.leaf(&["localhost"], Dates::Good);
    let tls = ServerTls::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap();
    let options = ConnectOptions::new().tls(ClientTls::with_ca_pem(authority.pem().as_bytes()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let (tell, mut seen) = mpsc::unbounded_channel();
    let answering = Arc::new(Answering { options: AcceptOptions::new(), tell });
    tokio::spawn(async move {
        for wrapped in [false, true] {
            let (tcp, _) = listener.accept().await.unwrap();
            let stream = tls.accept(tcp).await.unwrap();
            let answering = Arc::clone(&answering);
            match wrapped {
                false => tokio::spawn(answering.auto(stream, true)),
                true => tokio::spawn(answering.http1(Transport::Tls(stream.into()))),
            };
        }
    });
    for _ in 0..2 {
        // The client's end is a transport of hyper's, too.
        let transport = soon(options.open(&url)).await.unwrap();
        let (mut send, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(transport)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut socket = soon(options.connect_http1(&url, &mut send)).await.unwrap();
        assert!(socket.stream().tls().is_some());
        assert_eq!(soon(seen.recv()).await.unwrap(), "tls");
        echoes(&mut socket, [70_000]).await;
        closes(&mut socket).await;
        assert_eq!(soon(seen.recv()).await.unwrap(), "closed with code 1000: done");
    }
}

#[tokio::test]
async fn what_is_sent_right_behind_the_request_is_not_lost() {
    for way in [By::Http1, By::Auto, By::Odd, By::OddAuto] {
        let server = HyperServer::start(way, AcceptOptions::new()).await;
        let long = "x".repeat(30_000);
        let frames = peer::encode([Frame::text("first"), Frame::text(&long)]);
        let close = CloseFrame::new(CloseCode::NORMAL, "");
        let bytes = [request("/", "").into_bytes(), frames].concat();
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        // In one write; and cut in the middle of the request and of a frame.
        let (one, two) = bytes.split_at(if matches!(way, By::Auto | By::Odd) { bytes.len() } else { 20 });
        tcp.write_all(one).await.unwrap();
        sleep(Duration::from_millis(20)).await;
        tcp.write_all(two).await.unwrap();
        assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
        tcp.write_all(&peer::encode([close])).await.unwrap();
        let payloads: Vec<_> = peer::frames(&rest(&mut tcp).await).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(payloads, [&b"first"[..], long.as_bytes(), &1000_u16.to_be_bytes()]);
    }
}

#[tokio::test]
async fn what_is_agreed_on() {
    let options = AcceptOptions::new().subprotocol("v2").subprotocol("v1");
    let server = HyperServer::start(By::Auto, options).await;
    for http in VERSIONS {
        let options = by(http).subprotocol("v3").subprotocol("v1");
        let mut socket = soon(options.connect(server.url("/"))).await.unwrap();
        assert_eq!(socket.subprotocol(), Some("v1"));
        assert!(socket.extensions().unwrap().starts_with("permessage-deflate"));
        let text = "again and again ".repeat(10_000);
        soon(socket.send(&text)).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text(text)));
        assert!(socket.counters().bytes_sent < 10_000 && socket.counters().bytes_received < 10_000);
        closes(&mut socket).await;
    }
}

#[tokio::test]
async fn who_is_not_let_in() {
    let options = AcceptOptions::new().hosts(["127.0.0.1"]).unwrap();
    let options = options.origins(OriginPolicy::list(["https://good.example"]).unwrap());
    let mut server = HyperServer::start(By::Auto, options).await;
    for http in VERSIONS {
        for (origin, let_in) in
            [(Some("https://good.example"), true), (None, true), (Some("https://evil.example"), false)]
        {
            let options = origin.map_or(by(http), |origin| by(http).origin(origin));
            if let_in {
                closes(&mut soon(options.connect(server.url("/"))).await.unwrap()).await;
                server.seen().await;
                server.seen().await;
            } else {
                let rejected = rejected(&options, server.url("/")).await;
                assert_eq!((rejected.status, rejected.truncated), (403, false));
                assert_eq!(rejected.body, b"pages of this origin are not let in\n");
                assert_eq!(rejected.headers.text("content-type"), Some("text/plain; charset=utf-8"));
                assert_eq!(server.seen().await, "the request was rejected here with status 403");
            }
        }
        let rejected = rejected(&by(http), server.url("/").replace("127.0.0.1", "localhost")).await;
        assert_eq!(rejected.status, 421);
        assert_eq!(server.seen().await, "the request was rejected here with status 421");
    }
}

/// By HTTP/1.1, in bytes.
#[tokio::test]
async fn bad_requests_get_their_status() {
    let server = HyperServer::start(By::Auto, AcceptOptions::new()).await;
    let good = request("/", "");
    let without = |name: &str| {
        let lines = good.split_inclusive("\r\n").filter(|line| !line.starts_with(name));
        lines.collect::<String>()
    };
    let with = |header: &str| request("/", &format!("{header}\r\n"));
    for (request, status, header) in [
        (good.replace("13\r\n", "12\r\n"), 426, "sec-websocket-version: 13\r\n"),
        (without("Upgrade"), 426, "upgrade: websocket\r\n"),
        (good.replace("13\r\n", "8\r\n"), 426, "connection: Upgrade, close\r\n"),
        (without("Sec-WebSocket-Version"), 400, "connection: close\r\n"),
        (without("Connection"), 400, "connection: close\r\n"),
        (without("Sec-WebSocket-Key"), 400, "content-type: text/plain; charset=utf-8\r\n"),
        (with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "connection: close\r\n"),
        (without("Host"), 400, "connection: close\r\n"),
        (with("Content-Length: 5") + "hello", 400, "connection: close\r\n"),
        (with("Transfer-Encoding: chunked") + "0\r\n\r\n", 400, "connection: close\r\n"),
        (with("Sec-WebSocket-Protocol: a b"), 400, "connection: close\r\n"),
        (good.replace("GET", "POST"), 405, "allow: GET\r\n"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 505, "connection: close\r\n"),
    ] {
        // Nothing behind it is taken for a request, or for frames.
        let answer = ask(server.address, format!("{request}GET /page HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) || status == 505, "{request}{answer}");
        assert!(format!("{head}\r\n").contains(header), "{request}{answer}");
        assert!(head.contains(&format!("content-length: {}", body.len())) && !body.is_empty(), "{request}{answer}");
    }
    let answer = ask(server.address, "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\na page"), "{answer}");
}

/// The page of the options is shown here, too.
#[tokio::test]
async fn pages_of_the_options() {
    let options = AcceptOptions::new().pages(|request| (request.path() == "/a").then(|| Page::text("found")));
    let server = HyperServer::start(By::Auto, options).await;
    for (path, status, body) in [("/a", 200, "found"), ("/b", 404, "there is no such page\n")] {
        let answer = ask(server.address, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(body), "{answer}");
    }
    // A request for a WebSocket that is wrong gets none.
    let wrong =
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n";
    let answer = ask(server.address, format!("{wrong}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

type ByHand = h2::client::SendRequest<Bytes>;

/// A connection of HTTP/2 by hand.
async fn by_hand(server: &HyperServer) -> ByHand {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (send, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    while !send.is_extended_connect_protocol_enabled() {
        sleep(Duration::from_millis(5)).await;
    }
    soon(send.ready()).await.unwrap()
}

fn extended_connect(protocol: &'static str) -> http::request::Builder {
    let request = Request::builder().method(Method::CONNECT).uri("http://localhost/");
    request.extension(h2::ext::Protocol::from_static(protocol))
}

#[tokio::test]
async fn bad_requests_over_http2_get_their_status() {
    let server = HyperServer::start(By::Auto, AcceptOptions::new()).await;
    let websocket = || extended_connect("websocket");
    for (request, status, version) in [
        (extended_connect("connect-udp").header("sec-websocket-version", "13"), 501, None),
        (websocket(), 400, None),
        (websocket().header("sec-websocket-version", "12"), 400, Some("13")),
        (websocket().header("sec-websocket-version", "13").header("sec-websocket-protocol", "a b"), 400, None),
        (Request::builder().uri("http://localhost/other"), 400, Some("13")),
        (Request::builder().uri("http://localhost/page"), 200, None),
    ] {
        let mut send = by_hand(&server).await;
        let (response, _stream) = send.send_request(request.body(()).unwrap(), true).unwrap();
        let response = soon(response).await.unwrap();
        let headers = response.headers();
        assert_eq!(response.status(), status);
        assert_eq!(headers.get("sec-websocket-version").map(http::HeaderValue::as_bytes), version.map(str::as_bytes));
        assert!(!headers.contains_key("connection") && headers.contains_key("content-length"));
    }
}

/// A WebSocket by hand, on one stream.
async fn open_by_hand(server: &HyperServer) -> (h2::SendStream<Bytes>, h2::RecvStream) {
    let mut send = by_hand(server).await;
    let request = extended_connect("websocket").header("sec-websocket-version", "13").body(()).unwrap();
    let (response, stream) = send.send_request(request, false).unwrap();
    let response = soon(response).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    (stream, response.into_body())
}

/// `END_STREAM` is behind both Closes, and no reset behind that, before the peer has ended its own direction.
#[tokio::test]
async fn the_end_of_a_stream() {
    let mut server = HyperServer::start(By::Auto, AcceptOptions::new()).await;
    let (mut stream, mut body) = open_by_hand(&server).await;
    let hello_and_close =
        [peer::encode([Frame::text("hello")]), peer::encode([CloseFrame::new(CloseCode::GOING_AWAY, "bye")])];
    stream.send_data(hello_and_close[0].clone().into(), false).unwrap();
    let mut bytes = soon(body.data()).await.unwrap().unwrap().to_vec();
    assert_eq!(peer::frames(&bytes)[0].1, b"hello");
    // Not before our own Close.
    assert!(timeout(A_WHILE, body.data()).await.is_err());
    stream.send_data(hello_and_close[1].clone().into(), false).unwrap();
    bytes.clear();
    while let Some(piece) = soon(body.data()).await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(peer::frames(&bytes)[0].1, [&1001_u16.to_be_bytes()[..], b"bye"].concat());
    assert_eq!((server.seen().await, server.seen().await.as_str()), ("hyper".into(), "closed with code 1001: bye"));
    assert!(timeout(A_WHILE, poll_fn(|cx| stream.poll_reset(cx))).await.is_err());
    stream.send_data(Bytes::new(), true).unwrap();
}

/// A peer that breaks the protocol is told so, and then the stream ends.
#[tokio::test]
async fn a_stream_whose_peer_broke_the_protocol() {
    let server = HyperServer::start(By::Auto, AcceptOptions::new()).await;
    let (mut stream, mut body) = open_by_hand(&server).await;
    stream.send_data(Bytes::from_static(&[0xff, 0xff]), false).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = soon(body.data()).await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(peer::frames(&bytes)[0].1[..2], 1002_u16.to_be_bytes());
    assert!(timeout(A_WHILE, poll_fn(|cx| stream.poll_reset(cx))).await.is_err());
}

#[tokio::test]
async fn a_decision_counts_where_the_request_is_valid() {
    let options = AcceptOptions::new().subprotocol("a");
    let decided = |mut request: Request<()>, decision| options.upgrade_with(&mut request, decision);
    let version = |version| {
        let request = Request::builder().uri("/").header("host", "a").header("upgrade", "websocket");
        let request = request.header("connection", "upgrade").header("sec-websocket-version", version);
        request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(()).unwrap()
    };
    // This request is of no connection of hyper's.
    for (request, status) in [(version("13"), 500), (version("12"), 426)] {
        let refused = decided(request, Decision::reject(401)).unwrap_err();
        assert_eq!(refused.response().status(), status);
    }
    let mut valid = version("13");
    let refused = upgrade(&mut valid).unwrap_err();
    assert_eq!(refused.to_string(), "this connection of hyper's does no upgrades");
}

/// hyper gives up its transport when it has sent the response: where that never leaves, the time runs out.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_sent() {
    let (mut near, far) = duplex(10_000);
    let (tell, mut told) = mpsc::unbounded_channel();
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let (_, upgrading) = AcceptOptions::new().upgrade(&mut request).unwrap();
        tell.send(upgrading).unwrap();
        std::future::pending::<Result<http::Response<Empty<Bytes>>, std::convert::Infallible>>()
    });
    tokio::spawn(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades(),
    );
    near.write_all(request("/", "").as_bytes()).await.unwrap();
    let error = told.recv().await.unwrap().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
}

async fn client_http1(address: std::net::SocketAddr) -> http1::SendRequest<Empty<Bytes>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (send, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    send
}

async fn client_http2(address: std::net::SocketAddr) -> (http2::SendRequest<Empty<Bytes>>, ExtendedConnect) {
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (send, connection) = builder.initial_max_send_streams(0).handshake(TokioIo::new(tcp)).await.unwrap();
    let (connection, extended) = drive(connection);
    tokio::spawn(connection);
    (send, extended)
}

/// Against `serve`, and against a server by hyper.
#[tokio::test]
async fn clients_over_connections_of_hyper() {
    let ours = Server::echo(ServeOptions::new().http2(100)).await;
    let other = HyperServer::start(By::Auto, AcceptOptions::new()).await;
    let options = ConnectOptions::new();
    for address in [ours.address, other.address] {
        let url = format!("ws://{address}/a?b");
        let mut send = client_http1(address).await;
        let mut socket = soon(options.connect_http1(&url, &mut send)).await.unwrap();
        assert!(socket.stream().tcp().is_some() && socket.extensions().is_some());
        echoes(&mut socket, [0, 126, 65_536, 1_000_000]).await;
        closes(&mut socket).await;

        // Several on one connection.
        let (mut send, extended) = client_http2(address).await;
        let mut sockets = Vec::new();
        for _ in 0..3 {
            sockets.push(soon(options.connect_http2(&url, &mut send, &extended)).await.unwrap());
        }
        for mut socket in sockets {
            assert!(matches!(socket.stream(), Transport::Hyper(_)) && socket.extensions().is_some());
            echoes(&mut socket, [0, 126, 65_536, 1_000_000]).await;
            closes(&mut socket).await;
        }
    }
}

#[tokio::test]
async fn a_client_is_told_of_a_rejection() {
    let decide = |_, _| async { Decision::reject(401).body(vec![b'x'; 100_000]) };
    let server = Server::echo(ServeOptions::new().http2(100).decide(decide)).await;
    for (limit, length, truncated) in [(65_536, 65_536, true), (100_000, 100_000, false)] {
        let options = ConnectOptions::new().rejection_limit(limit);
        let first = options.connect_http1(server.url("/"), &mut client_http1(server.address).await).await;
        let (mut send, extended) = client_http2(server.address).await;
        let second = soon(options.connect_http2(server.url("/"), &mut send, &extended)).await;
        for result in [first, second] {
            let Err(Error::Rejected(rejected)) = result else { panic!("{result:?}") };
            assert_eq!((rejected.status, rejected.body.len(), rejected.truncated), (401, length, truncated));
        }
    }
}

#[tokio::test]
async fn a_server_without_extended_connect() {
    let server = HyperServer::start(By::AutoWithoutConnect, AcceptOptions::new()).await;
    let (mut send, extended) = client_http2(server.address).await;
    assert!(!soon(extended.is_enabled()).await);
    let result = soon(ConnectOptions::new().connect_http2(server.url("/"), &mut send, &extended)).await;
    assert!(matches!(result, Err(Error::Http2Unsupported)), "{result:?}");
    // The connection is as good as before for other requests.
    let page = Request::builder().uri(format!("http://{}/page", server.address)).body(Empty::new()).unwrap();
    assert_eq!(soon(send.send_request(page)).await.unwrap().status(), 200);
}
