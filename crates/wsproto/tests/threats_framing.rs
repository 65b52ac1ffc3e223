//! The threats to framing, row by row. Elsewhere: F1 and F3 as memory (`memory.rs`), F8 (`os_random.rs`), F9 for
//! headers alone (`frame/header.rs`), F12 for all codes (`exhaustive.rs`), F13 for all short sequences (`utf8.rs`).
//! F11, a loop that spins while the transport takes nothing, can only be a driver's.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use allocation_counter::measure;
use support::corpus::NOT_UTF8;
use support::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, ROLES, RSV1, RSV2, RSV3, Random, Said, TEXT, Transcript, agreed,
    close_body, connection, drive, frame, frames, header, other, plain,
};
use wsproto::frame::Role;
use wsproto::{
    Assembler, CloseCode, CloseFrame, Connection, Event, Extensions, Input, Limits, Message, RemoteProtocolError,
    ReplySlot,
};

/// The outcome for a fresh connection with these limits.
fn limited(role: Role, limits: Limits, stream: &[Vec<u8>]) -> Transcript {
    drive(connection(role, Extensions::none(), limits), [&stream.concat()[..]])
}

fn outcome(role: Role, stream: &[Vec<u8>]) -> Transcript {
    limited(role, Limits::default(), stream)
}

/// The first close code that was sent.
fn told(transcript: &Transcript) -> Option<u16> {
    let close = frames(&transcript.out).into_iter().find(|(b0, _)| *b0 == FIN | CLOSE)?;
    close.1.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]))
}

#[test]
fn f01_a_length_is_checked_before_anything_else() {
    const LIMIT: u64 = 1 << 20;
    for role in ROLES {
        for (len, code) in [
            (1 << 63, 1002),
            (u64::MAX, 1002),
            (usize::MAX as u64 - 13, 1002),
            ((1 << 63) - 1, 1009),
            (1 << 62, 1009),
            (LIMIT + 1, 1009),
        ] {
            for first in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
                let ended = outcome(role, &[header(role, first, len), b"xyz".to_vec()]);
                assert_eq!((ended.said.len(), told(&ended)), (0, Some(code)), "{len} for a {role:?}: {ended:?}");
            }
            // Behind a fragment: the sum must not overflow, and nothing of the frame is delivered.
            let ended = outcome(role, &[frame(role, BINARY, b"x"), header(role, FIN, len), b"xyz".to_vec()]);
            assert_eq!((ended.said.len(), told(&ended)), (1, Some(code)), "{len} for a {role:?}: {ended:?}");
        }
        // Without limits a long frame is only long, and no length overflows.
        let stream = [frame(role, BINARY, b"x"), header(role, FIN, (1 << 63) - 1), b"xyz".to_vec()];
        let open = limited(role, Limits::none(), &stream);
        assert!(open.error.is_none() && open.said.len() == 2, "{open:?}");
    }
}

#[test]
fn f02_an_unknown_opcode_fails_at_the_second_byte() {
    for role in ROLES {
        for opcode in (3..8).chain(11..16) {
            let mut connection = plain(role);
            let mut bytes = header(role, FIN | opcode, 1 << 30);
            let (start, _) = bytes.split_at_mut(2);
            let error = connection.receive(&mut Input::new(start)).unwrap_err();
            assert_eq!(error, RemoteProtocolError::ReservedOpcode(opcode));
        }
    }
}

#[test]
fn f03_fragments_are_counted() {
    for role in ROLES {
        let stream = |n: usize| [frame(role, BINARY, b""), frame(role, CONTINUATION, b"").repeat(n - 1)];
        let ended = outcome(role, &stream(65_537));
        assert_eq!((ended.error, ended.said.len()), (None, 65_537));
        let ended = outcome(role, &stream(65_538));
        assert_eq!(ended.error, Some(RemoteProtocolError::TooManyFragments { limit: 65_537 }));
        assert_eq!((ended.said.len(), told(&ended)), (65_537, Some(1009)));
        // Control frames between them are no fragments, and the next message counts anew.
        let limits = Limits::default().fragments(2);
        let message =
            [frame(role, TEXT, b"a"), frame(role, FIN | PING, b"").repeat(5), frame(role, FIN, b"b")].concat();
        assert_eq!(limited(role, limits, &[message.repeat(3)]).error, None);
    }
}

#[test]
fn f04_the_limit_holds_for_the_sum_of_the_fragments() {
    for role in ROLES {
        let limits = Limits::default().message(1000).frame(100);
        let stream = [frame(role, BINARY, &[7; 100]), frame(role, CONTINUATION, &[7; 100]).repeat(9)].concat();
        let at_limit = limited(role, limits, &[stream.clone(), frame(role, FIN, b"")]);
        assert_eq!((at_limit.error, at_limit.said.len()), (None, 11));
        let beyond = limited(role, limits, &[stream, frame(role, FIN, b"x")]);
        assert_eq!(beyond.error, Some(RemoteProtocolError::MessageTooBig { limit: 1000 }));
        assert_eq!((beyond.said.len(), told(&beyond)), (10, Some(1009)), "nothing of the frame that goes beyond");
    }
}

/// Calls of `receive` and bytes allocated for a message of `n` bytes, in frames and reads of one byte.
fn work(role: Role, n: usize, read: usize) -> (usize, u64) {
    let mut connection = connection(role, Extensions::none(), Limits::none());
    let mut assembler = Assembler::new(1 << 30);
    let mut stream =
        [frame(role, BINARY, b"x"), frame(role, CONTINUATION, b"x").repeat(n - 2), frame(role, FIN, b"x")].concat();
    let (mut calls, mut whole) = (0, None);
    let info = measure(|| {
        for piece in stream.chunks_mut(read) {
            let mut input = Input::new(piece);
            loop {
                calls += 1;
                let Some(Event::Message(piece)) = connection.receive(&mut input).unwrap() else { break };
                whole = assembler.push(piece).unwrap().map(|data| data.as_bytes().len());
            }
        }
    });
    assert_eq!(whole, Some(n));
    (calls, info.bytes_total)
}

#[test]
fn f05_a_message_of_tiny_frames_is_linear_work() {
    for role in ROLES {
        for read in [1, 4096] {
            let (calls, bytes) = work(role, 1 << 17, read);
            let (calls_for_twice, bytes_for_twice) = work(role, 1 << 18, read);
            assert!(calls_for_twice * 2 <= calls * 5, "{calls}, {calls_for_twice} for twice as much");
            assert!(bytes_for_twice * 2 <= bytes * 5, "{bytes}, {bytes_for_twice} for twice as much");
        }
    }
}

#[test]
fn f06_the_rules_of_control_frames() {
    for role in ROLES {
        for opcode in [CLOSE, PING, PONG] {
            let body = if opcode == CLOSE { close_body(1000, &[b'r'; 123]) } else { vec![b'p'; 125] };
            assert_eq!(outcome(role, &[frame(role, FIN | opcode, &body)]).error, None, "125 bytes");
            for (broken, error) in [
                (frame(role, FIN | opcode, &[b'p'; 126]), RemoteProtocolError::ControlPayloadTooLong),
                (frame(role, FIN | opcode, &[b'p'; 70_000]), RemoteProtocolError::ControlPayloadTooLong),
                (frame(role, opcode, b""), RemoteProtocolError::FragmentedControlFrame),
                (frame(role, FIN | RSV1 | opcode, b""), RemoteProtocolError::ReservedBits),
                (frame(role, FIN | RSV2 | opcode, b""), RemoteProtocolError::ReservedBits),
                (frame(role, FIN | RSV3 | opcode, b""), RemoteProtocolError::ReservedBits),
            ] {
                let ended = outcome(role, &[broken]);
                assert_eq!((ended.error, told(&ended), ended.said.len()), (Some(error), Some(1002), 0));
            }
        }
        let fine = outcome(role, &[frame(role, TEXT, b"a"), frame(role, FIN | PING, b"?"), frame(role, FIN, b"b")]);
        assert_eq!((fine.error, fine.said.len()), (None, 3));
        assert_eq!(frames(&fine.out), [(FIN | PONG, b"?".to_vec()), (FIN | TEXT, b"ab".to_vec())]);
    }
}

#[test]
fn f07_a_frame_with_the_wrong_masking_delivers_nothing() {
    for (role, error) in [(Role::Client, RemoteProtocolError::Masked), (Role::Server, RemoteProtocolError::Unmasked)] {
        for b0 in [FIN | TEXT, TEXT, FIN | BINARY, FIN | PING, FIN | CLOSE] {
            let ended = outcome(role, &[frame(other(role), b0, b"\x03\xe8payload")]);
            assert_eq!((ended.said.len(), ended.error, told(&ended)), (0, Some(error), Some(1002)));
        }
    }
}

#[test]
fn f09_only_the_shortest_length_is_legal() {
    for role in ROLES {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        for (bytes, legal) in [
            (vec![0x82, mask | 126, 0, 5], false),
            (vec![0x82, mask | 126, 0, 125], false),
            (vec![0x82, mask | 126, 0, 126], true),
            (vec![0x82, mask | 127, 0, 0, 0, 0, 0, 0, 0, 5], false),
            (vec![0x82, mask | 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], false),
            (vec![0x82, mask | 127, 0, 0, 0, 0, 0, 1, 0, 0], true),
            (vec![0x82, mask | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], false),
        ] {
            // Judged when the length is complete, without the mask.
            let ended = outcome(role, std::slice::from_ref(&bytes));
            assert_eq!((ended.error.is_none(), told(&ended)), (legal, (!legal).then_some(1002)), "{bytes:x?}");
        }
    }
}

#[test]
fn f10_a_million_pings_leave_one_pong_to_be_paid() {
    for role in ROLES {
        let (mut receiver, mut sender) = plain(role).split();
        let batch: Vec<u8> = (0..100).flat_map(|i| frame(role, FIN | PING, &[i; 125])).collect();
        let mut slot = ReplySlot::new();
        let mut buffer = batch.clone();
        let info = measure(|| {
            for _ in 0..10_000 {
                buffer.copy_from_slice(&batch);
                let mut input = Input::new(&mut buffer);
                while let Some(event) = receiver.receive(&mut input).unwrap() {
                    slot.put(event.response().unwrap());
                }
            }
        });
        assert_eq!(info.count_total, 0, "the peer reads nothing, and nothing grows");
        let mut out = vec![];
        sender.reply(slot.take().unwrap(), &mut out);
        assert!(slot.is_empty() && out.len() <= 131, "{} bytes", out.len());
        assert_eq!(frames(&out), [(FIN | PONG, vec![99; 125])], "the answer to the last");
    }
}

#[test]
fn f12_close_frames() {
    let text = |len| "x".repeat(len).into_bytes();
    for role in ROLES {
        for (body, code) in [
            (vec![], None),
            (close_body(1000, b""), Some(1000)),
            (close_body(1012, b""), Some(1012)),
            (close_body(1014, "bye €".as_bytes()), Some(1014)),
            (close_body(1000, &text(123)), Some(1000)),
            (vec![3], Some(1002)),
            (close_body(1005, b""), Some(1002)),
            (close_body(1006, b"x"), Some(1002)),
            (close_body(1015, b""), Some(1002)),
            (close_body(1000, b"\xFF"), Some(1007)),
            (close_body(1000, b"\xE2\x82"), Some(1007)),
            (close_body(1000, &text(124)), Some(1002)),
        ] {
            let again = frame(role, FIN | CLOSE, &close_body(1001, b"again"));
            let ended = outcome(role, &[frame(role, FIN | CLOSE, &body), frame(role, FIN | TEXT, b"data"), again]);
            assert_eq!((told(&ended), frames(&ended.out).len()), (code, 1), "{body:x?}: {ended:?}");
            assert_eq!(ended.said.len(), usize::from(ended.error.is_none()), "nothing after a Close: {ended:?}");
        }
        // Both close at once: each has sent its own, so neither answers.
        let mut connection = plain(role);
        let mut out = vec![];
        connection.send(CloseFrame::new(CloseCode::NORMAL, "€".repeat(60)), &mut out).unwrap();
        assert_eq!(frames(&out)[0].1.len(), 2 + 123, "cut between two characters");
        let ended = drive(connection, [&frame(role, FIN | CLOSE, &close_body(1001, b""))[..]]);
        assert_eq!((ended.said.len(), ended.out.len(), ended.end.0), (1, 0, wsproto::State::Closed));
    }
}

#[test]
fn f13_text_fails_at_the_offending_byte_for_all_cuts_in_three() {
    let prefixes: [&[u8]; 4] = [b"", b"ascii", "κόσμε".as_bytes(), "😀€é".as_bytes()];
    let suffixes: [&[u8]; 3] = [b"", b"after", "é".as_bytes()];
    let mut vectors = 0;
    for bad in NOT_UTF8 {
        for (prefix, suffix) in prefixes.iter().flat_map(|prefix| suffixes.iter().map(move |suffix| (prefix, suffix))) {
            let text = [prefix, bad, suffix].concat();
            let valid = std::str::from_utf8(&text).unwrap_err();
            // The byte at which no continuation could save it: the first at which `std` stops waiting for more.
            let end = (1..=text.len())
                .find(|end| std::str::from_utf8(&text[..*end]).is_err_and(|error| error.error_len().is_some()))
                .unwrap_or(text.len());
            vectors += 1;
            for i in 0..=text.len() {
                for j in i..=text.len() {
                    fails_at(&[&text[..i], &text[i..j], &text[j..]], end, &text[..valid.valid_up_to()]);
                }
            }
        }
    }
    assert!(vectors >= 200, "{vectors}");
}

/// Three fragments, Pings between them; the bytes arrive one by one.
fn fails_at(parts: &[&[u8]; 3], end: usize, valid: &[u8]) {
    let mut connection = plain(Role::Client);
    let (mut read, mut text) = (0, vec![]);
    for (i, part) in parts.iter().enumerate() {
        let first = [TEXT, CONTINUATION, FIN][i];
        let mut stream =
            [frame(Role::Client, FIN | PING, b""), header(Role::Client, first, part.len() as u64)].concat();
        let control = stream.len();
        stream.extend_from_slice(part);
        for (at, byte) in stream.iter_mut().enumerate() {
            read += usize::from(at >= control);
            match connection.receive(&mut Input::new(std::slice::from_mut(byte))) {
                Ok(Some(Event::Message(message))) => text.extend_from_slice(message.data.as_bytes()),
                Ok(_) => {}
                Err(error) => {
                    assert_eq!((error, read), (RemoteProtocolError::InvalidUtf8, end), "{parts:x?}");
                    assert_eq!(text, valid, "what was valid is delivered first");
                    return;
                }
            }
            assert!(read < end || i < 2 && end == parts.concat().len(), "{parts:x?}: not refused after {read} bytes");
        }
    }
    panic!("{parts:x?} is accepted");
}

#[test]
fn f13_text_must_not_end_inside_a_character() {
    for role in ROLES {
        for character in ["é", "€", "😀"] {
            for cut in 1..character.len() {
                let part = [b"ab", &character.as_bytes()[..cut]].concat();
                let stored = [support::corpus::stored(&part, false), vec![0]].concat();
                for stream in [
                    vec![frame(role, FIN | TEXT, &part)],
                    vec![frame(role, TEXT, &part), frame(role, FIN, b"")],
                    vec![frame(role, TEXT, &part[..2]), frame(role, FIN, &part[2..])],
                    vec![frame(role, FIN | RSV1 | TEXT, &stored)],
                    vec![frame(role, RSV1 | TEXT, &stored), frame(role, FIN, b"")],
                ] {
                    let connection = connection(role, agreed(role, Some("permessage-deflate")), Limits::default());
                    let ended = drive(connection, [&stream.concat()[..]]);
                    assert_eq!((ended.error, told(&ended)), (Some(RemoteProtocolError::InvalidUtf8), Some(1007)));
                    let Some(Said::Frame { bytes, message_finished: false, .. }) = ended.said.last() else {
                        panic!("{ended:?}")
                    };
                    assert!(b"ab".starts_with(bytes) && ended.said.len() <= 2);
                }
            }
        }
    }
}

#[test]
fn f14_control_frames_change_nothing_about_the_message_that_follows() {
    let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    for role in ROLES {
        let z = frame(role, FIN | RSV1 | TEXT, &hello);
        let controls = [frame(role, FIN | PONG, b""), frame(role, FIN | PING, b"p")].concat();
        let split = [frame(role, RSV1 | TEXT, &hello[..3]), controls.clone(), frame(role, FIN, &hello[3..])].concat();
        let stream = [controls.clone(), z.clone(), controls.clone(), split, controls, z].concat();
        let ended = drive(connection(role, agreed(role, Some("permessage-deflate")), Limits::default()), [&stream[..]]);
        assert_eq!(ended.error, None);
        let text: Vec<u8> = ended
            .said
            .iter()
            .flat_map(|said| if let Said::Frame { bytes, .. } = said { bytes.clone() } else { vec![] })
            .collect();
        assert_eq!(text, b"HelloHelloHello");
    }
}

#[test]
fn f15_a_failed_connection_says_its_error_for_ever_and_does_not_grow() {
    let mut random = Random(15);
    for role in ROLES {
        let plain_errors = [vec![0x83, 0x80], header(role, FIN | TEXT, 1 << 40), frame(role, FIN | TEXT, b"a\xFF")];
        let compressed = frame(role, FIN | RSV1 | TEXT, &[0x06]);
        for broken in plain_errors.into_iter().chain([compressed]) {
            let mut connection: Connection =
                connection(role, agreed(role, Some("permessage-deflate")), Limits::default());
            let mut stream = broken.clone();
            let mut input = Input::new(&mut stream);
            let error = loop {
                match connection.receive(&mut input) {
                    Ok(event) => assert!(event.is_some(), "{broken:x?} is accepted"),
                    Err(error) => break error,
                }
            };
            let mut more: Vec<Vec<u8>> = (0..100).map(|n| random.bytes(n)).collect();
            more.extend((0..10).map(|_| frame(role, FIN | TEXT, b"legal")));
            let info = measure(|| {
                for bytes in &mut more {
                    assert_eq!(connection.receive(&mut Input::new(bytes)), Err(error));
                    assert_eq!(connection.receive_eof(), Err(error));
                }
            });
            assert_eq!(info.count_total, 0);
            assert_eq!((connection.receiver.error(), connection.receiver.is_closed()), (Some(error), true));
            // We may still speak: the peer is to be told.
            let mut out = vec![];
            connection.send(Message::text("last words"), &mut out).unwrap();
            connection.reply(error.response().unwrap(), &mut out);
            assert_eq!(frames(&out).len(), 2);
        }
    }
}
