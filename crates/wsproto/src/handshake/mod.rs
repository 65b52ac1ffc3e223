//! The opening handshake (RFC 6455 §4): how HTTP becomes a WebSocket.
//!
//! One negotiation serves all versions of HTTP. It works on header lists, as HTTP libraries give and take them:
//! [`ServerHandshake`] is a valid request that waits for its answer, [`ClientHandshake`] a request that waits for its
//! response. [`http1`] puts bytes around it. Both end in an [`Accepted`], whose `extensions` make a connection.
//!
//! | file | what it holds |
//! |---|---|
//! | `request.rs`, `response.rs` | the two messages |
//! | `server.rs`, `client.rs` | the two sides |
//! | `extensions.rs` | the agreement on extensions, also for those who do the rest themselves |
//! | `origin.rs` | which origins a server lets in |
//! | `http1/` | bytes of HTTP/1.1 |
//! | `headers.rs`, `authority.rs`, `key.rs` | what headers hold |
//! | `error.rs`, `refusal.rs` | whose fault it was; the ready answers to the client's |
//!
//! # A server over HTTP/1.1
//!
//! ```
//! use wsproto::handshake::http1::{self, HeadLimits, RequestReader};
//! use wsproto::handshake::{AcceptConnection, OriginPolicy, RejectConnection};
//!
//! let mut buffer = Vec::new(); // what has arrived, from the start
//! let mut out = Vec::new(); // what is to be sent
//! let mut reader = RequestReader::new(HeadLimits::default());
//! # let mut socket = [
//! #     &b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSoc"[..],
//! #     b"ket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x89",
//! # ].into_iter();
//! # let mut read = |buffer: &mut Vec<u8>| buffer.extend_from_slice(socket.next().unwrap());
//! let extensions = loop {
//!     read(&mut buffer);
//!     match reader.receive(&buffer) {
//!         Ok(None) => continue,
//!         Ok(Some((handshake, length))) => {
//!             buffer.drain(..length); // what follows the head belongs to the connection
//!             let request = handshake.request();
//!             if !OriginPolicy::SameHost.allows(request) { // what `accept` lets in, unless another policy is said
//!                 http1::write_response(&handshake.reject(&RejectConnection::new(403))?, &mut out);
//!                 break None; // send `out`, close
//!             }
//!             let subprotocol = request.subprotocols().find(|name| *name == "chat");
//!             let accept = AcceptConnection { subprotocol, ..Default::default() };
//!             let accepted = handshake.accept(&accept)?;
//!             http1::write_response(&accepted.response, &mut out);
//!             break Some(accepted.extensions);
//!         }
//!         Err(error) => {
//!             http1::write_error(error, &mut out);
//!             break None; // send `out`, close
//!         }
//!     }
//! };
//! # assert!(extensions.is_some());
//! # assert!(out.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! # assert_eq!(buffer, b"\x89");
//! # Ok::<(), wsproto::handshake::LocalHandshakeError>(())
//! ```
//!
//! # A client over HTTP/1.1
//!
//! ```
//! use wsproto::handshake::http1::{self, HeadLimits, ResponseReader};
//! use wsproto::handshake::{ClientHandshake, ClientRequest, Outcome};
//!
//! let request = ClientRequest { subprotocols: vec!["chat".into()], ..ClientRequest::from_url("ws://example.com/")? };
//! # let random_nonce = || *b"the sample nonce";
//! let handshake = ClientHandshake::new(request, random_nonce())?;
//! let mut out = Vec::new();
//! http1::write_request(&handshake, &mut out)?; // send `out`
//! let mut reader = ResponseReader::new(handshake, HeadLimits::default());
//! # let buffer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//! #     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x89\0";
//! // Read into `buffer` until this is not `None`:
//! match reader.receive(buffer)? {
//!     Some((Outcome::Accepted(accepted), length)) => {
//!         // A connection from `accepted.extensions`; its input begins with `buffer[length..]`.
//! #       assert_eq!(accepted.subprotocol.as_deref(), Some("chat"));
//! #       assert_eq!(buffer[length..], [0x89, 0]);
//!     }
//!     Some((Outcome::Rejected(head), _)) => println!("rejected with {}", head.status()),
//!     None => {}
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # HTTP/2 and HTTP/3
//!
//! The connection belongs to a library for HTTP/2; one stream of it carries the WebSocket (RFC 8441).
//!
//! ```
//! use wsproto::handshake::{AcceptConnection, Headers, HttpVersion, RequestHead, ServerHandshake};
//!
//! let handshake = ServerHandshake::new(RequestHead {
//!     version: HttpVersion::Http2,
//!     method: "CONNECT",
//!     scheme: Some("https"),
//!     authority: Some("example.com"),
//!     path: "/chat",
//!     protocol: Some("websocket"),
//!     headers: Headers::from_fields([("sec-websocket-version", "13")])?,
//! })?;
//! let accepted = handshake.accept(&AcceptConnection::default())?;
//! assert_eq!(accepted.response.status(), 200);
//! // Send the response's headers; the stream's DATA is the WebSocket, with `accepted.extensions`.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod client;
mod error;
mod extensions;
mod headers;
pub mod http1;
mod key;
mod origin;
mod refusal;
mod request;
mod response;
mod server;

pub use client::{ClientHandshake, ClientRequest, Outcome};
pub use error::{
    HeadError, InvalidHeader, InvalidUrl, LocalHandshakeError, NegotiationError, RequestError, ResponseError,
};
pub use extensions::{client_extensions_handshake, server_extensions_handshake};
pub use headers::Headers;
pub use key::Key;
pub use origin::{InvalidOrigin, OriginList, OriginPolicy};
pub use refusal::ErrorResponse;
pub use request::{HttpVersion, Request, RequestHead};
pub use response::{AcceptConnection, Accepted, RejectConnection, RejectData, ResponseHead};
pub use server::ServerHandshake;
