//! What is left of a connection when it has ended: nothing. One test only, since it counts for the whole process.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::fs;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use wsproto::CloseCode;
use wsproto_io::{Client, Error, ServeOptions, Transport, WebSocket, connect, serve};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// In KiB.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until both are as they were: sockets and tasks end a moment later.
async fn returns_to((files, alive): (usize, usize)) {
    let back = async {
        while descriptors() > files || tasks() > alive {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let returned = timeout(support::PATIENCE, back).await;
    assert!(returned.is_ok(), "{} descriptors, were {files}; {} tasks, were {alive}", descriptors(), tasks());
}

async fn echo(mut socket: WebSocket<Transport>, _: Client) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        assert!(message.as_text() != Some("panic"), "the handler panics, as it is asked to");
        socket.feed(message).await?;
    }
    Ok(())
}

/// Connections that end in each way; a few of each.
async fn connections(url: &str) {
    for i in 0..24 {
        let mut socket = connect(url).await.unwrap();
        socket.send(vec![7; 100_000]).await.unwrap();
        socket.recv().await.unwrap();
        match i % 6 {
            0 => socket.close(CloseCode::NORMAL, "").await.unwrap(),
            1 => drop(socket),
            2 => {
                socket.stream_mut().tcp().unwrap().set_zero_linger().unwrap();
                drop(socket);
            }
            3 => {
                let (mut reader, mut writer) = socket.split();
                let reading = tokio::spawn(async move { reader.recv().await });
                writer.close(CloseCode::NORMAL, "").await.unwrap();
                reading.await.unwrap().unwrap();
            }
            4 => {
                socket.send("panic").await.unwrap();
                socket.recv().await.unwrap_err();
            }
            _ => {
                drop(tokio::net::TcpStream::connect(url[5..].trim_end_matches('/')).await.unwrap());
                socket.handle().close(CloseCode::GOING_AWAY, "");
                assert!(socket.recv().await.unwrap().is_none());
            }
        }
    }
}

#[tokio::test]
async fn t10_descriptors_tasks_and_memory_return_to_where_they_were() {
    let nothing = (descriptors(), tasks());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let options = ServeOptions::new().shutdown(async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(serve(listener, options, echo));
    let quiet = (descriptors(), tasks());
    connections(&url).await;
    returns_to(quiet).await;
    let before = memory();
    for _ in 0..8 {
        connections(&url).await;
    }
    returns_to(quiet).await;
    let grown = memory().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB more");

    // With connections that are open, of which one is half open, and one is idle.
    let half_open = tokio::net::TcpStream::connect(url[5..].trim_end_matches('/')).await.unwrap();
    let mut idle = connect(&url).await.unwrap();
    idle.send("x").await.unwrap();
    idle.recv().await.unwrap();
    stop.send(()).unwrap();
    assert!(idle.recv().await.unwrap().is_none());
    timeout(support::PATIENCE, serving).await.unwrap().unwrap();
    drop((half_open, idle));
    returns_to(nothing).await;
}
