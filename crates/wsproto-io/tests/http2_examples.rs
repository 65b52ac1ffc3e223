//! The examples of WebSockets over HTTP/2 by hand, against each other and against this crate.

#![cfg(feature = "h2")]
#![allow(
    dead_code,
    clippy::duplicate_mod,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs
)]

#[path = "../examples/http2_client.rs"]
mod client;
#[path = "support/ends.rs"]
mod ends;
#[path = "../examples/http2_server.rs"]
mod server;

use ends::{Server, soon};
use tokio::net::{TcpListener, TcpStream};
use wsproto_io::{ConnectOptions, Http, Message, ServeOptions};

/// More than a window, in both directions at once.
fn words() -> Vec<String> {
    vec![
        "Hello".into(),
        String::new(),
        "ä".repeat(10),
        "long ".repeat(10_000),
        (0..100_000).map(|n| n.to_string()).collect(),
    ]
}

async fn served() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve(listener));
    address
}

#[tokio::test]
async fn the_client_speaks_with_the_server() {
    let address = served().await;
    let mut send = soon(client::connect(TcpStream::connect(address).await.unwrap())).await.unwrap();
    for _ in 0..3 {
        let (connection, stream) = soon(client::open(&mut send, &format!("ws://{address}/"))).await.unwrap();
        assert_eq!(soon(client::say(connection, stream, &words())).await.unwrap(), words());
    }
}

#[tokio::test]
async fn the_client_speaks_with_serve() {
    let mut server = Server::echo(ServeOptions::new().http2(10)).await;
    let mut send = soon(client::connect(TcpStream::connect(server.address).await.unwrap())).await.unwrap();
    let (connection, stream) = soon(client::open(&mut send, &server.url("/"))).await.unwrap();
    // (Few: a server that waits to send hears the Close meanwhile, and then can send no more.)
    assert_eq!(soon(client::say(connection, stream, &words()[..3])).await.unwrap(), words()[..3]);
    drop(send);
    server.stop();
    server.ended().await;
    assert!(server.is_content());
}

#[tokio::test]
async fn the_server_speaks_with_connect() {
    let address = served().await;
    for options in [ConnectOptions::new(), ConnectOptions::new().compression(None)] {
        let options = options.http_version(Http::Two);
        let socket = soon(options.connect(format!("ws://{address}/"))).await.unwrap();
        // The server sends back what it has of a message: to hear that, one half reads while the other writes.
        let (mut reader, mut writer) = socket.split();
        for word in words() {
            let (sent, echoed) = tokio::join!(soon(writer.send(&word)), soon(reader.recv()));
            sent.unwrap();
            assert_eq!(echoed.unwrap(), Some(Message::Text(word)));
        }
        writer.send_close(wsproto::CloseCode::NORMAL, "done");
        assert_eq!(soon(reader.recv()).await.unwrap(), None);
        assert_eq!(reader.closed().unwrap().code, 1000);
    }
}
