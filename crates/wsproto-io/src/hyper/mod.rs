//! WebSockets where hyper speaks HTTP, over HTTP/1.1 and HTTP/2 (RFC 8441): the same [`WebSocket`], with the same limits,
//! timeouts and rules, beside the other requests of a server or a client.
//!
//! A server, in a service of hyper's:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http_body_util::Full;
//! use hyper::body::{Bytes, Incoming};
//! use hyper::{Request, Response};
//! use wsproto_io::Error;
//! use wsproto_io::hyper::{Upgrading, is_upgrade, upgrade};
//!
//! async fn service(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     if !is_upgrade(&request) {
//!         return Ok(Response::new(Full::from("a page")));
//!     }
//!     let response = match upgrade(&mut request) {
//!         Ok((response, upgrading)) => {
//!             tokio::spawn(echo(upgrading));
//!             response
//!         }
//!         Err(refused) => refused.response(), // 400, 403, 426 ...
//!     };
//!     Ok(response.map(Full::new))
//! }
//!
//! async fn echo(upgrading: Upgrading) -> Result<(), Error> {
//!     let mut socket = upgrading.await?; // open when the response has left
//!     while let Some(message) = socket.recv().await? {
//!         socket.feed(message).await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! hyper's connection has to be driven with its upgrades (`serve_connection_with_upgrades`, or `with_upgrades` of HTTP/1.1
//! alone), and HTTP/2 has them only where the builder says `enable_connect_protocol`. For services of tower's there is
//! [`tower`](crate::tower), for axum [`axum`](crate::axum). A client over a connection of hyper's:
//! [`ConnectOptions::connect_http1`] and [`ConnectOptions::connect_http2`].
//!
//! # What lies beneath
//!
//! - **HTTP/1.1**: where hyper was given a `TokioIo` of TCP, of TLS over it (this crate's or that of `tokio-rustls`) or of a
//!   [`Transport`], the socket itself comes back, as over [`serve`](crate::serve): [`Transport::tcp`] has it. Of any other type
//!   it works through hyper's `Upgraded`. What the client sent behind its request is not lost.
//! - **HTTP/2**: one stream, through `Upgraded`. hyper copies what is written, and keeps up to three writes, which are 16 KiB
//!   at most here; its windows are those of its builder: by default a
//!   stream's is as large as the connection's, so that one WebSocket that nobody reads stops all others of its connection (choose a
//!   smaller `initial_stream_window_size`). What arrives is taken from `h2` only by reading: where the application
//!   takes no messages, many small DATA frames may wait there, and then `h2` ends the whole connection
//!   (`too_many_data_frames`). A stream that is dropped before its end gets `END_STREAM`, too, and the peer knows by the missing
//!   Close (1006). Who needs it better takes the feature `h2`, where this crate drives HTTP/2 by itself.
//!
//! | file | what it holds |
//! |---|---|
//! | `upgrade.rs` | a server's side of the handshake |
//! | `client.rs` | a client's side |
//! | `settings.rs` | whether a server has WebSockets over HTTP/2 |
//! | `stream.rs` | what hyper gives up, as a transport |
//!
//! [`WebSocket`]: crate::WebSocket
//! [`Transport`]: crate::Transport
//! [`Transport::tcp`]: crate::Transport::tcp
//! [`ConnectOptions::connect_http1`]: crate::ConnectOptions::connect_http1
//! [`ConnectOptions::connect_http2`]: crate::ConnectOptions::connect_http2

mod client;
mod settings;
mod stream;
mod upgrade;

pub use settings::{ExtendedConnect, drive};
pub use stream::HyperStream;
pub use upgrade::{Refused, Upgrading, is_upgrade, upgrade};

#[cfg(any(feature = "tower", feature = "axum"))]
pub(crate) use upgrade::Asked;
