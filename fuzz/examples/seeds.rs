//! Writes the seeds: `cargo run --example seeds`, in this folder.
//!
//! The targets take their input through `arbitrary`: the first four bytes choose a kind, of which zeros are the first;
//! numbers come next in their order; the last field takes the rest.

use std::fs;
use std::path::Path;

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn main() {
    let requests = [
        format!("{REQUEST}\r\n"),
        format!("{REQUEST}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n\u{1}more"),
        format!("{REQUEST}Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n"),
        format!("{REQUEST}Transfer-Encoding: chunked\r\n\r\n"),
        format!("{REQUEST}Content-Length: 5\r\n\r\nhello"),
        format!("{REQUEST}X: a\r\n folded\r\n\r\n"),
        REQUEST.replace("GET /chat", "GET http://example.com:80/") + "\r\n",
        "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".into(),
        "POST / HTTP/1.0\n\n".into(),
    ];
    let responses = [
        format!("{RESPONSE}\r\n"),
        format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{RESPONSE}\r\n\u{1}more"),
        format!("{RESPONSE}Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n\r\n"),
        format!("{RESPONSE}Sec-WebSocket-Protocol: chat\r\nContent-Length: 0\r\n\r\n"),
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello".into(),
        "HTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0;x=y\r\nA: b\r\n\r\n".into(),
        "HTTP/1.1 500\r\n\r\nuntil the end".into(),
    ];
    let params = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=\"10\"; server_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover, permessage-deflate",
        "x-other; a=\"b\\\"c\", permessage-deflate; server_max_window_bits=8\npermessage-deflate",
        "permessage-deflate; server_max_window_bits=08",
        ",, permessage-deflate ;; x",
    ];
    write("request_head", requests.iter().map(|text| kind(&[], text.as_bytes())));
    write("response_head", responses.iter().map(|text| kind(&[], text.as_bytes())));
    write("extension_params", params.iter().map(|text| kind(&[], text.as_bytes())));

    let streams = wsproto_fuzz::core::streams();
    let receiver = streams.iter().map(|(_, server, deflate, bytes)| {
        let mut fields = vec![u8::from(*server), u8::from(*deflate)];
        fields.extend(deflate.then_some(0));
        kind(&[&fields[..], &[7; 8]].concat(), bytes)
    });
    write("receiver", receiver);
    // The payloads of the streams for clients, which are not masked: headers and all, it is the fuzzer's to sort out.
    let compressed = streams.iter().filter(|(_, server, deflate, _)| !server && *deflate);
    write(
        "inflate",
        compressed.map(|(_, _, _, bytes)| [&[3, 5, 0, 0, 4, 7, 7, 7, 7, 7, 7, 7, 7][..], &bytes[2..]].concat()),
    );
    // Any bytes are operations.
    let noise = |seed: u32| (0..300_u32).map(move |i| (i.wrapping_mul(seed).wrapping_add(i * i) >> 3).to_le_bytes()[0]);
    write("peers", [31, 977, 65_537, 1_000_003, 123_456_789].map(|seed| noise(seed).collect()));
}

/// The first kind of input, with these fields, and the rest.
fn kind(fields: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[0; 4], fields, rest].concat()
}

fn write(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder can be made");
    for (n, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("{n:02}")), seed).expect("the seed can be written");
    }
}
