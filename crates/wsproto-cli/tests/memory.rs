//! What a connection costs the server in memory, with the built binary and thousands of them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wsproto::Message;
use wsproto::extension::deflate::PerMessageDeflate;
use wsproto::frame::Rsv;
use wsproto_io::ConnectOptions;

use support::Server;
use support::client::Client;
use support::process::resident;

/// How many connections are counted; fewer where the system does not allow as many descriptors.
const CONNECTIONS: usize = 5000;

/// How many there are before: by then threads, buffers and codecs are there that all connections share.
const WARM_UP: usize = 500;

/// Bytes of each message.
const MESSAGE: usize = 1024;

/// One at a time: each takes as many descriptors as there may be.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises the limit of descriptors, so that there may be this many connections, and a few for other things.
fn allow(connections: usize) {
    let limit = usize::try_from(rlimit::increase_nofile_limit(u64::MAX).unwrap()).unwrap_or(usize::MAX);
    let needed = connections + WARM_UP + 100;
    assert!(limit >= needed, "the system allows {limit} descriptors, and this takes {needed}: raise the hard limit");
}

/// Bytes that do not compress, and differ with the seed.
fn noise(seed: usize) -> Vec<u8> {
    let mut state = seed as u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..MESSAGE).map(next).collect()
}

/// What each of many connections has made the server's resident memory grow by, in bytes, after so many echoes of 1 KiB on
/// each of them, all at the same time.
fn grown_by(what: &str, deflate: Option<PerMessageDeflate>, echoes: usize) -> usize {
    let _alone = alone();
    allow(CONNECTIONS);
    let deflate = deflate.map(Arc::new);
    let server = Server::start(&[]);
    let open = |n: usize| {
        let mut clients: Vec<_> = (0..n).map(|_| Client::connect(&server, deflate.as_ref())).collect();
        for round in 0..echoes {
            let message = noise(round);
            clients.iter_mut().for_each(|client| client.send(&message));
            clients.iter_mut().for_each(|client| client.assert_receives(&message));
        }
        clients
    };
    let warm_up = open(WARM_UP);
    let before = resident(server.id());
    let clients = open(CONNECTIONS);
    let after = resident(server.id());
    let each = (after - before) / CONNECTIONS;
    println!("{what}: {each} bytes for each of {CONNECTIONS} connections ({before} bytes before, {after} after)");
    drop((warm_up, clients));
    each
}

/// How many WebSockets share a connection of HTTP/2: as many as the server lets in.
const STREAMS: usize = 100;

/// The same over HTTP/2, with the driver's client: for each WebSocket, its share of a connection included.
fn grown_by_over_http2(what: &str, deflate: Option<PerMessageDeflate>) -> usize {
    let _alone = alone();
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = ConnectOptions::new().compression(deflate).ping_interval(None);
    let open = |n: usize| {
        runtime.block_on(async {
            let mut sockets = Vec::new();
            for _ in 0..n / STREAMS {
                let connection = options.http2(&server.url).await.unwrap();
                for _ in 0..STREAMS {
                    sockets.push(connection.open("/").await.unwrap());
                }
            }
            let message = Message::binary(noise(0));
            for socket in &mut sockets {
                socket.send(&message).await.unwrap();
            }
            for socket in &mut sockets {
                assert_eq!(socket.recv().await.unwrap().unwrap().as_bytes(), message.data.as_bytes());
            }
            sockets
        })
    };
    let warm_up = open(WARM_UP);
    let before = resident(server.id());
    let sockets = open(CONNECTIONS);
    let after = resident(server.id());
    let each = (after - before) / CONNECTIONS;
    println!("over HTTP/2, {what}: {each} bytes for each of {CONNECTIONS} ({before} bytes before, {after} after)");
    drop((warm_up, sockets));
    each
}

#[test]
fn over_http2_a_websocket_without_compression_takes_4_kib() {
    let each = grown_by_over_http2("without compression", None);
    assert!(each <= 4 * 1024, "{each}");
}

/// Without context takeover, and with what it keeps of one message in each direction.
#[test]
fn over_http2_a_websocket_with_compression_takes_1_kib_more_and_its_windows() {
    let deflate = PerMessageDeflate::new().server_no_context_takeover(true).client_no_context_takeover(true);
    let each = grown_by_over_http2("without context takeover", Some(deflate));
    assert!(each <= 5 * 1024, "{each}");
    let each = grown_by_over_http2("with context takeover", Some(PerMessageDeflate::new()));
    assert!(each <= 5 * 1024 + 2 * MESSAGE + 1024, "{each}");
}

#[test]
fn a_connection_without_compression_takes_2_kib() {
    let each = grown_by("without compression", None, 1);
    assert!(each <= 2 * 1024, "{each}");
}

#[test]
fn a_connection_with_compression_takes_1_kib_more() {
    let deflate = PerMessageDeflate::new().server_no_context_takeover(true).client_no_context_takeover(true);
    let each = grown_by("without context takeover", Some(deflate), 1);
    assert!(each <= 3 * 1024, "{each}");
}

#[test]
fn a_connection_with_context_takeover_takes_its_windows_and_2_kib_more() {
    // Windows of 12 bits, which five messages fill, in both directions; and 2 KiB more for what works with them.
    let each = grown_by("with context takeover", Some(PerMessageDeflate::new()), 5);
    assert!(each <= 2 * 1024 + 2 * 4096 + 2 * 1024, "{each}");
}

#[test]
fn h14_half_open_connections_take_8_kib_and_end_at_the_deadline() {
    let _alone = alone();
    allow(1000);
    let server = Server::start(&[]);
    let warm_up: Vec<_> = (0..100).map(|_| Client::connect(&server, None)).collect();
    let before = resident(server.id());
    let begun = Instant::now();
    // Half of them say nothing, half of them a part of a request.
    let mut streams: Vec<_> = (0..1000).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    for stream in streams.iter_mut().step_by(2) {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Padding: ").unwrap();
    }
    // Let in behind them all.
    drop(Client::connect(&server, None));
    let each = resident(server.id()).saturating_sub(before) / streams.len();
    println!("half open: {each} bytes for each");
    assert!(each <= 8 * 1024, "{each}");
    // 10 s is the default. A busy machine may take longer to open them, but they end one by one.
    let opened = begun.elapsed();
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_millis(9_500) && taken < opened + Duration::from_secs(11), "{taken:?}, {opened:?}");
    drop(warm_up);
}

/// What each of many connections with compression has made the server's resident memory grow by, in bytes, where it was sent
/// 10 bytes of a message that nobody finishes.
fn unfinished(compressed: bool) -> usize {
    let _alone = alone();
    allow(1000);
    let deflate = Arc::new(PerMessageDeflate::new());
    let server = Server::start(&[]);
    let open = |n: usize| {
        let begin = |_| {
            let mut client = Client::connect(&server, Some(&deflate));
            client.send_piece(Message::binary(&[7; 10][..]).unfinished(), compressed);
            let (header, payload) = client.frame();
            assert!(!header.rsv.intersects(Rsv::RSV1) && payload == [7; 10], "{header:?}");
            client
        };
        (0..n).map(begin).collect::<Vec<_>>()
    };
    let warm_up = open(100);
    let before = resident(server.id());
    let clients = open(1000);
    let each = resident(server.id()).saturating_sub(before) / clients.len();
    println!("an unfinished message, {}: {each} bytes", if compressed { "compressed" } else { "plain" });
    drop((warm_up, clients));
    each
}

#[test]
fn z06_an_unfinished_message_holds_no_encoder() {
    let each = unfinished(false);
    assert!(each <= 8 * 1024, "{each}");
    // That of the peer that came compressed holds a decoder.
    let each = unfinished(true);
    assert!(each <= 64 * 1024, "{each}");
}
