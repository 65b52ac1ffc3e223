//! The frame on the wire (RFC 6455 §5.2): its header and its mask.

pub(crate) mod header;
mod mask;

pub use header::{FrameHeader, MAX_HEADER, Opcode, Rsv};
pub use mask::{Mask, MaskSource};

/// Which end of the connection this is. A client masks what it sends, a server does not (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}
