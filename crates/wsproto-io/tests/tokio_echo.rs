//! A client and a server on tokio, as the documentation has them.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wsproto_io::wsproto::CloseCode;
use wsproto_io::wsproto::extension::PerMessageDeflate;
use wsproto_io::{
    AcceptOptions, Client, ConnectOptions, Error, Message, ServeOptions, Transport, WebSocket, connect, serve,
};

/// An echo server; its URL, what stops it, and its task.
async fn echo_server() -> (String, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let options = ServeOptions::new().shutdown(async {
        let _ = stopped.await;
    });
    let echo = |mut socket: WebSocket<Transport>, _: Client| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?;
        }
        Ok::<(), Error>(())
    };
    (url, stop, tokio::spawn(serve(listener, options, echo)))
}

#[tokio::test]
async fn messages_come_back_and_both_ends_close() {
    let (url, _stop, _server) = echo_server().await;
    let mut socket = connect(&url).await.unwrap();
    for message in [Message::Text("hello".into()), Message::Binary(vec![7; 300_000]), Message::Text(String::new())] {
        socket.send(&message).await.unwrap();
        assert!(socket.recv().await.unwrap() == Some(message));
    }
    let round_trip = socket.ping().await.unwrap();
    socket.send("behind the ping").await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some(Message::Text("behind the ping".into())));
    assert!(round_trip.await.unwrap() < Duration::from_secs(10));
    socket.close(CloseCode::NORMAL, "bye").await.unwrap();
    assert_eq!(socket.closed().unwrap().code, 1000);
    assert_eq!(socket.recv().await.unwrap(), None);
    let counters = socket.counters();
    assert_eq!((counters.messages_sent, counters.messages_received), (4, 4));
    assert_eq!((counters.pings_sent, counters.queued), (1, 0));
    assert!(counters.round_trip.is_some());
}

#[tokio::test]
async fn both_ends_know_what_was_agreed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut agreed = Vec::new();
        for _ in 0..2 {
            let socket = AcceptOptions::new().accept(listener.accept().await.unwrap().0).await.unwrap();
            agreed.push(socket.extensions().map(str::to_owned));
        }
        agreed
    });
    let deflate = PerMessageDeflate::new().server_no_context_takeover(true).client_no_context_takeover(true);
    let compressed = ConnectOptions::new().compression(deflate).connect(&url).await.unwrap();
    let agreed = compressed.extensions().unwrap();
    assert!(agreed.starts_with("permessage-deflate; ") && agreed.contains("server_no_context_takeover"), "{agreed}");
    let plain = ConnectOptions::new().compression(None).connect(&url).await.unwrap();
    assert_eq!(plain.extensions(), None);
    assert_eq!(server.await.unwrap(), [Some(agreed.to_owned()), None]);
}

#[tokio::test]
async fn a_server_that_stops_tells_everybody() {
    let (url, stop, server) = echo_server().await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&url).await.unwrap());
    }
    let (mut reader, _writer) = connect(&url).await.unwrap().split();
    stop.send(()).unwrap();
    for mut socket in sockets {
        assert_eq!(socket.recv().await.unwrap(), None);
        assert_eq!(socket.closed().unwrap().code, 1001);
    }
    assert_eq!(reader.recv().await.unwrap(), None);
    server.await.unwrap();
    assert!(connect(&url).await.is_err());
}

#[tokio::test]
async fn two_halves_in_two_tasks() {
    let (url, _stop, _server) = echo_server().await;
    let (mut reader, mut writer) = connect(&url).await.unwrap().split();
    let reading = tokio::spawn(async move {
        let mut received = 0;
        while let Some(message) = reader.recv().await.unwrap() {
            assert_eq!(message.as_bytes().len(), 10_000);
            received += 1;
        }
        (received, reader.closed().cloned())
    });
    for _ in 0..1000 {
        writer.feed(vec![7; 10_000]).await.unwrap();
    }
    // The queue is the writer's own; what the server has not read yet is answered before its Close.
    while writer.counters().messages_received < 1000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writer.close(CloseCode::NORMAL, "done").await.unwrap();
    let (received, closed) = reading.await.unwrap();
    assert_eq!((received, closed.unwrap().code), (1000, 1000));
}

#[tokio::test]
async fn streams_and_sinks() {
    let (url, _stop, _server) = echo_server().await;
    let (mut reader, mut writer) = connect(&url).await.unwrap().split();
    SinkExt::send(&mut writer, Message::Text("one".into())).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), Message::Text("one".into()));
    let mut socket = connect(&url).await.unwrap();
    SinkExt::feed(&mut socket, Message::Text("two".into())).await.unwrap();
    SinkExt::flush(&mut socket).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Text("two".into()));
    SinkExt::close(&mut socket).await.unwrap();
    assert!(socket.next().await.is_none());
}
