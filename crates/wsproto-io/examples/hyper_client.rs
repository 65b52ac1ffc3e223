//! One connection of HTTP/2 that hyper has to a server: a page is fetched over it, and two WebSockets are opened beside it.

use std::error::Error;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{ConnectOptions, Message};

/// The page, and what two WebSockets give back.
pub(crate) async fn visit(host: &str) -> Result<(Bytes, [Option<Message>; 2]), Box<dyn Error + Send + Sync>> {
    let tcp = TcpStream::connect(host).await?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_max_send_streams(0); // so that the server's settings are seen to arrive
    let (mut send, connection) = builder.handshake::<_, Empty<Bytes>>(TokioIo::new(tcp)).await?;
    let (connection, extended) = wsproto_io::hyper::drive(connection);
    tokio::spawn(connection);

    let page = Request::get(format!("http://{host}/")).body(Empty::new())?;
    let page = send.send_request(page).await?.into_body().collect().await?.to_bytes();

    let (options, url) = (ConnectOptions::new(), format!("ws://{host}/"));
    let mut one = options.connect_http2(&url, &mut send, &extended).await?;
    let mut two = options.connect_http2(&url, &mut send, &extended).await?;
    one.send("hello").await?;
    two.send("world").await?;
    let answers = [one.recv().await?, two.recv().await?];
    one.close(CloseCode::NORMAL, "").await?;
    two.close(CloseCode::NORMAL, "").await?;
    Ok((page, answers))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let host = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let (page, answers) = visit(&host).await?;
    println!("{}{answers:?}", String::from_utf8_lossy(&page));
    Ok(())
}
