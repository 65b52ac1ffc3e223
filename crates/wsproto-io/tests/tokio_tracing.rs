//! What the feature `tracing` tells.

#![cfg(all(feature = "tokio", feature = "tracing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/ends.rs"]
mod ends;

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ends::{ACCEPTANCE, soon, speak};
use tokio::io::duplex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{AcceptOptions, ConnectOptions};

/// Keeps the events, as lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, " {value:?}").unwrap();
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "wsproto"
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut Message(&mut line));
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn beginnings_pings_and_ends_are_told_and_no_secret() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let (ours, theirs) = duplex(1024);
    let (options, second) = (AcceptOptions::new(), Duration::from_secs(1));
    let connect = ConnectOptions::new().ping_interval(second);
    let (server, client) = tokio::join!(
        options.accept(ours),
        connect.connect_on("ws://user:password@localhost/chat?token=secret", theirs)
    );
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let receiving = tokio::spawn(async move { server.recv().await });
    let _ = tokio::time::timeout(second * 3 / 2, client.recv()).await;
    client.close(CloseCode::NORMAL, "bye\n").await.unwrap();
    receiving.await.unwrap().unwrap();

    let lines = lines.0.lock().unwrap().clone();
    for expected in [
        "DEBUG accepted a WebSocket for /chat",
        "DEBUG connected, by status 101",
        "TRACE the peer is silent: a Ping",
        "TRACE a Pong after 0ns",
        "DEBUG the WebSocket has ended: closed with code 1000: bye\\n",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected:?} is not among {lines:#?}");
    }
    let all = lines.join("\n");
    assert!(!["password", "secret", "token"].iter().any(|secret| all.contains(secret)), "{all}");
}

#[tokio::test]
async fn of_a_redirect_the_query_is_not_told() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let long = "x".repeat(300);
    let there = |location: &str| format!("HTTP/1.1 302 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let (address, server) =
        speak([there("/b?token=secret"), there(&format!("/{long}?token=secret")), format!("{ACCEPTANCE}\r\n")]).await;
    let options = ConnectOptions::new().follow_redirects(2);
    let socket = soon(options.connect(format!("ws://user:password@{address}/a"))).await.unwrap();
    drop(socket);
    assert_eq!(soon(server).await.unwrap().len(), 3);
    let lines = lines.0.lock().unwrap().clone();
    let told: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("DEBUG redirected to ")).collect();
    let cut = format!("ws://{address}/{long}")[..200].to_owned();
    assert_eq!(told, [format!("ws://{address}/b"), cut]);
    let all = lines.join("\n");
    assert!(!["password", "secret", "token"].iter().any(|secret| all.contains(secret)), "{all}");
}
