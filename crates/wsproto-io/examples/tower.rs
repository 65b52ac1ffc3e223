//! A stack of tower's services by hyper: WebSockets at `/echo`, and a page for all other requests.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use wsproto_io::AcceptOptions;
use wsproto_io::tower::WebSocketLayer;

async fn page(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!("there is a WebSocket at /echo, not at {}\n", request.uri().path()))))
}

pub(crate) async fn run(listener: TcpListener) -> std::io::Result<()> {
    let websockets = WebSocketLayer::new(|mut socket, _request| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?; // leaves when `recv` has to wait
        }
        Ok(())
    })
    .path("/echo")
    .options(AcceptOptions::new().subprotocol("echo"))
    .on_error(|error| eprintln!("{error}"));
    let service = ServiceBuilder::new().layer(websockets).service(service_fn(page));

    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol(); // without it there are no WebSockets over HTTP/2
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (builder, service) = (builder.clone(), TowerToHyperService::new(service.clone()));
        tokio::spawn(async move {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(tcp), service);
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
