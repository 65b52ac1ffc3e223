//! Compressed data, any and ours: the same whole and in pieces, and what another inflater says.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use wsproto::extension::{Extension, Extensions, PerMessageDeflate};
use wsproto::frame::Role;
use wsproto::{Connection, Event, Input, Limits};
use wsproto_fuzz::core::{cut, echo, frame};

#[derive(Arbitrary, Debug)]
struct Given {
    /// Where the fragments of the first message begin.
    fragments: [u8; 4],
    /// How many bytes at the end are a second message, which may refer to the first.
    second: u8,
    seed: u64,
    data: Vec<u8>,
}

const LIMIT: u64 = 100_000;

/// What we make of the first message: the bytes up to its end or an error.
fn ours(stream: &mut [u8]) -> Vec<u8> {
    let deflate = PerMessageDeflate::new();
    let (_, negotiated) = deflate.accept(&deflate.offers()[0]).expect("our own offer");
    let mut extensions = Extensions::none();
    extensions.push(negotiated).expect("the only one");
    let mut connection = Connection::server(extensions, Limits::default().message(LIMIT));
    let mut input = Input::new(stream);
    let mut plain = vec![];
    while let Ok(Some(Event::Message(message))) = connection.receive(&mut input) {
        assert!(message.data.as_bytes().len() <= 16 * 1024, "an event is bounded");
        plain.extend_from_slice(message.data.as_bytes());
    }
    assert!(plain.len() as u64 <= LIMIT);
    plain
}

/// What another inflater makes of the same, up to the first block with BFINAL or an error.
fn theirs(data: &[u8]) -> Vec<u8> {
    let data = [data, &[0, 0, 0xFF, 0xFF]].concat();
    let mut plain = vec![0; usize::try_from(LIMIT).expect("small")];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
    let (_, _, produced) = decompress(&mut DecompressorOxide::new(), &data, &mut plain, 0, flags);
    plain.truncate(produced);
    plain
}

fuzz_target!(|given: Given| {
    let (data, second) = given.data.split_at(given.data.len().saturating_sub(given.second.into()));
    let mut starts: Vec<usize> = given.fragments.iter().map(|n| usize::from(*n) % (data.len() + 1)).collect();
    starts.extend([0, data.len()]);
    starts.sort_unstable();
    let mut stream = vec![];
    for (i, part) in starts.windows(2).enumerate() {
        let fin = if i + 2 == starts.len() { 0x80 } else { 0 };
        let first = if i == 0 { 0x42 } else { 0 };
        stream.extend(frame(Role::Server, fin | first, &data[part[0]..part[1]]));
    }
    let (a, b) = (ours(&mut stream.clone()), theirs(data));
    let both = a.len().min(b.len());
    assert_eq!(a[..both], b[..both]);

    stream.extend(frame(Role::Server, 0xC2, second));
    let limits = Limits::default().message(LIMIT);
    for params in ["permessage-deflate", "permessage-deflate; client_no_context_takeover"] {
        let whole = echo(Role::Server, Some(params), limits, &[&stream]);
        assert_eq!(echo(Role::Server, Some(params), limits, &cut(given.seed, &stream)), whole);
    }
});
