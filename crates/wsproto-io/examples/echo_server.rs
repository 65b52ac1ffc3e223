//! Sends each message back; stops at Ctrl-C.

use tokio::net::TcpListener;
use wsproto_io::{ServeOptions, serve};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9001").await?;
    println!("ws://{}", listener.local_addr()?);
    let options = ServeOptions::new().max_connections(10_000).shutdown(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    serve(listener, options, |mut socket, _client| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?; // leaves when `recv` has to wait
        }
        Ok(())
    })
    .await;
    Ok(())
}
