//! A request head: the verdict does not depend on how the bytes are cut, and what is accepted can be answered.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wsproto::extension::PerMessageDeflate;
use wsproto::handshake::http1::{HeadLimits, RequestReader, write_error, write_response};
use wsproto::handshake::{AcceptConnection, OriginPolicy, RejectConnection};
use wsproto_fuzz::{Line, head};

#[derive(Arbitrary, Debug)]
enum Given {
    /// Any bytes. The seeds are of this kind.
    Raw(Vec<u8>),
    Head {
        first: u8,
        left_out: u8,
        lines: Vec<Line>,
        rest: Vec<u8>,
    },
}

const FIRST: [&[u8]; 4] =
    [b"GET /chat?x=1 HTTP/1.1", b"GET http://example.com/ HTTP/1.1", b"GET / HTTP/1.0", b"POST / HTTP/1.1"];

const NEEDED: [&str; 9] = [
    "Host: example.com",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Origin: http://example.com",
    "Content-Length: 0",
];

fuzz_target!(|given: Given| {
    let bytes = match &given {
        Given::Raw(bytes) => bytes.clone(),
        Given::Head { first, left_out, lines, rest } => {
            head(FIRST[usize::from(*first) % FIRST.len()], &NEEDED, *left_out, lines, rest)
        }
    };
    let limits = HeadLimits { size: 2048, headers: 16, ..HeadLimits::default() };
    let whole = RequestReader::new(limits).receive(&bytes);
    let mut reader = RequestReader::new(limits);
    let mut verdict = Ok(None);
    for end in 1..=bytes.len() {
        verdict = reader.receive(&bytes[..end]);
        if !matches!(verdict, Ok(None)) {
            break;
        }
    }
    assert!(reader.bytes_visited() <= 4 * bytes.len() as u64 + 64);
    assert_eq!(format!("{whole:?}"), format!("{verdict:?}"));
    let mut out = vec![];
    match whole {
        Ok(None) => return,
        Err(error) => write_error(error, &mut out),
        Ok(Some((handshake, length))) => {
            assert!(length <= bytes.len() && bytes[..length].ends_with(b"\r\n\r\n"));
            let request = handshake.request();
            let _ =
                (OriginPolicy::SameHost.allows(request), request.extensions().count(), request.subprotocols().count());
            let deflate = PerMessageDeflate::new();
            let accept =
                AcceptConnection { origins: &OriginPolicy::Any, extensions: &[&deflate], ..Default::default() };
            write_response(&handshake.accept(&accept).expect("nothing of our own is wrong").response, &mut out);
            let reject = handshake.reject(&RejectConnection::new(403)).expect("nothing of our own is wrong");
            let mut rejected = vec![];
            write_response(&reject, &mut rejected);
        }
    }
    let text = String::from_utf8(out).expect("responses are ASCII");
    let (head, _) = text.split_once("\r\n\r\n").expect("a response has an end");
    assert!(head.starts_with("HTTP/1.1 ") && !head.replace("\r\n", "").contains(['\r', '\n', '\0']));
});
