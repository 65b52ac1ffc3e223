//! The bytes of peers.

#![allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs)]

use wsproto::frame::FrameHeader;
use wsproto::{Connection, Extensions, Limits, Outgoing};

/// A client's end, to make bytes with.
pub fn client() -> Connection {
    let mut n = 0_u32;
    let masks = move || {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        n.to_be_bytes()
    };
    Connection::client(Extensions::none(), Limits::none(), masks)
}

/// The bytes that a client sends for these frames.
pub fn encode<F: Outgoing>(frames: impl IntoIterator<Item = F>) -> Vec<u8> {
    let (mut client, mut out) = (client(), Vec::new());
    for frame in frames {
        client.send(frame, &mut out).unwrap();
    }
    out
}

/// The frames in what a server sent: headers and payloads.
pub fn frames(mut bytes: &[u8]) -> Vec<(FrameHeader, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, len)) = FrameHeader::decode(bytes).unwrap() {
        let end = len + usize::try_from(header.len).unwrap();
        if end > bytes.len() {
            break;
        }
        frames.push((header, bytes[len..end].to_vec()));
        bytes = &bytes[end..];
    }
    frames
}

pub const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
