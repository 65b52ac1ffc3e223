//! The loop of the crate's page, run: a client and a server over two byte vectors.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use wsproto::{
    CloseCode, CloseFrame, Connection, Data, Event, Extensions, Input, Limits, LocalProtocolError, Message, Ping,
    State, Transport,
};

fn pair() -> (Connection, Connection) {
    let mut counter = 0_u32;
    let masks = move || {
        counter = counter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        counter.to_be_bytes()
    };
    let client = Connection::client(Extensions::none(), Limits::default(), masks);
    (client, Connection::server(Extensions::none(), Limits::default()))
}

/// Echoes messages and answers the rest, as the crate's page shows.
fn echo(connection: &mut Connection, bytes: &mut [u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut input = Input::new(bytes);
    while let Some(event) = connection.receive(&mut input).unwrap() {
        match &event {
            Event::Message(message) => connection.send(message, &mut out).unwrap(),
            _ => {
                if let Some(reply) = event.response() {
                    connection.reply(reply, &mut out);
                }
            }
        }
    }
    out
}

#[test]
fn messages_of_every_length_form_come_back() {
    let (mut client, mut server) = pair();
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let sent = Message::binary(vec![0xA5; len]);
        let mut out = Vec::new();
        client.send(&sent, &mut out).unwrap();
        let mut back = echo(&mut server, &mut out);
        let mut input = Input::new(&mut back);
        assert_eq!(client.receive(&mut input), Ok(Some(Event::Message(sent))), "{len} bytes");
        assert_eq!(client.receive(&mut input), Ok(None));
        assert!(input.is_empty());
    }
}

#[test]
fn pings_are_answered_and_the_closing_handshake_ends_both() {
    let (mut client, mut server) = pair();
    let mut out = Vec::new();
    client.send(Ping::new(&b"are you there?"[..]), &mut out).unwrap();
    client.send(Message::text("last words"), &mut out).unwrap();
    client.send(CloseFrame::new(CloseCode::NORMAL, "done"), &mut out).unwrap();
    assert_eq!(client.state(), State::LocalClosing);
    assert_eq!(client.send(Message::text("more"), &mut Vec::new()), Err(LocalProtocolError::CloseSent));

    let mut back = echo(&mut server, &mut out);
    assert_eq!((server.state(), server.transport()), (State::Closed, Transport::Close));
    assert_eq!(server.receive_eof(), Ok(()));

    let mut input = Input::new(&mut back);
    let pong = client.receive(&mut input).unwrap().unwrap();
    assert!(matches!(&pong, Event::Pong(pong) if pong.payload == &b"are you there?"[..]));
    let message = client.receive(&mut input).unwrap().unwrap();
    assert!(matches!(&message, Event::Message(message) if message.data == Data::Text(Cow::Borrowed("last words"))));
    let close = client.receive(&mut input).unwrap().unwrap();
    assert_eq!(close, Event::Close(CloseFrame::new(CloseCode::NORMAL, "done")));
    assert_eq!((client.state(), client.transport()), (State::Closed, Transport::AwaitEnd));
}
