//! What one end sends, the other receives: any messages, any fragments, any parameters, any cutting.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use support::{Random, Said, connection, drive};
use wsproto::extension::PerMessageDeflate;
use wsproto::frame::Role;
use wsproto::{
    CloseCode, CloseFrame, Connection, Extensions, Limits, Message, MessageKind, Ping, Pong,
    client_extensions_handshake, server_extensions_handshake,
};

/// What an application says.
#[derive(Clone, Debug)]
enum Say {
    Message { kind: MessageKind, how: How, parts: Vec<Part> },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// A fragment, and a Ping after it or none.
type Part = (Vec<u8>, Option<Vec<u8>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Compressed,
    Uncompressed,
    /// The first frame by `send`, the others by header, where that is allowed; else all by `send`.
    HeaderLater,
    /// The first frame by header, the others by `send`.
    HeaderFirst,
    Header,
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let lens = prop_oneof![0..4_usize, 120..130_usize, 0..3000_usize];
    // Noise, one byte repeated, and few letters: what compresses badly, well and usually.
    (lens, 0..3, any::<u64>()).prop_map(|(len, letters, seed)| match letters {
        0 => Random(seed).bytes(len),
        1 => vec![b'a'; 10 * len],
        _ => Random(seed).bytes(len).iter().map(|byte| b'a' + byte % 4).collect(),
    })
}

fn say() -> impl Strategy<Value = Say> {
    let kind = prop_oneof![Just(MessageKind::Text), Just(MessageKind::Binary)];
    let how = prop_oneof![
        4 => Just(How::Compressed),
        1 => Just(How::Uncompressed),
        1 => Just(How::HeaderLater),
        1 => Just(How::HeaderFirst),
        1 => Just(How::Header),
    ];
    let control = || vec(any::<u8>(), 0..=125);
    let parts = prop_oneof![
        3 => vec((payload(), Just(None)), 1..2),
        2 => vec((payload(), proptest::option::weighted(0.3, control())), 1..6),
    ];
    prop_oneof![
        8 => (kind, how, parts).prop_map(|(kind, how, parts)| Say::Message { kind, how, parts }),
        1 => control().prop_map(Say::Ping),
        1 => control().prop_map(Say::Pong),
    ]
}

/// The four parameters as a client offers them, and what the server has to say to each; level and memory level.
#[derive(Clone, Debug)]
struct Terms {
    client: (bool, bool, Option<u8>, Option<Option<u8>>),
    server: (bool, bool, u8, u8),
    level: u8,
    threshold: usize,
}

fn terms() -> impl Strategy<Value = Terms> {
    let bits = || proptest::option::of(8..=15_u8);
    let client = (any::<bool>(), any::<bool>(), bits(), proptest::option::of(bits()));
    let server = (any::<bool>(), any::<bool>(), 8..=15_u8, 8..=15_u8);
    (client, server, prop_oneof![Just(6_u8), 0..=9_u8], prop_oneof![Just(0), Just(64)])
        .prop_map(|(client, server, level, threshold)| Terms { client, server, level, threshold })
}

fn pair(terms: Option<&Terms>) -> (Connection, Connection) {
    let (mut at_client, mut at_server) = (Extensions::none(), Extensions::none());
    if let Some(Terms { client, server, level, threshold }) = terms {
        let base = PerMessageDeflate::new().pool(support::codecs()).level(*level).unwrap().threshold(*threshold);
        let mut offer = base.clone().server_no_context_takeover(client.0).client_no_context_takeover(client.1);
        if let Some(bits) = client.2 {
            offer = offer.server_max_window_bits(bits).unwrap();
        }
        offer = match client.3 {
            None => offer.fixed_client_window(),
            Some(None) => offer,
            Some(Some(bits)) => offer.client_max_window_bits(bits).unwrap(),
        };
        let policy = base.server_no_context_takeover(server.0).client_no_context_takeover(server.1);
        let policy = policy.server_max_window_bits(server.2).unwrap().client_max_window_bits(server.3).unwrap();
        let offers: Vec<String> =
            wsproto::extension::Extension::offers(&offer).iter().map(ToString::to_string).collect();
        let (answer, extensions) = server_extensions_handshake(offers.iter().map(String::as_str), &[&policy]);
        at_server = extensions;
        at_client = client_extensions_handshake(answer.as_deref(), &[&offer]).unwrap();
        assert_eq!((at_client.len(), at_server.len()), (1, 1), "{offers:?} gives {answer:?}");
    }
    (connection(Role::Client, at_client, Limits::none()), connection(Role::Server, at_server, Limits::none()))
}

/// Text in fragments: letters, and a character that the fragments do not cut.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if *byte % 16 == 15 { 'é' } else { char::from(b'a' + byte % 16) }).collect()
}

/// Sends all of it; what the peer is to receive.
fn send(from: &mut Connection, say: &[Say], wire: &mut Vec<u8>) -> Vec<Said> {
    let mut expected = vec![];
    for say in say {
        match say {
            Say::Ping(payload) => {
                from.send(Ping::new(&payload[..]), wire).unwrap();
                expected.push(Said::Ping(payload.clone()));
            }
            Say::Pong(payload) => {
                from.send(Pong::new(&payload[..]), wire).unwrap();
                expected.push(Said::Pong(payload.clone()));
            }
            Say::Message { kind, how, parts } => {
                for (i, (bytes, ping)) in parts.iter().enumerate() {
                    let last = i + 1 == parts.len();
                    let text = text(bytes);
                    let message = match kind {
                        MessageKind::Text => Message::text(&text),
                        MessageKind::Binary => Message::binary(&bytes[..]),
                    };
                    let message = if last { message } else { message.unfinished() };
                    send_part(from, &message, *how, i, wire);
                    let bytes = message.data.as_bytes().to_vec();
                    expected.push(Said::Frame { kind: *kind, bytes, frame_finished: true, message_finished: last });
                    if let Some(payload) = ping {
                        from.send(Ping::new(&payload[..]), wire).unwrap();
                        expected.push(Said::Ping(payload.clone()));
                    }
                }
            }
        }
    }
    from.send(CloseFrame::new(CloseCode::NORMAL, "done"), wire).unwrap();
    expected.push(Said::Close(Some(1000), "done".to_owned()));
    expected
}

fn send_part(from: &mut Connection, message: &Message<'_>, how: How, index: usize, wire: &mut Vec<u8>) {
    let by_header = match how {
        How::Header => true,
        How::HeaderFirst => index == 0,
        How::HeaderLater => index > 0,
        How::Compressed | How::Uncompressed => false,
    };
    if by_header {
        let bytes = message.data.as_bytes();
        match from.sender.send_header(message.data.kind(), bytes.len() as u64, message.message_finished, wire) {
            Ok(mask) => {
                let start = wire.len();
                wire.extend_from_slice(bytes);
                mask.into_iter().for_each(|mut mask| mask.apply(&mut wire[start..]));
                return;
            }
            Err(error) => assert_eq!(error, wsproto::LocalProtocolError::MessageEncoded),
        }
    }
    match how {
        How::Uncompressed => from.sender.send_uncompressed(message, wire).unwrap(),
        _ => from.send(message, wire).unwrap(),
    }
}

fn check(sender: Role, terms: Option<&Terms>, say: &[Say], seed: u64) {
    let (client, server) = pair(terms);
    let (mut from, to) = if sender == Role::Client { (client, server) } else { (server, client) };
    let mut wire = vec![];
    let expected = send(&mut from, say, &mut wire);
    let received = drive(to, Random(seed).cut(&wire));
    assert_eq!(received.error, None);
    assert!(received.said == expected, "received {:?}\nsent {expected:?}", received.said);

    // The echo comes back over the other direction: the messages joined, each Pong and the Close in its place.
    let echo = drive(back(sender, terms), Random(seed).cut(&received.out));
    assert_eq!(echo.error, None);
    let whole = |said: &[Said]| -> Vec<Vec<u8>> {
        let mut messages = vec![vec![]];
        for said in said {
            if let Said::Frame { bytes, message_finished, .. } = said {
                messages.last_mut().unwrap().extend_from_slice(bytes);
                messages.extend(message_finished.then(Vec::new));
            }
        }
        messages
    };
    assert!(whole(&echo.said) == whole(&expected), "{:?}", echo.said);
    assert_eq!(echo.said.last(), Some(&Said::Close(Some(1000), "done".to_owned())));
}

/// The end that an echo comes back to.
fn back(sender: Role, terms: Option<&Terms>) -> Connection {
    let (client, server) = pair(terms);
    if sender == Role::Client { client } else { server }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives(
        client in any::<bool>(),
        terms in proptest::option::weighted(0.8, terms()),
        say in vec(say(), 0..12),
        seed in any::<u64>(),
    ) {
        check(if client { Role::Client } else { Role::Server }, terms.as_ref(), &say, seed);
    }
}

/// Every combination of the four parameters, with messages that refer far back.
#[test]
fn all_parameters_and_all_window_bits() {
    let noise = Random(5).bytes(40_000);
    let whole = |bytes: &[u8]| Say::Message {
        kind: MessageKind::Binary,
        how: How::Compressed,
        parts: vec![(bytes.to_vec(), None)],
    };
    // What was said before comes again from each distance that a window could hold.
    let mut say = vec![whole(&noise)];
    say.extend((8..=15).map(|bits| whole(&noise[noise.len() - (1 << bits)..])));
    say.extend((8..=15).map(|bits| whole(&noise[..1 << bits])));
    say.push(Say::Message {
        kind: MessageKind::Text,
        how: How::Compressed,
        parts: noise.chunks(9000).map(|part| (part.to_vec(), None)).collect(),
    });
    let mut runs = 0;
    for takeovers in 0..4 {
        for bits in 8..=15 {
            for fixed in [false, true] {
                let (server_forgets, client_forgets) = (takeovers & 1 == 1, takeovers & 2 == 2);
                let client = (server_forgets, client_forgets, Some(bits), (!fixed).then_some(Some(bits)));
                let terms = Terms { client, server: (false, false, 15, 15), level: 6, threshold: 0 };
                for role in support::ROLES {
                    check(role, Some(&terms), &say, runs);
                    runs += 1;
                }
            }
        }
    }
    assert_eq!(runs, 4 * 8 * 2 * 2);
}
