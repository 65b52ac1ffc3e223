//! Which version of HTTP a client begins with.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tokio::{Transport, read};

/// How a client of HTTP/2 begins (RFC 9113 §3.4). No request of HTTP/1.1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client begins with, and what was read for that.
pub(crate) enum Begun {
    Http1(Transport, Vec<u8>),
    Http2(Rewind<Transport>),
}

/// Tells the version: under TLS by what was agreed on (ALPN), else by the first bytes.
pub(crate) async fn tell(mut transport: Transport) -> io::Result<Begun> {
    let mut first = Vec::new();
    if transport.agreed_on_http2() {
        return Ok(Begun::Http2(Rewind { first, read: 0, inner: transport }));
    }
    if !matches!(transport, Transport::Tcp(_)) {
        return Ok(Begun::Http1(transport, first));
    }
    while PREFACE.starts_with(&first) && first.len() < PREFACE.len() {
        let n = read(&mut transport, |bytes| {
            first.extend_from_slice(bytes);
            bytes.len()
        });
        if n.await? == 0 {
            break;
        }
    }
    Ok(if first.starts_with(PREFACE) {
        Begun::Http2(Rewind { first, read: 0, inner: transport })
    } else {
        Begun::Http1(transport, first)
    })
}

/// A transport of which something was read already.
#[derive(Debug)]
pub(crate) struct Rewind<S> {
    first: Vec<u8>,
    read: usize,
    inner: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = &self.first[self.read..];
        if rest.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, space);
        }
        let n = rest.len().min(space.remaining());
        space.put_slice(&rest[..n]);
        self.read += n;
        if self.read == self.first.len() {
            (self.first, self.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
