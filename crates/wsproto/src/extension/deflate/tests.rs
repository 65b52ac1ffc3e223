//! The two coders against each other, and against the library used by hand.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::slice;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

use super::codec::Settings;
use super::decoder::DeflateDecoder;
use super::encoder::DeflateEncoder;
use super::{CodecPool, TAIL, naive};
use crate::close::CloseCode;
use crate::error::ExtensionError;
use crate::event::MessageKind;
use crate::extension::{Decoder, Encoder, End, FrameInfo};
use crate::frame::Rsv;

fn frame(first: bool, last: bool) -> FrameInfo {
    FrameInfo { kind: MessageKind::Binary, first, last }
}

/// Bits of the window, takeover, and the pool.
fn encoder(level: u8, bits: u8, takeover: bool, pool: &CodecPool) -> DeflateEncoder {
    DeflateEncoder::new(pool.clone(), Settings { level, mem_level: 5, bits }, takeover, 0)
}

fn decoder(bits: u8, takeover: bool, pool: &CodecPool) -> DeflateDecoder {
    DeflateDecoder::new(pool.clone(), bits, takeover)
}

/// One message in fragments, each of which is fed in these pieces: the payloads of its frames.
fn encode(encoder: &mut dyn Encoder, fragments: &[&[u8]], piece: usize) -> Vec<Vec<u8>> {
    let mut frames = vec![];
    for (i, fragment) in fragments.iter().enumerate() {
        let (first, last) = (i == 0, i + 1 == fragments.len());
        let rsv = encoder.start_frame(frame(first, last), fragment.len(), true);
        assert_eq!(rsv, Some(if first { Rsv::RSV1 } else { Rsv::NONE }));
        let end = if last { End::Message } else { End::Frame };
        let mut out = b"before".to_vec();
        let mut rest = *fragment;
        while rest.len() > piece {
            encoder.encode(&rest[..piece], End::No, &mut out).unwrap();
            rest = &rest[piece..];
        }
        encoder.encode(rest, end, &mut out).unwrap();
        assert!(out.starts_with(b"before"));
        frames.push(out.split_off(6));
    }
    frames
}

/// One message from its frames, fed in pieces into so much space: the bytes, and the error that came after them.
fn decode(
    decoder: &mut dyn Decoder,
    frames: &[Vec<u8>],
    mut piece: impl FnMut() -> usize,
    space: usize,
) -> (Vec<u8>, Option<ExtensionError>) {
    let mut all = vec![];
    let mut output = vec![0xAA; space];
    for (i, payload) in frames.iter().enumerate() {
        let (first, last) = (i == 0, i + 1 == frames.len());
        let rsv = if first { Rsv::RSV1 } else { Rsv::NONE };
        assert_eq!(decoder.start_frame(frame(first, last), rsv), Ok(true));
        let mut rest = payload.as_slice();
        loop {
            let now = &rest[..piece().clamp(1, rest.len().max(1)).min(rest.len())];
            rest = &rest[now.len()..];
            let end = match (rest.is_empty(), last) {
                (false, _) => End::No,
                (true, false) => End::Frame,
                (true, true) => End::Message,
            };
            let mut now = now;
            loop {
                let step = match decoder.decode(now, end, &mut output) {
                    Ok(step) => step,
                    Err(error) => return (all, Some(error)),
                };
                all.extend_from_slice(&output[..step.produced]);
                now = &now[step.consumed..];
                if !step.more {
                    assert!(now.is_empty(), "not done with its input");
                    break;
                }
                assert!(step.consumed + step.produced > 0, "nothing moved");
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    (all, None)
}

fn decode_whole(decoder: &mut dyn Decoder, frames: &[Vec<u8>]) -> Vec<u8> {
    let (bytes, error) = decode(decoder, frames, || usize::MAX, 1000);
    assert_eq!(error, None);
    bytes
}

/// Text with repetitions near and far.
fn text(len: usize, seed: u32) -> Vec<u8> {
    let words = [&b"server "[..], b"client ", b"frame ", b"{\"id\":", b"1234", b", ", b"\"window\"", b"zzzzzzzzzz"];
    let mut state = seed;
    let mut text = vec![];
    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(words[(state >> 24) as usize % words.len()]);
        text.extend_from_slice(&state.to_le_bytes()[..(state >> 16) as usize % 3]);
    }
    text.truncate(len);
    text
}

/// The library's encoder, as the RFC describes its use: one stream for the connection, reset without takeover.
struct ByHand {
    deflate: Deflate,
    takeover: bool,
}

impl ByHand {
    fn new(bits: u8, takeover: bool) -> Self {
        let config = DeflateConfig { window_bits: -i32::from(bits.max(9)), ..DeflateConfig::default() };
        Self { deflate: Deflate::new_with_config(config), takeover }
    }

    fn run(&mut self, input: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let mut out = vec![0; input.len() * 2 + 1000];
        let (before_in, before_out) = (self.deflate.total_in(), self.deflate.total_out());
        self.deflate.compress(input, &mut out, flush).unwrap();
        assert_eq!(self.deflate.total_in() - before_in, input.len() as u64);
        out.truncate(usize::try_from(self.deflate.total_out() - before_out).unwrap());
        out
    }

    fn message(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.deflate.reset();
        }
        let mut payload = self.run(message, DeflateFlush::SyncFlush);
        if !payload.is_empty() {
            assert!(payload.ends_with(&TAIL));
            payload.truncate(payload.len() - 4);
        } else {
            payload.push(0);
        }
        payload
    }
}

/// A decoder of our own, and the library's, that look whether the negotiated window is kept.
struct InflateByHand {
    inflate: Inflate,
    said: Vec<u8>,
    bits: u8,
    takeover: bool,
}

impl InflateByHand {
    fn new(bits: u8, takeover: bool) -> Self {
        Self { inflate: Inflate::new(false, bits), said: vec![], bits, takeover }
    }

    fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.inflate = Inflate::new(false, self.bits);
            self.said.clear();
        }
        let before = self.said.len();
        let distance = naive::inflate(&[payload, &TAIL].concat(), &mut self.said).expect("broken");
        assert!(distance <= 1 << self.bits, "{distance} is too far for {} bits", self.bits);
        let message = self.said[before..].to_vec();
        assert!(message == self.by_the_library(payload));
        message
    }

    fn by_the_library(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut all = vec![];
        let mut output = [0; 100];
        let mut input = [payload, &TAIL].concat();
        loop {
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            self.inflate.decompress(&input, &mut output, InflateFlush::NoFlush).unwrap();
            let produced = usize::try_from(self.inflate.total_out() - before_out).unwrap();
            all.extend_from_slice(&output[..produced]);
            input.drain(..usize::try_from(self.inflate.total_in() - before_in).unwrap());
            if produced < output.len() {
                assert!(input.is_empty());
                return all;
            }
        }
    }
}

/// Messages around the sizes of windows, empty ones among them.
fn messages() -> Vec<Vec<u8>> {
    [0, 1, 3, 100, 0, 251, 256, 257, 511, 512, 4000, 4096, 5000, 70_000, 2, 33_000, 0, 10]
        .iter()
        .map(|&len| text(len, 7))
        .collect()
}

#[test]
fn what_we_encode_the_library_decodes_in_the_negotiated_window() {
    let pool = CodecPool::default();
    for level in [0, 1, 2, 4, 6, 9] {
        for bits in 8..=15 {
            for takeover in [false, true] {
                let mut encoder = encoder(level, bits, takeover, &pool);
                let mut hand = InflateByHand::new(bits, takeover);
                for message in messages() {
                    let payload = encode(&mut encoder, &[&message], usize::MAX).remove(0);
                    assert!(hand.message(&payload) == message, "{level} {bits} {takeover} {}", message.len());
                }
                for cut in [0, 1, 700, 1000] {
                    let message = text(1000, 3);
                    let (head, tail) = message.split_at(cut);
                    for fragments in [&[head, tail][..], &[b"", head, b"", b"", tail, b""]] {
                        let frames = encode(&mut encoder, fragments, 100);
                        assert!(hand.message(&frames.concat()) == message);
                    }
                }
            }
        }
    }
}

#[test]
fn what_the_library_encodes_we_decode() {
    let pool = CodecPool::default();
    for bits in 8..=15 {
        for takeover in [false, true] {
            let mut hand = ByHand::new(bits, takeover);
            let mut decoder = decoder(bits, takeover, &pool);
            for message in messages() {
                let payload = hand.message(&message);
                assert!(decode_whole(&mut decoder, &[payload]) == message, "{bits} {takeover} {}", message.len());
            }
        }
    }
}

#[test]
fn takeover_makes_a_repeated_message_short_and_its_absence_does_not() {
    let pool = CodecPool::default();
    let message = text(200, 1);
    for bits in 8..=15 {
        for level in 1..=9 {
            let mut kept = encoder(level, bits, true, &pool);
            let mut forgotten = encoder(level, bits, false, &pool);
            let first = encode(&mut kept, &[&message], usize::MAX).concat().len();
            assert_eq!(encode(&mut forgotten, &[&message], usize::MAX).concat().len(), first);
            assert_eq!(encode(&mut forgotten, &[&message], usize::MAX).concat().len(), first);
            for _ in 0..400 {
                let again = encode(&mut kept, &[&message], usize::MAX).concat().len();
                assert!(again <= 20 && again < first / 3, "{bits} {level}: {first} and then {again}");
            }
        }
    }
}

/// A window of 8 bits: 256 bytes, though the library's smallest encoder works with 512.
#[test]
fn with_eight_bits_no_distance_is_longer_than_256() {
    let pool = CodecPool::default();
    for level in 1..=9 {
        let mut encoder = encoder(level, 8, true, &pool);
        let mut hand = InflateByHand::new(8, true);
        // Everything repeats at each distance around the two windows.
        for period in [100, 240, 249, 250, 251, 255, 256, 257, 258, 300, 500, 511, 512, 513] {
            let block = text(period, u32::try_from(period).unwrap());
            for _ in 0..8 {
                let payload = encode(&mut encoder, &[&block, &block], usize::MAX).concat();
                assert!(hand.message(&payload) == [&block[..], &block].concat(), "{level} {period}");
            }
        }
    }
}

#[test]
fn blocks_of_every_kind_with_and_without_bfinal() {
    let pool = CodecPool::default();
    // "Hello", from the examples of RFC 7692 §7.2.3.
    for (payload, message) in [
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &b"Hello"[..]),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], b"Hello"),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        (&[0x00], b""),
        // The empty stored block with BFINAL, without its length.
        (&[0x01], b""),
        (&[0x00, 0x00, 0x00, 0xff, 0xff, 0x00], b""),
        (&[0x03, 0x00, 0x00], b""),
        // Whole, but without what the RFC wants at the end.
        (&[], b""),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff], b"Hello"),
        (&[0x00, 0x00, 0x00, 0xff, 0xff], b""),
        (&[0x01, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f], b"Hello"),
    ] {
        for piece in [1, 2, 3, usize::MAX] {
            for space in [1, 4, 5, 6, 100] {
                let mut decoder = decoder(9, true, &pool);
                for _ in 0..3 {
                    let decoded = decode(&mut decoder, &[payload.to_vec()], || piece, space);
                    assert_eq!(decoded, (message.to_vec(), None), "{payload:x?} {piece} {space}");
                }
            }
        }
    }
    // "Hello" again, which refers to the one before.
    let mut decoder = decoder(9, true, &pool);
    for payload in [&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        assert_eq!(decode_whole(&mut decoder, &[payload.to_vec()]), b"Hello");
    }
}

/// A block with BFINAL; what follows refers to what was before it.
#[test]
fn the_window_reaches_over_bfinal_within_a_message_and_over_messages() {
    let (before, again) = (text(600, 5), [&text(600, 5)[100..], b"!"].concat());
    let finished = |history: &[u8], message: &[u8]| {
        let mut hand = ByHand::new(12, true);
        if !history.is_empty() {
            hand.deflate.set_dictionary(history).unwrap();
        }
        hand.run(message, DeflateFlush::Finish)
    };
    let (first, second) = (finished(b"", &before), finished(&before, &again));
    assert!(second.len() < 30, "it does not refer back");
    let both = [&before[..], &again].concat();
    let pool = CodecPool::default();
    for piece in [1, 2, 7, usize::MAX] {
        for space in [1, 10, 600, 601, 5000] {
            for takeover in [false, true] {
                let one = [&first[..], &second, &[0]].concat();
                let mut within = decoder(12, takeover, &pool);
                assert_eq!(decode(&mut within, slice::from_ref(&one), || piece, space), (both.clone(), None));
                assert_eq!(decode(&mut within, slice::from_ref(&one), || piece, space), (both.clone(), None));
                let mut frames = decoder(12, takeover, &pool);
                let two = [first.clone(), second.clone()];
                assert_eq!(decode(&mut frames, &two, || piece, space), (both.clone(), None));
            }
            let mut across = decoder(12, true, &pool);
            assert_eq!(decode(&mut across, slice::from_ref(&first), || piece, space), (before.clone(), None));
            assert_eq!(decode(&mut across, slice::from_ref(&second), || piece, space), (again.clone(), None));
            let mut apart = decoder(12, false, &pool);
            assert_eq!(decode(&mut apart, slice::from_ref(&first), || piece, space), (before.clone(), None));
            let (_, error) = decode(&mut apart, slice::from_ref(&second), || piece, space);
            assert_eq!(error.unwrap().code, CloseCode::INVALID_PAYLOAD);
        }
    }
}

#[test]
fn a_message_that_ends_inside_a_block_is_broken() {
    let pool = CodecPool::default();
    let long = text(3000, 9);
    let compressed = ByHand::new(15, false).message(&long);
    let stored = [&[0x00, 0x05, 0x00, 0xfa, 0xff][..], b"Hello", &[0x00]].concat();
    // (Of the stored block the first byte alone is an empty message.)
    for (payload, message, least) in [(compressed, &long[..], 1), (stored, b"Hello", 2)] {
        for end in least..payload.len() {
            let mut decoder = decoder(15, true, &pool);
            let (bytes, error) = decode(&mut decoder, &[payload[..end].to_vec()], || usize::MAX, 100);
            assert_eq!(error.map(|error| error.code), Some(CloseCode::INVALID_PAYLOAD), "{end}");
            assert!(message.starts_with(&bytes));
        }
    }
}

#[test]
fn raw_messages_pass_the_codec_by_and_continuations_follow_their_first_frame() {
    let pool = CodecPool::default();
    let settings = Settings { level: 6, mem_level: 5, bits: 12 };
    let mut encoder = DeflateEncoder::new(pool.clone(), settings, true, 100);
    // Given whole, below the threshold or not; in fragments; and forbidden.
    assert_eq!(encoder.start_frame(frame(true, true), 99, true), None);
    assert_eq!(encoder.start_frame(frame(true, true), 100, false), None);
    assert_eq!(encoder.start_frame(frame(true, false), 100, false), None);
    assert_eq!(encoder.start_frame(frame(false, false), 1000, true), None);
    assert_eq!(encoder.start_frame(frame(false, true), 1000, true), None);
    assert_eq!(encoder.start_frame(frame(true, true), 100, true), Some(Rsv::RSV1));
    encoder.encode(&text(100, 1), End::Message, &mut vec![]).unwrap();
    assert_eq!(encoder.start_frame(frame(false, true), 1000, true), None);
    assert_eq!(encoder.start_frame(frame(true, false), 0, true), Some(Rsv::RSV1));
    encoder.encode(b"", End::Frame, &mut vec![]).unwrap();
    assert_eq!(encoder.start_frame(frame(false, true), 1, false), Some(Rsv::NONE));
    encoder.encode(b"", End::Message, &mut vec![]).unwrap();

    let mut decoder = decoder(12, true, &pool);
    assert_eq!(decoder.start_frame(frame(true, false), Rsv::NONE), Ok(false));
    assert_eq!(decoder.start_frame(frame(false, true), Rsv::NONE), Ok(false));
}

#[test]
fn nothing_is_borrowed_before_it_is_needed_or_after() {
    let pool = CodecPool::new(4);
    let (mut encoder, mut decoder) = (encoder(6, 12, true, &pool), decoder(12, true, &pool));
    let idle = || pool.idle();
    assert_eq!(encode(&mut encoder, &[b"", b"", b""], 1), [&b""[..], b"", b"\0"]);
    assert_eq!(idle(), (0, 0), "an empty message needs no encoder");
    let frames = encode(&mut encoder, &[b"some", b" text"], 2);
    assert_eq!(idle(), (0, 1));
    assert_eq!(decode_whole(&mut decoder, &frames), b"some text");
    assert_eq!(idle(), (1, 1));

    // While a message is unfinished its codecs are lent, and they come back also when nobody ends it.
    assert!(encoder.start_frame(frame(true, false), 4, true).is_some());
    encoder.encode(b"more", End::Frame, &mut vec![]).unwrap();
    decoder.start_frame(frame(true, false), Rsv::RSV1).unwrap();
    decoder.decode(&frames[0], End::Frame, &mut [0; 100]).unwrap();
    assert_eq!(idle(), (0, 0));
    drop((encoder, decoder));
    assert_eq!(idle(), (1, 1));
}

/// What one connection said is nothing that another one's peer can refer to.
#[test]
fn a_borrowed_codec_knows_nothing_of_the_connection_before() {
    let pool = CodecPool::new(1);
    let secret = text(3000, 4);
    let mut referring = ByHand::new(15, true);
    referring.message(&secret);
    let reference = referring.message(&secret);
    for takeover in [false, true] {
        let mut one = decoder(15, takeover, &pool);
        let said = encode(&mut encoder(6, 12, takeover, &pool), &[&secret], usize::MAX);
        assert_eq!(decode_whole(&mut one, &said), secret);
        assert_eq!(pool.idle(), (1, 1));
        let (bytes, error) = decode(&mut decoder(15, takeover, &pool), slice::from_ref(&reference), || 1, 100);
        assert_eq!(error.unwrap().code, CloseCode::INVALID_PAYLOAD);
        assert!(bytes.is_empty());
        let again = encode(&mut encoder(6, 12, takeover, &pool), &[&secret], usize::MAX);
        assert_eq!(again, said, "the encoder, too, starts from nothing");
    }
}

/// A level 1 block that nobody ended is nothing that the next message goes on with.
#[test]
fn a_message_that_nobody_ended_leaves_nothing_behind() {
    for level in 0..=9 {
        let pool = CodecPool::new(1);
        let message = text(3000, 4);
        let new = encode(&mut encoder(level, 12, true, &pool), &[&message], usize::MAX);
        let mut left = encoder(level, 12, true, &pool);
        left.start_frame(frame(true, true), 9, true).unwrap();
        left.encode(&text(50_000, 8), End::No, &mut vec![]).unwrap();
        drop(left);
        assert_eq!(encode(&mut encoder(level, 12, true, &pool), &[&message], usize::MAX), new, "{level}");
    }
}

#[test]
fn an_error_comes_after_the_bytes_before_it_and_stays() {
    let pool = CodecPool::default();
    // A stored block of "Hello", then a block of the reserved kind.
    let payload = [&[0x00, 0x05, 0x00, 0xfa, 0xff][..], b"Hello", &[0x07]].concat();
    let mut decoder = decoder(15, true, &pool);
    decoder.start_frame(frame(true, true), Rsv::RSV1).unwrap();
    let mut output = [0; 100];
    let step = decoder.decode(&payload, End::Message, &mut output).unwrap();
    assert!(step.more && &output[..step.produced] == b"Hello");
    for _ in 0..3 {
        let error = decoder.decode(&payload[step.consumed..], End::Message, &mut output).unwrap_err();
        assert_eq!(error.code, CloseCode::INVALID_PAYLOAD);
    }
    assert_eq!(pool.idle().0, 1);
}

/// How a fragment or a message is made: bytes of which few are different, with repetitions.
fn said() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => vec_of(any::<u8>(), 0..300),
        3 => (0usize..6000, any::<u32>()).prop_map(|(len, seed)| text(len, seed)),
        1 => (0usize..50_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

/// Bytes of which few are different, of lengths around that of a window and of its memory.
fn stale() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        3 => 0usize..12,
        2 => 0usize..700,
        3 => (9u32..=13, 0usize..600).prop_map(|(bits, less)| (1usize << bits).saturating_sub(less)),
        1 => 0usize..30_000,
    ];
    (len, 1u8..6, any::<u32>()).prop_map(|(len, few, mut state)| {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24).to_le_bytes()[0] % few
        };
        (0..len).map(|_| next()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn round_trip_of_any_messages_in_any_pieces(
        messages in vec_of(vec_of(said(), 1..4), 1..6),
        level in 0u8..=9,
        bits in 8u8..=15,
        takeover: bool,
        piece_in in 1usize..5000,
        cuts in vec_of(1usize..300, 1..20),
        space in 1usize..3000,
    ) {
        let pool = CodecPool::new(1);
        let (mut encoder, mut decoder) = (encoder(level, bits, takeover, &pool), decoder(bits, takeover, &pool));
        let mut cuts = cuts.iter().cycle();
        for message in messages {
            let fragments: Vec<&[u8]> = message.iter().map(Vec::as_slice).collect();
            let frames = encode(&mut encoder, &fragments, piece_in);
            let decoded = decode(&mut decoder, &frames, || *cuts.next().unwrap(), space);
            prop_assert_eq!(decoded, (message.concat(), None));
        }
    }

    /// What an encoder writes depends on its own connection, not on who used the codec before.
    #[test]
    fn a_used_encoder_writes_what_a_new_one_writes(
        before in vec_of(vec_of(stale(), 1..3), 1..4),
        messages in vec_of(vec_of(stale(), 1..4), 1..5),
        level in 0u8..=9,
        mem_level in 1u8..=9,
        bits in 8u8..=12,
        piece in prop_oneof![1usize..100, Just(usize::MAX)],
        unfinished: bool,
    ) {
        let written = |pool: &CodecPool, used: bool| -> Vec<Vec<u8>> {
            let encoder = || {
                let settings = Settings { level, mem_level, bits };
                DeflateEncoder::new(pool.clone(), settings, true, 0)
            };
            let mut this = encoder();
            let mut written = vec![];
            for message in &messages {
                if used {
                    let mut other = encoder();
                    for message in &before {
                        encode(&mut other, &message.iter().map(Vec::as_slice).collect::<Vec<_>>(), piece);
                    }
                    if unfinished {
                        other.start_frame(frame(true, true), 1, true).unwrap();
                        other.encode(&before[0][0], End::No, &mut vec![]).unwrap();
                    }
                }
                written.extend(encode(&mut this, &message.iter().map(Vec::as_slice).collect::<Vec<_>>(), piece));
            }
            written
        };
        prop_assert!(written(&CodecPool::new(1), true) == written(&CodecPool::new(0), false));
    }

    /// And what a decoder reads.
    #[test]
    fn a_used_decoder_reads_what_a_new_one_reads(
        before in vec_of(any::<u8>(), 0..300),
        said in said(),
        payload in prop_oneof![
            vec_of(any::<u8>(), 0..60),
            said().prop_map(|said| {
                let mut referring = ByHand::new(15, true);
                referring.message(&said);
                referring.message(&said)
            }),
        ],
        at in any::<prop::sample::Index>(),
        takeover: bool,
    ) {
        let read = |pool: &CodecPool| decode(&mut decoder(12, takeover, pool), slice::from_ref(&payload), || 7, 100);
        let pool = CodecPool::new(1);
        let sent = ByHand::new(15, true).message(&said);
        for left in [&sent[..], &sent[..at.index(sent.len())], &before] {
            decode(&mut decoder(15, takeover, &pool), &[left.to_vec()], || 1000, 1000);
            prop_assert_eq!(read(&pool), read(&CodecPool::new(0)));
        }
    }

    /// Whatever the bytes are: one verdict, whatever the cuts and the space.
    #[test]
    fn any_bytes_in_any_pieces_give_the_same(
        garbage in vec_of(any::<u8>(), 0..60),
        good in said(),
        at in any::<prop::sample::Index>(),
        flip in 0u8..=255,
        truncated: bool,
        cuts in vec_of(1usize..50, 1..20),
        space in 1usize..600,
    ) {
        let mut broken = ByHand::new(15, true).message(&good);
        let at = at.index(broken.len());
        if truncated { broken.truncate(at) } else { broken[at] ^= flip }
        for payload in [garbage, broken] {
            let pool = CodecPool::new(1);
            let of = |piece: &mut dyn FnMut() -> usize, space| {
                let mut decoder: Box<dyn Decoder> = Box::new(decoder(10, true, &pool));
                let primed = decode(&mut *decoder, &[vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]], || 9, 9);
                assert_eq!(primed.0, b"Hello");
                decode(&mut *decoder, slice::from_ref(&payload), piece, space)
            };
            let mut cuts = cuts.iter().cycle();
            let whole = of(&mut || usize::MAX, 100_000);
            prop_assert_eq!(&of(&mut || 1, 1), &whole);
            prop_assert_eq!(&of(&mut || 1, 100_000), &whole);
            prop_assert_eq!(&of(&mut || *cuts.next().unwrap(), space), &whole);
            prop_assert_eq!(&of(&mut || usize::MAX, space), &whole);
        }
    }
}
