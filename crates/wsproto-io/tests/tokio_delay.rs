//! A network that is slow: 200 ms each way, and as much again by chance, through a proxy.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::PATIENCE;
use support::proxy::{Fault, proxy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use wsproto::CloseCode;
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Timeout, WebSocket};

const DELAY: Fault = Fault::Late(Duration::from_millis(200));

/// A server with these options that echoes; where it is, and its end.
async fn echo(options: AcceptOptions) -> (SocketAddr, JoinHandle<Result<u64, Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut socket: WebSocket<TcpStream> = options.accept(listener.accept().await.unwrap().0).await?;
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?;
        }
        Ok(socket.counters().pings_sent)
    });
    (address, serving)
}

#[tokio::test]
async fn t04_nothing_is_lost_in_a_slow_network_and_pings_are_answered_in_time() {
    let options = AcceptOptions::new().ping_interval(Duration::from_millis(300)).pong_timeout(Duration::from_secs(20));
    let (server, serving) = echo(options).await;
    let (address, _carrying) = proxy(server, DELAY, DELAY).await;
    let begun = Instant::now();
    let (mut reader, mut writer) = wsproto_io::connect(format!("ws://{address}/")).await.unwrap().split();
    assert!(begun.elapsed() >= Duration::from_millis(400), "there and back");
    let reading = tokio::spawn(async move {
        for i in 0..100_usize {
            let message = reader.recv().await.unwrap().unwrap();
            assert!(message.as_bytes().len() == i * 97 && message.as_bytes().iter().all(|byte| *byte == i as u8));
        }
        reader
    });
    for i in 0..100_usize {
        writer.send(vec![i as u8; i * 97]).await.unwrap();
    }
    let mut reader = timeout(PATIENCE, reading).await.unwrap().unwrap();
    // Silence for more than a ping interval: somebody is there.
    assert!(timeout(Duration::from_millis(1500), reader.recv()).await.is_err());
    let round_trip = writer.ping().await.unwrap();
    let closing = tokio::spawn(async move {
        let taken = round_trip.await.unwrap();
        writer.close(CloseCode::NORMAL, "").await.unwrap();
        taken
    });
    assert_eq!(timeout(PATIENCE, reader.recv()).await.unwrap().unwrap(), None);
    assert!(closing.await.unwrap() >= Duration::from_millis(400));
    let pings = timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(pings >= 1);
}

#[tokio::test]
async fn t04_deadlines_hold_in_a_slow_network() {
    // Shorter than there and back: each ends at its own time, not when the network is done.
    let short = Duration::from_millis(100);
    let (server, serving) = echo(AcceptOptions::new()).await;
    let (address, carrying) = proxy(server, DELAY, DELAY).await;
    let error = ConnectOptions::new().handshake_timeout(short).connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    assert!(timeout(PATIENCE, serving).await.unwrap().unwrap().is_err());
    carrying.abort();

    let (server, serving) = echo(AcceptOptions::new()).await;
    let (address, carrying) = proxy(server, DELAY, DELAY).await;
    let mut socket = ConnectOptions::new().close_timeout(short).connect(format!("ws://{address}/")).await.unwrap();
    let error = socket.close(CloseCode::NORMAL, "").await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error:?}");
    drop(socket);
    // The server has the Close all the same, later.
    assert!(timeout(PATIENCE, serving).await.unwrap().unwrap().is_ok());
    carrying.abort();

    let (server, serving) = echo(AcceptOptions::new()).await;
    let (address, carrying) = proxy(server, DELAY, DELAY).await;
    let options = ConnectOptions::new().ping_interval(short).pong_timeout(short);
    let mut socket = options.connect(format!("ws://{address}/")).await.unwrap();
    let error = timeout(PATIENCE, socket.recv()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
    drop(socket);
    assert!(timeout(PATIENCE, serving).await.unwrap().unwrap().is_err());
    carrying.abort();
}

#[tokio::test]
async fn t04_a_network_that_stops_ends_at_the_deadlines() {
    let (server, serving) = echo(AcceptOptions::new()).await;
    let (address, carrying) = proxy(server, Fault::Stall(2000), Fault::None).await;
    let options = ConnectOptions::new()
        .compression(None)
        .ping_interval(Duration::from_millis(200))
        .pong_timeout(Duration::from_millis(200));
    let mut socket = options.connect(format!("ws://{address}/")).await.unwrap();
    for _ in 0..40 {
        socket.send(vec![7; 100]).await.unwrap();
    }
    let error = timeout(PATIENCE, async {
        loop {
            if let Err(error) = socket.recv().await {
                break error;
            }
        }
    });
    let error = error.await.unwrap();
    assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
    serving.abort();
    carrying.abort();
}
