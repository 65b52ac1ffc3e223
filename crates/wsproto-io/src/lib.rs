//! WebSocket clients and servers: drivers that own the sockets, on the protocol of [`wsproto`].
mod decision;
mod error;
mod incoming;
mod lend;
mod message;
mod options;
mod outgoing;
mod step;

#[cfg(feature = "blocking")]
pub mod blocking;

pub use decision::Decision;
pub use error::{Closed, Error, Rejected, Timeout};
pub use message::{IntoMessage, Message};
pub use wsproto;
