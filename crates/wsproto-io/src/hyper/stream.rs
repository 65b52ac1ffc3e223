//! What hyper gives up, as a transport.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[cfg(feature = "tls")]
use crate::tls::TlsStream;
use crate::tokio::{Transport, read};

/// The transport that hyper used, where it can be told which it is; else what hyper makes of it. With what was read already.
pub(super) fn transport(upgraded: Upgraded, version: Version) -> (Transport, Vec<u8>) {
    if version == Version::HTTP_2 {
        return (Transport::Hyper(HyperStream::new(upgraded, true).into()), Vec::new());
    }
    let found = recover(upgraded, Transport::Tcp).or_else(|upgraded| recover(upgraded, |transport| transport));
    #[cfg(feature = "tls")]
    let found = found
        .or_else(|upgraded| recover(upgraded, |tls: TlsStream<TcpStream>| Transport::Tls(tls.into())))
        .or_else(|upgraded| {
            recover(upgraded, |tls: tokio_rustls::server::TlsStream<TcpStream>| {
                Transport::Tls(TlsStream::new(tls).into())
            })
        })
        .or_else(|upgraded| {
            recover(upgraded, |tls: tokio_rustls::client::TlsStream<TcpStream>| {
                Transport::Tls(TlsStream::new(tls).into())
            })
        });
    match found {
        Ok((transport, first)) => (transport, first.into()),
        Err(upgraded) => (Transport::Hyper(HyperStream::new(upgraded, false).into()), Vec::new()),
    }
}

/// The transport, if it is of this type: as hyper has it by itself, or below what tells the version of HTTP.
fn recover<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    upgraded: Upgraded,
    wrap: impl FnOnce(T) -> Transport,
) -> Result<(Transport, Bytes), Upgraded> {
    let upgraded = match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => return Ok((wrap(parts.io.into_inner()), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<T>>(upgraded)?;
    Ok((wrap(parts.io.into_inner()), parts.read_buf))
}

/// A connection of HTTP/1.1, or one stream of HTTP/2, that hyper gave up for a WebSocket.
///
/// Of a stream, to shut it down is `END_STREAM`.
pub struct HyperStream {
    /// `None` only while it is dropped. The lock, which nobody has to take, makes it `Sync`, as all other transports are.
    io: Mutex<Option<TokioIo<Upgraded>>>,
    http2: bool,
    /// Whether our direction of a stream has ended, in order.
    finished: bool,
    /// Whether the peer's has.
    ended: bool,
}

/// Most bytes of one write to a stream, which hyper copies: as many as a DATA frame has by default (RFC 9113 §4.2).
const MOST: usize = 16 * 1024;

/// How long the peer's end of a stream is waited for behind ours, and how many bytes are thrown away for that.
const LEFT_TIME: Duration = Duration::from_secs(10);
const LEFT_BYTES: usize = 256 * 1024;

impl HyperStream {
    fn new(upgraded: Upgraded, http2: bool) -> Self {
        Self { io: Mutex::new(Some(TokioIo::new(upgraded))), http2, finished: false, ended: false }
    }

    fn io(&mut self) -> io::Result<Pin<&mut TokioIo<Upgraded>>> {
        let io = self.io.get_mut().unwrap_or_else(PoisonError::into_inner);
        io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for HyperStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = space.remaining();
        ready!(self.io()?.poll_read(cx, space))?;
        self.ended |= before > 0 && space.remaining() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HyperStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = if self.http2 { MOST } else { usize::MAX };
        self.io()?.poll_write(cx, &bytes[..bytes.len().min(most)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.http2 && self.finished {
            return Poll::Ready(Ok(()));
        }
        ready!(self.io()?.poll_shutdown(cx))?;
        self.finished = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for HyperStream {
    /// A `RST_STREAM` right behind our `END_STREAM` would be an error to the peer: its end is waited for without anybody.
    fn drop(&mut self) {
        let io = self.io.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(io) = io.filter(|_| self.http2 && self.finished && !self.ended) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(LEFT_TIME, leave(io)));
        }
    }
}

async fn leave(mut io: TokioIo<Upgraded>) {
    let mut left = LEFT_BYTES;
    while let Ok(n @ 1..) = read(&mut io, <[u8]>::len).await {
        let Some(rest) = left.checked_sub(n) else { return };
        left = rest;
    }
}

impl fmt::Debug for HyperStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperStream").field("http2", &self.http2).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever features somebody else asked for.
    #[test]
    fn a_transport_goes_from_thread_to_thread() {
        fn shared<T: Send + Sync>() {}
        shared::<Transport>();
    }
}
