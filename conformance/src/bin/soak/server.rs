//! The server of the soak, in a process of its own: echoes in five ways, and closes when it is asked to.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wsproto::{CloseCode, Event};
use wsproto_io::tls::ServerTls;
use wsproto_io::{Client, Error, Message, ServeOptions, Transport, WebSocket, serve};

use crate::Failure;

/// The message at which the server closes.
pub(crate) const CLOSE: &str = "close";

/// Serves until it is killed. Prints its two URLs, of `ws` and `wss`.
pub(crate) async fn run() -> Result<(), Failure> {
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    let secure = TcpListener::bind("127.0.0.1:0").await?;
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let tls = ServerTls::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes())?;
    println!("{} {}", plain.local_addr()?, secure.local_addr()?);
    // The parent's end of standard input goes with it, however it ends.
    let orphaned = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    tokio::select! {
        () = serve(plain, ServeOptions::new(), echo) => {}
        () = serve(secure, ServeOptions::new().tls(tls), echo) => {}
        _ = orphaned => {}
    }
    Ok(())
}

/// Echoes as the path says.
async fn echo(socket: WebSocket<Transport>, client: Client) -> Result<(), Error> {
    match client.request.path() {
        "/batches" => echo_batches(socket).await,
        "/pieces" => echo_pieces(socket).await,
        "/split" => echo_split(socket).await,
        "/impatient" => echo_impatiently(socket).await,
        _ => echo_whole(socket).await,
    }
}

async fn echo_whole(mut socket: WebSocket<Transport>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        if message.as_text() == Some(CLOSE) {
            return socket.close(CloseCode::GOING_AWAY, "as asked").await;
        }
        socket.feed(message).await?;
    }
    Ok(())
}

/// Without a copy, where a message came in one piece.
async fn echo_batches(mut socket: WebSocket<Transport>) -> Result<(), Error> {
    'open: while let Some(mut batch) = socket.read().await? {
        while let Some(message) = batch.message() {
            if message.as_bytes() == CLOSE.as_bytes() {
                break 'open;
            }
            batch.feed(message).await?;
        }
    }
    socket.close(CloseCode::GOING_AWAY, "as asked").await
}

/// Each piece of a message goes back as it came: long ones in many frames. Never closes.
async fn echo_pieces(mut socket: WebSocket<Transport>) -> Result<(), Error> {
    while let Some(mut batch) = socket.read().await? {
        while let Some(event) = batch.next() {
            if let Event::Message(piece) = event {
                batch.feed(piece).await?;
            }
        }
    }
    Ok(())
}

/// In two tasks, with a bounded channel between them.
async fn echo_split(socket: WebSocket<Transport>) -> Result<(), Error> {
    let (mut reader, mut writer) = socket.split();
    let (sender, mut receiver) = mpsc::channel::<Message>(4);
    let writing = tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            if message.as_text() == Some(CLOSE) {
                writer.send_close(CloseCode::GOING_AWAY, "as asked");
                break;
            }
            writer.send(message).await?;
        }
        Ok::<(), Error>(())
    });
    let read = async {
        while let Some(message) = reader.recv().await? {
            if sender.send(message).await.is_err() {
                // The writer has failed, or has closed: then the reader learns how it ends.
                while reader.recv().await?.is_some() {}
            }
        }
        Ok(())
    };
    let end = read.await;
    drop(sender);
    let written = writing.await.unwrap_or(Ok(()));
    end.and(written)
}

/// Drops each future that is not ready in a moment, and begins anew.
async fn echo_impatiently(mut socket: WebSocket<Transport>) -> Result<(), Error> {
    loop {
        let Ok(message) = timeout(Duration::from_millis(50), socket.recv()).await else { continue };
        let Some(message) = message? else { return Ok(()) };
        if message.as_text() == Some(CLOSE) {
            return socket.close(CloseCode::GOING_AWAY, "as asked").await;
        }
        // A dropped `send` leaves the message whole or not at all; a dropped `ready` leaves nothing.
        while let Err(_late) = timeout(Duration::from_millis(5), socket.ready()).await {}
        socket.feed(message).await?;
    }
}
