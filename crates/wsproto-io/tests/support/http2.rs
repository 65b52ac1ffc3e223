//! The other end of a connection of HTTP/2, frame by frame (RFC 9113 §4): it says also what no library lets one say.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use h2::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wsproto::{Connection, Extensions, Limits, Message};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

/// Settings.
pub const HEADER_TABLE_SIZE: u16 = 1;
pub const ENABLE_PUSH: u16 = 2;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_FRAME_SIZE: u16 = 5;
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Generous: it only turns a test that hangs into one that fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame { kind, flags, stream, payload: payload.into() }
}

pub fn data(stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    frame(DATA, 0, stream, payload)
}

/// An empty DATA frame with `END_STREAM`.
pub fn end(stream: u32) -> Frame {
    frame(DATA, END_STREAM, stream, [])
}

pub fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Frame {
    frame(HEADERS, flags | END_HEADERS, stream, block(fields))
}

pub fn reset(stream: u32, reason: Reason) -> Frame {
    frame(RST_STREAM, 0, stream, u32::from(reason).to_be_bytes())
}

pub fn settings(settings: &[(u16, u32)]) -> Frame {
    let payload = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, payload.collect::<Vec<u8>>())
}

pub fn window_update(stream: u32, increment: u32) -> Frame {
    frame(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

pub fn go_away(last: u32, reason: Reason) -> Frame {
    frame(GOAWAY, 0, 0, [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat())
}

/// The header list of a request for a WebSocket.
pub const REQUEST: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "localhost"),
    ("sec-websocket-version", "13"),
];

/// A request for a WebSocket.
pub fn request(stream: u32, path: &str) -> Frame {
    headers(0, stream, &REQUEST.map(|(name, value)| (name, if name == ":path" { path } else { value })))
}

/// A header block of literal fields, without indexing and without Huffman's code (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for string in [name, value] {
            integer(string.len(), &mut block);
            block.extend_from_slice(string.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of 7 bits, the first bit being 0 (RFC 7541 §5.1).
pub fn integer(n: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = n.checked_sub(127) else { return out.push(u8::try_from(n).unwrap()) };
    out.push(127);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

impl Frame {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u32::try_from(self.payload.len()).unwrap().to_be_bytes()[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Of a `RST_STREAM` or a GOAWAY.
    pub fn reason(&self) -> Reason {
        self.number(if self.kind == GOAWAY { 4 } else { 0 }).into()
    }

    /// What a GOAWAY says more.
    pub fn debug_data(&self) -> String {
        String::from_utf8_lossy(&self.payload[8..]).into_owned()
    }

    /// Of a `WINDOW_UPDATE`.
    pub fn increment(&self) -> u32 {
        self.number(0)
    }

    pub fn is(&self, kind: u8, stream: u32) -> bool {
        (self.kind, self.stream) == (kind, stream)
    }

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The status of a response. It is its first field, and no other peer's table is asked: ours has no room.
    pub fn status(&self) -> u16 {
        let mut block = &self.payload[..];
        while block.first().is_some_and(|update| update >> 5 == 1) {
            block = &block[1..]; // a size of the table, which is 0
        }
        match block {
            [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
            // A literal with the name of index 8.
            [0x48 | 0x08 | 0x18, len, rest @ ..] if len >> 7 == 0 => {
                std::str::from_utf8(&rest[..usize::from(*len)]).unwrap().parse().unwrap()
            }
            [0x48 | 0x08 | 0x18, len, rest @ ..] => huffman_digits(&rest[..usize::from(len & 127)]),
            _ => panic!("no status in {block:02x?}"),
        }
    }
}

/// Three digits in Huffman's code: 0, 1 and 2 have 5 bits from 0 on, the others 6 from 011001 on (RFC 7541 appendix B).
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - bytes.len() * 8);
    let (mut number, mut at) = (0, 0);
    for _ in 0..3 {
        let five = (bits << at) >> 27;
        let (digit, len) = if five <= 2 { (five, 5) } else { (((bits << at) >> 26) - 0b01_1001 + 3, 6) };
        (number, at) = (number * 10 + u16::try_from(digit).unwrap(), at + len);
    }
    number
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY"];
        let name = names.get(usize::from(self.kind)).copied().unwrap_or("frame");
        let shown = &self.payload[..self.payload.len().min(32)];
        let len = self.payload.len();
        write!(f, "{name}({}) of stream {}, flags {}, {len} bytes {shown:02x?}", self.kind, self.stream, self.flags)
    }
}

/// One end of a connection.
pub struct Peer {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    pings: u64,
}

impl Peer {
    fn new(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        let (read, write) = tcp.into_split();
        Self { read: BufReader::new(read), write, pings: 0 }
    }

    /// A client with these settings, when the server has said that it has WebSockets (RFC 8441 §3).
    pub async fn client_with(address: SocketAddr, more: &[(u16, u32)]) -> Self {
        let mut client = Self::new(TcpStream::connect(address).await.unwrap());
        client.write(PREFACE).await;
        client.send([settings(&[&[(HEADER_TABLE_SIZE, 0)], more].concat())]).await;
        let theirs = client.until(|frame| frame.kind == SETTINGS && frame.flags == 0).await;
        assert!(theirs.payload.chunks(6).any(|setting| setting == [0, 8, 0, 0, 0, 1]), "{theirs:?}");
        client.send([frame(SETTINGS, ACK, 0, [])]).await;
        client
    }

    pub async fn client(address: SocketAddr) -> Self {
        Self::client_with(address, &[]).await
    }

    /// A client that has said no more than the first half of its preface.
    pub async fn bare(address: SocketAddr) -> Self {
        let mut client = Self::new(TcpStream::connect(address).await.unwrap());
        client.write(PREFACE).await;
        client
    }

    /// A server with these settings, and the client's preface read. `None`: it says none yet.
    pub async fn server(listener: &TcpListener, ours: Option<&[(u16, u32)]>) -> Self {
        let mut server = Self::new(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap().0);
        let mut preface = [0; PREFACE.len()];
        server.read.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        if let Some(ours) = ours {
            server.send([settings(ours), frame(SETTINGS, ACK, 0, [])]).await;
        }
        server
    }

    /// Whether it was taken: a peer may have had enough.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.write.write_all(bytes)).await.expect("it takes nothing").is_ok()
    }

    /// As [`write`](Self::write), all at once.
    pub async fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> bool {
        let mut bytes = Vec::new();
        frames.into_iter().for_each(|frame| frame.encode(&mut bytes));
        self.write(&bytes).await
    }

    /// `None` at the end of the connection, also when it is reset.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read_frame()).await.expect("a frame in time").ok()
    }

    async fn read_frame(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.read.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        self.read.read_exact(&mut payload).await?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame that is wanted. What comes before is passed over.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Some(frame) if wanted(&frame) => return frame,
                Some(frame) if frame.kind != GOAWAY => seen.push(frame),
                over => panic!("{over:?} behind {seen:?}"),
            }
        }
    }

    /// The GOAWAY that ends the connection.
    pub async fn until_went(&mut self) -> Frame {
        loop {
            match self.next().await {
                Some(frame) if frame.kind == GOAWAY => return frame,
                frame => drop(frame.expect("a GOAWAY")),
            }
        }
    }

    /// What came until all that was sent has been read, and what it led to has been written.
    pub async fn settle(&mut self) -> Vec<Frame> {
        let mut seen = Vec::new();
        // The first may be answered in front of an answer that was begun before: not the second.
        for _ in 0..2 {
            self.pings += 1;
            let number = self.pings.to_be_bytes();
            self.send([frame(PING, 0, 0, number)]).await;
            loop {
                match self.next().await {
                    Some(frame) if frame.kind == PING && frame.payload == number => break,
                    Some(frame) => seen.push(frame),
                    None => return seen,
                }
            }
        }
        seen
    }

    /// Opens a WebSocket at this path.
    pub async fn open(&mut self, stream: u32, path: &str) {
        self.send([request(stream, path)]).await;
        let response = self.until(|frame| frame.is(HEADERS, stream) || frame.is(RST_STREAM, stream)).await;
        assert!(response.kind == HEADERS && response.status() == 200, "{response:?}");
    }

    /// A message there and back, on a stream where nothing else is on its way.
    pub async fn echo(&mut self, stream: u32) {
        self.send([data(stream, masked(b"echo"))]).await;
        let echoed = self.until(|frame| frame.is(DATA, stream) || frame.is(RST_STREAM, stream)).await;
        assert!(echoed == data(stream, *b"\x82\x04echo"), "{echoed:?}");
    }

    /// Bytes of this stream, from as many frames as it takes.
    pub async fn bytes(&mut self, stream: u32, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let piece = self.until(|frame| frame.is(DATA, stream) || frame.is(RST_STREAM, stream)).await;
            assert_eq!(piece.kind, DATA, "{piece:?}");
            bytes.extend(piece.payload);
        }
        bytes
    }
}

/// A client's frame with a message of bytes.
pub fn masked(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut client = Connection::client(Extensions::none(), Limits::none(), || [1, 2, 3, 4]);
    client.send(Message::binary(message), &mut out).unwrap();
    out
}
