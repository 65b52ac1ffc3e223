//! Closing ends in time, whatever the peer does.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{AcceptOptions, Error, Timeout};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A masked text message, "Hi", masked with zeros.
const MESSAGE: &[u8] = b"\x81\x82\0\0\0\0Hi";

/// A client that sends its request and then messages without end, of which each read finds some, and takes all.
struct Flood {
    greeted: bool,
}

impl AsyncRead for Flood {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        space.put_slice(if self.greeted { MESSAGE } else { REQUEST });
        self.greeted = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// In a thread of its own: what never waits cannot be stopped by a timer of its runtime.
#[test]
fn t16_a_peer_that_sends_for_ever_does_not_prolong_the_time_for_closing() {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(close_in_time());
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).unwrap();
}

async fn close_in_time() {
    let options = AcceptOptions::new().close_timeout(Duration::from_millis(300));
    let mut socket = options.accept(Flood { greeted: false }).await.unwrap();
    let closed = socket.close(CloseCode::NORMAL, "").await;
    assert!(matches!(closed, Err(Error::Timeout(Timeout::Close))));
    assert!(matches!(socket.recv().await, Err(Error::Closed(closed)) if closed.code == 1006));

    // The same for one who receives: messages come, and then the end.
    let mut socket = options.accept(Flood { greeted: false }).await.unwrap();
    socket.send_close(CloseCode::NORMAL, "");
    let end = loop {
        match socket.recv().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(end, Err(Error::Timeout(Timeout::Close))));
}
