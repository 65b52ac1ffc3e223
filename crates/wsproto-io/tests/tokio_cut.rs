//! Transports that end, at every byte, in memory and on loopback.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::net::SocketAddr;

use support::proxy::{Fault, proxy};
use support::{End, PATIENCE, REQUEST, Wire, frames, server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wsproto::{CloseCode, CloseFrame, Message, Ping, RemoteProtocolError};
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Message as Owned, WebSocket, accept};

/// What a client sends: frame by frame, and the messages that are whole after it.
fn exchange() -> (Vec<u8>, Vec<(usize, Owned)>) {
    let (mut client, mut bytes, mut messages) = (support::client(), Vec::new(), Vec::new());
    client.send(Message::text("one"), &mut bytes).unwrap();
    messages.push((bytes.len(), Owned::Text("one".into())));
    client.send(Ping::new(&b"?"[..]), &mut bytes).unwrap();
    client.send(Message::binary(vec![7; 300]), &mut bytes).unwrap();
    messages.push((bytes.len(), Owned::Binary(vec![7; 300])));
    client.send(Message::text("th").unfinished(), &mut bytes).unwrap();
    client.send(Message::text("rée"), &mut bytes).unwrap();
    messages.push((bytes.len(), Owned::Text("thrée".into())));
    client.send(CloseFrame::new(CloseCode::NORMAL, "bye"), &mut bytes).unwrap();
    (bytes, messages)
}

fn is_end(error: &Error, end: End) -> bool {
    match end {
        End::Reset => matches!(error, Error::Io(_)),
        _ => matches!(error, Error::Remote(RemoteProtocolError::UnexpectedEof)),
    }
}

/// Cuts the exchange at every byte, there the fault: messages first, then one end, and the same for ever.
async fn cut_everywhere(end: End) {
    let (bytes, messages) = exchange();
    for cut in 0..=bytes.len() {
        for piece in [1, 7, usize::MAX] {
            let wire = Wire::new(&bytes[..cut], end).in_pieces(piece);
            let mut socket = server(&wire);
            for (_, message) in messages.iter().filter(|(at, _)| *at <= cut) {
                assert_eq!(socket.recv().await.unwrap().as_ref(), Some(message), "cut at {cut}");
            }
            let first = socket.recv().await;
            if cut == bytes.len() {
                assert!(matches!(first, Ok(None)), "{first:?}");
                assert_eq!(socket.closed().unwrap().code, 1000);
                assert!(matches!(socket.recv().await, Ok(None)));
            } else {
                let error = first.unwrap_err();
                assert!(is_end(&error, end), "{error:?}");
                assert_eq!((error.close_code(), socket.closed().unwrap().code), (Some(1006), 1006));
                let again = socket.recv().await.unwrap_err();
                assert_eq!(again.close_code(), Some(1006), "{again:?}");
                assert!(matches!(socket.send("x").await, Err(Error::Closed(closed)) if closed.code == 1006));
            }
            assert_no_1006(&wire);
        }
    }
}

/// 1006 "MUST NOT be set as a status code in a Close control frame" (RFC 6455 §7.4.1).
fn assert_no_1006(wire: &Wire) {
    for (_, payload) in frames(&wire.written()) {
        assert!(!payload.starts_with(&1006_u16.to_be_bytes()));
    }
}

/// The same for two halves: the reader has the end, once, and the writer learns of it.
async fn cut_everywhere_split(end: End) {
    let (bytes, messages) = exchange();
    for cut in 0..bytes.len() {
        let wire = Wire::new(&bytes[..cut], end);
        let (mut reader, mut writer) = server(&wire).split();
        let whole = messages.iter().filter(|(at, _)| *at <= cut).count();
        let reading = tokio::spawn(async move {
            for _ in 0..whole {
                reader.recv().await.unwrap().unwrap();
            }
            let error = reader.recv().await.unwrap_err();
            assert_eq!(reader.recv().await.unwrap_err().close_code(), Some(1006));
            error
        });
        let closed = timeout(PATIENCE, writer.close(CloseCode::NORMAL, "")).await.unwrap();
        assert_eq!(closed.unwrap_err().close_code(), Some(1006));
        let error = reading.await.unwrap();
        assert!(is_end(&error, end), "{error:?}");
        assert!(matches!(writer.send("x").await, Err(Error::Closed(closed)) if closed.code == 1006));
        assert_no_1006(&wire);
    }
}

#[tokio::test(start_paused = true)]
async fn t01_a_reset_at_every_byte_ends_once_and_after_the_messages() {
    cut_everywhere(End::Reset).await;
    cut_everywhere_split(End::Reset).await;
}

#[tokio::test(start_paused = true)]
async fn t02_a_fin_at_every_byte_ends_once_and_after_the_messages() {
    cut_everywhere(End::Fin).await;
    cut_everywhere_split(End::Fin).await;
}

#[tokio::test(start_paused = true)]
async fn t01_what_came_before_the_transport_broke_is_still_read() {
    let (bytes, messages) = exchange();
    let wire = Wire::new(bytes, End::Reset).in_pieces(1);
    wire.state().broken = Some(std::io::ErrorKind::BrokenPipe);
    let mut socket = server(&wire);
    let mut received = Vec::new();
    while let Ok(Some(message)) = socket.recv().await {
        let _ = socket.send("a reply that cannot be written").await;
        received.push(message);
    }
    assert_eq!(received, messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>());
    assert!(matches!(socket.recv().await, Ok(None)), "and the Close is there, too");
}

#[tokio::test(start_paused = true)]
async fn t02_a_fin_at_every_byte_of_the_request_is_an_error() {
    for cut in 0..REQUEST.len() {
        for end in [End::Fin, End::Reset] {
            let error = accept(Wire::new(&REQUEST.as_bytes()[..cut], end)).await.unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t02_a_fin_at_every_byte_of_the_response_is_an_error() {
    // What the answer is does not matter: it has no right key, so that its last byte, too, is an error.
    let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for cut in 0..=response.len() {
        for end in [End::Fin, End::Reset] {
            let wire = Wire::new(&response.as_bytes()[..cut], end);
            let error = ConnectOptions::new().connect_on("ws://localhost/", wire).await.unwrap_err();
            match (cut == response.len(), end) {
                (true, _) => assert!(matches!(error, Error::Response(_)), "{error:?}"),
                (_, End::Reset) => assert!(matches!(error, Error::Io(_)), "{error:?}"),
                _ => assert!(matches!(error, Error::Response(_) | Error::Io(_)), "{error:?}"),
            }
        }
    }
}

/// Sends the exchange to a server behind a proxy, and gives what the server made of it.
async fn through(fault: Fault) -> (Vec<Owned>, Vec<Result<Option<Owned>, Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, carrying) = proxy(listener.local_addr().unwrap(), fault, Fault::None).await;
    let receiving = tokio::spawn(async move {
        let tcp = listener.accept().await.unwrap().0;
        let mut socket: WebSocket<TcpStream> = match AcceptOptions::new().compression(None).accept(tcp).await {
            Ok(socket) => socket,
            Err(error) => return (Vec::new(), vec![Err(error)]),
        };
        let mut messages = Vec::new();
        let mut ends = Vec::new();
        while ends.len() < 2 {
            match socket.recv().await {
                Ok(Some(message)) => messages.push(message),
                end => ends.push(end),
            }
        }
        (messages, ends)
    });
    let mut client = raw_client(address).await;
    let _ = client.write_all(&exchange().0).await;
    let received = timeout(PATIENCE, receiving).await.unwrap().unwrap();
    drop(client);
    carrying.abort();
    received
}

/// A connection whose request is written.
async fn raw_client(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let _ = client.write_all(REQUEST.as_bytes()).await;
    let mut byte = [0];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    client
}

#[tokio::test]
async fn t01_t02_resets_and_fins_on_real_sockets() {
    let (bytes, messages) = exchange();
    for cut in (0..REQUEST.len() + bytes.len()).step_by(17) {
        for fault in [Fault::Reset(cut), Fault::Fin(cut)] {
            let (received, ends) = through(fault).await;
            let whole = messages.iter().filter(|(at, _)| REQUEST.len() + at <= cut).count();
            match fault {
                // What is not read when the reset comes is lost to the kernel: never more than came, and in its order.
                Fault::Reset(_) => assert!(received.len() <= whole, "{fault:?}"),
                _ => assert_eq!(received.len(), whole, "{fault:?}"),
            }
            assert!(received.iter().zip(&messages).all(|(received, (_, sent))| received == sent));
            assert!(
                ends.iter().all(|end| end.as_ref().is_err_and(|error| error.close_code() == Some(1006))),
                "{ends:?}"
            );
        }
    }
}

#[tokio::test]
async fn t03_one_byte_at_a_time_on_real_sockets() {
    let (received, ends) = through(Fault::Bytewise).await;
    assert_eq!(received, exchange().1.into_iter().map(|(_, message)| message).collect::<Vec<_>>());
    assert!(ends.iter().all(|end| matches!(end, Ok(None))), "{ends:?}");
}
