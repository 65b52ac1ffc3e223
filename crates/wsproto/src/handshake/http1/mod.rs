//! The handshake as bytes of HTTP/1.1 (RFC 9112).
//!
//! The caller owns the buffer. A reader is given all bytes from the start of the head, again and with more behind them
//! until the head is complete; it remembers how far it looked, so that the work is linear even for reads of one byte. It
//! says how long the head was: what the buffer holds behind it is the beginning of the WebSocket, and not one byte of
//! it was touched.
//!
//! A buffer of [`HeadLimits::size`] bytes is always enough, and any verdict depends on the bytes alone, not on how they
//! were cut.

mod body;
mod head;
mod request;
mod response;
mod write;

pub use body::RejectionBody;
pub use head::HeadLimits;
pub use request::{PlainRequest, RequestReader};
pub use response::ResponseReader;
pub use write::{write_error, write_request, write_response};
