//! The fault proxy does what it says, and the driver bears it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use wsproto::CloseCode;
use wsproto_conformance::faults::{Fault, Proxy};
use wsproto_conformance::numbered::{Body, check, message};
use wsproto_io::{ConnectOptions, Error, ServeOptions, Transport, WebSocket, serve};

/// An echo server behind a proxy.
async fn echo_behind(fault: impl Into<Option<Fault>>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, ServeOptions::new(), |mut socket, _| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?;
        }
        Ok(())
    }));
    Proxy::start(server, fault.into()).await.unwrap()
}

async fn connect(proxy: &Proxy) -> WebSocket<Transport> {
    let options = ConnectOptions::new().compression(None);
    options.connect(format!("ws://{}/", proxy.address())).await.unwrap()
}

fn inject(proxy: &Proxy, socket: &WebSocket<Transport>, fault: impl Into<Option<Fault>>) {
    assert!(proxy.inject(socket.stream().tcp().unwrap().local_addr().unwrap(), fault));
}

/// Sends messages of this length and takes their echoes.
async fn exchange(socket: &mut WebSocket<Transport>, numbers: std::ops::Range<u64>, len: usize) {
    for number in numbers.clone() {
        socket.feed(message(7, number, Body::Bytes, len)).await.unwrap();
    }
    for number in numbers {
        check(socket.recv().await.unwrap().unwrap().as_bytes(), 7, number).unwrap();
    }
}

/// What has ended is forgotten.
async fn settled(proxy: &Proxy) {
    while proxy.connections() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_reset_is_the_transports_error() {
    let proxy = echo_behind(None).await;
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, 0..3, 1000).await;
    inject(&proxy, &socket, Fault::Reset);
    let error = socket.recv().await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{error}");
    assert_eq!(socket.closed().unwrap().code, 1006);
    settled(&proxy).await;
}

#[tokio::test]
async fn a_half_closed_connection_ends_without_a_close() {
    let proxy = echo_behind(None).await;
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, 0..3, 1000).await;
    inject(&proxy, &socket, Fault::HalfClose);
    assert!(socket.recv().await.is_err());
    assert_eq!(socket.closed().unwrap().code, 1006);
    drop(socket);
    settled(&proxy).await;
}

#[tokio::test]
async fn what_is_stalled_comes_later() {
    let proxy = echo_behind(None).await;
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, 0..3, 1000).await;
    let (start, stall) = (Instant::now(), Duration::from_millis(300));
    inject(&proxy, &socket, Fault::Stall(stall));
    exchange(&mut socket, 3..6, 100_000).await;
    assert!(start.elapsed() >= stall);
    inject(&proxy, &socket, Fault::Stall(Duration::from_secs(3600)));
    assert!(timeout(Duration::from_millis(50), exchange(&mut socket, 6..7, 10)).await.is_err());
    inject(&proxy, &socket, None);
    check(socket.recv().await.unwrap().unwrap().as_bytes(), 7, 6).unwrap();
    socket.close(CloseCode::NORMAL, "").await.unwrap();
}

#[tokio::test]
async fn t04_delay_and_jitter_of_200_ms_lose_nothing_and_deadlines_hold() {
    let fault = Fault::Delay(Duration::from_millis(200), Duration::from_millis(200));
    let proxy = echo_behind(fault).await;
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, 0..20, 2000).await;
    let round_trip = socket.ping().await.unwrap();
    exchange(&mut socket, 20..21, 10).await;
    assert!(round_trip.await.unwrap() >= Duration::from_millis(400), "there and back");
    // An answer that takes twice as long as it may.
    let hasty = ConnectOptions::new().handshake_timeout(Duration::from_millis(200));
    let error = hasty.connect(format!("ws://{}/", proxy.address())).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(wsproto_io::Timeout::Handshake)), "{error}");
    socket.close(CloseCode::NORMAL, "").await.unwrap();
    settled(&proxy).await;
}

#[tokio::test]
async fn one_byte_at_a_time_loses_nothing() {
    let proxy = echo_behind(Fault::Trickle).await;
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, 0..20, 500).await;
    inject(&proxy, &socket, None);
    exchange(&mut socket, 20..22, 100_000).await;
    socket.close(CloseCode::NORMAL, "").await.unwrap();
}

/// Whatever passes before the cut arrives; the message in the cut does not.
#[tokio::test]
async fn what_is_cut_ends_there() {
    let proxy = echo_behind(None).await;
    for (after_bytes, whole) in [(0, 0), (1, 0), (105, 0), (1100, 1), (2300, 2)] {
        let mut socket = connect(&proxy).await;
        inject(&proxy, &socket, Fault::Cut { after_bytes });
        for number in 0..3 {
            socket.feed(message(7, number, Body::Bytes, 1000)).await.unwrap();
        }
        for number in 0..whole {
            check(socket.recv().await.unwrap().unwrap().as_bytes(), 7, number).unwrap();
        }
        assert!(socket.recv().await.is_err(), "after {after_bytes} bytes");
        assert_eq!(socket.closed().unwrap().code, 1006);
    }
    settled(&proxy).await;
}
