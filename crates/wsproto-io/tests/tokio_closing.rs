//! Closing ends in time, whatever the peer does.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{AcceptOptions, Error, Timeout};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A masked text message, "Hi", masked with zeros.
const MESSAGE: &[u8] = b"\x81\x82\0\0\0\0Hi";

#[tokio::test]
async fn t16_a_peer_that_sends_for_ever_does_not_prolong_the_time_for_closing() {
    let (server, client) = duplex(64 * 1024);
    let peer = tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(client);
        tokio::spawn(async move { while from.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {} });
        to.write_all(REQUEST).await.unwrap();
        while to.write_all(&MESSAGE.repeat(1000)).await.is_ok() {}
    });
    let options = AcceptOptions::new().close_timeout(Duration::from_millis(300));
    let mut socket = options.accept(server).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(60), socket.close(CloseCode::NORMAL, "")).await;
    assert!(matches!(closed.unwrap(), Err(Error::Timeout(Timeout::Close))));

    // The same for one who receives: messages come, and then the end.
    assert!(matches!(socket.recv().await, Err(Error::Closed(closed)) if closed.code == 1006));
    drop(socket);
    peer.await.unwrap();
}
