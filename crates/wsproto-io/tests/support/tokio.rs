//! Transports in memory and on loopback that do what a test wants, for the tokio driver.

#![allow(dead_code, unused_imports, clippy::unwrap_used, unreachable_pub, missing_docs)]

pub mod peer;
pub mod polls;
pub mod proxy;
pub mod wire;

pub use peer::{REQUEST, client, encode, frames};
pub use polls::{Counted, poll_once, poll_times};
pub use wire::{End, Hiccup, Wire};

use std::time::Duration;

use wsproto::{Connection, Extensions, Limits};
use wsproto_io::{AcceptOptions, WebSocket};

/// Generous: it only turns a test that hangs into one that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const KIB: usize = 1024;

/// What may be queued at most: 64 KiB, one step of a message, its header.
pub const MOST_QUEUED: usize = 128 * KIB + 14;

/// A server on this wire, after its handshake; without limits.
pub fn server(wire: &Wire) -> WebSocket<Wire> {
    let connection = Connection::server(Extensions::none(), Limits::none());
    WebSocket::from_connection(wire.clone(), connection, Limits::none(), Vec::new())
}

/// A client on this wire, after its handshake; without limits.
pub fn client_on(wire: &Wire) -> WebSocket<Wire> {
    WebSocket::from_connection(wire.clone(), client(), Limits::none(), Vec::new())
}

/// A server that was accepted on this wire, without extensions: it does not cut long messages into fragments.
pub async fn accepted(wire: &Wire) -> WebSocket<Wire> {
    let (input, room) = {
        let mut state = wire.state();
        let room = std::mem::replace(&mut state.room, usize::MAX);
        (std::mem::replace(&mut state.input, REQUEST.into()), room)
    };
    let socket = AcceptOptions::new().compression(None).limits(Limits::none()).accept(wire.clone()).await.unwrap();
    let mut state = wire.state();
    (state.input, state.read, state.room) = (input, 0, room);
    (state.writes, state.flushes, state.polls, state.total_read) = (0, 0, 0, 0);
    state.written.clear();
    drop(state);
    socket
}

/// What was written is whole frames, to the last byte.
pub fn assert_whole(wire: &Wire) {
    let mut again = Vec::new();
    for (header, payload) in frames(&wire.written()) {
        header.encode(&mut again);
        again.extend_from_slice(&payload);
    }
    assert!(again == wire.written());
}
