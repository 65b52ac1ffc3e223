//! WebSocket clients and servers: drivers that own the sockets, on the protocol of [`wsproto`].
//!
//! ```
//! use wsproto_io::wsproto::CloseCode;
//! use wsproto_io::{Message, ServeOptions};
//!
//! # #[cfg(not(feature = "tokio"))] fn main() {}
//! # #[cfg(feature = "tokio")]
//! #[tokio::main]
//! async fn main() -> Result<(), wsproto_io::Error> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("ws://{}/", listener.local_addr()?);
//!
//!     tokio::spawn(wsproto_io::serve(listener, ServeOptions::new(), |mut socket, _client| async move {
//!         while let Some(message) = socket.recv().await? {
//!             socket.feed(message).await?; // leaves when `recv` has to wait: one write for all that was read
//!         }
//!         Ok(())
//!     }));
//!
//!     let mut socket = wsproto_io::connect(&url).await?;
//!     socket.send("hello").await?;
//!     assert_eq!(socket.recv().await?, Some(Message::Text("hello".into())));
//!     socket.close(CloseCode::NORMAL, "").await
//! }
//! ```
//!
//! The driver for tokio is at the root of this crate: [`connect`], [`accept`], [`serve`], and the [`WebSocket`] that they
//! give, which can be [split](WebSocket::split) for two tasks. [`blocking`] is the driver for threads. The [`manual`] has
//! a chat, and what to know before a server meets the world; `examples/` has whole programs.
//!
//! # What holds for all drivers
//!
//! - Pings and the peer's Close are answered by themselves, and leave at once.
//! - `send` queues and writes, `feed` only queues; what is queued is written when `recv` has to wait, when 64 KiB are
//!   queued, or by `flush`. So the obvious reply loop, with `feed`, is the fast one.
//! - Back-pressure in both directions, [in bytes](manual::back_pressure): at most one read, of at most 64 KiB, is ahead of the
//!   application; below 64 KiB of queued bytes any one message is accepted, of any length, then the sender waits until
//!   16 KiB are left.
//! - Buffers belong to the threads, which lend them: an idle connection holds none. (A thread that waits in a blocking
//!   read holds 4 KiB.)
//! - Nothing is lost by giving up a wait, by a timeout or by dropping a future: a `recv` goes on where it was, and a `send`
//!   has sent its message whole or not at all.
//! - [`Error`] says what happened and whose fault it was, and keeps the close code.
//!
//! # Features
//!
//! - `tokio` (default): the driver at the root of this crate.
//! - `tls` (default): `wss`, by rustls with ring; [`tls`].
//! - `blocking` (default): [`blocking`], on threads. Without TLS of its own.
//! - `h2`: WebSockets over HTTP/2 (RFC 8441), for [`serve`] and for clients ([`Http2Connection`]).
//! - `hyper`: WebSockets where [`hyper`] speaks HTTP, at both ends; `tower`: [a layer](mod@tower) for its services;
//!   `axum`: [an extractor](mod@axum) for its handlers.
//! - `http`: an `http::Request` can say where to connect ([`IntoTarget`]).
//! - `tracing`: events with the target `wsproto`: beginnings, ends and errors of connections at `DEBUG`, Pings and Pongs at
//!   `TRACE`. (Of the tokio driver.)
//!
//! | file | what it holds |
//! |---|---|
//! | `step.rs` | what the blocking driver does next: receive, write or read |
//! | `incoming.rs`, `outgoing.rs` | the two directions: what was read and not taken, what is queued and not written |
//! | `lend.rs` | the buffers of a thread |
//! | `accepting.rs`, `connecting.rs` | the handshakes without I/O; `decision.rs`, `hosts.rs`: what a server decides |
//! | `target.rs`, `redirect.rs`, `http_request.rs` | where a client goes |
//! | `heads.rs` | heads of requests and responses, between the crate `http` and the core |
//! | `options.rs` | what can be chosen at both ends |
//! | `message.rs`, `error.rs`, `trace.rs` | what is said, what goes wrong, and who is told |
//! | `tokio/`, `blocking/` | the drivers for tasks and for threads |
//! | `http2/` | WebSockets over HTTP/2 |
//! | `hyper/`, `tower.rs`, `axum.rs` | WebSockets where hyper speaks HTTP |
//! | `tls/` | certificates, and who is trusted |
//! | `manual/` | the pages of the manual |

#![forbid(unsafe_code)]
// The parts that drivers share have no user without a driver, and some have only one.
#![cfg_attr(not(all(feature = "blocking", feature = "tokio")), allow(dead_code, unused_imports, unused_macros))]
#![cfg_attr(
    not(all(
        feature = "blocking",
        feature = "tokio",
        feature = "tls",
        feature = "hyper",
        feature = "tower",
        feature = "axum"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]

mod accepting;
mod connecting;
mod decision;
mod error;
#[cfg(any(feature = "h2", feature = "hyper"))]
mod heads;
mod hosts;
#[cfg(feature = "h2")]
mod http2;
#[cfg(feature = "http")]
mod http_request;
mod incoming;
mod lend;
#[cfg(feature = "tokio")]
pub mod manual;
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

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "tokio")]
pub use self::tokio::{
    AcceptOptions, Batch, Client, ConnectOptions, Counters, Handle, Reader, RoundTrip, ServeOptions, Transport,
    WebSocket, Writer, accept, connect, serve,
};
pub use decision::{Decision, Page};
pub use error::{Closed, Error, InvalidTarget, RedirectError, Rejected, Timeout};
#[cfg(feature = "h2")]
pub use http2::{Http, Http2Connection, Http2Stream};
pub use message::{IntoMessage, Message};
#[cfg(feature = "tokio")]
pub use target::{IntoTarget, Target};
pub use wsproto;
