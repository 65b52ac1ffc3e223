//! `wsproto serve`: echoes of messages that are not finished, and what of an echo is compressed.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use wsproto::Message;
use wsproto::extension::PerMessageDeflate;
use wsproto::frame::{Opcode, Rsv};

use support::Server;
use support::client::Client;

/// Whether the frame that comes next says that it begins a compressed message; whether it ends one.
fn marks(client: &mut Client) -> (bool, bool) {
    let (header, _) = client.frame();
    (header.rsv == Rsv::RSV1, header.fin)
}

#[test]
fn a_message_that_arrives_whole_comes_back_compressed_and_another_does_not() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server, Some(&Arc::new(PerMessageDeflate::new())));
    for compressed in [true, false] {
        // The second inflates to so much that it is given in pieces, the third is sent in fragments that come together.
        let long = if compressed { 60_000 } else { 100 };
        for whole in [vec![b'a'; 100], vec![b'a'; long]] {
            client.send_piece(Message::binary(whole), compressed);
            assert_eq!(marks(&mut client), (true, true));
        }
        client.send_pieces(["one ", "two ", "three "].map(|piece| piece.repeat(10)), compressed);
        assert_eq!(marks(&mut client), (true, true));
    }
    for compressed in [true, false] {
        // Each piece is waited for: it comes back before the message is finished, and is not held.
        for finished in [false, false, true] {
            let piece =
                Message::text("a piece of a message, and of another length than nothing is compressed at: 64 bytes");
            client.send_piece(if finished { piece } else { piece.unfinished() }, compressed);
            assert_eq!(marks(&mut client), (false, finished));
        }
        client.send_piece(Message::binary(vec![7; 100]), compressed);
        assert_eq!(marks(&mut client), (true, true), "the next one is compressed again");
    }
}

#[test]
fn an_end_behind_an_unfinished_message_is_answered() {
    let close = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9][..];
    let unknown = &[0x83, 0x80, 0, 0, 0, 0][..];
    for (end, code, told) in [(close, 1001_u16, "closed with code 1001\n"), (unknown, 1002, "reserved opcode (0x3)\n")]
    {
        let mut server = Server::start(&["-v"]);
        let mut client = Client::connect(&server, Some(&Arc::new(PerMessageDeflate::new())));
        // All with one write: the server has the end when it has the piece.
        let bytes = [&[0x01, 0x81, 0, 0, 0, 0, b'x'][..], end].concat();
        client.stream.write_all(&bytes).unwrap();
        let close = loop {
            let (header, payload) = client.frame();
            if header.opcode == Opcode::Close {
                break payload;
            }
        };
        assert_eq!(close[..2], code.to_be_bytes());
        assert_eq!(client.stream.read(&mut [0]).unwrap(), 0, "ended in order");
        drop(client);
        server.signal("-TERM");
        assert!(server.wait(Duration::from_secs(5)).success());
        let log = server.stderr();
        assert!(log.contains(told), "{log}");
    }
}
