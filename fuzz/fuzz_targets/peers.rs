//! Two ends that talk: what one sends the other receives, both agree on how far the closing handshake is, and
//! neither ever finds fault with the other.
#![no_main]

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wsproto::extension::{Extension, Extensions, PerMessageDeflate};
use wsproto::{
    CloseCode, CloseFrame, Connection, Event, Input, Limits, LocalProtocolError, Message, MessageKind, Ping, Pong,
    State,
};

#[derive(Arbitrary, Debug)]
struct Given {
    deflate: Option<Terms>,
    steps: Vec<(bool, Step)>,
}

#[derive(Arbitrary, Debug)]
struct Terms {
    client_forgets: bool,
    server_forgets: bool,
    client_bits: u8,
    server_bits: u8,
    threshold: u8,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Text { text: String, last: bool },
    Binary { bytes: Vec<u8>, times: u8, last: bool, compress: bool },
    Header { text: bool, bytes: Vec<u8>, last: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close { code: u16, reason: String },
    Deliver(u16),
    Eof,
}

/// What an end said, in order, until the other has heard it. Text and binary are joined to messages.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame<'static>),
}

struct End {
    connection: Connection,
    /// On the way to the other end.
    wire: Vec<u8>,
    /// Said, and not yet heard there.
    said: VecDeque<Said>,
    /// The message that is not finished, as it was said.
    saying: Vec<u8>,
    /// The message that is not finished, as it was heard.
    hearing: Vec<u8>,
    deaf: bool,
}

impl End {
    fn new(connection: Connection) -> Self {
        Self { connection, wire: vec![], said: VecDeque::new(), saying: vec![], hearing: vec![], deaf: false }
    }

    fn part(&mut self, message: &Message<'_>, compress: bool) {
        let closed = self.connection.sender.is_closed();
        let before = self.wire.len();
        let sent = match compress {
            true => self.connection.send(message, &mut self.wire),
            false => self.connection.sender.send_uncompressed(message, &mut self.wire),
        };
        self.account(sent, closed, before, message.data.kind(), message.data.as_bytes(), message.message_finished);
    }

    fn account(
        &mut self,
        sent: Result<(), LocalProtocolError>,
        closed: bool,
        before: usize,
        kind: MessageKind,
        bytes: &[u8],
        last: bool,
    ) {
        match sent {
            Ok(()) => {
                assert!(!closed && self.wire.len() > before);
                self.saying.extend_from_slice(bytes);
                if last {
                    self.said.push_back(Said::Message(kind, std::mem::take(&mut self.saying)));
                }
            }
            Err(error) => {
                assert_eq!(self.wire.len(), before, "a refused call appends nothing");
                assert_eq!(error == LocalProtocolError::CloseSent, closed, "{error:?}");
            }
        }
    }

    fn control(&mut self, sent: Result<(), LocalProtocolError>, closed: bool, len: usize, said: Said) {
        match sent {
            Ok(()) => {
                assert!(!closed && len <= 125);
                self.said.push_back(said);
            }
            Err(_) => assert!(closed || len > 125),
        }
    }

    fn step(&mut self, step: &Step) {
        let closed = self.connection.sender.is_closed();
        match step {
            Step::Text { text, last } => {
                let message = Message::text(text.as_str());
                self.part(&if *last { message } else { message.unfinished() }, true);
            }
            Step::Binary { bytes, times, last, compress } => {
                let message = Message::binary(bytes.repeat(1 + usize::from(*times)));
                self.part(&if *last { message } else { message.unfinished() }, *compress);
            }
            Step::Header { text, bytes, last } => {
                // Only whole characters, as the caller has to see to.
                let kind = if *text { MessageKind::Text } else { MessageKind::Binary };
                let bytes: Vec<u8> = bytes.iter().map(|byte| if *text { byte % 128 } else { *byte }).collect();
                let before = self.wire.len();
                let sent = self.connection.sender.send_header(kind, bytes.len() as u64, *last, &mut self.wire);
                if let Ok(mask) = &sent {
                    let start = self.wire.len();
                    self.wire.extend_from_slice(&bytes);
                    mask.iter().copied().for_each(|mut mask| mask.apply(&mut self.wire[start..]));
                }
                self.account(sent.map(drop), closed, before, kind, &bytes, *last);
            }
            Step::Ping(payload) => {
                let sent = self.connection.send(Ping::new(&payload[..]), &mut self.wire);
                self.control(sent, closed, payload.len(), Said::Ping(payload.clone()));
            }
            Step::Pong(payload) => {
                let sent = self.connection.send(Pong::new(&payload[..]), &mut self.wire);
                self.control(sent, closed, payload.len(), Said::Pong(payload.clone()));
            }
            Step::Close { code, reason } => {
                let frame = match CloseCode::new(*code) {
                    Some(code) => CloseFrame::new(code, reason.clone()),
                    None => CloseFrame::empty(),
                };
                let sent = self.connection.send(&frame, &mut self.wire);
                self.control(sent, closed, 0, Said::Close(frame));
            }
            Step::Deliver(_) | Step::Eof => {}
        }
    }

    /// Hears these bytes, which `from` said, and answers.
    fn hear(&mut self, bytes: &mut [u8], from: &mut VecDeque<Said>) {
        let mut input = Input::new(bytes);
        while let Some(event) = self.connection.receive(&mut input).expect("the other end is ours too") {
            let heard = match &event {
                Event::Message(message) => {
                    self.hearing.extend_from_slice(message.data.as_bytes());
                    if !message.message_finished {
                        continue;
                    }
                    Said::Message(message.data.kind(), std::mem::take(&mut self.hearing))
                }
                Event::Ping(ping) => Said::Ping(ping.payload.to_vec()),
                Event::Pong(pong) => Said::Pong(pong.payload.to_vec()),
                Event::Close(frame) => Said::Close(frame.clone().into_owned()),
                _ => unreachable!("an event that this target does not know"),
            };
            assert_eq!(from.pop_front().as_ref(), Some(&heard));
            if let Some(reply) = event.response() {
                let closed = self.connection.sender.is_closed();
                self.connection.reply(reply, &mut self.wire);
                match heard {
                    _ if closed => {}
                    Said::Ping(payload) => self.said.push_back(Said::Pong(payload)),
                    close => self.said.push_back(close),
                }
            }
        }
        assert!(input.is_empty());
    }
}

fn ends(terms: Option<&Terms>) -> [End; 2] {
    let mut agreed = [Extensions::none(), Extensions::none()];
    if let Some(terms) = terms {
        let deflate = PerMessageDeflate::new()
            .threshold(terms.threshold.into())
            .client_no_context_takeover(terms.client_forgets)
            .server_no_context_takeover(terms.server_forgets)
            .client_max_window_bits(8 + terms.client_bits % 8)
            .and_then(|deflate| deflate.server_max_window_bits(8 + terms.server_bits % 8))
            .expect("in range");
        let (answer, at_server) = deflate.accept(&deflate.offers()[0]).expect("our own offer");
        agreed[0].push(deflate.finalize(&answer).expect("our own answer")).expect("the only one");
        agreed[1].push(at_server).expect("the only one");
    }
    let [at_client, at_server] = agreed;
    let mut counter = 0_u32;
    let masks = move || {
        counter = counter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        counter.to_be_bytes()
    };
    let client = Connection::client(at_client, Limits::none(), masks);
    [End::new(client), End::new(Connection::server(at_server, Limits::none()))]
}

fuzz_target!(|given: Given| {
    let [mut a, mut b] = ends(given.deflate.as_ref());
    for (first, step) in &given.steps {
        let (end, other) = if *first { (&mut a, &mut b) } else { (&mut b, &mut a) };
        match step {
            Step::Deliver(n) if !other.deaf => {
                let n = usize::from(*n).min(end.wire.len());
                let mut bytes: Vec<u8> = end.wire.drain(..n).collect();
                other.hear(&mut bytes, &mut end.said);
            }
            Step::Deliver(_) => {}
            Step::Eof => {
                // The transport to the other end breaks off: an error exactly where no Close was heard.
                let closed = other.connection.receiver.is_closed();
                assert!(other.deaf || other.connection.receive_eof().is_ok() == closed);
                other.deaf = true;
            }
            step => end.step(step),
        }
    }
    // All that is on the way arrives, and so do the answers.
    while (!a.deaf && !b.wire.is_empty()) || (!b.deaf && !a.wire.is_empty()) {
        for first in [true, false] {
            let (end, other) = if first { (&mut a, &mut b) } else { (&mut b, &mut a) };
            if !other.deaf {
                let mut bytes = std::mem::take(&mut end.wire);
                other.hear(&mut bytes, &mut end.said);
                assert!(end.said.is_empty(), "said and never heard: {:?}", end.said);
                assert_eq!(other.hearing, end.saying, "the unfinished message, so far");
            }
        }
    }
    if !a.deaf && !b.deaf {
        assert_eq!(a.connection.state() == State::Closed, b.connection.state() == State::Closed);
        assert!(!matches!(a.connection.state(), State::LocalClosing | State::RemoteClosing));
    }
});
