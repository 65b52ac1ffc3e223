//! Several coders as one.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::{Decoder, Encoder, End, FrameInfo, Progress};
use crate::close::CloseCode;
use crate::error::ExtensionError;
use crate::frame::Rsv;

/// The decoders of a connection, the one nearest to the wire first.
pub(crate) struct DecoderStack {
    stages: Vec<Stage>,
    rsv: Rsv,
}

impl DecoderStack {
    pub(super) fn new(decoders: Vec<Box<dyn Decoder>>, rsv: Rsv) -> Self {
        let stages = decoders.into_iter().map(Stage::new).collect();
        Self { stages, rsv }
    }

    /// The reserved bits that mean something on this connection.
    pub(crate) const fn rsv(&self) -> Rsv {
        self.rsv
    }

    /// Whether any decoder takes part in this frame.
    pub(crate) fn start_frame(&mut self, frame: FrameInfo, rsv: Rsv) -> Result<bool, ExtensionError> {
        let mut any = false;
        for stage in &mut self.stages {
            stage.active = stage.decoder.start_frame(frame, rsv)?;
            any |= stage.active;
        }
        Ok(any)
    }

    /// As [`Decoder::decode`], through all decoders that take part.
    pub(crate) fn decode(&mut self, input: &[u8], end: End, output: &mut [u8]) -> Result<Progress, ExtensionError> {
        decode(&mut self.stages, input, end, output)
    }
}

struct Stage {
    decoder: Box<dyn Decoder>,
    active: bool,
    inlet: Inlet,
}

impl Stage {
    fn new(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, active: false, inlet: Inlet::default() }
    }
}

/// What the stages before one decoded and it has not taken yet. Empty, and without memory, between frames.
#[derive(Default)]
struct Inlet {
    bytes: Vec<u8>,
    taken: usize,
    flow: Flow,
}

/// What to expect from the stages before.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Flow {
    /// They were not asked since the caller's input changed.
    #[default]
    Unasked,
    /// They have more.
    More,
    /// They took all of the caller's input and gave all they had for it.
    Dry,
}

/// What a stage decodes ahead for the one behind it, in bytes: as much as is unmasked at a time.
const INLET: usize = 4096;

fn decode(stages: &mut [Stage], input: &[u8], end: End, output: &mut [u8]) -> Result<Progress, ExtensionError> {
    let Some((last, before)) = stages.split_last_mut() else { return Ok(copy(input, output)) };
    if !last.active {
        return decode(before, input, end, output);
    }
    if !before.iter().any(|stage| stage.active) {
        return check(last.decoder.decode(input, end, output)?, input, output);
    }
    let Stage { decoder, inlet, .. } = last;
    if !input.is_empty() && inlet.flow == Flow::Dry {
        // There was more to give, and now there is more to take as well.
        inlet.flow = Flow::Unasked;
    }
    let mut total = Progress { consumed: 0, produced: 0, more: true };
    while total.produced < output.len() {
        if inlet.flow != Flow::Dry && inlet.taken == inlet.bytes.len() {
            inlet.bytes.resize(INLET, 0);
            let step = decode(before, &input[total.consumed..], end, &mut inlet.bytes)?;
            inlet.bytes.truncate(step.produced);
            inlet.taken = 0;
            inlet.flow = if step.more { Flow::More } else { Flow::Dry };
            total.consumed += step.consumed;
        }
        // The end is passed on with the last bytes before it.
        let end = if inlet.flow == Flow::Dry { end } else { End::No };
        let (from, to) = (&inlet.bytes[inlet.taken..], &mut output[total.produced..]);
        let step = check(decoder.decode(from, end, to)?, from, to)?;
        inlet.taken += step.consumed;
        total.produced += step.produced;
        if !step.more && inlet.flow == Flow::Dry {
            mem::take(inlet);
            return Ok(Progress { more: false, ..total });
        }
    }
    Ok(total)
}

fn copy(input: &[u8], output: &mut [u8]) -> Progress {
    let n = input.len().min(output.len());
    output[..n].copy_from_slice(&input[..n]);
    Progress { consumed: n, produced: n, more: n < input.len() }
}

/// A decoder is somebody else's code: what it says of itself must not make us panic or loop.
fn check(step: Progress, input: &[u8], output: &[u8]) -> Result<Progress, ExtensionError> {
    let possible = step.consumed <= input.len() && step.produced <= output.len();
    let moved = step.consumed > 0 || step.produced > 0;
    if possible && (if step.more { moved } else { step.consumed == input.len() }) {
        return Ok(step);
    }
    Err(BROKEN_CONTRACT)
}

const BROKEN_CONTRACT: ExtensionError =
    ExtensionError { code: CloseCode::INTERNAL_ERROR, message: "an extension broke its contract" };

/// The encoders of a connection, the one farthest from the wire first.
pub(crate) struct EncoderStack {
    encoders: Vec<EncoderStage>,
    /// Whether the message in progress was encoded by anybody.
    encoding: bool,
}

struct EncoderStage {
    encoder: Box<dyn Encoder>,
    /// The reserved bits that it may set.
    rsv: Rsv,
    active: bool,
}

impl EncoderStack {
    pub(super) fn new(encoders: impl IntoIterator<Item = (Box<dyn Encoder>, Rsv)>) -> Self {
        let stage = |(encoder, rsv)| EncoderStage { encoder, rsv, active: false };
        Self { encoders: encoders.into_iter().map(stage).collect(), encoding: false }
    }

    /// The reserved bits for this frame where an encoder takes part in it, else `None`.
    pub(crate) fn start_frame(
        &mut self,
        frame: FrameInfo,
        len: usize,
        compress: bool,
    ) -> Result<Option<Rsv>, ExtensionError> {
        let mut all = None;
        for stage in &mut self.encoders {
            let rsv = stage.encoder.start_frame(frame, len, compress);
            stage.active = rsv.is_some();
            if let Some(rsv) = rsv {
                if !stage.rsv.contains(rsv) {
                    return Err(BROKEN_CONTRACT);
                }
                all = Some(all.unwrap_or(Rsv::NONE) | rsv);
            }
        }
        self.encoding = !frame.last && (all.is_some() || (self.encoding && !frame.first));
        Ok(all)
    }

    /// Whether an encoder took part in the message that is in progress.
    pub(crate) const fn is_encoding(&self) -> bool {
        self.encoding
    }

    /// As [`Encoder::encode`], through all encoders that take part.
    pub(crate) fn encode(&mut self, payload: &[u8], end: End, out: &mut Vec<u8>) -> Result<(), ExtensionError> {
        let start = out.len();
        let mut active = self.encoders.iter_mut().filter(|stage| stage.active).peekable();
        let mut encoded = vec![];
        let mut first = true;
        while let Some(stage) = active.next() {
            let step = if first { None } else { Some(mem::take(&mut encoded)) };
            let input = step.as_deref().unwrap_or(payload);
            let to = if active.peek().is_some() { &mut encoded } else { &mut *out };
            stage.encoder.encode(input, end, to)?;
            first = false;
        }
        // What stood in the caller's buffer before is not the encoder's.
        if out.len() < start { Err(BROKEN_CONTRACT) } else { Ok(()) }
    }
}
