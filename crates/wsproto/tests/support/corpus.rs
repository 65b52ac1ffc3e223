//! Byte streams with names, valid and not, for either end of a connection.

use wsproto::Limits;
use wsproto::frame::Role;

use super::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, ROLES, RSV1, RSV2, RSV3, TEXT, close_body, frame, header, other,
};

/// One stream, and the connection that it is for.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The element of `Sec-WebSocket-Extensions` that was agreed on, if any.
    pub(crate) deflate: Option<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) bytes: Vec<u8>,
}

/// All streams.
pub(crate) fn corpus() -> Vec<Case> {
    let mut cases = vec![];
    for role in ROLES {
        for (name, limits, bytes) in without_compression(role) {
            // Frames that are not compressed mean the same with and without the extension.
            if bytes.len() < 1000 {
                let (deflate, bytes) = (Some("permessage-deflate"), bytes.clone());
                cases.push(Case { name: format!("{role:?} with deflate: {name}"), role, deflate, limits, bytes });
            }
            cases.push(Case { name: format!("{role:?}: {name}"), role, deflate: None, limits, bytes });
        }
        for params in PARAMS {
            for (name, limits, bytes) in with_compression(role) {
                let name = format!("{role:?} {params}: {name}");
                cases.push(Case { name, role, deflate: Some(params), limits, bytes });
            }
        }
    }
    cases
}

const PARAMS: [&str; 3] = [
    "permessage-deflate",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
];

type Stream = (String, Limits, Vec<u8>);

/// Text that is not UTF-8, each wrong for another reason.
pub(crate) const NOT_UTF8: [&[u8]; 18] = [
    &[0x80],                         // a continuation byte alone
    &[0xBF, 0x80],                   // two
    &[0xC0, 0xAF],                   // overlong
    &[0xC1, 0xBF],                   // overlong
    &[0xC2, 0x41],                   // cut short
    &[0xC2, 0xC2, 0x80],             // cut short by another lead
    &[0xE0, 0x80, 0x80],             // overlong
    &[0xE0, 0x9F, 0xBF],             // overlong
    &[0xE2, 0x82, 0x41],             // cut short
    &[0xED, 0xA0, 0x80],             // surrogate
    &[0xED, 0xBF, 0xBF],             // surrogate
    &[0xF0, 0x80, 0x80, 0x80],       // overlong
    &[0xF0, 0x8F, 0xBF, 0xBF],       // overlong
    &[0xF0, 0x9F, 0x98, 0x41],       // cut short
    &[0xF4, 0x90, 0x80, 0x80],       // beyond U+10FFFF
    &[0xF5, 0x80, 0x80, 0x80],       // no such lead
    &[0xF8, 0x88, 0x80, 0x80, 0x80], // five bytes
    &[0xFF],                         // no such byte
];

/// Streams in which nothing is compressed.
fn without_compression(to: Role) -> Vec<Stream> {
    let f = |b0, payload: &[u8]| frame(to, b0, payload);
    let mut streams: Vec<Stream> = vec![];
    let mut add = |name: &str, frames: &[Vec<u8>]| streams.push((name.into(), Limits::default(), frames.concat()));
    let after = || f(FIN | TEXT, b"after");

    // Lengths, and each form of them.
    for len in [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65_535, 65_536] {
        let bytes: Vec<u8> = (0_u8..=255).cycle().take(len).collect();
        add(&format!("binary of {len}"), &[f(FIN | BINARY, &bytes), after()]);
        add(&format!("text of {len}"), &[f(FIN | TEXT, &vec![b'x'; len]), after()]);
    }
    for len in [0, 1, 124, 125] {
        add(&format!("Ping of {len}"), &[f(FIN | PING, &vec![b'p'; len]), after()]);
        add(&format!("Pong of {len}"), &[f(FIN | PONG, &vec![b'p'; len]), after()]);
    }
    add("fifty messages", &(0..50).map(|i| f(FIN | BINARY, &vec![i; usize::from(i)])).collect::<Vec<_>>());

    // Fragments.
    for (name, first, parts) in [
        ("two fragments", TEXT, &["Hel", "lo"][..]),
        ("three fragments", BINARY, &["a", "bc", "def"]),
        ("empty first fragment", TEXT, &["", "x"]),
        ("empty last fragment", TEXT, &["x", ""]),
        ("empty fragment in the middle", TEXT, &["x", "", "y"]),
        ("only empty fragments", BINARY, &["", "", "", ""]),
    ] {
        let fragments: Vec<Vec<u8>> = (0..parts.len())
            .map(|i| {
                let opcode = if i == 0 { first } else { CONTINUATION };
                f(if i + 1 == parts.len() { FIN | opcode } else { opcode }, parts[i].as_bytes())
            })
            .collect();
        let pinged: Vec<Vec<u8>> =
            fragments.iter().flat_map(|fragment| [f(FIN | PING, b"between"), fragment.clone()]).collect();
        add(name, &[fragments, vec![after()]].concat());
        add(&format!("{name}, Pings between"), &pinged);
    }
    let mut many = vec![f(TEXT, b"")];
    many.extend((0..200).map(|_| f(CONTINUATION, b"x")));
    add("200 fragments, not finished", &many);
    add("Close between fragments", &[f(TEXT, b"half"), f(FIN | CLOSE, &close_body(1000, b"")), f(FIN, b"rest")]);

    // Text.
    let text = "aé€😀κόσμε";
    add("text of all widths", &[f(FIN | TEXT, text.as_bytes()), after()]);
    add("long text of all widths", &[f(FIN | TEXT, text.repeat(20).as_bytes()), after()]);
    add("longer text of all widths", &[f(FIN | TEXT, "aé€😀".repeat(700).as_bytes()), after()]);
    for cut in 1..10 {
        let (head, tail) = text.as_bytes().split_at(cut);
        add(
            &format!("text in two fragments cut at {cut}, a Ping between"),
            &[f(TEXT, head), f(FIN | PING, b"p"), f(FIN, tail), after()],
        );
        add(&format!("text that ends after {cut} bytes"), &[f(FIN | TEXT, head), after()]);
        add(&format!("fragmented text that ends after {cut} bytes"), &[f(TEXT, head), f(FIN, b""), after()]);
    }
    for bad in NOT_UTF8 {
        let mid = [text.as_bytes(), bad, b"after"].concat();
        add(&format!("{bad:x?} at the start"), &[f(FIN | TEXT, bad), after()]);
        add(&format!("{bad:x?} in the middle"), &[f(FIN | TEXT, &mid), after()]);
        add(&format!("{bad:x?} at the end"), &[f(FIN | TEXT, &[text.as_bytes(), bad].concat()), after()]);
        add(&format!("{bad:x?} far behind"), &[f(FIN | TEXT, &[text.repeat(9).as_bytes(), bad].concat()), after()]);
        add(&format!("{bad:x?} over two fragments"), &[f(TEXT, &mid[..20]), f(FIN, &mid[20..]), after()]);
        add(&format!("{bad:x?} byte by byte"), &[f(TEXT, &bad[..1]), f(CONTINUATION, b""), f(FIN, &bad[1..])]);
        add(&format!("{bad:x?} in a Close"), &[f(FIN | CLOSE, &close_body(1000, bad)), after()]);
        add(&format!("{bad:x?} in a Ping"), &[f(FIN | PING, bad), after()]);
    }

    // Close.
    add("Close without a body", &[f(FIN | CLOSE, b"")]);
    add("Close with half a code", &[f(FIN | CLOSE, &[3])]);
    for code in [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        add(&format!("Close {code}"), &[f(FIN | CLOSE, &close_body(code, b""))]);
        add(&format!("Close {code} with a reason"), &[f(FIN | CLOSE, &close_body(code, "schön".as_bytes()))]);
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        add(&format!("Close {code}, which must not be"), &[f(FIN | CLOSE, &close_body(code, b"x")), after()]);
    }
    let bye = f(FIN | CLOSE, &close_body(1000, b"bye"));
    add("Close with the longest reason", &[f(FIN | CLOSE, &close_body(1000, &[b'r'; 123]))]);
    add("data after Close", &[bye.clone(), after()]);
    add("Ping after Close", &[bye.clone(), f(FIN | PING, b"?")]);
    add("two Closes", &[bye.clone(), f(FIN | CLOSE, &close_body(1001, b"again"))]);
    add("garbage after Close", &[bye.clone(), vec![0xFF; 40]]);
    add("Ping, then Close", &[f(FIN | PING, b"?"), bye.clone()]);

    // Broken rules, each at the start, behind a message, and inside a message.
    let raw = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[1] |= if to == Role::Server { 0x80 } else { 0 };
        bytes.extend([0; 8]);
        bytes
    };
    let mut broken: Vec<(String, Vec<u8>)> = vec![
        ("length of 125 in 16 bits".into(), raw(&[FIN | BINARY, 126, 0, 125])),
        ("length of 65535 in 64 bits".into(), raw(&[FIN | BINARY, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])),
        ("length of 0 in 64 bits".into(), raw(&[FIN | BINARY, 127, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("length with its top bit".into(), raw(&[FIN | BINARY, 127, 0x80, 0, 0, 0, 0, 0, 0, 0])),
        ("length of all ones".into(), raw(&[FIN | BINARY, 127, 255, 255, 255, 255, 255, 255, 255, 255])),
        ("length of 2^62".into(), raw(&[FIN | BINARY, 127, 0x40, 0, 0, 0, 0, 0, 0, 0])),
        ("length of 2^63 - 1".into(), raw(&[FIN | BINARY, 127, 0x7F, 255, 255, 255, 255, 255, 255, 255])),
        ("Ping of 126".into(), f(FIN | PING, &[0; 126])),
        ("Close of 65536".into(), raw(&[FIN | CLOSE, 127, 0, 0, 0, 0, 0, 1, 0, 0])),
        ("the other end's masking".into(), frame(other(to), FIN | TEXT, b"x")),
        ("the other end's masking of a Ping".into(), frame(other(to), FIN | PING, b"x")),
        ("first continuation".into(), f(CONTINUATION, b"x")),
        ("last continuation".into(), f(FIN | CONTINUATION, b"x")),
        ("new text".into(), f(TEXT, b"x")),
        ("new binary".into(), f(FIN | BINARY, b"x")),
    ];
    broken.extend((3..8).chain(11..16).map(|opcode| (format!("opcode {opcode}"), f(FIN | opcode, b"x"))));
    for (name, rsv) in [("RSV2", RSV2), ("RSV3", RSV3), ("all RSV", RSV1 | RSV2 | RSV3)] {
        broken.push((format!("{name} on text"), f(FIN | rsv | TEXT, b"x")));
        broken.push((format!("{name} on a continuation"), f(FIN | rsv | CONTINUATION, b"x")));
    }
    for (name, opcode) in [("Close", CLOSE), ("Ping", PING), ("Pong", PONG)] {
        broken.push((format!("{name} in fragments"), f(opcode, b"")));
        broken.push((format!("RSV1 on {name}"), f(FIN | RSV1 | opcode, b"")));
    }
    for (name, bytes) in broken {
        add(&format!("{name} at the start"), &[bytes.clone(), after()]);
        add(&format!("{name} behind a message"), &[f(FIN | TEXT, b"before"), bytes.clone(), after()]);
        add(&format!("{name} inside a message"), &[f(BINARY, b"before"), f(FIN | PING, b"p"), bytes, after()]);
    }

    // A stream that stops.
    let whole = [f(TEXT, "€".as_bytes()), f(FIN | PING, b"ping"), f(FIN, &[b'x'; 130])].concat();
    for end in 0..whole.len().min(40) {
        add(&format!("the first {end} bytes only"), &[whole[..end].to_vec()]);
    }

    // Limits.
    let limited = [
        ("message at its limit", Limits::default().message(100), vec![f(FIN | BINARY, &[0; 100])]),
        ("message beyond its limit", Limits::default().message(100), vec![f(FIN | BINARY, &[0; 101])]),
        ("two fragments at the limit", Limits::default().message(100), vec![f(TEXT, &[b'x'; 60]), f(FIN, &[b'x'; 40])]),
        ("two fragments beyond", Limits::default().message(100), vec![f(TEXT, &[b'x'; 60]), f(FIN, &[b'x'; 41])]),
        ("frame at its limit", Limits::default().frame(50), vec![f(BINARY, &[0; 50]), f(FIN, &[0; 50])]),
        ("frame beyond its limit", Limits::default().frame(50), vec![f(BINARY, &[0; 50]), f(FIN, &[0; 51])]),
        ("Ping beyond a frame's limit", Limits::default().frame(50).message(50), vec![f(FIN | PING, &[0; 51])]),
        ("fragments at the limit", Limits::default().fragments(3), vec![f(TEXT, b""), f(0, b""), f(FIN, b"")]),
        ("fragments beyond", Limits::default().fragments(3), vec![f(TEXT, b""), f(0, b""), f(0, b""), f(FIN, b"")]),
        ("no fragment is allowed", Limits::default().fragments(0), vec![f(FIN | PING, b""), f(FIN | TEXT, b"")]),
        ("no byte is allowed", Limits::default().message(0), vec![f(FIN | TEXT, b""), f(FIN | TEXT, b"x")]),
        ("no limits, 2^63 - 1", Limits::none(), vec![f(BINARY, b"x"), header(to, FIN, (1 << 63) - 1), vec![7; 60]]),
    ];
    for (name, limits, frames) in limited {
        streams.push((name.into(), limits, [frames.concat(), after()].concat()));
    }
    streams
}

/// Streams with compressed messages.
fn with_compression(to: Role) -> Vec<Stream> {
    let f = |b0, payload: &[u8]| frame(to, b0, payload);
    let z = |payload: &[u8]| frame(to, FIN | RSV1 | TEXT, payload);
    let zb = |payload: &[u8]| frame(to, FIN | RSV1 | BINARY, payload);
    let hello = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00][..]; // RFC 7692 §7.2.3.1
    let mut streams: Vec<Stream> = vec![];
    let mut add = |name: &str, frames: &[Vec<u8>]| streams.push((name.into(), Limits::default(), frames.concat()));

    // The examples of RFC 7692 §7.2.3.
    add("Hello", &[z(hello), f(FIN | TEXT, b"after")]);
    add("Hello in fragments", &[f(RSV1 | TEXT, &hello[..3]), f(FIN | PING, b"p"), f(FIN, &hello[3..])]);
    add("Hello twice", &[z(hello), z(hello)]);
    add("Hello by reference to Hello", &[z(hello), z(&[0xF2, 0x00, 0x11, 0x00, 0x00])]);
    add("Hello stored", &[z(&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00])]);
    add("Hello in a last block", &[z(&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]), z(hello)]);
    add("Hello in two blocks", &[z(&[0xF2, 0x48, 0x05, 0, 0, 0, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]), z(hello)]);

    // Blocks.
    let last = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    add("a reference behind a last block", &[z(&last), z(&[0xF2, 0x00, 0x11, 0x00, 0x00])]);
    add("blocks behind a last block", &[z(&[&last[..], &last[..], hello].concat()), z(hello)]);
    add("a last block and nothing behind it", &[z(&last), z(&last)]);
    add("empty last block", &[z(&[0x03, 0x00]), z(hello)]);
    add("last blocks only", &[z(&[0x03, 0x00].repeat(40)), z(hello)]);
    add("empty stored blocks", &[z(&[[0, 0, 0, 0xFF, 0xFF].repeat(40), vec![0]].concat()), z(hello)]);
    add("stored last block", &[zb(&stored(&[1, 2, 3], true)), zb(&[stored(b"abc", false), vec![0]].concat())]);
    add("empty message, one zero", &[z(&[0]), z(&[0]), z(hello)]);
    add("empty message, no payload", &[z(&[]), z(hello)]);
    add("empty fragments", &[f(RSV1 | TEXT, b""), f(0, b""), f(0, hello), f(0, b""), f(FIN, b""), z(hello)]);
    add("nothing but empty fragments", &[f(RSV1 | TEXT, b""), f(0, b""), f(FIN, b""), z(hello)]);
    let mixed = [f(FIN | TEXT, b"plain"), f(BINARY, b"plain "), f(FIN, b"too"), z(hello), f(FIN | PONG, b"p")];
    add("compressed and not", &[vec![z(hello)], mixed.to_vec()].concat());

    // What must fail.
    for (name, frames) in [
        ("RSV1 on a continuation", vec![f(RSV1 | TEXT, hello), f(FIN | RSV1, hello)]),
        ("RSV1 on a continuation of plain text", vec![f(TEXT, b"x"), f(FIN | RSV1, hello)]),
        ("RSV1 on a Ping in a compressed message", vec![f(RSV1 | TEXT, hello), f(FIN | RSV1 | PING, b"")]),
        ("RSV1 and RSV2", vec![f(FIN | RSV1 | RSV2 | TEXT, hello)]),
        ("reserved block type", vec![z(&[0x06])]),
        ("reserved block type behind Hello", vec![z(&[&last[..], &[0x06]].concat())]),
        ("stored lengths that disagree", vec![z(&[0x00, 0x05, 0x00, 0xFA, 0xFE, 0x48])]),
        ("stored lengths that disagree behind text", vec![z(&[stored(b"text", false), vec![0, 1, 0, 0, 0]].concat())]),
        ("no zero at the end", vec![zb(&stored(b"abc", false))]),
        ("a stored block that is too short", vec![zb(&stored(b"abcdef", false)[..8])]),
        ("half a block", vec![z(&hello[..3])]),
        ("a reference to nothing", vec![z(&[0x02, 0x02, 0x00])]),
        ("a reference to before Hello", vec![z(hello), z(&[0xF2, 0x00, 0x31, 0x00, 0x00])]),
        ("all ones", vec![z(&[0xFF; 20])]),
        ("garbage", vec![zb(&super::Random(7).bytes(60))]),
        ("garbage behind Hello", vec![zb(&[&last[..], &super::Random(8).bytes(60)].concat())]),
        ("an unfinished message, then another", vec![f(RSV1 | TEXT, hello), z(hello)]),
        ("Close inside", vec![f(RSV1 | TEXT, hello), f(FIN | CLOSE, &close_body(1001, b"bye")), f(FIN, b"")]),
    ] {
        add(name, &[frames.concat(), f(FIN | TEXT, b"after")]);
    }

    // Text in compressed form, cut and wrong.
    let text = "aé€😀κόσμε";
    let flush = |blocks: &[Vec<u8>]| [blocks.concat(), vec![0]].concat();
    for cut in 1..10 {
        let (head, tail) = text.as_bytes().split_at(cut);
        let both = [stored(head, false), stored(tail, false)];
        add(&format!("text in two blocks cut at {cut}"), &[z(&flush(&both)), z(hello)]);
        add(
            &format!("text in two fragments cut at {cut}"),
            &[f(RSV1 | TEXT, &both[0]), f(FIN | PING, b"p"), f(FIN, &flush(&both[1..]))],
        );
        add(&format!("text that ends after {cut} bytes"), &[z(&flush(&both[..1])), z(hello)]);
    }
    for bad in NOT_UTF8 {
        let bytes = [text.as_bytes(), bad, b"after"].concat();
        add(&format!("{bad:x?}"), &[z(&flush(&[stored(&bytes, false)])), z(hello)]);
        add(
            &format!("{bad:x?} in a block each"),
            &[z(&flush(&bytes.iter().map(|b| stored(&[*b], false)).collect::<Vec<_>>()))],
        );
    }

    // Much from little, and limits.
    let limit = 10_000;
    for len in [limit - 1, limit, limit + 1, limit + 2, limit + 258, 20 * limit] {
        let bomb = zeros(len);
        let (a, b) = bomb.split_at(bomb.len() / 2);
        for (name, frames) in [
            ("in one frame", vec![zb(&bomb)]),
            ("in two fragments", vec![f(RSV1 | BINARY, a), f(FIN, b)]),
            ("as text", vec![z(&bomb)]),
        ] {
            let frames = [frames.concat(), f(FIN | TEXT, b"after")].concat();
            streams.push((
                format!("{len} zeros {name}, limit {limit}"),
                Limits::default().message(limit as u64),
                frames,
            ));
        }
    }
    for limit in [7, 8, 9, 10, 11] {
        let message = z(&flush(&[stored("aé€😀!".as_bytes(), false)]));
        streams.push((format!("text of 11 bytes, limit {limit}"), Limits::default().message(limit), message));
    }
    let long: Vec<u8> = super::Random(9).bytes(3000);
    let frames = [zb(&flush(&[stored(&long, false)])), zb(&flush(&[stored(&long, false)])), z(hello)].concat();
    streams.push(("what does not compress".into(), Limits::default().message(3000), frames));
    streams
}

/// A stored block (RFC 1951 §3.2.4), at a byte boundary.
pub(crate) fn stored(bytes: &[u8], last: bool) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&[u8::from(last)][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
}

/// `len` zeros in one block of fixed codes (RFC 1951 §3.2.6), as a message: a literal, copies of 258 at distance 1,
/// literals, the end of the block, an empty stored block without its last four bytes.
pub(crate) fn zeros(len: usize) -> Vec<u8> {
    let mut bits = vec![false, true, false];
    // A code begins with its most significant bit: a literal 0 is 0011_0000; length 258 is 1100_0101, distance 1
    // is 00000; the end of the block is 000_0000.
    let push = |bits: &mut Vec<bool>, code: u32, n: u32| bits.extend((0..n).rev().map(|i| code >> i & 1 == 1));
    push(&mut bits, 0b0011_0000, 8);
    for _ in 0..(len - 1) / 258 {
        push(&mut bits, 0b1100_0101, 8);
        push(&mut bits, 0, 5);
    }
    for _ in 0..(len - 1) % 258 {
        push(&mut bits, 0b0011_0000, 8);
    }
    push(&mut bits, 0, 7);
    bits.extend([false; 3]);
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
}
