//! WebSockets over HTTP/2 (RFC 8441), on the crate `h2`: each is one stream of a connection that it shares with others.
//!
//! | file | what it holds |
//! |---|---|
//! | `batching.rs` | a transport that is read in large pieces, and written a frame at a time |
//! | `hub.rs` | a connection's turns, after each of which all that arrived is taken from `h2` |
//! | `inbox.rs` | what arrived on one stream and was not read yet |
//! | `chunks.rs` | those bytes, few places for many small frames |
//! | `stream.rs` | one stream as a transport |
//! | `preface.rs` | which version of HTTP a client begins with |
//! | `server.rs` | a server's connection: requests become WebSockets, pages, or errors |
//! | `client.rs` | a client's connection, on which WebSockets are opened |

mod batching;
mod chunks;
mod client;
mod hub;
mod inbox;
mod preface;
mod server;
mod stream;

pub(crate) use client::WithoutHttp2;
pub use client::{Http, Http2Connection};
pub use stream::Http2Stream;

pub(crate) use batching::Batching;
pub(crate) use preface::{Begun, tell};
pub(crate) use server::{Asked, begin, run};

/// Its name in TLS (RFC 9113 §3.2).
pub(crate) const ALPN: &[u8] = b"h2";

/// The window of a stream, in bytes: as much of a message may wait for an application that does not take it. It is the
/// default of RFC 9113 §6.9.2, rounded up to a power of two.
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;

/// Most WebSockets of one connection (`SETTINGS_MAX_CONCURRENT_STREAMS`): "It is recommended that this value be no smaller
/// than 100" (RFC 9113 §6.5.2).
pub(crate) const STREAMS: u32 = 100;

/// The window of the whole connection: streams that nobody reads cannot take it from the others.
pub(crate) const fn connection_window(streams: u32) -> u32 {
    /// "A sender MUST NOT allow a flow-control window to exceed 2^31-1 octets" (RFC 9113 §6.9.1).
    const MOST: u32 = (1 << 31) - 1;
    let window = STREAM_WINDOW.saturating_mul(streams);
    if window > MOST { MOST } else { window }
}

/// What small DATA frames may cost a connection (`h2` counts 256 bytes for each, less its length), in bytes, until they are
/// taken, which is behind each turn: as many as a turn can hold, so that nobody is ended for a thread that was late.
pub(crate) const FRAME_BUDGET: usize = 4 * 1024 * 1024;
