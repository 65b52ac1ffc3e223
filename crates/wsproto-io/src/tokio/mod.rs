//! The driver for tokio's tasks.
//!
//! | file | what it holds |
//! |---|---|
//! | `io.rs` | the transport, the queue and the clock: what is done while nothing waits, and while something does |
//! | `io/room.rs`, `io/ending.rs` | waiting for room in the queue; the end of a connection |
//! | `pulse.rs`, `timer.rs` | pings and round trips; the one timer of a connection |
//! | `receiving.rs`, `batch.rs` | what the peer says: whole messages, and events without a copy |
//! | `sending.rs` | a message on its way into the queue |
//! | `websocket.rs`, `split.rs`, `side.rs` | a WebSocket in one task, and in two |
//! | `handle.rs` | counters, and closing from elsewhere |
//! | `futures.rs` | `Stream` and `Sink` |
//! | `connect.rs`, `dial.rs` | the client's end |
//! | `accept.rs`, `serve.rs` | the server's end, for one connection and for all |
//! | `serve/listening.rs`, `serve/server.rs` | who is let in; the life of one connection |
//! | `shake.rs`, `transport.rs` | reading and writing before there is a connection; what lies under a WebSocket |

mod accept;
mod batch;
mod connect;
mod dial;
mod futures;
mod handle;
mod io;
mod pulse;
mod receiving;
mod sending;
mod serve;
mod shake;
mod side;
mod split;
mod timer;
mod transport;
mod websocket;

pub use accept::{AcceptOptions, accept};
pub use batch::Batch;
pub use connect::{ConnectOptions, connect};
pub use handle::{Counters, Handle};
pub use pulse::RoundTrip;
pub use serve::{Client, ServeOptions, serve};
pub use split::{Reader, Writer};
#[cfg(feature = "h2")]
pub(crate) use timer::Timer;
#[cfg(any(feature = "h2", feature = "hyper"))]
pub(crate) use transport::Multiplexed;
pub use transport::Transport;
pub use websocket::WebSocket;
#[cfg(any(feature = "h2", feature = "hyper"))]
pub(crate) use {shake::Deadline, shake::read};
