//! How `serve` stops: who is told, who is waited for, and who is dropped.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ends::{A_WHILE, FOR_EVER, PATIENCE, Server, request, rest, soon};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use wsproto_io::{
    AcceptOptions, Client, Decision, Error, Handle, Message, ServeOptions, Transport, WebSocket, connect, serve,
};

type Socket = WebSocket<Transport>;

/// Options of a server that waits for ever for those who do not end.
fn patient() -> ServeOptions {
    ServeOptions::new().shutdown_timeout(FOR_EVER)
}

/// Options of a server that waits a moment for those who do not end, as they do not.
fn impatient() -> ServeOptions {
    ServeOptions::new().shutdown_timeout(Duration::from_millis(300))
}

/// The client hears that the server goes away, and then nothing more.
async fn hears_the_end(socket: &mut Socket) {
    assert_eq!(soon(socket.recv()).await.unwrap(), None);
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, closed.reason.as_str()), (1001, "the server stops"));
}

/// The client's connection was dropped.
async fn is_dropped(socket: &mut Socket) {
    assert_eq!(soon(socket.recv()).await.unwrap_err().close_code(), Some(1006));
}

/// Counts those that hold it.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

struct Held(Alive);

impl Alive {
    fn hold(&self) -> Held {
        self.0.fetch_add(1, SeqCst);
        Held(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

#[tokio::test]
async fn who_is_idle_gets_1001_and_the_port_refuses() {
    let mut server = Server::echo(patient()).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect(server.url("/")).await.unwrap());
    }
    server.stop();
    // The first to hear proves that it stops: from here on nobody gets in, though others are still open.
    hears_the_end(&mut idle[0]).await;
    assert_eq!(TcpStream::connect(server.address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    for socket in &mut idle[1..] {
        hears_the_end(socket).await;
    }
    server.ended().await;
    assert!(server.is_content());
    assert_eq!(TcpStream::connect(server.address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn what_was_queued_comes_before_the_end() {
    let (queued, mut is_queued) = mpsc::unbounded_channel();
    let mut server = Server::start(patient(), move |mut socket: Socket, _| {
        let queued = queued.clone();
        async move {
            socket.feed("first").await?;
            socket.feed(vec![7; 1000]).await?;
            queued.send(()).unwrap();
            socket.recv().await.map(|message| assert_eq!(message, None))
        }
    })
    .await;
    let mut socket = connect(server.url("/")).await.unwrap();
    soon(is_queued.recv()).await.unwrap();
    server.stop();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("first".into())));
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Binary(vec![7; 1000])));
    hears_the_end(&mut socket).await;
    server.ended().await;
    assert!(server.is_content());
}

#[tokio::test]
async fn who_is_busy_in_the_handler_ends_when_the_work_is_done() {
    let (begun, mut has_begun) = mpsc::unbounded_channel();
    let (work, done) = (Arc::new(Notify::new()), Alive::default());
    let mut server = Server::start(patient(), {
        let (work, done) = (Arc::clone(&work), done.clone());
        move |mut socket: Socket, _| {
            let (begun, work, done) = (begun.clone(), Arc::clone(&work), done.clone());
            async move {
                assert!(socket.recv().await?.is_some());
                begun.send(()).unwrap();
                work.notified().await;
                // It cannot send any more, and sees the end where it receives.
                let sent = socket.send("too late").await;
                assert!(matches!(sent, Err(Error::Closed(_))), "{sent:?}");
                assert_eq!(socket.recv().await?, None);
                std::mem::forget(done.hold());
                Ok(())
            }
        }
    })
    .await;
    let mut socket = connect(server.url("/")).await.unwrap();
    socket.send("work").await.unwrap();
    soon(has_begun.recv()).await.unwrap();
    server.stop();
    assert!(timeout(A_WHILE, &mut server.task).await.is_err(), "it waits for the handler");
    work.notify_one();
    hears_the_end(&mut socket).await;
    server.ended().await;
    assert_eq!(done.count(), 1);
    assert!(server.is_content());
}

#[tokio::test]
async fn who_does_not_read_is_dropped_at_the_deadline() {
    let (alive, socket_of) = (Alive::default(), Arc::new(Mutex::new(None::<Handle>)));
    let accept = AcceptOptions::new().compression(None).close_timeout(FOR_EVER).ping_interval(None);
    let mut server = Server::start(impatient().accept(accept), {
        let (alive, socket_of) = (alive.clone(), Arc::clone(&socket_of));
        move |mut socket: Socket, _| {
            let held = alive.hold();
            *socket_of.lock().unwrap() = Some(socket.handle());
            async move {
                let _held = held;
                // One that does not stop at an error, but at the end of the connection.
                while socket.send(vec![7; 100_000]).await.is_ok() {}
                socket.recv().await.map(drop)
            }
        }
    })
    .await;
    let mut socket = connect(server.url("/")).await.unwrap();
    soon(socket.recv()).await.unwrap();
    // Until the transport is full: something waits, and nothing more is taken.
    let counters = || socket_of.lock().unwrap().as_ref().unwrap().counters();
    loop {
        let before = counters();
        tokio::time::sleep(A_WHILE).await;
        if before.queued > 0 && counters() == before {
            break;
        }
    }
    let begun = Instant::now();
    server.stop();
    server.ended().await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "it was waited for");
    assert_eq!(alive.count(), 0);
    // What the transport had taken still comes, and then the end.
    let end = loop {
        match soon(socket.recv()).await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert_eq!(end.unwrap_err().close_code(), Some(1006));
}

#[tokio::test]
async fn handshakes_are_ended_at_once() {
    let accept = AcceptOptions::new().handshake_timeout(FOR_EVER);
    let (asked, mut is_asked) = mpsc::unbounded_channel();
    let options = patient().accept(accept).decide(move |_, _| {
        asked.send(()).unwrap();
        pending::<Decision>()
    });
    let mut server = Server::echo(options).await;
    let mut streams = Vec::new();
    let whole = request("/", "");
    // The last one tells when all have been accepted, as they come in their order.
    for bytes in ["", &whole[..30], &whole] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    soon(is_asked.recv()).await.unwrap();
    server.stop();
    server.ended().await;
    for stream in &mut streams {
        assert!(rest(stream).await.is_empty());
    }
    // That is nobody's fault: nobody is told.
    assert!(server.is_content());
}

/// The handshake ends in the moment in which the server stops: too late to be in the list of those who are told.
#[tokio::test]
async fn who_comes_in_the_last_moment_is_told_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (asked, mut is_asked) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let decision = Arc::new(Notify::new());
    // In a runtime of one thread the server tells all before the decision is seen.
    let stopped = {
        let decision = Arc::clone(&decision);
        async move {
            let _ = stopped.await;
            decision.notify_one();
        }
    };
    let options = patient().shutdown(stopped).decide(move |_, _| {
        asked.send(()).unwrap();
        let decision = Arc::clone(&decision);
        async move {
            decision.notified().await;
            Decision::accept()
        }
    });
    let server = tokio::spawn(serve(listener, options, ends::echo));
    let client = tokio::spawn(connect(url));
    soon(is_asked.recv()).await.unwrap();
    stop.send(()).unwrap();
    hears_the_end(&mut soon(client).await.unwrap().unwrap()).await;
    soon(server).await.unwrap();
}

#[tokio::test]
async fn who_waits_in_the_listeners_queue_is_turned_away() {
    let mut server = Server::echo(patient().max_connections(1)).await;
    let mut open = connect(server.url("/")).await.unwrap();
    let mut queued = TcpStream::connect(server.address).await.unwrap();
    server.stop();
    hears_the_end(&mut open).await;
    server.ended().await;
    assert!(rest(&mut queued).await.is_empty());
}

#[tokio::test]
async fn halves_in_tasks_of_their_own_end_while_the_handler_waits_for_them() {
    let mut server = Server::start(patient(), |socket: Socket, _| async move {
        let (mut reader, mut writer) = socket.split();
        let (work, mut to_send) = mpsc::channel::<Message>(4);
        let reading = tokio::spawn(async move {
            while let Some(message) = reader.recv().await? {
                work.send(message).await.map_err(Error::other)?;
            }
            Ok::<_, Error>(())
        });
        let writing = tokio::spawn(async move {
            while let Some(message) = to_send.recv().await {
                writer.send(message).await?;
            }
            Ok::<_, Error>(())
        });
        reading.await.map_err(Error::other)??;
        writing.await.map_err(Error::other)?
    })
    .await;
    let mut socket = connect(server.url("/")).await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("hello".into())));
    server.stop();
    hears_the_end(&mut socket).await;
    server.ended().await;
    assert!(server.is_content());
}

#[tokio::test]
async fn who_does_not_end_is_dropped_at_the_deadline_and_not_before() {
    let alive = Alive::default();
    let mut server = Server::start(impatient(), {
        let alive = alive.clone();
        move |socket: Socket, client: Client| {
            let held = alive.hold();
            async move {
                let _held = held;
                match client.request.path() {
                    "/stubborn" => pending().await,
                    _ => ends::echo(socket, client).await,
                }
            }
        }
    })
    .await;
    let mut stubborn = connect(server.url("/stubborn")).await.unwrap();
    let mut polite = connect(server.url("/")).await.unwrap();
    // One that never answers the Close, by hand.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(request("/", "").as_bytes()).await.unwrap();
    ends::head(&mut silent).await;

    let begun = Instant::now();
    server.stop();
    hears_the_end(&mut polite).await;
    server.ended().await;
    assert!((Duration::from_millis(300)..PATIENCE).contains(&begun.elapsed()));
    assert_eq!(alive.count(), 0);
    is_dropped(&mut stubborn).await;
    assert_eq!(rest(&mut silent).await, b"\x88\x12\x03\xe9the server stops");
}

#[tokio::test]
async fn dropping_the_future_drops_all() {
    let alive = Alive::default();
    let accept = AcceptOptions::new().handshake_timeout(FOR_EVER);
    let mut server = Server::start(patient().accept(accept), {
        let alive = alive.clone();
        move |socket: Socket, client| {
            let held = alive.hold();
            async move {
                let _held = held;
                ends::echo(socket, client).await
            }
        }
    })
    .await;
    let mut half_open = TcpStream::connect(server.address).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(connect(server.url("/")).await.unwrap());
    }
    server.task.abort();
    assert!(soon(&mut server.task).await.unwrap_err().is_cancelled());
    for socket in &mut sockets {
        is_dropped(socket).await;
    }
    assert!(rest(&mut half_open).await.is_empty());
    assert_eq!(alive.count(), 0);
    assert_eq!(TcpStream::connect(server.address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_server_that_is_told_before_it_begins_serves_nobody() {
    let mut server = Server::echo(patient()).await;
    server.stop();
    server.ended().await;
    assert!(connect(server.url("/")).await.is_err());
}
