//! WebSocket without I/O.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod close;
pub mod error;
pub mod event;
pub mod extension;
pub mod frame;
pub mod reply;

pub use close::{CloseCode, CloseFrame};
pub use error::{ExtensionError, LocalProtocolError, RemoteProtocolError};
pub use event::{Data, Event, Message, MessageKind, Ping, Pong};
pub use extension::Extensions;
pub use reply::{Reply, ReplySlot};
