//! Any way of cutting the byte stream into pieces gives the same events, the same output and the same error.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use support::corpus::{Case, corpus};
use support::{Random, Transcript, agreed, connection, drive, frame_ends};

/// Streams longer than this are cut around the ends of their frames only.
const LONG: usize = 4096;

#[test]
fn any_way_of_cutting_a_stream_gives_the_same() {
    let corpus = corpus();
    assert!(corpus.len() >= 300, "{} streams", corpus.len());
    let mut random = Random(1);
    let (mut cuts, mut errors) = (0, BTreeSet::new());
    for case in &corpus {
        let bytes = &case.bytes[..];
        let whole = run(case, &[bytes]);
        errors.extend(whole.error.map(|error| format!("{error:?}").split([' ', '(']).next().map(str::to_owned)));
        let mut check = |how: &str, pieces: &[&[u8]]| {
            let cut = run(case, pieces);
            assert!(cut == whole, "{} {how}:\n{cut:?}\nwhole:\n{whole:?}", case.name);
            cuts += 1;
        };
        check("byte by byte", &bytes.chunks(1).collect::<Vec<_>>());
        for at in two_way(bytes) {
            check(&format!("cut at {at}"), &[&bytes[..at], &bytes[at..]]);
        }
        for n in 0..100 {
            check(&format!("random split {n}"), &random.cut(bytes));
        }
    }
    println!("{} streams, {cuts} ways of cutting them", corpus.len());
    let expected = [
        "CloseBodyTooShort",
        "ControlPayloadTooLong",
        "Extension",
        "FragmentedControlFrame",
        "FrameTooBig",
        "InvalidCloseCode",
        "InvalidCloseReason",
        "InvalidUtf8",
        "LengthNotMinimal",
        "LengthTooLarge",
        "Masked",
        "MessageTooBig",
        "MessageUnfinished",
        "ReservedBits",
        "ReservedOpcode",
        "TooManyFragments",
        "UnexpectedContinuation",
        "Unmasked",
    ];
    let seen: Vec<&str> = errors.iter().flatten().map(String::as_str).collect();
    assert_eq!(seen, expected, "every error but the end of the transport is in the corpus");
}

fn run(case: &Case, pieces: &[&[u8]]) -> Transcript {
    drive(connection(case.role, agreed(case.role, case.deflate), case.limits), pieces.iter().copied())
}

fn two_way(bytes: &[u8]) -> BTreeSet<usize> {
    if bytes.len() <= LONG {
        return (0..=bytes.len()).collect();
    }
    let near = |end: usize| end.saturating_sub(3)..=(end + 3).min(bytes.len());
    [0, bytes.len()].into_iter().chain(frame_ends(bytes)).filter(|end| *end <= bytes.len()).flat_map(near).collect()
}

#[test]
fn names_of_streams_are_unique() {
    let corpus = corpus();
    let names: BTreeSet<&str> = corpus.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), corpus.len());
}
