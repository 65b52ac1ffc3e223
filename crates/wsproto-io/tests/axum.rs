//! The extractor for axum, and the example with rooms.

#![cfg(all(feature = "axum", feature = "h2"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[allow(dead_code)]
#[path = "../examples/axum_rooms.rs"]
mod rooms;

use std::net::SocketAddr;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use ends::{ask, request, soon};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wsproto::CloseCode;
use wsproto::handshake::OriginPolicy;
use wsproto_io::axum::WebSocketUpgrade;
use wsproto_io::hyper::Refused;
use wsproto_io::{AcceptOptions, ConnectOptions, Decision, Error, Http, Message, Transport, WebSocket, connect};

async fn start(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn echo(mut socket: WebSocket<Transport>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}

async fn handler(upgrade: WebSocketUpgrade) -> Response {
    let options = AcceptOptions::new().subprotocol("v1").subprotocol("v2").compression(None);
    let decision = match upgrade.request().headers().text("Authorization") {
        Some("no") => Decision::reject(401).header("WWW-Authenticate", "Bearer").unwrap(),
        Some("last") => Decision::accept().subprotocol(upgrade.request().subprotocols().last().unwrap()),
        _ => Decision::accept().header("X-A", "b").unwrap(),
    };
    upgrade
        .options(options.origins(OriginPolicy::list(["https://good.example"]).unwrap()))
        .decision(decision)
        .on_upgrade(echo)
}

#[tokio::test]
async fn a_handler_over_both_versions() {
    let address = start(Router::new().route("/ws", any(handler))).await;
    let url = format!("ws://{address}/ws");
    for http in [Http::One, Http::Two] {
        let options = || ConnectOptions::new().http_version(http).subprotocol("v2").subprotocol("v1");
        for (authorization, subprotocol) in [("", "v2"), ("last", "v1")] {
            let options = options().header("Authorization", authorization).unwrap();
            let mut socket = soon(options.connect(&url)).await.unwrap();
            assert_eq!((socket.subprotocol(), socket.extensions()), (Some(subprotocol), None));
            for message in ["", &"long".repeat(100_000)] {
                soon(socket.send(message)).await.unwrap();
                assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text(message.into())));
            }
            soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
        }
        for (options, status, header) in [
            (options().header("Authorization", "no").unwrap(), 401, "www-authenticate"),
            (options().origin("https://evil.example"), 403, "content-length"),
        ] {
            let Err(Error::Rejected(rejected)) = soon(options.connect(&url)).await else { panic!() };
            assert!(rejected.status == status && rejected.headers.contains(header), "{rejected:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_valid_request_has_an_answer() {
    let optional = |upgrade: Result<WebSocketUpgrade, Refused>| async {
        match upgrade {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refused) => (refused.error().to_string()).into_response(),
        }
    };
    let address = start(Router::new().route("/ws", any(handler)).route("/page", any(optional))).await;
    for (request, status, header) in [
        (request("/ws", "").replace(" 13", " 12"), 426, "sec-websocket-version: 13\r\n"),
        ("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".into(), 426, "upgrade: websocket\r\n"),
        (request("/ws", "").replace("GET", "POST"), 405, "allow: GET\r\n"),
        (request("/ws", "").replace("dGhl", ""), 400, "connection: close\r\n"),
        (request("/page", "Connection: close\r\n").replace("dGhl", ""), 200, "content-length: "),
    ] {
        let answer = ask(address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(header), "{answer}");
    }
}

/// The error of a handler, and that of one who is not let in, is told.
#[tokio::test]
async fn errors_are_told() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/",
        any(move |upgrade: WebSocketUpgrade| async move {
            let upgrade = upgrade.on_error(move |error| tell.send(error.to_string()).unwrap());
            upgrade.on_upgrade(|_| async { Err(Error::other("the database is away")) })
        }),
    );
    let address = start(app).await;
    let url = format!("ws://{address}/");
    let _socket = soon(connect(&url)).await.unwrap();
    assert_eq!(soon(told.recv()).await.unwrap(), "the database is away");
    let _ = soon(ConnectOptions::new().origin("https://evil.example").connect(&url)).await;
    assert_eq!(soon(told.recv()).await.unwrap(), "the request was rejected here with status 403");
}

#[tokio::test]
async fn rooms_are_apart_and_nobody_waits_for_the_slow() {
    let address = start(rooms::app()).await;
    let enter = |room: &str| {
        let url = format!("ws://{address}/rooms/{room}");
        async move { soon(connect(&url)).await.unwrap() }
    };
    let (mut one, mut two, mut apart) = (enter("a").await, enter("a").await, enter("b").await);
    let slow = soon(TcpStream::connect(address)).await.unwrap();
    let mut slow = soon(ConnectOptions::new().compression(None).connect_on(format!("ws://{address}/rooms/a"), slow))
        .await
        .unwrap();
    // All have arrived when they hear themselves.
    for socket in [&mut one, &mut two, &mut apart] {
        soon(socket.send("here")).await.unwrap();
        while soon(socket.recv()).await.unwrap() != Some(Message::Text("here".into())) {}
    }
    soon(slow.send("here")).await.unwrap();
    // More than the sockets' buffers hold, for one who reads nothing: the others hear all of it.
    let text = "x".repeat(200_000);
    for number in 0..200 {
        let message = Message::Text(format!("{number} {text}"));
        soon(one.send(&message)).await.unwrap();
        for socket in [&mut one, &mut two] {
            while soon(socket.recv()).await.unwrap() != Some(message.clone()) {}
        }
    }
    // And the slow one is told, behind what was on its way.
    while soon(slow.recv()).await.unwrap().is_some() {}
    let closed = slow.closed().unwrap();
    assert_eq!((closed.code, closed.reason.as_str()), (1008, "too slow"));
    soon(apart.send("still here")).await.unwrap();
    assert_eq!(soon(apart.recv()).await.unwrap(), Some(Message::Text("still here".into())));
}
