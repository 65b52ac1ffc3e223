//! TCP, TLS over it, a stream of HTTP/2, or what hyper makes of them.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// What [`connect`](crate::connect), [`serve`](crate::serve) and hyper put under a WebSocket: TCP, TLS over it, or a stream
/// of HTTP/2 over either.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transport {
    /// `ws`.
    Tcp(TcpStream),
    /// `wss`.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
    /// One of the streams of a connection that is shared.
    #[cfg(feature = "h2")]
    Http2(Box<crate::http2::Http2Stream>),
    /// What hyper gave up: a stream of its HTTP/2, or a connection of HTTP/1.1 whose transport is of another type than these.
    #[cfg(feature = "hyper")]
    Hyper(Box<crate::hyper::HyperStream>),
}

impl Transport {
    /// The TCP socket, for its addresses and options. `None` where it is shared with others, over HTTP/2,
    /// or is hyper's own.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Some(tls.stream()),
            #[cfg(feature = "h2")]
            Self::Http2(_) => None,
            #[cfg(feature = "hyper")]
            Self::Hyper(_) => None,
        }
    }

    /// Whether TLS agreed on HTTP/2 (ALPN).
    #[cfg(feature = "h2")]
    pub(crate) fn agreed_on_http2(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls().is_some_and(|tls| tls.alpn_protocol() == Some(crate::http2::ALPN));
        #[cfg(not(feature = "tls"))]
        false
    }

    /// The TLS connection, if it is one: what was agreed on, and the peer's certificates.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<&crate::tls::rustls::CommonState> {
        match self {
            Self::Tcp(_) => None,
            #[cfg(feature = "h2")]
            Self::Http2(_) => None,
            #[cfg(feature = "hyper")]
            Self::Hyper(_) => None,
            Self::Tls(tls) => Some(tls.connection()),
        }
    }
}

/// What a stream that shares its connection with others can do, beside reading and writing.
pub(crate) struct Multiplexed<S> {
    /// As `poll_write`; or it keeps the whole buffer, without a copy: then all of it was taken, and it is left empty.
    pub(crate) poll_give: fn(&mut S, &mut Context<'_>, &mut Vec<u8>) -> Poll<io::Result<usize>>,
    /// Ends both directions at once, out of order. Nothing is read or written any more.
    pub(crate) reset: fn(&mut S),
}

impl<S: AsyncWrite + Unpin> Multiplexed<S> {
    /// It can do no more than others.
    #[cfg(any(feature = "h2", feature = "hyper"))]
    pub(crate) const PLAIN: Self =
        Self { poll_give: |stream, cx, bytes| Pin::new(stream).poll_write(cx, bytes), reset: |_| () };
}

#[cfg(feature = "h2")]
impl Multiplexed<Transport> {
    pub(crate) const HTTP2: Self = Self {
        poll_give: |transport, cx, bytes| match transport {
            Transport::Http2(stream) => stream.poll_give(cx, bytes),
            other => Pin::new(other).poll_write(cx, bytes),
        },
        reset: |transport| {
            if let Transport::Http2(stream) = transport {
                stream.reset();
            }
        },
    };
}

impl<S> Clone for Multiplexed<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Multiplexed<S> {}

impl<S> fmt::Debug for Multiplexed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Multiplexed")
    }
}

/// Calls the method of whichever it is.
macro_rules! delegate {
    ($self:ident . $method:ident ( $($argument:expr),* )) => {
        match $self.get_mut() {
            Transport::Tcp(tcp) => Pin::new(tcp).$method($($argument),*),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => Pin::new(tls).$method($($argument),*),
            #[cfg(feature = "h2")]
            Transport::Http2(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "hyper")]
            Transport::Hyper(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_read(cx, space))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.is_write_vectored(),
            #[cfg(feature = "h2")]
            Self::Http2(_) => false,
            #[cfg(feature = "hyper")]
            Self::Hyper(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_shutdown(cx))
    }
}
