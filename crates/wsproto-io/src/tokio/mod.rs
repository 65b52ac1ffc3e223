//! The driver for tokio's tasks.
//!
//! | file | what it holds |
//! |---|---|
//! | `io.rs` | the transport, the queue and the clock: what is done while nothing waits, and while something does |
//! | `pulse.rs`, `timer.rs` | pings and round trips; the one timer of a connection |
//! | `receiving.rs`, `batch.rs` | what the peer says: whole messages, and events without a copy |
//! | `sending.rs` | a message on its way into the queue |
//! | `websocket.rs`, `split.rs`, `side.rs` | a WebSocket in one task, and in two |
//! | `handle.rs` | counters, and closing from elsewhere |
//! | `futures.rs` | `Stream` and `Sink` |

mod batch;
mod futures;
mod handle;
mod io;
mod pulse;
mod receiving;
mod sending;
mod side;
mod split;
mod timer;
mod websocket;

pub use batch::Batch;
pub use handle::{Counters, Handle};
pub use pulse::RoundTrip;
pub use split::{Reader, Writer};
pub use websocket::WebSocket;
