//! A chat of a hundred members, one of whom never reads: the others lose nothing, and memory is bounded.
//!
//! The server is the example that a user would copy.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[allow(dead_code, reason = "its `main` binds a fixed port")]
#[path = "../../crates/wsproto-io/examples/chat.rs"]
mod chat;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wsproto_conformance::numbered::{Body, check, message};
use wsproto_io::{ConnectOptions, ServeOptions, Transport, WebSocket, serve};

use chat::Chat;

const SPEAKERS: u64 = 99;

/// What each of them says: 8.7 MB in all, which each of the hundred is to hear; the sockets of one take less.
const MESSAGES: u64 = 43;
const LEN: usize = 2048;

/// How long the others wait for the one that never reads. The others are never so slow, on any machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much may be queued for one member, in bytes: 64 KiB, one message more, and a Close.
const QUEUED: usize = 64 * 1024 + 4096;

/// A member that speaks and hears. What it heard, counted for each speaker, was in order and whole.
async fn speak_and_hear(socket: WebSocket<Transport>, own: u64) {
    let (mut reader, mut writer) = socket.split();
    let speaking = async {
        for number in 0..MESSAGES {
            writer.send(message(own, number, Body::Bytes, LEN)).await.unwrap();
        }
    };
    let hearing = async {
        let mut heard = vec![0; usize::try_from(SPEAKERS).unwrap()];
        for _ in 0..SPEAKERS * MESSAGES {
            let message = reader.recv().await.unwrap().unwrap();
            let speaker = speaker(message.as_bytes());
            let next = &mut heard[usize::try_from(speaker).unwrap()];
            check(message.as_bytes(), speaker, *next).unwrap_or_else(|wrong| panic!("{own} heard {speaker}: {wrong}"));
            *next += 1;
        }
        assert!(heard.iter().all(|heard| *heard == MESSAGES));
    };
    tokio::join!(speaking, hearing);
}

/// Who said it: what the message begins with.
fn speaker(message: &[u8]) -> u64 {
    let digits = message.split(|byte| *byte == b' ').next().unwrap();
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_hundred_never_reads() {
    let mut chat = Chat::default();
    chat.patience = PATIENCE;
    let chat = Arc::new(chat);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("ws://{address}/");
    let attended = Arc::clone(&chat);
    let attend = move |socket, _| Arc::clone(&attended).attend(socket);
    let server = tokio::spawn(serve(listener, ServeOptions::new(), attend));

    let options = ConnectOptions::new().compression(None);
    // Its end takes little, whatever the system's buffers are.
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(16 * 1024).unwrap();
    let tcp = tcp.connect(address).await.unwrap();
    let mut silent = options.connect_on(&url, tcp).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..SPEAKERS {
        sockets.push(options.connect(&url).await.unwrap());
    }
    while chat.members().len() < 100 {
        sleep(Duration::from_millis(5)).await;
    }
    let slow = chat.members()[&0].handle.clone();

    // Nobody leaves before all have heard all.
    let (done, watched) = oneshot::channel();
    let watching = tokio::spawn(watch(Arc::clone(&chat), watched));
    let mut speakers = JoinSet::new();
    for (own, socket) in (0..).zip(sockets) {
        speakers.spawn(speak_and_hear(socket, own));
    }
    timeout(Duration::from_secs(120), async {
        while let Some(ended) = speakers.join_next().await {
            ended.unwrap();
        }
    })
    .await
    .expect("nobody is held up for ever");
    done.send(()).unwrap();
    let most = watching.await.unwrap();
    println!("most queued for one member: {most} bytes");
    assert!(most > 0 && most <= QUEUED, "{most} bytes were queued for one member");

    // The one that never read had to leave, and can still learn why, behind what it could have heard.
    assert!(slow.counters().messages_sent < SPEAKERS * MESSAGES);
    let mut heard = 0;
    while silent.recv().await.unwrap().is_some() {
        heard += 1;
    }
    assert_eq!(heard, slow.counters().messages_sent);
    assert_eq!(silent.closed().unwrap().to_string(), "closed with code 1008: too slow");
    server.abort();
}

/// The most bytes that were queued for one member at a time.
async fn watch(chat: Arc<Chat>, mut done: oneshot::Receiver<()>) -> usize {
    // Also those that had to leave.
    let members: Vec<_> = chat.members().values().cloned().collect();
    let mut most = 0;
    while timeout(Duration::from_millis(1), &mut done).await.is_err() {
        most = members.iter().map(|member| member.handle.counters().queued).max().unwrap_or(0).max(most);
    }
    most
}
