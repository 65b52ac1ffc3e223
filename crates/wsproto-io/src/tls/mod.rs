//! TLS for `wss`: rustls, with the cryptography of ring. (Feature `tls`, default.)
//!
//! A client checks the server by [`ClientTls`]: with the authorities that the platform trusts, with those that it is
//! given, or, by the name of it, not at all. A server shows who it is by [`ServerTls`]. Nothing has to be installed for
//! the process beforehand: the cryptography is part of each configuration. Both speak TLS 1.2 and 1.3, and agree by ALPN
//! on `http/1.1` (RFC 7301), as a WebSocket's handshake is HTTP/1.1.
//!
//! [`ServerTls::accept`] and [`ClientTls::connect`] give [streams](TlsStream) that read and write as any other does. What goes wrong
//! is a [`TlsError`], which tells an expired certificate from one of an unknown authority and from one for another name.
//!
//! For what is not here, such as certificates of clients, make a configuration of rustls (this version:
//! [`rustls`]) and give it to `from_rustls`. Rustls is the one crate below that this API shows, with what was agreed on
//! ([`TlsStream::connection`]): another version of it that is not compatible is another such version of this crate.

mod client;
mod error;
mod fingerprints;
mod pem;
mod server;
mod stream;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

pub use client::ClientTls;
pub use error::TlsError;
pub use fingerprints::Fingerprints;
pub use pem::BadPem;
pub use server::ServerTls;
pub use stream::TlsStream;
pub use tokio_rustls::rustls;

/// The ALPN name of HTTP/1.1 (RFC 7301 §6).
const HTTP1: &[u8] = b"http/1.1";

/// The cryptography, given to each configuration by hand: the default of the process is the application's to choose.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
