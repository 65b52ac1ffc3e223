//! WebSocket without I/O: the protocol of RFC 6455, permessage-deflate (RFC 7692) and the handshakes, for any
//! transport.
//!
//! This crate reads no socket, starts no task, looks at no clock and draws no random number. Bytes come in as
//! an argument, bytes go out into your buffer, and in between are events. So it runs on threads, on any
//! asynchronous runtime, on io_uring, in WebAssembly, on a microcontroller, over TCP, TLS, or one stream of an HTTP/2
//! connection. It contains no `unsafe` code. If you want a socket with it, take the crate `wsproto-io`.
//!
//! # An echo
//!
//! ```
//! # use std::io::{Read, Write};
//! use wsproto::{Connection, Event, Input};
//!
//! # fn turn(connection: &mut Connection, mut socket: impl Read + Write) -> Result<(), Box<dyn std::error::Error>> {
//! # let (mut buffer, mut out) = (vec![0; 16 * 1024], Vec::new());
//! let n = socket.read(&mut buffer)?;
//! let mut input = Input::new(&mut buffer[..n]);
//! while let Some(event) = connection.receive(&mut input)? {       // borrows `buffer` only
//!     match &event {
//!         Event::Message(message) => connection.send(message, &mut out)?,
//!         _ => {
//!             if let Some(reply) = event.response() {             // a Pong for a Ping, a Close for a Close
//!                 connection.reply(reply, &mut out);
//!             }
//!         }
//!     }
//! }
//! socket.write_all(&out)?;                                        // one write for all that was read
//! # Ok(()) }
//! # struct Wire<'a>(&'a [u8], Vec<u8>);
//! # impl Read for Wire<'_> { fn read(&mut self, b: &mut [u8]) -> std::io::Result<usize> { self.0.read(b) } }
//! # impl Write for Wire<'_> {
//! #     fn write(&mut self, b: &[u8]) -> std::io::Result<usize> { self.1.write(b) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # impl Drop for Wire<'_> { fn drop(&mut self) { assert_eq!(self.1, b"\x8a\x01!\x81\x02Hi"); } }
//! # let mut server = Connection::server(wsproto::Extensions::none(), wsproto::Limits::default());
//! # let bytes = b"\x89\x81\0\0\0\0!\x81\x82\0\0\0\0Hi";
//! # turn(&mut server, Wire(bytes, Vec::new())).unwrap();
//! ```
//!
//! The [run loop](manual::run_loop) shows it whole, with the end of the connection and the errors.
//!
//! # What holds
//!
//! - **A connection owns no buffers.** What it keeps is what the input cut in two: a header (≤ 14 bytes), a control
//!   payload (≤ 125), a character (≤ 3). There is nothing that can grow, so [back-pressure](manual::back_pressure)
//!   holds by construction. [`Connection`] is at most 512 bytes without extensions.
//! - **Events borrow your buffer, not the connection.** You can send while you hold one. Payloads are unmasked in
//!   place; nothing is copied, and nothing is allocated, except for what the input cut in two and what was
//!   inflated.
//! - **However the bytes are cut**, the same events come, the same output, the same error.
//! - **The two directions are independent**: [`Connection::split`] gives halves that need no lock.
//! - **A failed call changes nothing, or ends the connection.** [`LocalProtocolError`] is your fault,
//!   [`RemoteProtocolError`] the peer's.
//! - **[Limits](manual::limits)** are on by default, and checked before anything is allocated.
//!
//! # Where things are
//!
//! - [`Connection`]: an open WebSocket, whoever made the handshake; its halves [`Receiver`] and [`Sender`].
//! - [`handshake`]: requests and answers, as header lists (any HTTP version) or as bytes (HTTP/1.1).
//! - [`WsConnection`]: handshake and connection in one object.
//! - [`extension`]: the trait, and permessage-deflate.
//! - [`keepalive`]: when to ping and when to give up.
//! - [`manual`]: how it all goes together.
//!
//! # Features
//!
//! All are on by default. Without them the crate needs `alloc` only.
//!
//! - `std`: UTF-8 validation with instructions chosen at run time.
//! - `deflate`: permessage-deflate. Switches `std` on.
//! - `getrandom`: `OsRandom`, masks and nonces from the operating system. Switches `std` on.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod assembler;
mod close;
mod connection;
mod error;
mod event;
pub mod extension;
pub mod frame;
pub mod handshake;
mod inline;
mod input;
pub mod keepalive;
mod limits;
pub mod manual;
#[cfg(feature = "getrandom")]
mod os_random;
mod receiver;
mod reply;
mod sender;
mod utf8;
mod ws_connection;

pub use assembler::{Assembler, TooBig};
pub use close::{CloseCode, CloseFrame};
pub use connection::{Connection, State, Transport};
pub use error::{ExtensionError, LocalProtocolError, RemoteProtocolError};
pub use event::{Data, Event, Message, MessageKind, Outgoing, Ping, Pong};
pub use extension::Extensions;
pub use handshake::{client_extensions_handshake, server_extensions_handshake};
pub use input::Input;
pub use limits::Limits;
#[cfg(feature = "getrandom")]
pub use os_random::{NoRandomness, OsRandom};
pub use receiver::Receiver;
pub use reply::{Reply, ReplySlot};
pub use sender::Sender;
pub use ws_connection::{Accept, PeerError, WsConnection, WsEvent};
