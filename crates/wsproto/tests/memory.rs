//! What is allocated, counted: nothing for plain frames, little for compressed ones, nothing because a peer says so.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use allocation_counter::{AllocationInfo, measure, opt_out};
use support::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, ROLES, Random, TEXT, agreed, close_body, connection, frame, plain,
};
use wsproto::extension::{CodecPool, Extension, PerMessageDeflate};
use wsproto::frame::Role;
use wsproto::{Assembler, CloseCode, CloseFrame, Connection, Event, Extensions, Input, Limits, Message, Ping, Pong};

const KIB: u64 = 1024;

#[test]
fn connections_and_events_are_small() {
    println!("Connection {}, Event {}", size_of::<Connection>(), size_of::<Event<'_>>());
    assert!(size_of::<Connection>() <= 512, "{}", size_of::<Connection>());
    assert!(size_of::<Event<'_>>() <= 64, "{}", size_of::<Event<'_>>());
}

/// Reads a stream in these pieces and answers it; how many events there were.
fn read(connection: &mut Connection, pieces: &mut [Vec<u8>], out: &mut Vec<u8>) -> usize {
    let mut events = 0;
    for piece in pieces {
        let mut input = Input::new(piece);
        while let Some(event) = connection.receive(&mut input).unwrap() {
            events += 1;
            match &event {
                Event::Message(message) => connection.send(message, out).unwrap(),
                _ => event.response().into_iter().for_each(|reply| connection.reply(reply, out)),
            }
        }
    }
    events
}

#[test]
fn plain_frames_are_received_and_sent_without_an_allocation() {
    for role in ROLES {
        for deflate in [None, Some("permessage-deflate")] {
            let f = |b0, payload: &[u8]| frame(role, b0, payload);
            let stream = [
                f(FIN | TEXT, b""),
                f(FIN | TEXT, "text, κόσμε".as_bytes()),
                f(FIN | BINARY, &[7; 70_000]),
                f(BINARY, &[7; 300]),
                f(FIN | PING, &[b'p'; 125]),
                f(FIN | CONTINUATION, &[7; 300]),
                f(FIN | PONG, b"pong"),
            ]
            .concat();
            let close = f(FIN | CLOSE, &close_body(1000, b"bye"));

            // Whole; and cut in headers and in the payloads of data frames, which are borrowed in pieces.
            let cuts: [&[usize]; 4] = [&[], &[1], &[50], &[1000, 2000, 70_300]];
            for cuts in cuts {
                let mut pieces = cut(&stream, cuts);
                pieces.push(close.clone());
                // What is not compressed needs no more where compression was agreed on.
                let mut connection = connection(role, agreed(role, deflate), Limits::default());
                let mut out = Vec::with_capacity(200_000);
                let mut events = 0;
                let info = measure(|| {
                    if deflate.is_none() {
                        events = read(&mut connection, &mut pieces, &mut out);
                        return;
                    }
                    for piece in &mut pieces {
                        let mut input = Input::new(piece);
                        while let Some(event) = connection.receive(&mut input).unwrap() {
                            events += 1;
                            if let Event::Message(message) = &event {
                                connection.sender.send_uncompressed(message, &mut out).unwrap();
                            }
                        }
                    }
                });
                assert_eq!(info.count_total, 0, "{role:?}, {deflate:?}, cut at {cuts:?}: {info:?}");
                assert!(events >= 8, "{events}");
            }
        }
    }
}

fn cut(bytes: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let ends = at.iter().copied().chain([bytes.len()]);
    let starts = [0].into_iter().chain(at.iter().copied());
    starts.zip(ends).map(|(start, end)| bytes[start..end].to_vec()).collect()
}

#[test]
fn what_we_say_ourselves_is_sent_without_an_allocation() {
    for role in ROLES {
        let mut connection = plain(role);
        let mut out = Vec::with_capacity(10_000);
        let info = measure(|| {
            connection.send(Message::text("text"), &mut out).unwrap();
            connection.send(Message::binary(&[1, 2, 3][..]).unfinished(), &mut out).unwrap();
            connection.send(Ping::new(&b"ping"[..]), &mut out).unwrap();
            connection.send(Pong::new(&b"pong"[..]), &mut out).unwrap();
            connection.sender.send_header(wsproto::MessageKind::Binary, 1 << 40, true, &mut out).unwrap();
            connection.send(CloseFrame::new(CloseCode::NORMAL, "bye"), &mut out).unwrap();
        });
        assert_eq!(info.count_total, 0, "{role:?}: {info:?}");
    }
}

#[test]
fn only_a_control_payload_and_a_character_that_the_input_cut_in_two_are_allocated() {
    for role in ROLES {
        let allocations = |frame: Vec<u8>, at: usize| {
            let mut connection = plain(role);
            let mut pieces = cut(&frame, &[at]);
            let mut out = Vec::with_capacity(1000);
            measure(|| assert!(read(&mut connection, &mut pieces, &mut out) > 0)).count_total
        };
        let header = if role == Role::Server { 6 } else { 2 };
        for at in 0..header {
            assert_eq!(allocations(frame(role, FIN | PING, b"ping"), at), 0, "in the header");
            assert_eq!(allocations(frame(role, FIN | TEXT, "€uro".as_bytes()), at), 0, "in the header");
        }
        assert_eq!(allocations(frame(role, FIN | PING, b"ping"), header + 2), 1);
        assert_eq!(allocations(frame(role, FIN | TEXT, "a€uro".as_bytes()), header + 1), 0, "between characters");
        assert_eq!(allocations(frame(role, FIN | TEXT, "a€uro".as_bytes()), header + 2), 1);
        assert_eq!(allocations(frame(role, FIN | BINARY, "a€uro".as_bytes()), header + 2), 0);
    }
}

/// Both ends of a connection that compresses all, with windows of these bits.
fn compressed(bits: u8, limits: Limits, pool: &CodecPool) -> (Connection, Connection) {
    let deflate = PerMessageDeflate::new().threshold(0).pool(pool);
    let deflate = deflate.client_max_window_bits(bits).unwrap().server_max_window_bits(bits).unwrap();
    let (answer, at_the_server) = deflate.accept(&deflate.offers()[0]).unwrap();
    let at_the_client = deflate.finalize(&answer).unwrap();
    let with = |role, negotiated| {
        let mut extensions = Extensions::none();
        extensions.push(negotiated).unwrap();
        connection(role, extensions, limits)
    };
    (with(Role::Client, at_the_client), with(Role::Server, at_the_server))
}

#[test]
fn input_that_is_cut_costs_an_allocation_for_each_event_and_no_more_bytes_than_the_message() {
    let (mut client, mut server) = compressed(12, Limits::default(), &CodecPool::default());
    let mut random = Random(7);
    let noise: Vec<u8> = (0..3000).map(|_| b"abcdefgh"[random.below(8)]).collect();
    for message in [&noise[..], &noise.repeat(4), &vec![b'x'; 100_000]] {
        // The first rounds make the codec and fill the history.
        for warm in [false, false, true] {
            let mut out = vec![];
            client.send(Message::binary(message), &mut out).unwrap();
            let mut events = 0;
            let info = measure(|| {
                for byte in out.chunks_mut(1) {
                    let mut input = Input::new(byte);
                    while server.receive(&mut input).unwrap().is_some() {
                        events += 1;
                    }
                }
            });
            if warm {
                assert!(events > 1 && info.count_total <= events + 8, "{} for {events} events", info.count_total);
                let bound = 2 * message.len() as u64 + 4 * KIB;
                assert!(info.bytes_total <= bound, "{} bytes for {}", info.bytes_total, message.len());
            }
        }
    }
}

#[test]
fn z06_a_connection_that_has_ended_holds_no_codec() {
    const CODEC: u64 = 40 * KIB;
    let long = "a compressed message, ".repeat(50);
    let unfinished = |connection: &mut Connection, out: &mut Vec<u8>| {
        connection.send(Message::text(&*long).unfinished(), out).unwrap();
    };
    // Each way to the end, for the half that it ends; before it the half is in the middle of a message.
    type End = (&'static str, fn(&mut Connection));
    let received: [End; 3] = [
        ("Close", |server| {
            let mut close = frame(Role::Server, FIN | CLOSE, &close_body(1000, b""));
            assert!(matches!(server.receive(&mut Input::new(&mut close)), Ok(Some(Event::Close(_)))));
        }),
        ("end of the transport", |server| assert!(server.receive_eof().is_err())),
        ("error", |server| assert!(server.receive(&mut Input::new(&mut [0xFF, 0xFF])).is_err())),
    ];
    for (name, end) in received {
        let (mut client, mut server) = compressed(12, Limits::default(), &CodecPool::new(0));
        let mut bytes = vec![];
        unfinished(&mut client, &mut bytes);
        let info = measure(|| {
            let mut input = Input::new(&mut bytes);
            while server.receive(&mut input).unwrap().is_some() {}
            assert_eq!(server.state(), wsproto::State::Open);
            end(&mut server);
        });
        assert!(info.bytes_max > CODEC, "{name}: there was none");
        assert!(info.bytes_current < 8 * KIB as i64, "{name}: {} bytes are held", info.bytes_current);
    }
    let (mut client, _) = compressed(12, Limits::default(), &CodecPool::new(0));
    let mut out = vec![];
    let info = measure(|| {
        unfinished(&mut client, &mut out);
        client.send(CloseFrame::empty(), &mut out).unwrap();
    });
    assert!(info.bytes_max > CODEC);
    assert!(info.bytes_current < 8 * KIB as i64, "{} bytes are held", info.bytes_current);
}

#[test]
fn an_inflated_event_is_one_allocation() {
    let (mut client, mut server) = compressed(12, Limits::default(), &CodecPool::default());
    let text = "some text that is compressed, some text that is compressed".repeat(5);
    let mut out = vec![];
    let mut round = |text: &str| {
        out.clear();
        client.send(Message::text(text), &mut out).unwrap();
        let mut events = 0;
        let info = measure(|| {
            let mut input = Input::new(&mut out);
            while let Some(event) = server.receive(&mut input).unwrap() {
                events += 1;
                drop(event);
            }
        });
        (events, info.count_total)
    };
    // Until the codec is made and the history is full.
    for _ in 0..50 {
        round(&text);
    }
    assert_eq!(round(""), (1, 0));
    assert_eq!(round("x"), (1, 1));
    assert_eq!(round(&text), (1, 1));
    let (events, allocations) = round(&text.repeat(100));
    // The last piece may be copied out of a space that is much larger than it.
    assert!(events > 1 && allocations <= events + 1, "{events} events, {allocations} allocations");
    let (events, allocations) = round(&"\0".repeat(1 << 20));
    assert!(events >= 64 && events == allocations, "{events} events, {allocations} allocations");
}

#[test]
fn z06_an_idle_connection_keeps_its_histories_and_nothing_else() {
    const N: u64 = 50;
    for bits in [9, 12, 15] {
        let pool = CodecPool::default();
        let noise = support::Random(bits.into()).bytes(40_000);
        let mut all = vec![];
        let made = measure(|| all.extend((0..N).map(|_| compressed(bits, Limits::default(), &pool))));
        // A connection before its first compressed message: its coders, no history and no codec.
        let each = made.bytes_current.unsigned_abs() / (2 * N);
        assert!(each <= KIB, "{bits} bits: {each} bytes for a connection that has done nothing");

        // Plain messages change nothing.
        let exchange = |all: &mut Vec<(Connection, Connection)>, compress: bool| {
            measure(|| {
                for (client, server) in all {
                    for _ in 0..3 {
                        say(client, server, &noise, compress);
                        say(server, client, &noise, compress);
                    }
                }
            })
        };
        assert_eq!(exchange(&mut all, false).bytes_current, 0);

        // Compressed ones leave a window in each direction, at each end. (The codecs lie in the pool.)
        let pair = &mut [compressed(bits, Limits::default(), &pool)][0];
        say(&mut pair.0, &mut pair.1, b"codecs are made", true);
        say(&mut pair.1, &mut pair.0, b"codecs are made", true);
        let retained = exchange(&mut all, true).bytes_current.unsigned_abs() / (2 * N);
        println!("{bits} bits: {each} bytes when new, {retained} more after messages both ways");
        assert!(retained <= 2 * (1 << bits), "{bits} bits: {retained}");
        assert!(each + retained <= 2 * (1 << bits) + KIB);
    }
}

fn say(from: &mut Connection, to: &mut Connection, bytes: &[u8], compress: bool) {
    let mut out = vec![];
    match compress {
        true => from.send(Message::binary(bytes), &mut out).unwrap(),
        false => from.sender.send_uncompressed(Message::binary(bytes), &mut out).unwrap(),
    }
    let mut input = Input::new(&mut out);
    while to.receive(&mut input).unwrap().is_some() {}
}

#[test]
fn f01_a_header_allocates_nothing_whatever_length_it_claims() {
    for role in ROLES {
        for limits in [Limits::default(), Limits::none()] {
            for len in [1 << 63, (1 << 63) - 1, 1 << 62, usize::MAX as u64 - 13, u64::MAX, (1 << 20) + 1] {
                for opcode in [TEXT, BINARY, PING, CLOSE] {
                    for deflate in [None, Some("permessage-deflate")] {
                        let mut connection = connection(role, agreed(role, deflate), limits);
                        let mut assembler = Assembler::new(usize::MAX);
                        let mut header = support::header(role, FIN | opcode, len);
                        header.push(b'x');
                        let info = measure(|| {
                            let mut input = Input::new(&mut header);
                            while let Ok(Some(event)) = connection.receive(&mut input) {
                                let Event::Message(message) = event else { panic!("{event:?}") };
                                let _ = assembler.push(message);
                            }
                        });
                        assert!(info.bytes_total <= 4 * KIB, "{len}: {info:?}");
                    }
                }
            }
        }
    }
}

/// A message in `n` frames with this payload each, and no end: read through an assembler.
fn tiny_fragments(role: Role, n: usize, payload: &[u8]) -> (AllocationInfo, Assembler) {
    const BATCH: usize = 1000;
    let batch = frame(role, CONTINUATION, payload).repeat(BATCH);
    let mut buffer = frame(role, BINARY, payload);
    let mut connection = connection(role, Extensions::none(), Limits::none());
    let mut assembler = Assembler::new(1 << 30);
    let info = measure(|| {
        let mut read = |buffer: &mut [u8]| {
            let mut input = Input::new(buffer);
            while let Some(event) = connection.receive(&mut input).unwrap() {
                let Event::Message(message) = event else { panic!("{event:?}") };
                assert_eq!(assembler.push(message), Ok(None));
            }
        };
        read(&mut buffer);
        for _ in 0..n / BATCH {
            opt_out(|| {
                buffer.clear();
                buffer.extend_from_slice(&batch);
            });
            read(&mut buffer);
        }
    });
    (info, assembler)
}

#[test]
fn f03_a_million_tiny_fragments_cost_what_their_payload_does() {
    const N: usize = 1_000_000;
    for role in ROLES {
        let (info, _assembler) = tiny_fragments(role, N, b"x");
        println!("{N} fragments of one byte: {info:?}");
        assert!(info.bytes_current.unsigned_abs() <= 2 * N as u64 + 4 * KIB, "{info:?}");
        let (half, _assembler) = tiny_fragments(role, N / 2, b"x");
        assert!(info.bytes_total <= half.bytes_total * 5 / 2, "all bytes that were allocated grow as the payload");
        assert!(info.count_total <= half.count_total + 1, "the buffer doubles");

        let (info, _assembler) = tiny_fragments(role, N, b"");
        println!("{N} empty fragments: {info:?}");
        assert!(info.bytes_max <= 4 * KIB && info.count_total <= 1, "{info:?}");
    }
}
