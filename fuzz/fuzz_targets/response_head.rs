//! A response head and the body of a rejection: what comes of them does not depend on how the bytes are cut.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::http1::{HeadLimits, RejectionBody, ResponseReader};
use wsproto::handshake::{ClientHandshake, ClientRequest, Outcome};
use wsproto_fuzz::{Line, head};

#[derive(Arbitrary, Debug)]
enum Given {
    /// Any bytes. The seeds are of this kind.
    Raw(Vec<u8>),
    Head {
        hints: u8,
        first: u8,
        left_out: u8,
        lines: Vec<Line>,
        rest: Vec<u8>,
    },
}

const FIRST: [&[u8]; 4] =
    [b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 403 Forbidden", b"HTTP/1.1 200", b"HTTP/1.0 101 x"];

const NEEDED: [&str; 9] = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12",
    "Sec-WebSocket-Protocol: chat",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Content-Length: 0",
    "Set-Cookie: a=b",
];

fn reader() -> ResponseReader {
    let request = ClientRequest {
        subprotocols: vec!["chat".into()],
        extensions: vec![Arc::new(PerMessageDeflate::new())],
        ..ClientRequest::new("example.com", "/")
    };
    let handshake = ClientHandshake::new(request, *b"the sample nonce").expect("a legal request");
    ResponseReader::new(handshake, HeadLimits { size: 2048, headers: 16, ..HeadLimits::default() })
}

/// The body up to its end, in pieces of this size: the bytes, whether it ended, and what went wrong.
fn body(mut body: RejectionBody, mut bytes: &[u8], piece: usize) -> String {
    let mut given = vec![];
    while !bytes.is_empty() && !body.is_finished() {
        let now = &bytes[..piece.min(bytes.len())];
        match body.receive(now) {
            Ok((consumed, data)) => {
                given.extend_from_slice(&data.data);
                assert!(consumed > 0 || data.body_finished);
                bytes = &bytes[consumed..];
            }
            Err(error) => return format!("{given:x?} {error:?}"),
        }
    }
    format!("{given:x?} {:?} {} {}", body.receive_eof(), body.is_finished(), body.is_truncated())
}

fuzz_target!(|given: Given| {
    let bytes = match &given {
        Given::Raw(bytes) => bytes.clone(),
        Given::Head { hints, first, left_out, lines, rest } => {
            let hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(usize::from(*hints % 11));
            let last = head(FIRST[usize::from(*first) % FIRST.len()], &NEEDED, *left_out, lines, rest);
            [hint, last].concat()
        }
    };
    let whole = reader().receive(&bytes);
    let mut cut = reader();
    let mut verdict = Ok(None);
    for end in 1..=bytes.len() {
        verdict = cut.receive(&bytes[..end]);
        if !matches!(verdict, Ok(None)) {
            break;
        }
    }
    assert!(cut.bytes_visited() <= 4 * bytes.len() as u64 + 64);
    assert_eq!(format!("{whole:?}"), format!("{verdict:?}"));
    if let Ok(Some((Outcome::Rejected(head), length))) = whole {
        for limit in [4, RejectionBody::DEFAULT_LIMIT] {
            let outcome = |piece| RejectionBody::new(&head, limit).map(|reader| body(reader, &bytes[length..], piece));
            assert_eq!(outcome(1), outcome(usize::MAX));
        }
    }
});
