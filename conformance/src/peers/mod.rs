//! The interoperability proof: our client and our server against the peers of `conformance/peers/`.
//!
//! | file | what it holds |
//! |---|---|
//! | `cases.rs` | the cases of `cases.json`, and what is expected in each |
//! | `payload.rs` | the bytes that are sent |
//! | `target.rs` | what is asked of a peer server, in a request's target |

mod cases;
mod payload;
mod target;

pub use cases::{Action, Case, Cases, Check, HttpVersion, Mode};
pub use payload::{Kind, payload};
pub use target::Target;

/// Longest message that a peer accepts, in bytes.
pub const MAX_MESSAGE_SIZE: u64 = 16 * 1024 * 1024;

/// Longest time that one read or write waits, in seconds. A case takes milliseconds; this is for what hangs.
pub const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);
