//! A server by hyper, whose service gives a WebSocket or a page.

#![allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wsproto_io::hyper::{Upgrading, is_upgrade};
use wsproto_io::{AcceptOptions, Error, Transport};

/// A server, and what its handlers have seen.
pub struct HyperServer {
    pub address: SocketAddr,
    seen: mpsc::UnboundedReceiver<String>,
}

/// How hyper is given the connection.
#[derive(Clone, Copy)]
pub enum By {
    /// Both versions.
    Auto,
    /// Both versions, but none with extended CONNECT.
    AutoWithoutConnect,
    Http1,
    /// Of a type that nobody knows.
    Odd,
    OddAuto,
}

impl HyperServer {
    pub async fn start(by: By, options: AcceptOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = mpsc::unbounded_channel();
        let answering = Arc::new(Answering { options, tell });
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let answering = Arc::clone(&answering);
                tokio::spawn(async move {
                    match by {
                        By::Auto => answering.auto(tcp, true).await,
                        By::AutoWithoutConnect => answering.auto(tcp, false).await,
                        By::Http1 => answering.http1(tcp).await,
                        By::Odd => answering.http1(Odd(tcp)).await,
                        By::OddAuto => answering.auto(Odd(tcp), true).await,
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// What the next handler, or the next that was refused, has told.
    pub async fn seen(&mut self) -> String {
        super::ends::soon(self.seen.recv()).await.unwrap()
    }
}

pub struct Answering {
    pub options: AcceptOptions,
    pub tell: mpsc::UnboundedSender<String>,
}

impl Answering {
    pub async fn auto<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, io: T, connect: bool) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        if connect {
            builder.http2().enable_connect_protocol();
        }
        let service = service_fn(move |request| std::future::ready(self.answer(request)));
        let _ = builder.serve_connection_with_upgrades(TokioIo::new(io), service).await;
    }

    pub async fn http1<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, io: T) {
        let service = service_fn(move |request| std::future::ready(self.answer(request)));
        let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades().await;
    }

    fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if !is_upgrade(&request) && request.uri().path() == "/page" {
            return Ok(Response::new(Full::from("a page")));
        }
        let response = match self.options.upgrade(&mut request) {
            Ok((response, upgrading)) => {
                tokio::spawn(echo(upgrading, self.tell.clone()));
                response
            }
            Err(refused) => {
                let _ = self.tell.send(refused.to_string());
                refused.response()
            }
        };
        Ok(response.map(Full::new))
    }
}

/// Tells what lies beneath, and how it ended.
async fn echo(upgrading: Upgrading, tell: mpsc::UnboundedSender<String>) -> Result<(), Error> {
    let mut socket = match upgrading.await {
        Ok(socket) => socket,
        Err(error) => {
            tell.send(error.to_string()).unwrap();
            return Err(error);
        }
    };
    let transport = match socket.stream() {
        Transport::Tcp(_) => "tcp",
        Transport::Hyper(_) => "hyper",
        Transport::Tls(_) => "tls",
        _ => "another",
    };
    assert_eq!(socket.stream().tcp().is_some(), transport != "hyper");
    tell.send(transport.to_owned()).unwrap();
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    tell.send(socket.closed().unwrap().to_string()).unwrap();
    Ok(())
}

/// TCP by another name.
pub struct Odd(pub TcpStream);

impl AsyncRead for Odd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, space)
    }
}

impl AsyncWrite for Odd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
