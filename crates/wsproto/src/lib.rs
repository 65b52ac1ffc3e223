//! WebSocket without I/O.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod assembler;
mod close;
mod connection;
mod error;
mod event;
pub mod extension;
pub mod frame;
mod inline;
mod input;
pub mod keepalive;
mod limits;
#[cfg(feature = "getrandom")]
mod os_random;
mod receiver;
mod reply;
mod sender;
mod utf8;

pub use assembler::{Assembler, TooBig};
pub use close::{CloseCode, CloseFrame};
pub use connection::{Connection, State, Transport};
pub use error::{ExtensionError, LocalProtocolError, RemoteProtocolError};
pub use event::{Data, Event, Message, MessageKind, Outgoing, Ping, Pong};
pub use extension::Extensions;
pub use input::Input;
pub use limits::Limits;
#[cfg(feature = "getrandom")]
pub use os_random::{NoRandomness, OsRandom};
pub use receiver::Receiver;
pub use reply::{Reply, ReplySlot};
pub use sender::Sender;
