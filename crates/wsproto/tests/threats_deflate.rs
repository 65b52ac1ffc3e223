//! What a peer can do with compression: section 3 of the table of threats, row by row.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;
use wsproto::extension::{
    CodecPool, Decoder, Encoder, End, Extension, FrameInfo, Negotiated, Params, PerMessageDeflate,
};
use wsproto::frame::{Role, Rsv};
use wsproto::{
    Assembler, CloseCode, Connection, Event, ExtensionError, Extensions, Input, Limits, Message, MessageKind,
    RemoteProtocolError,
};

use support::{
    BINARY, CONTINUATION, FIN, PING, ROLES, RSV1, Random, TEXT, agreed, connection, drive, frame, frames, other, plain,
};

/// The two ends of an agreement, the client's first.
fn pair(client: &PerMessageDeflate, server: &PerMessageDeflate) -> (Negotiated, Negotiated) {
    let (answer, at_the_server) = server.accept(&client.offers()[0]).unwrap();
    (client.finalize(&answer).unwrap(), at_the_server)
}

fn defaults() -> PerMessageDeflate {
    PerMessageDeflate::new().threshold(0)
}

fn info(first: bool, last: bool) -> FrameInfo {
    FrameInfo { kind: MessageKind::Binary, first, last }
}

fn compress(encoder: &mut dyn Encoder, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![];
    assert_eq!(encoder.start_frame(info(true, true), message.len(), true), Some(Rsv::RSV1));
    encoder.encode(message, End::Message, &mut payload).unwrap();
    payload
}

/// What was decoded, how many calls it took, and the error at the end.
fn decompress(
    decoder: &mut dyn Decoder,
    payload: &[u8],
    piece: usize,
    space: usize,
) -> (Vec<u8>, u64, Option<ExtensionError>) {
    let (mut decoded, mut calls) = (vec![], 0);
    assert_eq!(decoder.start_frame(info(true, true), Rsv::RSV1), Ok(true));
    let mut output = vec![0; space];
    let mut pieces = payload.chunks(piece).peekable();
    loop {
        let mut input = pieces.next().unwrap_or_default();
        let end = if pieces.peek().is_none() { End::Message } else { End::No };
        loop {
            calls += 1;
            match decoder.decode(input, end, &mut output) {
                Ok(step) => {
                    decoded.extend_from_slice(&output[..step.produced]);
                    input = &input[step.consumed..];
                    if !step.more {
                        break;
                    }
                }
                Err(error) => return (decoded, calls, Some(error)),
            }
        }
        if end == End::Message {
            return (decoded, calls, None);
        }
    }
}

fn deflated(message: &[u8]) -> Vec<u8> {
    compress(&mut *pair(&defaults(), &defaults()).0.encoder, message)
}

/// Text that does not repeat over long distances, and one that does.
fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let words: Vec<Vec<u8>> = (0..40).map(|_| random.bytes(5)).collect();
    let mut text: Vec<u8> = (0..=len / 5).flat_map(|_| words[random.below(40)].clone()).collect();
    text.truncate(len);
    text
}

#[test]
fn z01_a_bomb_is_inflated_in_steps_as_large_as_the_caller_chose() {
    let bomb = deflated(&vec![0; 64 << 20]);
    assert!(bomb.len() < 70_000);
    let mut end = pair(&defaults(), &defaults()).1;
    let mut output = vec![0; 16 << 10];
    let memory = allocation_counter::measure(|| {
        assert_eq!(end.decoder.start_frame(info(true, true), Rsv::RSV1), Ok(true));
        let (mut total, mut consumed) = (0, 0);
        loop {
            let step = end.decoder.decode(&bomb[consumed..], End::Message, &mut output).unwrap();
            consumed += step.consumed;
            total += step.produced;
            if !step.more {
                break;
            }
        }
        assert_eq!(total, 64 << 20);
    });
    assert!(memory.bytes_max <= 56 << 10, "a codec and a window: {memory:?}");
}

#[test]
fn z01_a_bomb_costs_the_limit_and_no_more() {
    const LIMIT: u64 = 1 << 20;
    let bomb = deflated(&vec![b'0'; 64 << 20]);
    let half = bomb.len() / 2;
    for role in ROLES {
        for kind in [BINARY, TEXT] {
            let whole = frame(role, FIN | RSV1 | kind, &bomb);
            // Fragments, each of which is below the limit.
            let mut fragments = vec![frame(role, RSV1 | kind, &bomb[..200])];
            fragments.extend(bomb[200..half].chunks(200).map(|piece| frame(role, CONTINUATION, piece)));
            for mut bytes in [whole, fragments.concat()] {
                let config = defaults();
                let (client, server) = pair(&config, &config);
                // The codec is the pool's, which is no part of what the connection costs.
                let (mut peer, mut end) = pair(&config, &config);
                decompress(&mut *end.decoder, &compress(&mut *peer.encoder, b"x"), 1, 1);
                let mut extensions = Extensions::none();
                extensions.push(if role == Role::Client { client } else { server }).unwrap();
                let mut end = connection(role, extensions, Limits::default().message(LIMIT));
                let mut assembler = Assembler::new(1 << 20);
                let memory = allocation_counter::measure(|| {
                    let mut total = 0;
                    for piece in bytes.chunks_mut(16 << 10) {
                        let mut input = Input::new(piece);
                        let error = loop {
                            match end.receive(&mut input) {
                                Ok(Some(Event::Message(message))) => {
                                    total += message.data.as_bytes().len() as u64;
                                    assert!(assembler.push(message).unwrap().is_none());
                                }
                                Ok(Some(event)) => panic!("{event:?}"),
                                Ok(None) => break None,
                                Err(error) => break Some(error),
                            }
                        };
                        if let Some(error) = error {
                            assert_eq!(error, RemoteProtocolError::MessageTooBig { limit: LIMIT });
                            assert_eq!(error.close_code().map(u16::from), Some(1009));
                            break;
                        }
                    }
                    assert_eq!(total, LIMIT);
                });
                assert!(memory.bytes_current <= (1 << 20) + (64 << 10), "{memory:?}");
                assert!(memory.bytes_max <= (3 << 19) + (64 << 10), "{memory:?}");
            }
        }
    }
}

#[test]
fn z02_the_limit_of_an_inflated_message_is_exact() {
    for role in ROLES {
        for limit in [1, 1000, 16 << 10, 100_000] {
            for len in [limit - 1, limit, limit + 1, limit + 2, limit + 258] {
                for kind in [BINARY, TEXT] {
                    let payload = deflated(&vec![b'x'; usize::try_from(len).unwrap()]);
                    let (head, tail) = payload.split_at(payload.len() / 2);
                    let whole = [frame(role, FIN | RSV1 | kind, &payload)];
                    let halves = [frame(role, RSV1 | kind, head), frame(role, FIN | CONTINUATION, tail)];
                    for bytes in [whole.concat(), halves.concat()] {
                        for piece in [1, 7, usize::MAX] {
                            let limits = Limits::default().message(limit).frame(1 << 20);
                            let mut end = connection(role, agreed(role, Some("permessage-deflate")), limits);
                            let (mut total, mut error) = (0, None);
                            for piece in bytes.clone().chunks_mut(piece.min(bytes.len())) {
                                let mut input = Input::new(piece);
                                while error.is_none() {
                                    match end.receive(&mut input) {
                                        Ok(Some(Event::Message(message))) => total += message.data.as_bytes().len(),
                                        Ok(Some(event)) => panic!("{event:?}"),
                                        Ok(None) => break,
                                        Err(failed) => error = Some(failed),
                                    }
                                }
                            }
                            assert_eq!(total as u64, len.min(limit), "{limit} {len} {piece}");
                            let expected = (len > limit).then_some(RemoteProtocolError::MessageTooBig { limit });
                            assert_eq!(error, expected, "{limit} {len} {piece}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn z03_rsv1_that_nobody_negotiated_is_an_error() {
    for role in ROLES {
        for kind in [TEXT, BINARY] {
            let bytes = frame(role, FIN | RSV1 | kind, &deflated(b"Hello"));
            let transcript = drive(plain(role), [&bytes[..]]);
            assert_eq!(transcript.error, Some(RemoteProtocolError::ReservedBits));
            assert!(transcript.said.is_empty());
        }
    }
    assert_eq!(RemoteProtocolError::ReservedBits.close_code(), Some(CloseCode::PROTOCOL_ERROR));
}

#[test]
fn z04_rsv1_on_a_continuation_or_a_control_frame_is_an_error() {
    let payload = deflated(b"Hello");
    for role in ROLES {
        for first in [RSV1 | TEXT, TEXT] {
            let head = frame(role, first, if first == TEXT { b"" } else { &payload });
            for (last, negotiated) in [(FIN | RSV1 | CONTINUATION, true), (FIN | RSV1 | PING, false)] {
                let bytes = [head.clone(), frame(role, last, b"")].concat();
                let end = connection(role, agreed(role, Some("permessage-deflate")), Limits::default());
                let error = drive(end, [&bytes[..]]).error.unwrap();
                assert_eq!(error.close_code(), Some(CloseCode::PROTOCOL_ERROR));
                assert_eq!(matches!(error, RemoteProtocolError::Extension(_)), negotiated, "{error:?}");
            }
        }
    }
    let mut end = pair(&defaults(), &defaults()).0;
    for compressed in [Rsv::RSV1, Rsv::NONE] {
        end.decoder.start_frame(info(true, false), compressed).unwrap();
        let error = end.decoder.start_frame(info(false, true), Rsv::RSV1).unwrap_err();
        assert_eq!(error.code, CloseCode::PROTOCOL_ERROR);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn z05_one_byte_of_space_gives_what_much_space_gives(
        garbage in vec_of(any::<u8>(), 0..80),
        seed: u64,
        len in 0usize..3000,
        at in any::<prop::sample::Index>(),
        flip: u8,
    ) {
        let message = text(len, seed);
        let mut damaged = deflated(&message);
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        for payload in [garbage, damaged] {
            let fresh = || pair(&defaults(), &defaults()).0.decoder;
            let (much, _, error) = decompress(&mut *fresh(), &payload, usize::MAX, 1 << 16);
            for (piece, space) in [(1, 1), (usize::MAX, 1), (1, 1 << 16), (3, 257)] {
                let (bytes, _, again) = decompress(&mut *fresh(), &payload, piece, space);
                prop_assert_eq!(&bytes, &much);
                prop_assert_eq!(again, error);
            }
        }
    }
}

#[test]
fn z06_a_waiting_connection_keeps_its_history_and_nothing_else() {
    const CONNECTIONS: i64 = 50;
    for bits in [8, 10, 12, 15] {
        for takeover in [true, false] {
            let pool = CodecPool::new(1);
            let config = defaults()
                .server_max_window_bits(bits)
                .and_then(|config| config.client_max_window_bits(bits))
                .unwrap()
                .server_no_context_takeover(!takeover)
                .client_no_context_takeover(!takeover)
                .pool(&pool);
            // The pool's own codecs, and their memory, are there before.
            let message = text(40_000, 6);
            let run = |ends: &mut (Negotiated, Negotiated), message: &[u8]| {
                let payload = compress(&mut *ends.0.encoder, message);
                assert!(decompress(&mut *ends.1.decoder, &payload, 4096, 4096).0 == message);
            };
            run(&mut pair(&config, &config), &message);

            let mut ends: Vec<(Negotiated, Negotiated)> = Vec::with_capacity(50);
            let before = allocation_counter::measure(|| {
                ends.extend((0..CONNECTIONS).map(|_| pair(&config, &config)));
            });
            // A pair is two ends, of which each has two coders.
            assert!(before.bytes_current <= 2048 * CONNECTIONS, "{before:?}");
            let after = allocation_counter::measure(|| {
                for ends in &mut ends {
                    run(ends, b"short");
                    run(ends, &message);
                }
            });
            let history = if takeover { 2 << bits } else { 0 };
            assert!(before.bytes_current + after.bytes_current <= (history + 2048) * CONNECTIONS, "{bits} {after:?}");
        }
    }
}

/// The numbers of the documentation, in KB (of 1,000 bytes).
#[test]
fn z06_what_a_codec_takes() {
    let documentation = [
        include_str!("../src/extension/deflate/mod.rs"),
        include_str!("../src/manual/extensions.md"),
        include_str!("../../../DESIGN.md"),
    ];
    let smallest = || defaults().server_max_window_bits(8).and_then(|config| config.mem_level(1)).unwrap();
    let largest = || defaults().server_max_window_bits(15).and_then(|config| config.mem_level(8)).unwrap();
    for (config, kilobytes) in [(defaults(), 165), (smallest(), 137), (largest(), 380)] {
        let mut end = pair(&config, &config).1;
        let mut payload = Vec::with_capacity(1000);
        assert!(end.encoder.start_frame(info(true, true), 100, true).is_some());
        let taken = allocation_counter::measure(|| end.encoder.encode(&[b'x'; 100], End::No, &mut payload).unwrap());
        let range = kilobytes * 950..=kilobytes * 1050;
        assert!(range.contains(&taken.bytes_current), "an encoder takes {} bytes", taken.bytes_current);
        if kilobytes != 380 {
            let number = format!("{kilobytes} KB");
            assert!(documentation.iter().all(|text| text.contains(&number)), "{number}");
        }
    }
    for bits in [8, 15] {
        let config = defaults().client_max_window_bits(bits).unwrap();
        let mut end = pair(&config, &config).1;
        end.decoder.start_frame(info(true, true), Rsv::RSV1).unwrap();
        let taken = allocation_counter::measure(|| {
            end.decoder.decode(&[0xf2], End::No, &mut [0; 9]).unwrap();
        });
        assert!((48 * 950..=48 * 1050).contains(&taken.bytes_current), "a decoder takes {}", taken.bytes_current);
    }
    assert!(documentation.iter().all(|text| text.contains("48 KB")));
}

#[test]
fn z06_a_connection_that_was_never_sent_compressed_data_keeps_nothing_for_it() {
    let config = defaults();
    for role in ROLES {
        let mut extensions = Extensions::none();
        let ends = pair(&config, &config);
        extensions.push(if role == Role::Client { ends.0 } else { ends.1 }).unwrap();
        let mut end = connection(role, extensions, Limits::default());
        let (mut bytes, mut out) = (frame(role, FIN | TEXT, &[b'x'; 5000]), Vec::with_capacity(10_000));
        let memory = allocation_counter::measure(|| {
            let event = end.receive(&mut Input::new(&mut bytes)).unwrap().unwrap();
            let Event::Message(message) = event else { panic!("{event:?}") };
            end.sender.send_uncompressed(&message, &mut out).unwrap();
        });
        assert_eq!(memory.count_total, 0, "{memory:?}");
    }
}

#[test]
fn z06_a_failed_connection_gives_back_what_it_was_lent() {
    let limits = Limits::default().message(10).frame(1 << 20);
    let mut failed = vec![];
    let policy = defaults().pool(&CodecPool::new(1));
    let payload = deflated(&text(5000, 6));
    let mut fail = || {
        let mut extensions = Extensions::none();
        extensions.push(pair(&policy, &policy).1).unwrap();
        let mut server = Connection::server(extensions, limits);
        let mut bytes = frame(Role::Server, RSV1 | FIN | BINARY, &payload);
        let error = frames_until_error(&mut server, &mut bytes);
        assert_eq!(error, RemoteProtocolError::MessageTooBig { limit: 10 });
        failed.push(server); // and somebody holds on to it
    };
    fail();
    let second = allocation_counter::measure(fail);
    assert!(second.bytes_max < 40_000, "{} bytes: another decoder was made", second.bytes_max);
}

fn frames_until_error(server: &mut Connection, bytes: &mut [u8]) -> RemoteProtocolError {
    let mut input = Input::new(bytes);
    loop {
        match server.receive(&mut input) {
            Ok(event) => assert!(event.is_some(), "no error"),
            Err(error) => return error,
        }
    }
}

#[test]
fn z07_odd_but_legal_data_is_decoded() {
    // "Hello" in several dresses (§7.2.3), and nothing in some.
    for (payload, message) in [
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], "Hello"),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
        (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "HelloHello"),
        (&[0x00], ""),
        (&[0x03, 0x00, 0x03, 0x00, 0x00], ""),
        (&[], ""),
    ] {
        for role in ROLES {
            for takeover in ["", "; client_no_context_takeover; server_no_context_takeover"] {
                let answer = format!("permessage-deflate{takeover}");
                let bytes = frame(role, FIN | RSV1 | TEXT, payload).repeat(3);
                let end = connection(role, agreed(role, Some(&answer)), Limits::default());
                let transcript = drive(end, [&bytes[..]]);
                assert_eq!(transcript.error, None, "{payload:x?}");
                assert_eq!(transcript.said.len(), 3);
                for said in &transcript.said {
                    assert!(matches!(said, support::Said::Frame { bytes, .. } if bytes == message.as_bytes()));
                }
            }
        }
    }
}

#[test]
fn z07_broken_data_is_an_error_and_what_came_before_it_is_delivered() {
    // A distance of 5 (fixed codes) with nothing before it; a block of no kind; lengths that do not agree; a
    // message that ends in a block, in the length of a block, in a stored block.
    for (payload, before) in [
        (&[0x02, 0x11, 0x00, 0x00][..], ""),
        (&[0x07], ""),
        (&[0xff; 30], ""),
        (&[0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48], ""),
        (&[0xf2, 0x48, 0xcd], "He"),
        (&[0x00, 0x05], ""),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65], "He"),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f], "Hello"),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x07], "Hello"),
    ] {
        for (piece, space) in [(1, 1), (1, 100), (100, 1), (100, 100)] {
            let mut end = pair(&defaults(), &defaults()).1;
            let (bytes, _, error) = decompress(&mut *end.decoder, payload, piece, space);
            assert_eq!(bytes, before.as_bytes(), "{payload:x?}");
            assert_eq!(error.unwrap().code, CloseCode::INVALID_PAYLOAD, "{payload:x?}");
        }
        for role in ROLES {
            let bytes = frame(role, FIN | RSV1 | BINARY, payload);
            let end = connection(role, agreed(role, Some("permessage-deflate")), Limits::default());
            let transcript = drive(end, [&bytes[..]]);
            assert_eq!(transcript.error.unwrap().close_code(), Some(CloseCode::INVALID_PAYLOAD));
        }
    }
}

#[test]
fn z07_what_a_message_refers_to_is_what_was_agreed_on() {
    let big = || defaults().server_max_window_bits(15).and_then(|config| config.client_max_window_bits(15)).unwrap();
    let mut random = Random(5);
    let message = random.bytes(2000);
    // The same bytes again, 2,000 bytes ago, in a window of 1,024: a reference that was not agreed on.
    for bits in [10, 11] {
        let mut sender = pair(&big(), &big()).0;
        let limited = big().client_max_window_bits(bits).unwrap();
        let mut receiver = pair(&limited, &limited).1;
        let first = compress(&mut *sender.encoder, &message);
        assert_eq!(decompress(&mut *receiver.decoder, &first, 100, 100).0, message);
        let again = compress(&mut *sender.encoder, &message);
        let error = decompress(&mut *receiver.decoder, &again, 100, 100).2;
        assert_eq!(error.map(|error| error.code), (bits == 10).then_some(CloseCode::INVALID_PAYLOAD));
    }
    // Every window, both ways, with and without takeover.
    for bits in 8..=15 {
        for takeover in [true, false] {
            let config = big()
                .server_max_window_bits(bits)
                .and_then(|config| config.client_max_window_bits(bits))
                .unwrap()
                .server_no_context_takeover(!takeover)
                .client_no_context_takeover(!takeover);
            let (mut client, mut server) = pair(&config, &config);
            for len in [0, 1, 300, 5000, 70_000, 300] {
                let message = text(len, 1);
                let payload = compress(&mut *client.encoder, &message);
                assert!(decompress(&mut *server.decoder, &payload, 999, 999).0 == message);
                let payload = compress(&mut *server.encoder, &message);
                assert!(decompress(&mut *client.decoder, &payload, 999, 999).0 == message);
            }
        }
    }
}

// "[...] even if the "client_no_context_takeover" extension parameter is not included in the corresponding extension
// negotiation response to the offer, the client is not going to use context takeover" (RFC 7692 §7.1.1.2): a server
// that accepted such an offer may have given its window away.
#[test]
fn z07_a_client_keeps_the_promises_of_each_offer_that_may_have_been_accepted() {
    let promising = || defaults().client_no_context_takeover(true).client_max_window_bits(9).unwrap();
    let far = text(700, 7);
    let messages = [b"Hello Hello".to_vec(), [&far[..], &far].concat(), b"Hello Hello".to_vec()];
    let answered = |client: &PerMessageDeflate| {
        let mut end = client.finalize(&Params::new("permessage-deflate")).unwrap();
        messages.iter().map(|message| compress(&mut *end.encoder, message)).collect::<Vec<_>>()
    };
    let strict = answered(&promising());
    assert_eq!(strict[0], strict[2]);
    assert_eq!(answered(&promising().or_offer(defaults())), strict);
    assert_eq!(answered(&defaults().or_offer(promising())), strict);
    let (forgetful, small) = (
        defaults().client_no_context_takeover(true),
        defaults().client_max_window_bits(9).unwrap().fixed_client_window().client_max_window_bits(9).unwrap(),
    );
    assert_eq!(answered(&defaults().or_offer(forgetful).or_offer(small)), strict);
    assert_ne!(answered(&defaults()), strict);
    // An offer that the answer does not suit binds nobody.
    let declined = promising().server_no_context_takeover(true);
    assert_eq!(answered(&declined.or_offer(defaults())), answered(&defaults()));
}

#[test]
fn z07_the_last_word_on_the_clients_window_counts() {
    let bits = |config: PerMessageDeflate| config.client_max_window_bits(9).unwrap();
    assert_eq!(bits(defaults().fixed_client_window()).offers(), bits(defaults()).offers());
    let fixed = bits(defaults()).fixed_client_window().offers();
    assert_eq!(fixed, [Params::new("permessage-deflate")]);
}

#[test]
fn z08_a_flood_of_empty_blocks_takes_one_call_for_each_piece() {
    let flood = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(1_000_000);
    let mut end = pair(&defaults(), &defaults()).1;
    let (bytes, calls, error) = decompress(&mut *end.decoder, &flood, 4096, 4096);
    assert_eq!((bytes.len(), error), (0, None));
    assert_eq!(calls, flood.len().div_ceil(4096) as u64);
}

#[test]
fn z08_blocks_with_bfinal_are_paid_with_bytes_or_frames() {
    // An empty one is two bytes, and costs a reset and a copy of the history.
    for (piece, space) in [(1, 1), (4096, 4096)] {
        let mut end = pair(&defaults(), &defaults()).1;
        let ends = |count| [[0x03, 0x00].repeat(count), vec![0]].concat();
        let (_, _, error) = decompress(&mut *end.decoder, &ends(32), piece, space);
        assert_eq!(error, None);
        let (_, _, error) = decompress(&mut *end.decoder, &ends(10_000), piece, space);
        assert_eq!(error.unwrap().code, CloseCode::POLICY_VIOLATION);
    }
    // Nor does it help to spread them over messages.
    let mut end = pair(&defaults(), &defaults()).1;
    let mut message = || decompress(&mut *end.decoder, &[[0x03, 0x00].repeat(30), vec![0]].concat(), 4096, 4096).2;
    let refused = (0..10).find_map(|_| message());
    assert_eq!(refused.unwrap().code, CloseCode::POLICY_VIOLATION);
    // Who ends each message with one may do so for ever.
    let mut end = pair(&defaults(), &defaults()).1;
    for _ in 0..1000 {
        assert_eq!(
            decompress(&mut *end.decoder, &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], 4096, 4096).2,
            None
        );
    }
    // Who flushes with it pays enough.
    let mut end = pair(&defaults(), &defaults()).1;
    let stored = [&[0x01, 0x64, 0x00, 0x9b, 0xff][..], &[b'x'; 100]].concat();
    let (bytes, _, error) = decompress(&mut *end.decoder, &[stored.repeat(2000), vec![0]].concat(), 4096, 4096);
    assert_eq!((bytes.len(), error), (200_000, None));
    let one = frame(Role::Server, CONTINUATION, &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    let bytes = [frame(Role::Server, RSV1 | TEXT, b""), one.repeat(5000)].concat();
    let end = connection(Role::Server, agreed(Role::Server, Some("permessage-deflate")), Limits::default());
    assert_eq!(drive(end, [&bytes[..]]).error, None);
}

/// An attacker shares the pool with a victim. His message asks of each byte whether it is the one that the victim
/// had at some place.
#[test]
fn z09_lengths_tell_nothing_of_another_connection_with_the_same_pool() {
    let secret = b"session=7F3kQz9LmW2xRtB8; path=/";
    let answer = |pool: &CodecPool, history: &[u8], asking: &[u8]| {
        let config = defaults().pool(pool);
        let end = || pair(&config, &config).1;
        let mut attacker = end();
        compress(&mut *attacker.encoder, history);
        compress(&mut *end().encoder, secret);
        compress(&mut *attacker.encoder, asking)
    };
    let (shared, none) = (CodecPool::new(1), CodecPool::new(0));
    for at in 8..secret.len() {
        for guess in 0..=255 {
            // The library hashes four bytes. These collide with the last three of the history and what is behind
            // it in the window.
            let (history, asking) = (vec![guess; at], [7, 0xB8, 0xE8, guess, guess, guess, guess, 0xF3, 0xEC]);
            assert_eq!(answer(&shared, &history, &asking), answer(&none, &history, &asking), "{at} {guess}");
        }
    }
}

#[test]
fn z09_compression_can_be_left_out_and_its_risk_is_documented() {
    let documentation = include_str!("../src/extension/deflate/mod.rs");
    assert!(documentation.contains("CRIME") && documentation.contains("BREACH"));
    for role in ROLES {
        // For a connection: the extension is not given to the handshake.
        let mut out = vec![];
        plain(role).send(Message::text("secret".repeat(100)), &mut out).unwrap();
        assert_eq!(frames(&out), [(FIN | TEXT, b"secret".repeat(100))]);

        // For a message: it leaves as it is, and nothing refers to it later.
        let deflate = || agreed(role, Some("permessage-deflate"));
        let mut end = connection(role, deflate(), Limits::default());
        let (mut with, mut without) = (vec![], vec![]);
        end.sender.send_uncompressed(Message::text("secret".repeat(100)), &mut with).unwrap();
        assert_eq!(frames(&with), [(FIN | TEXT, b"secret".repeat(100))]);
        end.send(Message::text("secret".repeat(100)), &mut with).unwrap();
        connection(role, deflate(), Limits::default()).send(Message::text("secret".repeat(100)), &mut without).unwrap();
        assert_eq!(frames(&with)[1], frames(&without)[0], "the guess is compressed as if it were the first");
        assert_eq!(frames(&with)[1].0, FIN | RSV1 | TEXT);

        // Raw and compressed ones in turn, also in fragments.
        for message in [Message::text("secret and more"), Message::text("half").unfinished(), Message::text("rest")] {
            end.sender.send_uncompressed(message, &mut with).unwrap();
        }
        end.send(Message::text("secret and more"), &mut with).unwrap();
        let opcodes: Vec<u8> = frames(&with)[2..].iter().map(|(b0, _)| *b0).collect();
        assert_eq!(opcodes, [FIN | TEXT, TEXT, FIN | CONTINUATION, FIN | RSV1 | TEXT]);
        let there = connection(other(role), agreed(other(role), Some("permessage-deflate")), Limits::default());
        let said = drive(there, [&with[..]]).said;
        assert_eq!(said.len(), 6);
        assert!(matches!(&said[5], support::Said::Frame { bytes, .. } if bytes == b"secret and more"), "{said:?}");
    }
}
