//! A server by hyper, for HTTP/1.1 and HTTP/2 on one port: a page, and a WebSocket that sends each message back.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use wsproto_io::Error;
use wsproto_io::hyper::{Upgrading, is_upgrade, upgrade};

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if !is_upgrade(&request) {
        return Ok(Response::new(Full::from("open a WebSocket here\n")));
    }
    let response = match upgrade(&mut request) {
        Ok((response, upgrading)) => {
            tokio::spawn(echo(upgrading));
            response
        }
        Err(refused) => refused.response(),
    };
    Ok(response.map(Full::new))
}

async fn echo(upgrading: Upgrading) -> Result<(), Error> {
    let mut socket = upgrading.await?;
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?; // leaves when `recv` has to wait
    }
    Ok(())
}

pub(crate) async fn run(listener: TcpListener) -> std::io::Result<()> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol(); // without it there are no WebSockets over HTTP/2
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let builder = builder.clone();
        tokio::spawn(async move {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(tcp), service_fn(answer));
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    run(TcpListener::bind("127.0.0.1:9001").await?).await
}
