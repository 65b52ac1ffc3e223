//! A stream of frames, legal and not, for either end: whole or in pieces, the echo loop gives the same.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wsproto::Limits;
use wsproto::frame::Role;
use wsproto_fuzz::core::{cut, echo, frame, header};

#[derive(Arbitrary, Debug)]
enum Given {
    /// Any bytes, with the default limits. The seeds are of this kind.
    Stream {
        server: bool,
        deflate: Option<u8>,
        seed: u64,
        bytes: Vec<u8>,
    },
    Frames {
        server: bool,
        deflate: Option<u8>,
        seed: u64,
        message: u16,
        fragments: u8,
        frames: Vec<Frame>,
    },
}

#[derive(Arbitrary, Debug)]
enum Frame {
    Legal { fin: bool, compressed: bool, opcode: u8, payload: Vec<u8> },
    Text { fin: bool, first: bool, text: String },
    Any { b0: u8, payload: Vec<u8> },
    Header { b0: u8, len: u64 },
    Raw(Vec<u8>),
}

const PARAMS: [&str; 4] = [
    "permessage-deflate",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover; client_max_window_bits=8",
];

fuzz_target!(|given: Given| {
    let (server, deflate, seed, limits, bytes) = match given {
        Given::Stream { server, deflate, seed, bytes } => (server, deflate, seed, Limits::default(), bytes),
        Given::Frames { server, deflate, seed, message, fragments, frames } => {
            let limits = Limits::default().message(message.into()).fragments(fragments.into());
            let role = if server { Role::Server } else { Role::Client };
            (server, deflate, seed, limits, frames.into_iter().flat_map(|frame| frame.bytes(role)).collect())
        }
    };
    let role = if server { Role::Server } else { Role::Client };
    let deflate = deflate.map(|n| PARAMS[usize::from(n) % PARAMS.len()]);
    let whole = echo(role, deflate, limits, &[&bytes]);
    assert_eq!(echo(role, deflate, limits, &cut(seed, &bytes)), whole);
    if bytes.len() < 1000 {
        assert_eq!(echo(role, deflate, limits, &bytes.chunks(1).collect::<Vec<_>>()), whole);
    }
});

impl Frame {
    fn bytes(self, role: Role) -> Vec<u8> {
        match self {
            Self::Legal { fin, compressed, opcode, payload } => {
                let opcode = [0, 1, 2, 9, 10, 8][usize::from(opcode % 6)];
                let rsv = if compressed && (1..3).contains(&opcode) { 0x40 } else { 0 };
                frame(role, if fin || opcode > 7 { 0x80 } else { 0 } | rsv | opcode, &payload)
            }
            Self::Text { fin, first, text } => {
                frame(role, if fin { 0x80 } else { 0 } | u8::from(first), text.as_bytes())
            }
            Self::Any { b0, payload } => frame(role, b0, &payload),
            Self::Header { b0, len } => header(role, b0, len),
            Self::Raw(raw) => raw,
        }
    }
}
