//! WebSockets on threads.
//!
//! [`connect`] and [`accept`] give a [`WebSocket`] over TCP, a Unix socket, or any other [`Stream`];
//! [`ConnectOptions`] and [`AcceptOptions`] choose how. [`WebSocket::split`] makes a [`Reader`] and a [`Writer`] of
//! it, for two threads.
//!
//! # What a blocking socket cannot do
//!
//! A thread that waits to write does not read, so it answers no Pings meanwhile, and two applications that both only
//! write, each waiting for the other to read, wait for ever. There are two cures: [`split`](WebSocket::split), with
//! which one thread reads and answers while the other waits; and
//! [`set_write_timeout`](WebSocket::set_write_timeout), with which [`send`](WebSocket::send) gives up and says
//! whether its message is queued. A thread that waits in [`recv`](WebSocket::recv) has no such trouble: where the
//! transport takes nothing, it reads and writes in turns.
//!
//! A thread that waits for its peer cannot be woken: to stop it, give it a
//! [read timeout](WebSocket::set_read_timeout) and let it look whether it shall go on.
//!
//! There is no keepalive by itself, since nobody looks at the clock between two calls:
//! [`ping`](WebSocket::ping) and a read timeout, or [`wsproto::keepalive`], make one.
//!
//! # Deadlines
//!
//! The handshake as a whole has 10 s, connecting 10 s, the peer's answer to our Close 10 s; each can be set. They need
//! a transport with timeouts: see [`Stream`].
//!
//! # An echo without a copy
//!
//! ```no_run
//! use wsproto_io::blocking::{Stream, WebSocket};
//! use wsproto_io::wsproto::Event;
//!
//! fn echo<S: Stream>(mut socket: WebSocket<S>) -> Result<(), wsproto_io::Error> {
//!     while let Some(mut batch) = socket.read()? {
//!         while let Some(event) = batch.next()? {
//!             if let Event::Message(piece) = event {
//!                 batch.feed(piece)?; // pieces as they come: a message of any length, and no memory for it
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```
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
