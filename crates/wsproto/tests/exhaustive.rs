//! Where all cases can be tried, all are: the first two bytes, close codes, the closing handshake.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use support::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, ROLES, RSV1, TEXT, agreed, close_body, connection, drive, frame,
    frames, plain,
};
use wsproto::frame::Role;
use wsproto::{
    CloseCode, CloseFrame, Connection, Data, Event, Input, Limits, LocalProtocolError, Message, Ping, Pong,
    RemoteProtocolError, Reply, ReplySlot, State, Transport,
};

// --- The first two bytes of a frame ---

/// The rules that two bytes can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Reserved,
    Opcode,
    Fragmented,
    ControlLength,
    Masking,
    NothingToContinue,
    Unfinished,
}

/// What was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    PlainText,
    CompressedBinary,
}

/// RFC 6455 §5.1 to §5.5 and RFC 7692 §6, word by word: all rules that these two bytes break.
fn broken_rules(b0: u8, b1: u8, role: Role, deflate: bool, inside: Inside) -> BTreeSet<Rule> {
    let mut broken = BTreeSet::new();
    let opcode = b0 % 16;
    if ![0, 1, 2, 8, 9, 10].contains(&opcode) {
        broken.insert(Rule::Opcode);
    }
    // RSV1 begins a compressed message, where that was negotiated; nothing else is defined.
    let begins_message = opcode == 1 || opcode == 2;
    if b0 & 0x30 != 0 || (b0 & 0x40 != 0 && !(deflate && begins_message)) {
        broken.insert(Rule::Reserved);
    }
    if opcode >= 8 && b0 < 0x80 {
        broken.insert(Rule::Fragmented);
    }
    if opcode >= 8 && b1 % 128 > 125 {
        broken.insert(Rule::ControlLength);
    }
    if (b1 >= 128) != (role == Role::Server) {
        broken.insert(Rule::Masking);
    }
    if opcode == 0 && inside == Inside::Nothing {
        broken.insert(Rule::NothingToContinue);
    }
    if begins_message && inside != Inside::Nothing {
        broken.insert(Rule::Unfinished);
    }
    broken
}

fn rule_of(error: RemoteProtocolError) -> Rule {
    match error {
        RemoteProtocolError::ReservedOpcode(_) => Rule::Opcode,
        RemoteProtocolError::ReservedBits | RemoteProtocolError::Extension(_) => Rule::Reserved,
        RemoteProtocolError::FragmentedControlFrame => Rule::Fragmented,
        RemoteProtocolError::ControlPayloadTooLong => Rule::ControlLength,
        RemoteProtocolError::Masked | RemoteProtocolError::Unmasked => Rule::Masking,
        RemoteProtocolError::UnexpectedContinuation => Rule::NothingToContinue,
        RemoteProtocolError::MessageUnfinished => Rule::Unfinished,
        other => panic!("two bytes cannot show this: {other:?}"),
    }
}

#[test]
fn all_first_two_bytes_are_judged_as_the_oracle_does() {
    let mut cases = 0_u32;
    for (role, deflate, inside) in situations() {
        let before = match inside {
            Inside::Nothing => vec![],
            Inside::PlainText => frame(role, TEXT, b"before"),
            Inside::CompressedBinary => frame(role, RSV1 | BINARY, &[0]),
        };
        let extensions = || agreed(role, deflate.then_some("permessage-deflate"));
        for b0 in 0..=255 {
            for b1 in 0..=255 {
                let case = || format!("{b0:#04x} {b1:#04x} for a {role:?}, deflate {deflate}, inside {inside:?}");
                let mut connection = connection(role, extensions(), Limits::default());
                let _ = connection.receive(&mut Input::new(&mut before.clone())).unwrap();
                assert_eq!(connection.receive(&mut Input::new(&mut [b0])), Ok(None), "one byte of {}", case());

                // What is legal and complete is an event; what is legal and not complete is waited for.
                let mut rest = vec![b1];
                let complete = b1 % 128 == 0;
                if complete && role == Role::Server {
                    rest.extend([0; 4]);
                }
                let broken = broken_rules(b0, b1, role, deflate, inside);
                match connection.receive(&mut Input::new(&mut rest)) {
                    Err(error @ RemoteProtocolError::Extension(_)) => {
                        // A bit that belongs to the extension is judged by it, when the header is complete.
                        assert!(deflate && broken == BTreeSet::from([Rule::Reserved]), "{}: {error:?}", case());
                    }
                    Err(error) => {
                        assert!(broken.contains(&rule_of(error)), "{}: {error:?}, but {broken:?}", case());
                        assert_eq!(error.close_code(), Some(CloseCode::PROTOCOL_ERROR));
                    }
                    Ok(event) => {
                        let judged_later = deflate && b0 & 0x7F == RSV1 && broken.len() == 1 && !complete;
                        assert!(broken.is_empty() || judged_later, "{}: {event:?}, but {broken:?}", case());
                        assert_eq!(event.as_ref().map(opcode_of), expected(b0, complete, inside), "{}", case());
                    }
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 65_536 * 10);
}

/// Role, deflate on or off, inside a message or not: a compressed one only where that is on.
fn situations() -> Vec<(Role, bool, Inside)> {
    let mut situations = vec![];
    for role in ROLES {
        for (deflate, inside) in [
            (false, Inside::Nothing),
            (false, Inside::PlainText),
            (true, Inside::Nothing),
            (true, Inside::PlainText),
            (true, Inside::CompressedBinary),
        ] {
            situations.push((role, deflate, inside));
        }
    }
    situations
}

/// The opcode that the event of this empty frame shows: of a continuation, that of its message.
fn expected(b0: u8, complete: bool, inside: Inside) -> Option<u8> {
    let opcode = match (b0 % 16, inside) {
        (CONTINUATION, Inside::PlainText) => TEXT,
        (CONTINUATION, _) => BINARY,
        (opcode, _) => opcode,
    };
    complete.then_some(opcode)
}

fn opcode_of(event: &Event<'_>) -> u8 {
    match event {
        Event::Message(message) if message.data.kind() == wsproto::MessageKind::Text => TEXT,
        Event::Message(_) => BINARY,
        Event::Ping(_) => PING,
        Event::Pong(_) => PONG,
        _ => CLOSE,
    }
}

// --- Close codes ---

#[test]
fn f12_all_close_codes_are_judged_as_iana_registers_them() {
    // https://www.iana.org/assignments/websocket, less what must not stand in a frame: 1004 to 1006, 1015.
    let registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    for code in 0..=u16::MAX {
        let legal = registered.contains(&code) || (3000..5000).contains(&code);
        assert_eq!(CloseCode::new(code).map(u16::from), legal.then_some(code));
        for role in ROLES {
            let mut connection = plain(role);
            let mut bytes = frame(role, FIN | CLOSE, &close_body(code, b"why"));
            let mut out = vec![];
            match connection.receive(&mut Input::new(&mut bytes)) {
                Ok(Some(event)) => {
                    assert!(legal, "{code} is accepted");
                    let Event::Close(frame) = &event else { panic!("{event:?}") };
                    assert_eq!((frame.code().map(u16::from), frame.reason()), (Some(code), "why"));
                    connection.reply(event.response().unwrap(), &mut out);
                    assert_eq!(frames(&out), [(FIN | CLOSE, close_body(code, b"why"))]);
                }
                Err(error) => {
                    assert!(!legal, "{code} is refused");
                    assert_eq!(error, RemoteProtocolError::InvalidCloseCode(code));
                    connection.reply(error.response().unwrap(), &mut out);
                    assert_eq!(frames(&out)[0].1[..2], 1002_u16.to_be_bytes());
                }
                Ok(None) => panic!("{code} is waited for"),
            }
            assert_eq!(connection.state(), State::Closed);
        }
    }
}

// --- The closing handshake: every state, every event ---

use State::{Closed, LocalClosing, Open, RemoteClosing};

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Happens {
    SendMessage,
    SendPing,
    SendPong,
    SendClose,
    ReplyPong,
    ReplyClose,
    ReceiveMessage,
    ReceivePing,
    ReceiveClose,
    ReceiveError,
    ReceiveEof,
}
use Happens::{
    ReceiveClose, ReceiveEof, ReceiveError, ReceiveMessage, ReceivePing, ReplyClose, ReplyPong, SendClose, SendMessage,
    SendPing, SendPong,
};

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    /// Bytes to send.
    Bytes,
    /// An event.
    Event,
    /// Nothing: it is too late for this, or it is as it should be.
    Nothing,
    /// `LocalProtocolError::CloseSent`.
    Refused,
    /// An error of the peer's.
    Error,
}
use Gives::{Bytes, Error, Nothing, Refused};

const BROKEN: RemoteProtocolError = RemoteProtocolError::ReservedOpcode(3);

#[test]
fn every_cell_of_the_closing_handshake() {
    #[rustfmt::skip]
    let table = [
        //               Open                          RemoteClosing             LocalClosing             Closed
        (SendMessage,    [(Bytes, Open),               (Bytes, RemoteClosing),   (Refused, LocalClosing), (Refused, Closed)]),
        (SendPing,       [(Bytes, Open),               (Bytes, RemoteClosing),   (Refused, LocalClosing), (Refused, Closed)]),
        (SendPong,       [(Bytes, Open),               (Bytes, RemoteClosing),   (Refused, LocalClosing), (Refused, Closed)]),
        (SendClose,      [(Bytes, LocalClosing),       (Bytes, Closed),          (Refused, LocalClosing), (Refused, Closed)]),
        (ReplyPong,      [(Bytes, Open),               (Bytes, RemoteClosing),   (Nothing, LocalClosing), (Nothing, Closed)]),
        (ReplyClose,     [(Bytes, LocalClosing),       (Bytes, Closed),          (Nothing, LocalClosing), (Nothing, Closed)]),
        (ReceiveMessage, [(Gives::Event, Open),          (Nothing, RemoteClosing), (Gives::Event, LocalClosing), (Nothing, Closed)]),
        (ReceivePing,    [(Gives::Event, Open),          (Nothing, RemoteClosing), (Gives::Event, LocalClosing), (Nothing, Closed)]),
        (ReceiveClose,   [(Gives::Event, RemoteClosing), (Nothing, RemoteClosing), (Gives::Event, Closed),       (Nothing, Closed)]),
        (ReceiveError,   [(Error, RemoteClosing),      (Nothing, RemoteClosing), (Error, Closed),         (Nothing, Closed)]),
        (ReceiveEof,     [(Error, RemoteClosing),      (Nothing, RemoteClosing), (Error, Closed),         (Nothing, Closed)]),
    ];
    for (happens, cells) in table {
        for (before, expected) in [Open, RemoteClosing, LocalClosing, Closed].into_iter().zip(cells) {
            for role in ROLES {
                let mut connection = brought_to(before, role, false);
                let gives = happen(happens, &mut connection, role);
                assert_eq!((gives, connection.state()), expected, "{before:?}, {happens:?}, {role:?}");
            }
        }
        // A connection that failed is in the state of one whose peer has closed, but says its error for ever.
        for (before, (gives, after)) in [(RemoteClosing, cells[1]), (Closed, cells[3])] {
            for role in ROLES {
                let mut connection = brought_to(before, role, true);
                let expected = if let ReceiveMessage | ReceivePing | ReceiveClose | ReceiveError | ReceiveEof = happens
                {
                    Error
                } else {
                    gives
                };
                let gives = happen(happens, &mut connection, role);
                assert_eq!((gives, connection.state()), (expected, after), "failed, {before:?}, {happens:?}, {role:?}");
                assert_eq!(connection.receiver.error(), Some(BROKEN));
            }
        }
    }
}

fn brought_to(state: State, role: Role, failed: bool) -> Connection {
    let mut connection = plain(role);
    if let RemoteClosing | Closed = state {
        happen(if failed { ReceiveError } else { ReceiveClose }, &mut connection, role);
    }
    if let LocalClosing | Closed = state {
        happen(SendClose, &mut connection, role);
    }
    assert_eq!(connection.state(), state);
    connection
}

fn happen(happens: Happens, connection: &mut Connection, role: Role) -> Gives {
    let mut out = vec![];
    let bye = CloseFrame::new(CloseCode::NORMAL, "bye");
    let sent = match happens {
        SendMessage => connection.send(Message::text("x"), &mut out),
        SendPing => connection.send(Ping::new(&b"x"[..]), &mut out),
        SendPong => connection.send(Pong::new(&b"x"[..]), &mut out),
        SendClose => connection.send(bye, &mut out),
        ReplyPong => {
            let mut ping = frame(Role::Client, FIN | PING, b"x");
            let pong = plain(Role::Client).receive(&mut Input::new(&mut ping)).unwrap().unwrap().response().unwrap();
            connection.reply(pong, &mut out);
            Ok(())
        }
        ReplyClose => {
            connection.reply(Reply::close(&bye), &mut out);
            Ok(())
        }
        ReceiveEof => return if connection.receive_eof().is_err() { Error } else { Nothing },
        ReceiveMessage => return received(frame(role, FIN | TEXT, b"x"), connection),
        ReceivePing => return received(frame(role, FIN | PING, b"x"), connection),
        ReceiveClose => return received(frame(role, FIN | CLOSE, b""), connection),
        ReceiveError => return received(frame(role, FIN | 3, b""), connection),
    };
    match sent {
        Ok(()) if out.is_empty() => Nothing,
        Ok(()) => Bytes,
        Err(error) => {
            assert_eq!((error, out.len()), (LocalProtocolError::CloseSent, 0));
            Refused
        }
    }
}

fn received(mut bytes: Vec<u8>, connection: &mut Connection) -> Gives {
    match connection.receive(&mut Input::new(&mut bytes)) {
        Ok(Some(_)) => Gives::Event,
        Ok(None) => Nothing,
        Err(_) => Error,
    }
}

#[test]
fn every_state_says_what_to_do_with_the_transport() {
    for (state, failed, server, client) in [
        (Open, false, Transport::KeepOpen, Transport::KeepOpen),
        (LocalClosing, false, Transport::KeepOpen, Transport::KeepOpen),
        (RemoteClosing, false, Transport::KeepOpen, Transport::KeepOpen),
        (RemoteClosing, true, Transport::KeepOpen, Transport::KeepOpen),
        (Closed, false, Transport::Close, Transport::AwaitEnd),
        (Closed, true, Transport::Close, Transport::Close),
    ] {
        assert_eq!(brought_to(state, Role::Server, failed).transport(), server, "{state:?}, failed {failed}");
        assert_eq!(brought_to(state, Role::Client, failed).transport(), client, "{state:?}, failed {failed}");
    }
    // There is nobody left to close with.
    for role in ROLES {
        let mut connection = plain(role);
        assert_eq!(connection.receive_eof(), Err(RemoteProtocolError::UnexpectedEof));
        assert_eq!((connection.state(), connection.transport()), (RemoteClosing, Transport::Close));
    }
}

// --- Text ---

/// The text that is delivered of a message with this payload, and whether it ended well.
fn text_of(server: &mut Connection, stream: &mut [u8], piece: usize) -> (String, bool) {
    let mut text = String::new();
    for piece in stream.chunks_mut(piece) {
        let mut input = Input::new(piece);
        loop {
            match server.receive(&mut input) {
                Ok(Some(Event::Message(message))) => {
                    let Data::Text(data) = &message.data else { panic!("not text") };
                    text += data;
                    if message.message_finished {
                        return (text, true);
                    }
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error, RemoteProtocolError::InvalidUtf8);
                    return (text, false);
                }
            }
        }
    }
    panic!("neither a message nor an error")
}

/// Through a whole connection: borrowed, cut everywhere, and out of a stored block of permessage-deflate.
fn assert_as_std(bytes: &[u8]) {
    let expected = match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(error) => (String::from_utf8(bytes[..error.valid_up_to()].to_vec()).unwrap(), false),
    };
    let plain_frame = frame(Role::Server, FIN | TEXT, bytes);
    let len = u8::try_from(bytes.len()).unwrap();
    let stored = [&[0, len, 0, !len, 0xFF][..], bytes, &[0]].concat();
    let stored_frame = frame(Role::Server, RSV1 | FIN | TEXT, &stored);
    for piece in [1, usize::MAX] {
        let mut server = plain(Role::Server);
        assert_eq!(text_of(&mut server, &mut plain_frame.clone(), piece), expected, "{bytes:x?} in pieces of {piece}");
        let extensions = agreed(Role::Server, Some("permessage-deflate"));
        let mut server = connection(Role::Server, extensions, Limits::default());
        assert_eq!(text_of(&mut server, &mut stored_frame.clone(), piece), expected, "{bytes:x?} compressed");
    }
}

#[test]
fn f13_text_is_judged_as_std_does_through_a_whole_connection() {
    assert_as_std(&[]);
    for a in 0..=255 {
        assert_as_std(&[a]);
        for b in (0..=255).step_by(if a < 0x80 { 16 } else { 1 }) {
            assert_as_std(&[a, b]);
            // Of the third byte, what can make a difference: the borders of its range.
            if a >= 0xC0 {
                for c in [0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF] {
                    assert_as_std(&[a, b, c]);
                    assert_as_std(&[a, b, c, 0x80]);
                }
            }
        }
    }
}

// --- The two halves, interleaved ---

/// One step of the half that receives: the next frame is read, or what it asks for is put into the slot.
/// One step of the half that sends: the slot is emptied, what was in it is paid, or the application speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Receive,
    Put,
    Take,
    Pay,
    Close,
    Message,
}

#[test]
fn in_every_interleaving_at_most_one_close_leaves_and_nothing_after_it() {
    use Step::{Close, Message, Pay, Put, Receive, Take};
    let receiving = [Receive, Put, Receive, Put, Receive, Put];
    let sendings = [
        vec![Take, Pay, Close, Take, Pay],
        vec![Close, Take, Pay],
        vec![Take, Close, Pay, Message],
        vec![Take, Pay, Take, Pay, Close],
        vec![Take, Pay, Message, Close, Close],
        vec![Take, Pay, Take, Pay, Take, Pay],
    ];
    let mut runs = 0;
    for role in ROLES {
        // What the peer sends: two Closes and a Ping, in each order.
        for order in [[PING, CLOSE, CLOSE], [CLOSE, PING, CLOSE], [CLOSE, CLOSE, PING]] {
            for sending in &sendings {
                for steps in interleavings(&receiving, sending) {
                    run_halves(role, order, &steps);
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} interleavings");
    assert!(runs > 5000);
}

fn run_halves(role: Role, order: [u8; 3], steps: &[Step]) {
    let (mut receiver, mut sender) = plain(role).split();
    let mut wire = order.map(|opcode| frame(role, FIN | opcode, b"")).concat();
    let mut input = Input::new(&mut wire);
    let (mut owed, mut taken, mut slot) = (None, None, ReplySlot::new());
    let mut out = vec![];
    for step in steps {
        let closed = sender.is_closed();
        let before = out.len();
        match step {
            Step::Receive => owed = receiver.receive(&mut input).unwrap().and_then(|event| event.response()),
            Step::Put => owed.take().into_iter().for_each(|reply| slot.put(reply)),
            Step::Take => taken = slot.take(),
            Step::Pay => taken.take().into_iter().for_each(|reply| sender.reply(reply, &mut out)),
            Step::Close | Step::Message => {
                let sent = match step {
                    Step::Close => sender.send(CloseFrame::new(CloseCode::GOING_AWAY, ""), &mut out),
                    _ => sender.send(Message::text("x"), &mut out),
                };
                assert_eq!(sent.is_err(), closed);
            }
        }
        assert!(!closed || out.len() == before, "{steps:?}: bytes after a Close");
    }
    // What is still owed is paid at last, in any order.
    taken.into_iter().chain(slot.take()).for_each(|reply| sender.reply(reply, &mut out));
    let opcodes: Vec<u8> = frames(&out).iter().map(|(b0, _)| b0 & 0x0F).collect();
    let closes = opcodes.iter().filter(|opcode| **opcode == CLOSE).count();
    assert_eq!((closes, opcodes.last()), (1, Some(&CLOSE)), "{steps:?}: {opcodes:?}");
    assert_eq!(State::of(&receiver, &sender), Closed);

    // And the peer finds nothing wrong in it.
    let peer = drive(plain(support::other(role)), [&out[..]]);
    assert_eq!((peer.error, peer.end.0), (None, Closed));
}

fn interleavings(a: &[Step], b: &[Step]) -> Vec<Vec<Step>> {
    let (Some((first_a, rest_a)), Some((first_b, rest_b))) = (a.split_first(), b.split_first()) else {
        return vec![[a, b].concat()];
    };
    let begins_with = |first: &Step, rest: Vec<Vec<Step>>| -> Vec<Vec<Step>> {
        rest.into_iter().map(|steps| [&[*first], &steps[..]].concat()).collect()
    };
    [begins_with(first_a, interleavings(rest_a, b)), begins_with(first_b, interleavings(a, rest_b))].concat()
}
