//! Compression costs what is at work, and not each connection its own.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, missing_docs)]

use tokio::io::DuplexStream;
use tokio::runtime::Builder;
use wsproto_io::{AcceptOptions, ConnectOptions, Message, WebSocket};

/// Both ends of a connection, each by options of its own, after a compressed message each way.
async fn pair() -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let accepting = tokio::spawn(async move { AcceptOptions::new().accept(far).await.unwrap() });
    let mut client = ConnectOptions::new().connect_on("ws://localhost/", near).await.unwrap();
    let mut server = accepting.await.unwrap();
    assert!(client.extensions().unwrap().starts_with("permessage-deflate"));
    let message = Message::from("again and again ".repeat(100));
    client.send(message.clone()).await.unwrap();
    assert_eq!(server.recv().await.unwrap(), Some(message.clone()));
    server.send(message.clone()).await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some(message));
    (client, server)
}

/// An encoder takes 165 KB, a decoder 48: none is kept by a connection that waits, also where nobody shared the options.
#[test]
fn connections_by_default_options_keep_no_codecs_of_their_own() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime.block_on(pair()); // by now there is what all share
    let mut second = None;
    let cost = allocation_counter::measure(|| second = Some(runtime.block_on(pair())));
    let kept = cost.bytes_current;
    assert!(kept < 64 * 1024, "{kept} bytes");
    drop((first, second));
}
