//! The first 2 to 14 bytes of a frame (RFC 6455 §5.2).

use alloc::vec::Vec;
use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use crate::error::RemoteProtocolError;
use crate::reply::MAX_CONTROL_PAYLOAD;

/// Longest header, in bytes: 2, a 64-bit length, a mask.
pub const MAX_HEADER: usize = 14;

/// The three reserved bits, which extensions give a meaning (RFC 6455 §5.2, §9).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rsv(u8);

impl Rsv {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// RSV1, the bit of permessage-deflate.
    pub const RSV1: Self = Self(0x40);
    /// RSV2.
    pub const RSV2: Self = Self(0x20);
    /// RSV3.
    pub const RSV3: Self = Self(0x10);

    /// Whether any bit is set in both.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every bit of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Rsv {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Rsv {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Rsv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::RSV1, "RSV1"), (Self::RSV2, "RSV2"), (Self::RSV3, "RSV3")];
        f.debug_set().entries(names.iter().filter(|(bit, _)| self.intersects(*bit)).map(|(_, name)| name)).finish()
    }
}

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// 0: the next fragment of a message.
    Continuation,
    /// 1: text, or its first fragment.
    Text,
    /// 2: binary, or its first fragment.
    Binary,
    /// 8
    Close,
    /// 9
    Ping,
    /// 10
    Pong,
}

impl Opcode {
    const fn parse(nibble: u8) -> Result<Self, RemoteProtocolError> {
        Ok(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(RemoteProtocolError::ReservedOpcode(other)),
        })
    }

    const fn nibble(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether this is a control frame (§5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame, apart from any connection: what it says, not whether it may be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// FIN: the last fragment of its message; always set on control frames.
    pub fin: bool,
    /// The reserved bits.
    pub rsv: Rsv,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key: present on what a client sends.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload, in bytes, below 2⁶³; at most 125 on control frames.
    pub len: u64,
}

impl FrameHeader {
    /// Reads a header from the start of `bytes`: the header and its own length, 2 to 14 bytes; `None` where the
    /// bytes end before it does.
    ///
    /// # Errors
    ///
    /// The peer's: what §5.2 and §5.5 forbid in any header, as soon as the bytes show it.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, RemoteProtocolError> {
        let [b0, b1, rest @ ..] = bytes else { return Ok(None) };
        let start = FrameStart::decode(*b0, *b1)?;
        start.finish(rest)
    }

    /// Appends the header to `out`, with the length in its only legal form: the shortest (§5.2). What the fields say is
    /// not checked.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (bytes, len) = self.bytes();
        out.extend_from_slice(&bytes[..len]);
    }

    /// The encoded header, and how many of the bytes it takes.
    pub(crate) fn bytes(&self) -> ([u8; MAX_HEADER], usize) {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = if self.fin { 0x80 } else { 0 } | self.rsv.0 | self.opcode.nibble();
        let mut end = match self.len {
            0..=125 => {
                bytes[1] = self.len.to_be_bytes()[7];
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&self.len.to_be_bytes()[6..]);
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&self.len.to_be_bytes());
                10
            }
        };
        if let Some(mask) = self.mask {
            bytes[1] |= 0x80;
            bytes[end..end + 4].copy_from_slice(&mask);
            end += 4;
        }
        (bytes, end)
    }
}

/// What the first two bytes say. They are judged together, before anything else is waited for.
#[derive(Clone, Copy)]
pub(crate) struct FrameStart {
    pub(crate) fin: bool,
    pub(crate) rsv: Rsv,
    pub(crate) opcode: Opcode,
    pub(crate) masked: bool,
    len7: u8,
}

impl FrameStart {
    pub(crate) fn decode(b0: u8, b1: u8) -> Result<Self, RemoteProtocolError> {
        let opcode = Opcode::parse(b0 & 0x0F)?;
        let start = Self { fin: b0 & 0x80 != 0, rsv: Rsv(b0 & 0x70), opcode, masked: b1 & 0x80 != 0, len7: b1 & 0x7F };
        if opcode.is_control() {
            if !start.fin {
                return Err(RemoteProtocolError::FragmentedControlFrame);
            }
            if usize::from(start.len7) > MAX_CONTROL_PAYLOAD {
                return Err(RemoteProtocolError::ControlPayloadTooLong);
            }
        }
        Ok(start)
    }

    /// The payload's length, from the bytes after the first two; and the bytes after the length.
    #[inline]
    pub(crate) fn payload_len(self, rest: &[u8]) -> Result<Option<(u64, &[u8])>, RemoteProtocolError> {
        match self.len7 {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from(u16::from_be_bytes(*bytes));
                if len < 126 { Err(RemoteProtocolError::LengthNotMinimal) } else { Ok(Some((len, rest))) }
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                match u64::from_be_bytes(*bytes) {
                    0..=0xFFFF => Err(RemoteProtocolError::LengthNotMinimal),
                    len if len >> 63 != 0 => Err(RemoteProtocolError::LengthTooLarge),
                    len => Ok(Some((len, rest))),
                }
            }
            len => Ok(Some((u64::from(len), rest))),
        }
    }

    /// The masking key from the bytes after the length; and the bytes after it.
    #[inline]
    pub(crate) fn mask(self, rest: &[u8]) -> Option<(Option<[u8; 4]>, &[u8])> {
        if !self.masked {
            return Some((None, rest));
        }
        rest.split_first_chunk().map(|(mask, rest)| (Some(*mask), rest))
    }

    fn finish(self, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, RemoteProtocolError> {
        let Some((len, rest)) = self.payload_len(bytes)? else { return Ok(None) };
        let Some((mask, rest)) = self.mask(rest) else { return Ok(None) };
        let header = FrameHeader { fin: self.fin, rsv: self.rsv, opcode: self.opcode, mask, len };
        Ok(Some((header, 2 + bytes.len() - rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_reads_back() {
        for len in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, (1 << 63) - 1] {
            for mask in [None, Some([1, 2, 3, 4])] {
                for rsv in [Rsv::NONE, Rsv::RSV1, Rsv::RSV2 | Rsv::RSV3] {
                    let header = FrameHeader { fin: len % 2 == 0, rsv, opcode: Opcode::Binary, mask, len };
                    let mut out = Vec::new();
                    header.encode(&mut out);
                    assert_eq!(FrameHeader::decode(&out), Ok(Some((header, out.len()))));
                    for cut in 0..out.len() {
                        assert_eq!(FrameHeader::decode(&out[..cut]), Ok(None), "cut at {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn f09_only_the_shortest_length_is_legal() {
        use RemoteProtocolError::{LengthNotMinimal, LengthTooLarge};
        let long = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
        for (bytes, error) in [
            (alloc::vec![0x82, 126, 0, 125], LengthNotMinimal),
            (alloc::vec![0x82, 126, 0, 0], LengthNotMinimal),
            (long(0xFFFF), LengthNotMinimal),
            (long(0), LengthNotMinimal),
            (long(1 << 63), LengthTooLarge),
            (long(u64::MAX), LengthTooLarge),
        ] {
            assert_eq!(FrameHeader::decode(&bytes), Err(error), "{bytes:x?}");
        }
        assert!(FrameHeader::decode(&long(0x1_0000)).unwrap().is_some());
        assert!(FrameHeader::decode(&[0x82, 126, 0, 126]).unwrap().is_some());
    }

    #[test]
    fn reserved_bits_show_by_name() {
        assert_eq!(alloc::format!("{:?}", Rsv::RSV1 | Rsv::RSV3), r#"{"RSV1", "RSV3"}"#);
    }
}
