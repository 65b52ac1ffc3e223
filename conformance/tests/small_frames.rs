//! A server that puts each message of one byte into a DATA frame of its own, made by hand on `h2` and the bare core: our client,
//! whose application takes none of them for a while, keeps them all, and the other streams of the connection go on.
//!
//! (Our server has the same test in the driver's `tests/http2.rs`.) `h2` gives up a connection on which many small frames wait
//! for somebody to take them.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use wsproto::{CloseCode, Connection, Event, Extensions, Input, Limits, Message as Frame};
use wsproto_io::{ConnectOptions, Message};

/// How many frames are sent to the stream that is not read, each of 3 bytes: together they fit into its window, and are half again as
/// many as `h2` lets wait with the windows of our client.
const FRAMES: usize = 20_000;

/// How many streams there are beside it.
const SIBLINGS: usize = 20;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), work).await.unwrap()
}

/// Serves one connection. `Ok` where it ended in order: without a GOAWAY that names an error, by either end.
async fn serve(tcp: TcpStream, flood: Arc<Notify>, flooded: Arc<Notify>) -> Result<(), h2::Error> {
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.enable_connect_protocol().handshake::<_, Bytes>(tcp).await?;
    while let Some(asked) = connection.accept().await {
        let (request, respond) = asked?;
        if request.uri().path() == "/flood" {
            tokio::spawn(send_small_frames(respond, Arc::clone(&flood), Arc::clone(&flooded)));
        } else {
            tokio::spawn(echo(request, respond));
        }
    }
    Ok(())
}

fn accept(mut respond: SendResponse<Bytes>) -> (SendStream<Bytes>, Connection) {
    let send = respond.send_response(Response::new(()), false).unwrap();
    (send, Connection::server(Extensions::none(), Limits::none()))
}

/// One DATA frame.
async fn write(send: &mut SendStream<Bytes>, frame: Vec<u8>) {
    send.reserve_capacity(frame.len());
    while send.capacity() < frame.len() {
        poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
    }
    send.send_data(frame.into(), false).unwrap();
}

async fn send_small_frames(respond: SendResponse<Bytes>, flood: Arc<Notify>, flooded: Arc<Notify>) {
    let (mut send, mut core) = accept(respond);
    flood.notified().await;
    for number in 0..FRAMES {
        let mut frame = Vec::new();
        core.send(Frame::binary(&[number as u8][..]), &mut frame).unwrap();
        write(&mut send, frame).await;
        if number % 100 == 0 {
            // They leave in many turns, between those of the others.
            sleep(Duration::from_millis(5)).await;
        }
    }
    flooded.notify_one();
    // Until the client has reset it.
    let _ = poll_fn(|cx| send.poll_reset(cx)).await;
}

async fn echo(request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (mut send, mut core) = accept(respond);
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        let (mut bytes, mut out) = (data.to_vec(), Vec::new());
        let mut input = Input::new(&mut bytes);
        while let Some(event) = core.receive(&mut input).unwrap() {
            match event {
                Event::Message(message) => core.send(message, &mut out).unwrap(),
                event => event.response().into_iter().for_each(|reply| core.reply(reply, &mut out)),
            }
        }
        write(&mut send, out).await;
    }
    send.send_data(Bytes::new(), true).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p07_many_small_frames_for_a_client_that_does_not_read_end_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (flood, flooded) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let serving = {
        let (flood, flooded) = (Arc::clone(&flood), Arc::clone(&flooded));
        tokio::spawn(async move {
            let r = serve(listener.accept().await.unwrap().0, flood, flooded).await;
            eprintln!("SERVE {r:?}");
            r
        })
    };
    let connection = soon(ConnectOptions::new().http2(&url)).await.unwrap();
    let mut stalled = soon(connection.open("/flood")).await.unwrap();
    let mut siblings = Vec::new();
    for _ in 0..SIBLINGS {
        siblings.push(soon(connection.open("/")).await.unwrap());
    }
    flood.notify_one();

    // The siblings go on while the frames arrive, and behind the last of them.
    let mut echoed = 0;
    let mut all_sent = std::pin::pin!(flooded.notified());
    for round in 0.. {
        let ended = timeout(Duration::from_millis(1), all_sent.as_mut()).await.is_ok();
        for sibling in &mut siblings {
            let message = Message::Text(format!("round {round}"));
            soon(sibling.send(&message)).await.unwrap();
            assert_eq!(soon(sibling.recv()).await.unwrap(), Some(message));
            echoed += 1;
        }
        if ended {
            break;
        }
    }
    assert!(echoed >= 10 * SIBLINGS, "{echoed} echoes while {FRAMES} frames arrived");
    assert!(!serving.is_finished());

    for number in 0..FRAMES {
        assert_eq!(soon(stalled.recv()).await.unwrap(), Some(Message::Binary(vec![number as u8])), "{number}");
    }
    for mut sibling in siblings {
        soon(sibling.close(CloseCode::NORMAL, "")).await.unwrap();
    }
    drop((stalled, connection));
    soon(serving).await.unwrap().unwrap();
}
