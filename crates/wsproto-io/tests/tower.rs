//! The layer for tower's services: WebSockets here, all else is the inner service's. And the examples of hyper and tower.

#![cfg(all(feature = "tower", feature = "h2"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[allow(dead_code)]
#[path = "../examples/hyper_client.rs"]
mod hyper_client;
#[allow(dead_code)]
#[path = "../examples/hyper_server.rs"]
mod hyper_server;
#[allow(dead_code)]
#[path = "../examples/tower.rs"]
mod stack;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use ends::{ask, request, soon};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::{Layer as _, Service};
use wsproto::CloseCode;
use wsproto::handshake::OriginPolicy;
use wsproto_io::tower::WebSocketLayer;
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Http, Message};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Tells what it was asked for.
#[derive(Clone)]
struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let can_upgrade = request.extensions().get::<hyper::upgrade::OnUpgrade>().is_some();
        let told = format!("{} {} {can_upgrade}", request.method(), request.uri().path());
        ready(Ok(Response::builder().status(299).body(Full::from(told)).unwrap()))
    }
}

/// The errors that it is told.
async fn start() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (listener, address) = listen().await;
    let (tell, told) = mpsc::unbounded_channel();
    let options = AcceptOptions::new().origins(OriginPolicy::list(["https://good.example"]).unwrap());
    let layer = WebSocketLayer::new(|mut socket, request: http::request::Parts| async move {
        socket.send(&format!("{:?} {}", request.version, request.uri.path())).await?;
        match socket.recv().await? {
            Some(message) => Err(Error::other(format!("{message:?}"))),
            None => Ok(()),
        }
    });
    let layer = layer.path("/ws").options(options).on_error(move |error| tell.send(error.to_string()).unwrap());
    let service = TowerToHyperService::new(layer.layer(Inner));
    tokio::spawn(async move {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        loop {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            let (builder, service) = (builder.clone(), service.clone());
            tokio::spawn(async move {
                let _ = builder.serve_connection_with_upgrades(io, service).await;
            });
        }
    });
    (address, told)
}

#[tokio::test]
async fn websockets_here_and_all_else_inside() {
    let (address, mut told) = start().await;
    for (http, version) in [(Http::One, "HTTP/1.1 /ws"), (Http::Two, "HTTP/2.0 /ws")] {
        let options = ConnectOptions::new().http_version(http);
        let mut socket = soon(options.connect(format!("ws://{address}/ws?q"))).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text(version.into())));
        soon(socket.send("fail")).await.unwrap();
        assert_eq!(soon(told.recv()).await.unwrap(), "Text(\"fail\")");
        // One that is for elsewhere is left as it is, and so is the way to upgrade it.
        let method = if http == Http::One { "GET" } else { "CONNECT" };
        match (http, soon(options.connect(format!("ws://{address}/elsewhere"))).await) {
            (Http::One, Err(Error::Rejected(rejected))) => {
                assert_eq!((rejected.status, rejected.body), (299, format!("{method} /elsewhere true").into_bytes()));
            }
            // (A 2xx is an acceptance there, which is not followed by frames.)
            (_, result) => assert!(http == Http::Two && soon(result.unwrap().recv()).await.is_err()),
        }
        let evil = soon(options.origin("https://evil.example").connect(format!("ws://{address}/ws"))).await;
        assert!(matches!(evil, Err(Error::Rejected(rejected)) if rejected.status == 403));
        assert_eq!(soon(told.recv()).await.unwrap(), "the request was rejected here with status 403");
    }
    // No request for a WebSocket, though it is for that path.
    for (bytes, inner) in [
        ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "GET /ws false"),
        (request("/ws", "Connection: close\r\n").replace("websocket", "h2c"), "GET /ws true"),
        (request("/ws", "Connection: close\r\n").replace("GET", "DELETE"), "DELETE /ws true"),
    ] {
        let answer = ask(address, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 299 ") && answer.ends_with(inner), "{answer}");
    }
    // One of those that it has to refuse.
    let answer = ask(address, request("/ws", "").replace(" 13", " 12")).await;
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("sec-websocket-version: 13\r\n"), "{answer}");
    assert!(soon(told.recv()).await.unwrap().contains("the only version spoken here is 13"));
}

#[tokio::test]
async fn the_examples_run() {
    let (listener, address) = listen().await;
    tokio::spawn(hyper_server::run(listener));
    let (page, answers) = soon(hyper_client::visit(&address.to_string())).await.unwrap();
    assert_eq!(page, "open a WebSocket here\n");
    assert_eq!(answers, ["hello", "world"].map(|text| Some(Message::Text(text.into()))));

    let (listener, address) = listen().await;
    tokio::spawn(stack::run(listener));
    let options = ConnectOptions::new().subprotocol("echo");
    let mut socket = soon(options.connect(format!("ws://{address}/echo"))).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("echo"));
    soon(socket.send("hello")).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("hello".into())));
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
    let answer = ask(address, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("there is a WebSocket at /echo, not at /a\n"), "{answer}");
}
