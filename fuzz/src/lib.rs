//! What the fuzz targets share with the tests of the core, and the heads that the handshake targets build.

#![forbid(unsafe_code)]

#[path = "../../crates/wsproto/tests/support/mod.rs"]
mod support;

pub mod core {
    //! The tests' own echo loop, transcript and frames.
    use super::support;
    use wsproto::frame::Role;
    use wsproto::{Connection, Event, Extensions, Input, Limits, Message};

    /// The transcript of a stream that arrives in these pieces, as text: equal for equal outcomes.
    ///
    /// Answers are compared byte by byte, compressed ones too; and what their reader hears is what was said.
    pub fn echo(role: Role, deflate: Option<&str>, limits: Limits, pieces: &[&[u8]]) -> String {
        let connection = |role, limits| {
            let extensions = if deflate.is_some() { support::agreed(role, deflate) } else { Extensions::none() };
            support::connection(role, extensions, limits)
        };
        let mut transcript = support::drive(connection(role, limits), pieces.iter().copied());
        let out = std::mem::take(&mut transcript.out);
        if deflate.is_some() {
            let heard = support::drive(connection(support::other(role), Limits::none()), [&out[..]]);
            assert_eq!(heard.error, None, "our answer is refused");
        }
        format!("{transcript:?} {} {out:x?}", all(&transcript.said))
    }

    /// Two ends that agreed say the same thing twice, each to the other, and it arrives.
    pub fn say_twice(mut client: Connection, mut server: Connection) {
        let text = "what was said, once and again, ".repeat(40);
        for _ in 0..2 {
            say(&mut client, &mut server, &text);
            say(&mut server, &mut client, &text);
        }
    }

    fn say(from: &mut Connection, to: &mut Connection, text: &str) {
        let mut out = Vec::new();
        from.send(Message::text(text), &mut out).expect("it may be sent");
        let (mut input, mut heard) = (Input::new(&mut out), Vec::new());
        while let Some(event) = to.receive(&mut input).expect("what we say is legal") {
            let Event::Message(message) = event else { panic!("{event:?}") };
            heard.extend_from_slice(message.data.as_bytes());
        }
        assert!(heard == text.as_bytes(), "something else arrived");
    }

    /// A connection of this end with these extensions.
    pub fn connection(role: Role, extensions: Extensions) -> Connection {
        support::connection(role, extensions, Limits::default())
    }

    /// All bytes, not their first few as `Debug` shows them.
    fn all(said: &[support::Said]) -> String {
        let bytes = said.iter().map(|said| match said {
            support::Said::Frame { bytes, .. } => format!("{bytes:x?}"),
            other => format!("{other:?}"),
        });
        bytes.collect()
    }

    /// A frame as its first byte says, with this payload, masked as this end wants it.
    pub fn frame(to: Role, b0: u8, payload: &[u8]) -> Vec<u8> {
        support::frame(to, b0, payload)
    }

    /// The header of a frame that claims this length.
    pub fn header(to: Role, b0: u8, len: u64) -> Vec<u8> {
        support::header(to, b0, len)
    }

    /// A choice of the tests' streams: name, whether it is for a server, whether it is compressed, bytes.
    pub fn streams() -> Vec<(String, bool, bool, Vec<u8>)> {
        let short = support::corpus::corpus().into_iter().filter(|case| case.bytes.len() < 200);
        let chosen = short.step_by(67);
        chosen.map(|case| (case.name, case.role == Role::Server, case.deflate.is_some(), case.bytes)).collect()
    }

    /// The bytes in pieces, as the seed says.
    pub fn cut(seed: u64, bytes: &[u8]) -> Vec<&[u8]> {
        support::Random(seed).cut(bytes)
    }
}

/// One line of a head: mostly a sensible one, so that the fuzzer gets past the first check.
#[derive(arbitrary::Arbitrary, Debug)]
pub enum Line {
    /// The line that a handshake needs, by number.
    Needed(u8),
    /// Its name with another value.
    Changed(u8, Vec<u8>),
    /// Any bytes as they are, without a line ending.
    Raw(Vec<u8>),
}

/// A head: the first line, the first five that are needed but for the one with this number, these lines, and more.
pub fn head(first: &[u8], needed: &[&str], left_out: u8, lines: &[Line], rest: &[u8]) -> Vec<u8> {
    let mut bytes = [first, b"\r\n"].concat();
    for (n, line) in needed.iter().take(5).enumerate() {
        if n != usize::from(left_out) {
            bytes.extend(format!("{line}\r\n").bytes());
        }
    }
    for line in lines {
        match line {
            Line::Needed(n) => bytes.extend(format!("{}\r\n", needed[usize::from(*n) % needed.len()]).bytes()),
            Line::Changed(n, value) => {
                let name = needed[usize::from(*n) % needed.len()].split(':').next().unwrap_or_default();
                bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
            Line::Raw(raw) => bytes.extend_from_slice(raw),
        }
    }
    [&bytes, &b"\r\n"[..], rest].concat()
}
