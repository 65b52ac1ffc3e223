//! WebSockets on threads.
//!
//! [`connect`] and [`accept`] give a [`WebSocket`] over TCP, a Unix socket, or any [`Stream`].
mod accept;
mod batch;
mod connect;
mod deadline;
mod io;
mod shared;
mod split;
mod stream;
mod websocket;

pub use accept::{AcceptOptions, accept};
pub use batch::Batch;
pub use connect::{ConnectOptions, connect};
pub use split::{Reader, Writer};
pub use stream::{Stream, Untimed};
pub use websocket::WebSocket;
