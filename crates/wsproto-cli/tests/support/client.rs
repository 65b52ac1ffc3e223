//! A client with the core alone: what it sends, frame by frame, is the test's to say.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use wsproto::extension::PerMessageDeflate;
use wsproto::frame::FrameHeader;
use wsproto::handshake::http1::{self, HeadLimits, ResponseReader};
use wsproto::handshake::{ClientHandshake, ClientRequest, Outcome};
use wsproto::{Connection, Event, Input, Limits, Message, OsRandom};

use super::Server;

/// A client that takes little itself.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    connection: Connection,
}

impl Client {
    pub(crate) fn connect(server: &Server, deflate: Option<&Arc<PerMessageDeflate>>) -> Self {
        let random = OsRandom::new().unwrap();
        let mut request = ClientRequest::from_url(&server.url).unwrap();
        request.extensions.extend(deflate.map(|deflate| Arc::clone(deflate) as _));
        let handshake = ClientHandshake::new(request, random.nonce()).unwrap();
        let mut out = Vec::new();
        http1::write_request(&handshake, &mut out).unwrap();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(&out).unwrap();
        let mut reader = ResponseReader::new(handshake, HeadLimits::default());
        let (mut head, mut filled) = ([0; 1024], 0);
        loop {
            filled += stream.read(&mut head[filled..]).unwrap();
            match reader.receive(&head[..filled]).unwrap() {
                None => {}
                Some((Outcome::Accepted(accepted), _)) => {
                    assert_eq!(accepted.extensions.is_empty(), deflate.is_none());
                    return Self {
                        stream,
                        connection: Connection::client(accepted.extensions, Limits::default(), random),
                    };
                }
                Some((Outcome::Rejected(response), _)) => panic!("rejected with {}", response.status()),
            }
        }
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        let mut out = Vec::new();
        self.connection.send(Message::binary(message), &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// Sends a message, or a piece of one; `compressed` counts where the message begins.
    pub(crate) fn send_piece(&mut self, piece: Message<'_>, compressed: bool) {
        let mut out = Vec::new();
        let sender = &mut self.connection.sender;
        if compressed { sender.send(piece, &mut out) } else { sender.send_uncompressed(piece, &mut out) }.unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// Sends a text message in fragments, all with one write.
    pub(crate) fn send_pieces<const N: usize>(&mut self, pieces: [String; N], compressed: bool) {
        let mut out = Vec::new();
        let sender = &mut self.connection.sender;
        for (index, piece) in pieces.into_iter().enumerate() {
            let message = Message { message_finished: index + 1 == N, ..Message::text(piece) };
            if compressed { sender.send(message, &mut out) } else { sender.send_uncompressed(message, &mut out) }
                .unwrap();
        }
        self.stream.write_all(&out).unwrap();
    }

    /// The next frame, as it is on the wire.
    pub(crate) fn frame(&mut self) -> (FrameHeader, Vec<u8>) {
        let mut head = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
            if let Some((header, _)) = FrameHeader::decode(&head).unwrap() {
                let mut payload = vec![0; usize::try_from(header.len).unwrap()];
                self.stream.read_exact(&mut payload).unwrap();
                return (header, payload);
            }
        }
    }

    pub(crate) fn assert_receives(&mut self, message: &[u8]) {
        let (mut received, mut buffer) = (Vec::new(), [0; 2048]);
        loop {
            let n = self.stream.read(&mut buffer).unwrap();
            assert_ne!(n, 0, "the server has ended");
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = self.connection.receive(&mut input).unwrap() {
                if let Event::Message(piece) = event {
                    received.extend_from_slice(piece.data.as_bytes());
                    if piece.message_finished {
                        assert!(received == message);
                        return;
                    }
                }
            }
        }
    }
}
