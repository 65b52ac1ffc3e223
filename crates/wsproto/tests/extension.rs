//! An extension made outside the crate, from its public API alone: it uses RSV2, changes lengths, and stacks with
//! permessage-deflate. And extensions that break their contract.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::{FIN, RSV1, RSV2, Random, Said, TEXT, Transcript, connection, drive, frame, frames};
use wsproto::extension::{
    Decoder, Encoder, End, Extension, Extensions, FrameInfo, Negotiated, Params, PerMessageDeflate, Progress,
};
use wsproto::frame::{Role, Rsv};
use wsproto::{
    CloseCode, Connection, ExtensionError, Limits, LocalProtocolError, Message, MessageKind, Ping, RemoteProtocolError,
    Transport, client_extensions_handshake, server_extensions_handshake,
};

/// Every byte twice, and RSV2 on the first frame; two bytes that differ end a message, so that an end that is told
/// too early, or twice, shows.
struct Twice {
    /// How many bytes the decoder takes and gives at most in one step.
    step: usize,
}

struct TwiceDecoder {
    step: usize,
    marked: bool,
    /// The first of two.
    first: Option<u8>,
    /// Whether the end of the message was read.
    ended: bool,
}

struct TwiceEncoder {
    marked: bool,
}

impl Extension for Twice {
    fn name(&self) -> &str {
        "x-twice"
    }

    fn offers(&self) -> Vec<Params> {
        vec![Params::new(self.name())]
    }

    fn accept(&self, offer: &Params) -> Option<(Params, Negotiated)> {
        Some((offer.clone(), self.finalize(offer)?))
    }

    fn finalize(&self, answer: &Params) -> Option<Negotiated> {
        let decoder = TwiceDecoder { step: self.step, marked: false, first: None, ended: false };
        let none = answer.iter().next().is_none();
        none.then(|| negotiated(Rsv::RSV2, decoder, TwiceEncoder { marked: false }))
    }
}

fn negotiated(rsv: Rsv, decoder: impl Decoder + 'static, encoder: impl Encoder + 'static) -> Negotiated {
    Negotiated { rsv, decoder: Box::new(decoder), encoder: Box::new(encoder) }
}

impl Encoder for TwiceEncoder {
    fn start_frame(&mut self, frame: FrameInfo, _len: usize, compress: bool) -> Option<Rsv> {
        if frame.first {
            self.marked = compress;
        }
        self.marked.then_some(if frame.first { Rsv::RSV2 } else { Rsv::NONE })
    }

    fn encode(&mut self, input: &[u8], end: End, out: &mut Vec<u8>) -> Result<(), ExtensionError> {
        out.extend(input.iter().flat_map(|byte| [byte, byte]));
        out.extend(if end == End::Message { &b"<>"[..] } else { b"" });
        Ok(())
    }
}

impl Decoder for TwiceDecoder {
    fn start_frame(&mut self, frame: FrameInfo, rsv: Rsv) -> Result<bool, ExtensionError> {
        if frame.first {
            self.marked = rsv.contains(Rsv::RSV2);
        }
        Ok(self.marked)
    }

    fn decode(&mut self, input: &[u8], end: End, output: &mut [u8]) -> Result<Progress, ExtensionError> {
        let (mut consumed, mut produced) = (0, 0);
        for &byte in input.iter().take(self.step) {
            if produced == output.len().min(self.step) {
                break;
            }
            consumed += 1;
            match self.first.take() {
                _ if self.ended => return Err(NOT_TWICE),
                None => self.first = Some(byte),
                Some(first) if first == byte => {
                    output[produced] = byte;
                    produced += 1;
                }
                first => self.ended = (first, byte) == (Some(b'<'), b'>'),
            }
        }
        let more = consumed < input.len();
        if !more && end == End::Message && !std::mem::take(&mut self.ended) {
            return Err(NOT_TWICE);
        }
        Ok(Progress { consumed, produced, more })
    }
}

const NOT_TWICE: ExtensionError = ExtensionError { code: CloseCode::INVALID_PAYLOAD, message: "not every byte twice" };

/// Both ends after a handshake, with these extensions in this order.
fn pair(order: &[&dyn Extension], limits: Limits) -> (Connection, Connection) {
    let offers: Vec<String> = order.iter().flat_map(|extension| extension.offers()).map(|o| o.to_string()).collect();
    let (answer, at_the_server) = server_extensions_handshake(offers.iter().map(String::as_str), order);
    let at_the_client = client_extensions_handshake(answer.as_deref(), order).unwrap();
    assert_eq!((at_the_server.len(), at_the_client.len()), (order.len(), order.len()));
    (connection(Role::Client, at_the_client, limits), connection(Role::Server, at_the_server, limits))
}

fn deflate() -> PerMessageDeflate {
    PerMessageDeflate::new().threshold(0).pool(support::codecs())
}

/// What the receiver makes of these messages, each sent in fragments, for random cuts.
fn sent_and_received(order: &[&dyn Extension], messages: &[Vec<&[u8]>], uncompressed: bool, seed: u64) {
    let (mut client, server) = pair(order, Limits::default());
    let (mut wire, mut expected) = (vec![], vec![]);
    for message in messages {
        for (i, part) in message.iter().enumerate() {
            let last = i + 1 == message.len();
            let piece = Message { message_finished: last, ..Message::binary(*part) };
            match uncompressed {
                true => client.sender.send_uncompressed(piece, &mut wire).unwrap(),
                false => client.send(piece, &mut wire).unwrap(),
            }
            expected.push((part.to_vec(), last));
        }
    }
    let pieces = Random(seed).cut(&wire);
    let received = drive(server, pieces);
    let said: Vec<(Vec<u8>, bool)> = received
        .said
        .iter()
        .map(|said| match said {
            Said::Frame { bytes, frame_finished: true, message_finished, .. } => (bytes.clone(), *message_finished),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(said == expected && received.error.is_none(), "seed {seed}: {received:?}");
}

#[test]
fn it_stacks_with_deflate_in_both_orders_for_any_step_and_any_cut() {
    let mut random = Random(3);
    let (noise, zeros) = (random.bytes(9000), vec![0; 50_000]);
    let text = "all work and no play makes Jack a dull boy, ".repeat(300);
    // Little, then much from little, then little: an output is full while the frame goes on.
    let much = [&noise[..1500], &[0; 100_000], &noise[1500..3000]].concat();
    let messages = [
        vec![&much[..]],
        vec![&b""[..]],
        vec![b"x"],
        vec![b"", b"", b""],
        vec![&noise],
        vec![&zeros],
        vec![&zeros[..20_000], &noise[..3000], b"", &zeros],
        vec![text.as_bytes()],
        vec![&text.as_bytes()[..100], &text.as_bytes()[100..]],
    ];
    let deflate = deflate();
    let mut seed = 0;
    for step in [1, 2, 3, 7, 100, 4096, usize::MAX] {
        let twice = Twice { step };
        let orders: [&[&dyn Extension]; 4] = [&[&twice], &[&twice, &deflate], &[&deflate, &twice], &[&deflate]];
        for order in orders {
            for _ in 0..4 {
                seed += 1;
                sent_and_received(order, &messages, seed % 4 == 0, seed);
            }
        }
    }
}

#[test]
fn both_bits_are_set_on_the_first_frame_only() {
    let (twice, deflate) = (Twice { step: 9 }, deflate());
    let (mut client, _) = pair(&[&deflate, &twice], Limits::default());
    let mut wire = vec![];
    client.send(Message::text("one").unfinished(), &mut wire).unwrap();
    client.send(Message::text("two"), &mut wire).unwrap();
    let firsts: Vec<u8> = frames(&wire).iter().map(|(b0, _)| *b0).collect();
    assert_eq!(firsts, [RSV1 | RSV2 | TEXT, FIN]);
}

#[test]
fn a_message_that_was_begun_by_hand_goes_on_without_the_extension() {
    let twice = Twice { step: 9 };
    let (mut client, server) = pair(&[&twice], Limits::default());
    let mut wire = vec![];
    client.send(Message::binary(&b"encoded"[..]), &mut wire).unwrap();
    client.send(Message::binary(&b"plain "[..]).unfinished(), &mut wire).unwrap();
    client.send(Message::binary(&b"end"[..]), &mut wire).unwrap();
    for first in [&b"by "[..], b"again by "] {
        let mask = client.sender.send_header(MessageKind::Binary, first.len() as u64, false, &mut wire).unwrap();
        let start = wire.len();
        wire.extend_from_slice(first);
        mask.unwrap().apply(&mut wire[start..]);
        client.send(Message::binary(&b"hand"[..]), &mut wire).unwrap();
    }
    let received = drive(server, [&wire[..]]);
    let said: Vec<u8> = received.said.iter().flat_map(|said| bytes(said).to_vec()).collect();
    assert_eq!((said, received.error), (b"encodedplain endby handagain by hand".to_vec(), None));
}

#[test]
fn the_core_holds_the_limit_behind_a_foreign_decoder() {
    for step in [1, 5, usize::MAX] {
        let twice = Twice { step };
        let (mut client, server) = pair(&[&twice], Limits::default().message(1000).frame(1 << 20));
        let mut wire = vec![];
        client.send(Message::binary(vec![7; 1000]), &mut wire).unwrap();
        client.send(Message::binary(vec![7; 1001]), &mut wire).unwrap();
        let received = drive(server, [&wire[..]]);
        let lens: Vec<usize> = received.said.iter().map(|said| bytes(said).len()).collect();
        assert_eq!(lens, [1000, 1000], "exactly the limit, twice");
        assert_eq!(received.error, Some(RemoteProtocolError::MessageTooBig { limit: 1000 }));
    }
}

fn bytes(said: &Said) -> &[u8] {
    match said {
        Said::Frame { bytes, .. } => bytes,
        _ => b"",
    }
}

#[test]
fn text_behind_a_foreign_decoder_is_validated() {
    for (payload, error) in [(&b"aa\xFF\xFF<>"[..], RemoteProtocolError::InvalidUtf8), (b"abb", EXTENSION)] {
        let (_, server) = pair(&[&Twice { step: 1 }], Limits::default());
        let received = drive(server, [&frame(Role::Server, FIN | RSV2 | TEXT, payload)[..]]);
        assert_eq!(received.error, Some(error));
    }
}

const EXTENSION: RemoteProtocolError = RemoteProtocolError::Extension(NOT_TWICE);

#[test]
fn two_extensions_with_one_bit_are_refused() {
    let agree = || Twice { step: 1 }.finalize(&Params::new("x-twice")).unwrap();
    let mut extensions = Extensions::none();
    extensions.push(agree()).unwrap();
    assert!(extensions.push(agree()).is_err());
    assert_eq!(extensions.len(), 1, "a refused extension changes nothing");
    assert!(extensions.push(Negotiated { rsv: Rsv::RSV1 | Rsv::RSV3, ..agree() }).is_ok());
    assert!(extensions.push(Negotiated { rsv: Rsv::RSV3, ..agree() }).is_err());

    // One that needs no bit can always be added.
    assert!(extensions.push(Negotiated { rsv: Rsv::NONE, ..agree() }).is_ok());
}

/// A decoder that says of each step what it was told to say; an encoder that fails.
struct Liar(Progress);

impl Decoder for Liar {
    fn start_frame(&mut self, _: FrameInfo, _: Rsv) -> Result<bool, ExtensionError> {
        Ok(true)
    }

    fn decode(&mut self, _: &[u8], _: End, _: &mut [u8]) -> Result<Progress, ExtensionError> {
        Ok(self.0)
    }
}

impl Encoder for Liar {
    fn start_frame(&mut self, _: FrameInfo, _: usize, _: bool) -> Option<Rsv> {
        Some(Rsv::NONE)
    }

    fn encode(&mut self, _: &[u8], _: End, out: &mut Vec<u8>) -> Result<(), ExtensionError> {
        out.extend(b"half of it");
        Err(NOT_TWICE)
    }
}

#[test]
fn a_decoder_that_breaks_its_contract_ends_the_connection_without_panic_or_loop() {
    let progress = |consumed, produced, more| Progress { consumed, produced, more };
    let lies = [
        progress(0, 0, true),           // nothing was done, and more is to come
        progress(0, 0, false),          // all was done, and nothing was consumed
        progress(2, 0, false),          // not all was consumed
        progress(4, 0, false),          // more than there was
        progress(usize::MAX, 0, false), // much more
        progress(3, usize::MAX, false), // more was written than there is space
        progress(usize::MAX, usize::MAX, true),
        progress(0, 1 << 20, true),
    ];
    for lie in lies {
        for order in ["liar", "liar, sound", "sound, liar"] {
            let mut extensions = Extensions::none();
            for name in order.split(", ") {
                let (rsv, liar) = (if name == "liar" { Rsv::RSV2 } else { Rsv::RSV3 }, name == "liar");
                let decoder: Box<dyn Decoder> = if liar { Box::new(Liar(lie)) } else { Box::new(Sound) };
                extensions.push(Negotiated { rsv, decoder, encoder: Box::new(Liar(lie)) }).unwrap();
            }
            let server = connection(Role::Server, extensions, Limits::default());
            let Transcript { error, .. } = drive(server, [&frame(Role::Server, FIN | RSV2 | TEXT, b"abc")[..]]);
            assert!(
                matches!(error, Some(RemoteProtocolError::Extension(error)) if error.code == CloseCode::INTERNAL_ERROR),
                "{lie:?}, {order}: {error:?}"
            );
        }
    }
}

/// Takes part in every frame and changes nothing.
struct Sound;

impl Decoder for Sound {
    fn start_frame(&mut self, _: FrameInfo, _: Rsv) -> Result<bool, ExtensionError> {
        Ok(true)
    }

    fn decode(&mut self, input: &[u8], _: End, output: &mut [u8]) -> Result<Progress, ExtensionError> {
        let n = input.len().min(output.len());
        output[..n].copy_from_slice(&input[..n]);
        Ok(Progress { consumed: n, produced: n, more: n < input.len() })
    }
}

/// Sets a bit that is not its own, or takes away what stood in the buffer before.
struct Thief(Rsv);

impl Encoder for Thief {
    fn start_frame(&mut self, _: FrameInfo, _: usize, _: bool) -> Option<Rsv> {
        Some(self.0)
    }

    fn encode(&mut self, _: &[u8], _: End, out: &mut Vec<u8>) -> Result<(), ExtensionError> {
        out.clear();
        Ok(())
    }
}

#[test]
fn an_encoder_that_breaks_its_contract_ends_the_connection_without_panic() {
    for (rsv, role) in [(Rsv::RSV1, Role::Server), (Rsv::RSV2, Role::Server), (Rsv::RSV2, Role::Client)] {
        let mut extensions = Extensions::none();
        extensions
            .push(Negotiated { rsv: Rsv::RSV2, decoder: Box::new(Sound), encoder: Box::new(Thief(rsv)) })
            .unwrap();
        let mut connection = connection(role, extensions, Limits::default());
        let sent = connection.send(Message::text("x"), &mut b"before".to_vec());
        assert!(
            matches!(sent, Err(LocalProtocolError::Extension(error)) if error.code == CloseCode::INTERNAL_ERROR),
            "{sent:?}"
        );
        assert_eq!(connection.transport(), Transport::Close);
    }
}

#[test]
fn an_encoder_that_fails_closes_the_sender_and_leaves_the_output_as_it_was() {
    for role in support::ROLES {
        let mut extensions = Extensions::none();
        let lie = || Liar(Progress { consumed: 0, produced: 0, more: true });
        extensions.push(negotiated(Rsv::RSV2, lie(), lie())).unwrap();
        let mut connection = connection(role, extensions, Limits::default());
        let mut out = b"before".to_vec();
        let sent = connection.send(Message::text("x"), &mut out);
        assert_eq!(sent, Err(LocalProtocolError::Extension(NOT_TWICE)));
        assert_eq!(out, b"before");
        assert_eq!(connection.send(Message::text("x"), &mut out), sent, "for ever");
        assert_eq!(connection.send(Ping::new(&b""[..]), &mut out), sent);
        assert_eq!(connection.transport(), Transport::Close, "there is no way to say goodbye");
        connection.reply(RemoteProtocolError::ReservedBits.response().unwrap(), &mut out);
        assert_eq!(out, b"before");
        // The other direction does not care.
        assert!(!connection.receiver.is_closed());
    }
}
