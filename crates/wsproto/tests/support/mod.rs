//! What the tests share: frames written by hand, a connection driven through the echo loop, seeded randomness.

#![allow(dead_code)] // each test file uses its part

pub(crate) mod corpus;

use core::fmt;
use std::sync::OnceLock;

use wsproto::extension::{CodecPool, PerMessageDeflate};
use wsproto::frame::Role;
use wsproto::handshake::{client_extensions_handshake, server_extensions_handshake};
use wsproto::{
    Assembler, Connection, Data, Event, Extensions, Input, Limits, Message, MessageKind, RemoteProtocolError, State,
    Transport,
};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RSV2: u8 = 0x20;
pub(crate) const RSV3: u8 = 0x10;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// A frame for the end with this role, its payload masked as that end wants it; `b0` is its first byte.
pub(crate) fn frame(to: Role, b0: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(to, b0, payload.len() as u64);
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let masked = to == Role::Server;
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| if masked { byte ^ key[i % 4] } else { *byte }));
    bytes
}

/// The header of such a frame.
pub(crate) fn header(to: Role, b0: u8, len: u64) -> Vec<u8> {
    let mut bytes = vec![b0];
    match len {
        0..=125 => bytes.push(u8::try_from(len).unwrap()),
        126..=65_535 => {
            bytes.push(126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend(len.to_be_bytes());
        }
    }
    if to == Role::Server {
        bytes[1] |= 0x80;
        bytes.extend([0x37, 0xFA, 0x21, 0x3D]);
    }
    bytes
}

/// The payload of a Close frame.
pub(crate) fn close_body(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// A connection with this role; a client's masks are a counter, so that output can be compared.
pub(crate) fn connection(role: Role, extensions: Extensions, limits: Limits) -> Connection {
    let mut counter = 0_u32;
    let masks = move || {
        counter = counter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        counter.to_be_bytes()
    };
    match role {
        Role::Client => Connection::client(extensions, limits, masks),
        Role::Server => Connection::server(extensions, limits),
    }
}

/// What this end has after a handshake with this answer: `permessage-deflate` with its parameters, or nothing.
pub(crate) fn agreed(role: Role, answer: Option<&str>) -> Extensions {
    // Windows as large as the answer allows, and everything is compressed.
    let deflate = PerMessageDeflate::new().client_max_window_bits(15).unwrap().threshold(0).pool(codecs());
    match role {
        Role::Server => {
            let deflate = deflate.server_max_window_bits(15).unwrap();
            let (answered, extensions) = server_extensions_handshake(answer, &[&deflate]);
            assert_eq!(answered.is_some(), answer.is_some(), "{answer:?} is declined");
            extensions
        }
        Role::Client => client_extensions_handshake(answer, &[&deflate]).unwrap(),
    }
}

/// One pool for all: a codec that remembers its last user is found out.
pub(crate) fn codecs() -> &'static CodecPool {
    static CODECS: OnceLock<CodecPool> = OnceLock::new();
    CODECS.get_or_init(CodecPool::default)
}

/// A connection without extensions, with the default limits.
pub(crate) fn plain(role: Role) -> Connection {
    connection(role, Extensions::none(), Limits::default())
}

pub(crate) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// What a frame said; the pieces of a data frame are joined.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Frame { kind: MessageKind, bytes: Vec<u8>, frame_finished: bool, message_finished: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { kind, bytes, frame_finished, message_finished } => {
                let start = &bytes[..bytes.len().min(24)];
                write!(f, "{kind:?}({} bytes, {start:x?}, {frame_finished}, {message_finished})", bytes.len())
            }
            Self::Ping(payload) => write!(f, "Ping({payload:x?})"),
            Self::Pong(payload) => write!(f, "Pong({payload:x?})"),
            Self::Close(code, reason) => write!(f, "Close({code:?}, {reason:?})"),
        }
    }
}

/// All that came of a byte stream: what was said, the answer on the wire, the error and the state at the end.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) said: Vec<Said>,
    pub(crate) out: Vec<u8>,
    pub(crate) error: Option<RemoteProtocolError>,
    pub(crate) end: (State, Transport),
    /// What the end of the transport, after all of it, is taken for.
    pub(crate) eof: Option<RemoteProtocolError>,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = &self.out[..self.out.len().min(64)];
        write!(
            f,
            "{:?}, error {:?}, {:?}, {:?}, out {} bytes {out:x?}",
            self.said,
            self.error,
            self.end,
            self.eof,
            self.out.len()
        )
    }
}

impl Transcript {
    fn note(&mut self, event: &Event<'_>) {
        let said = match event {
            Event::Message(Message { data, frame_finished, message_finished }) => {
                if let Some(Said::Frame { kind, bytes, frame_finished: finished @ false, message_finished: last }) =
                    self.said.last_mut()
                {
                    assert_eq!(*kind, data.kind(), "the kind changes inside a frame");
                    bytes.extend_from_slice(data.as_bytes());
                    *finished = *frame_finished;
                    *last = *message_finished;
                    return;
                }
                Said::Frame {
                    kind: data.kind(),
                    bytes: data.as_bytes().to_vec(),
                    frame_finished: *frame_finished,
                    message_finished: *message_finished,
                }
            }
            Event::Ping(ping) => Said::Ping(ping.payload.to_vec()),
            Event::Pong(pong) => Said::Pong(pong.payload.to_vec()),
            Event::Close(frame) => Said::Close(frame.code().map(u16::from), frame.reason().to_owned()),
            other => panic!("an event that this test does not know: {other:?}"),
        };
        self.said.push(said);
    }
}

/// Runs the echo loop over a byte stream that arrives in these pieces: messages are echoed whole, the rest is
/// answered as the protocol wants. Checked on the way: what an input still holds is as the peer sent it, all of it is
/// read where no event came, and after an error the connection says the same for ever.
pub(crate) fn drive<'a>(mut connection: Connection, pieces: impl IntoIterator<Item = &'a [u8]>) -> Transcript {
    let end = (connection.state(), connection.transport());
    let mut transcript = Transcript { said: vec![], out: vec![], error: None, end, eof: None };
    let mut assembler = Assembler::new(64 << 20);
    let mut buffer = vec![];
    for piece in pieces {
        buffer.clear();
        buffer.extend_from_slice(piece);
        let mut input = Input::new(&mut buffer);
        loop {
            let event = connection.receive(&mut input);
            assert!(input.remaining() == &piece[input.consumed()..], "bytes that were not consumed have changed");
            match event {
                Ok(Some(event)) => {
                    assert_eq!(transcript.error, None, "an event after an error: {event:?}");
                    transcript.note(&event);
                    if let Some(reply) = event.response() {
                        connection.reply(reply, &mut transcript.out);
                    }
                    if let Event::Message(message) = event {
                        if let Some(data) = assembler.push(message).unwrap() {
                            echo(&mut connection, data, &mut transcript.out);
                        }
                    }
                }
                Ok(None) => {
                    assert!(input.is_empty(), "{} bytes are left, and no event", input.remaining().len());
                    assert_eq!(transcript.error, None, "an error is forgotten");
                    break;
                }
                Err(error) => {
                    assert_eq!(*transcript.error.get_or_insert(error), error, "another error after the first");
                    assert_eq!(connection.receiver.error(), Some(error));
                    if let Some(reply) = error.response() {
                        connection.reply(reply, &mut transcript.out);
                    }
                    break;
                }
            }
        }
    }
    transcript.end = (connection.state(), connection.transport());
    transcript.eof = connection.receive_eof().err();
    transcript
}

/// The peer may go on after our Close; we cannot.
fn echo(connection: &mut Connection, data: Data<'_>, out: &mut Vec<u8>) {
    if !connection.sender.is_closed() {
        connection.send(Message { data, frame_finished: true, message_finished: true }, out).unwrap();
    }
}

/// The frames of a byte stream, by a parser of the tests' own: first byte and payload, unmasked.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = vec![];
    while let [b0, b1, rest @ ..] = bytes {
        let (len, rest) = match b1 & 0x7F {
            126 => (usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap())), &rest[2..]),
            127 => (usize::try_from(u64::from_be_bytes(rest[..8].try_into().unwrap())).unwrap(), &rest[8..]),
            len => (usize::from(len), rest),
        };
        let (key, rest) = if b1 & 0x80 == 0 { ([0; 4], rest) } else { (rest[..4].try_into().unwrap(), &rest[4..]) };
        frames.push((*b0, rest[..len].iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()));
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty(), "half a header: {bytes:x?}");
    frames
}

/// Where the frames of a well-formed stream end.
pub(crate) fn frame_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![];
    let mut at = 0;
    while let Some([_, b1]) = bytes.get(at..at + 2) {
        let (len, mut next) = match b1 & 0x7F {
            126 => (bytes.get(at + 2..at + 4).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]]))), at + 4),
            127 => (
                bytes.get(at + 6..at + 10).map_or(0, |b| (b[1] as usize) << 16 | (b[2] as usize) << 8 | b[3] as usize),
                at + 10,
            ),
            len => (usize::from(len), at + 2),
        };
        next += if b1 & 0x80 == 0 { 0 } else { 4 };
        ends.extend([next, next + len]);
        at = next + len;
    }
    ends
}

/// A small generator of our own (splitmix64), seeded: a failure can be repeated.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// The same bytes in random pieces; some are empty.
    pub(crate) fn cut<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        // Few cuts, or many: both find what the other does not.
        let longest = [3, 16, 1 + bytes.len()][self.below(3)].max(1 + bytes.len() / 200);
        let (mut pieces, mut rest) = (vec![], bytes);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.below(longest + 1).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}
