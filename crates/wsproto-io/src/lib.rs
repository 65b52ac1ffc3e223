//! WebSocket clients and servers: drivers that own the sockets, on the protocol of [`wsproto`].
//!
//! ```
//! use std::net::TcpListener;
//! use std::thread;
//! use wsproto_io::wsproto::CloseCode;
//! use wsproto_io::{Error, Message, blocking};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//!
//! let server = thread::spawn(move || -> Result<(), Error> {
//!     let (stream, _) = listener.accept()?;
//!     let mut socket = blocking::accept(stream)?;
//!     while let Some(message) = socket.recv()? {
//!         socket.feed(message)?; // leaves when `recv` has to wait: one write for all that was read
//!     }
//!     Ok(())
//! });
//!
//! let mut socket = blocking::connect(&url)?;
//! socket.send("hello")?;
//! assert_eq!(socket.recv()?, Some(Message::Text("hello".into())));
//! socket.close(CloseCode::NORMAL, "")?;
//! server.join().unwrap()?;
//! # Ok::<(), Error>(())
//! ```
//!
//! # What holds for all drivers
//!
//! - Pings and the peer's Close are answered by themselves, and leave at once.
//! - `send` queues and writes, `feed` only queues; what is queued is written when `recv` has to wait, when 64 KiB are
//!   queued, or by `flush`. So the obvious reply loop, with `feed`, is the fast one.
//! - Back-pressure in both directions. At most one read, of at most 64 KiB, is ahead of the application. Below 64 KiB of
//!   queued bytes any one message is accepted, of any length; then the sender waits until 16 KiB are left.
//! - Buffers belong to the threads, which lend them: an idle connection holds none, a thread that waits in a read 4 KiB.
//! - Nothing is lost by a timeout: a `recv` goes on where it was, and a `send` says whether its message is queued. (Only a
//!   write that times out in the middle of a message over 64 KiB ends the connection: `Timeout::Unfinished`.)
//! - [`Error`] says what happened and whose fault it was, and keeps the close code.
//!
//! # Features
//!
//! - `blocking` (default): [`blocking`], on threads.
//! - `tls` (default): [`tls`], by rustls with ring.
//!
//! | file | what it holds |
//! |---|---|
//! | `step.rs` | the one step of all drivers: read, receive, flush |
//! | `incoming.rs`, `outgoing.rs` | the two directions: what was read and not taken, what is queued and not written |
//! | `lend.rs` | the buffers of a thread |
//! | `options.rs`, `decision.rs` | what can be chosen |
//! | `message.rs`, `error.rs` | what is said, and what goes wrong |
//! | `blocking/` | the driver for threads |
//! | `tls/` | who may be talked to, and who one is |

#![forbid(unsafe_code)]
// The parts that drivers share have no user without a driver.
#![cfg_attr(not(feature = "blocking"), allow(dead_code, unused_imports, unused_macros))]

mod accepting;
mod connecting;
mod decision;
mod error;
#[cfg(feature = "http")]
mod http_request;
mod incoming;
mod lend;
mod message;
mod options;
mod outgoing;
#[cfg(feature = "tokio")]
mod redirect;
mod step;
#[cfg(feature = "tokio")]
mod target;
#[cfg(feature = "tokio")]
mod tokio;
mod trace;

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "tls")]
pub mod tls;

#[cfg(feature = "tokio")]
pub use self::tokio::{
    AcceptOptions, Batch, Client, ConnectOptions, Counters, Handle, Reader, RoundTrip, ServeOptions, Transport,
    WebSocket, Writer, accept, connect, serve,
};
pub use decision::{Decision, Page};
pub use error::{Closed, Error, InvalidTarget, RedirectError, Rejected, Timeout};
pub use message::{IntoMessage, Message};
#[cfg(feature = "tokio")]
pub use target::{IntoTarget, Target};
pub use wsproto;
