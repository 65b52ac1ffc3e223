//! Transports that fail, stop, stutter.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

mod support;

use support::{End, REQUEST, Wire, encode, frames, server, server_with};
use wsproto::{CloseCode, CloseFrame, Limits, Message, Ping, RemoteProtocolError};
use wsproto_io::blocking::{Untimed, accept};
use wsproto_io::{Error, Message as Owned, Timeout};

/// What a client sends: frame by frame, and the messages that are whole after it.
fn exchange() -> (Vec<u8>, Vec<(usize, Owned)>) {
    let (mut client, mut bytes, mut messages) = (support::client(), Vec::new(), Vec::new());
    client.send(Message::text("one"), &mut bytes).unwrap();
    messages.push((bytes.len(), Owned::Text("one".into())));
    client.send(Ping::new(&b"?"[..]), &mut bytes).unwrap();
    client.send(Message::binary(vec![7; 300]), &mut bytes).unwrap();
    messages.push((bytes.len(), Owned::Binary(vec![7; 300])));
    client.send(Message::text("th").unfinished(), &mut bytes).unwrap();
    client.send(Message::text("rée"), &mut bytes).unwrap();
    messages.push((bytes.len(), Owned::Text("thrée".into())));
    client.send(CloseFrame::new(CloseCode::NORMAL, "bye"), &mut bytes).unwrap();
    (bytes, messages)
}

/// Cuts the exchange at every byte, there the fault: messages first, then one end, and the same for ever.
fn cut_everywhere(end: End) {
    let (bytes, messages) = exchange();
    for cut in 0..=bytes.len() {
        for piece in [1, 7, usize::MAX] {
            let mut wire = Wire::new(&bytes[..cut], end);
            wire.piece = piece;
            let mut socket = server(wire);
            for (_, message) in messages.iter().filter(|(at, _)| *at <= cut) {
                assert_eq!(socket.recv().unwrap().as_ref(), Some(message), "cut at {cut}");
            }
            let first = socket.recv();
            if cut == bytes.len() {
                assert!(matches!(first, Ok(None)), "{first:?}");
                assert_eq!(socket.closed().unwrap().code, 1000);
                assert!(matches!(socket.recv(), Ok(None)));
            } else {
                let error = first.unwrap_err();
                match end {
                    End::Reset => assert!(matches!(error, Error::Io(_)), "{error:?}"),
                    _ => assert!(matches!(error, Error::Remote(RemoteProtocolError::UnexpectedEof)), "{error:?}"),
                }
                assert_eq!((error.close_code(), socket.closed().unwrap().code), (Some(1006), 1006));
                let again = socket.recv().unwrap_err();
                assert_eq!(again.close_code(), Some(1006), "{again:?}");
                assert!(matches!(socket.send("x"), Err(Error::Closed(closed)) if closed.code == 1006));
            }
            // 1006 "MUST NOT be set as a status code in a Close control frame".
            for (_, payload) in frames(&socket.stream().0.written) {
                assert!(!payload.starts_with(&1006_u16.to_be_bytes()));
            }
        }
    }
}

#[test]
fn t01_a_reset_at_every_byte_ends_once_and_after_the_messages() {
    cut_everywhere(End::Reset);
}

#[test]
fn t02_a_fin_at_every_byte_ends_once_and_after_the_messages() {
    cut_everywhere(End::Fin);
}

#[test]
fn t02_a_fin_at_every_byte_of_the_request_is_an_error() {
    for cut in 0..REQUEST.len() {
        for end in [End::Fin, End::Reset] {
            let error = accept(Untimed(Wire::new(&REQUEST.as_bytes()[..cut], end))).unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error:?}");
        }
    }
}

#[test]
fn t03_one_byte_at_a_time_with_hiccups_is_the_same() {
    let (bytes, messages) = exchange();
    let run = |wire: Wire| {
        let mut socket = server(wire);
        let mut received = Vec::new();
        loop {
            match socket.recv() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    received.push(message.clone());
                    while socket.feed(&message).is_err() {}
                }
                // Nothing is lost: the next call goes on.
                Err(Error::Timeout(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        (received, socket.stream().0.written.clone())
    };
    let (received, written) = run(Wire::new(bytes.clone(), End::Fin));
    assert_eq!(received, messages.iter().map(|(_, message)| message.clone()).collect::<Vec<_>>());
    for piece in [1, 2, 5, 100] {
        let mut wire = Wire::new(bytes.clone(), End::Fin);
        (wire.piece, wire.hiccups) = (piece, true);
        let (received_in_pieces, written_in_pieces) = run(wire);
        assert_eq!(received_in_pieces, received, "pieces of {piece}");
        let payloads = |bytes: &[u8]| frames(bytes).into_iter().map(|frame| frame.1).collect::<Vec<_>>();
        // Replies and messages may be in another order between each other, since the reading stops elsewhere.
        let (mut a, mut b) = (payloads(&written), payloads(&written_in_pieces));
        a.sort();
        b.sort();
        assert_eq!(a, b, "pieces of {piece}");
    }
}

/// T8 for threads: what a dropped future is there, is a timeout here.
#[test]
fn t08_a_recv_that_timed_out_loses_nothing() {
    let bytes = encode([Message::text("hello"), Message::text("world")]);
    for cut in 0..bytes.len() {
        let mut socket = server(Wire::new(&bytes[..cut], End::Silence));
        let mut received = Vec::new();
        let drain = |socket: &mut support::Server, received: &mut Vec<Owned>| loop {
            match socket.recv() {
                Ok(Some(message)) => received.push(message),
                Err(Error::Timeout(Timeout::Receive)) => break,
                other => panic!("{other:?}"),
            }
        };
        drain(&mut socket, &mut received);
        socket.stream_mut().0.input = bytes.clone();
        drain(&mut socket, &mut received);
        assert_eq!(received, [Owned::Text("hello".into()), Owned::Text("world".into())], "cut at {cut}");
    }
}

/// What was begun is finished, what was not begun is given back: at every room that the transport leaves.
#[test]
fn t08_a_send_that_timed_out_leaves_whole_messages() {
    for room in 0..40 {
        let mut wire = Wire::new([], End::Silence);
        wire.room = room;
        let mut socket = server(wire);
        for message in ["first", "second", "third"] {
            match socket.send(message) {
                Ok(()) | Err(Error::Timeout(Timeout::Send { queued: true })) => {}
                Err(error) => panic!("{error}"),
            }
        }
        socket.stream_mut().0.room = usize::MAX;
        socket.flush().unwrap();
        assert_eq!(socket.stream().0.written, b"\x81\x05first\x81\x06second\x81\x05third", "room for {room}");
    }
}

#[test]
fn the_peer_is_told_what_it_broke() {
    for (bytes, code) in [
        (&b"\x83\x80\0\0\0\0"[..], 1002),
        (b"\x81\x05hello", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x81\xff\0\0\0\0\0\x20\0\0", 1009),
    ] {
        let mut socket = server(Wire::new([&encode([Message::text("ok")]), bytes].concat(), End::Fin));
        assert_eq!(socket.recv().unwrap(), Some(Owned::Text("ok".into())));
        let error = socket.recv().unwrap_err();
        assert!(matches!(error, Error::Remote(_)), "{error:?}");
        assert_eq!(error.close_code(), Some(code));
        assert_eq!(socket.closed().unwrap().code, code);
        let sent = frames(&socket.stream().0.written);
        assert_eq!(sent[0].1[..2], code.to_be_bytes());
        assert_eq!(sent.len(), 1);
        assert_eq!(socket.recv().unwrap_err().to_string(), error.to_string(), "the same for ever");
    }
}

#[test]
fn a_message_as_long_as_the_limit_is_delivered() {
    let limits = Limits::default().message(1000);
    let input = encode([Message::binary(vec![7; 1000]), Message::binary(vec![7; 1001])]);
    let mut socket = server_with(Wire::new(input, End::Fin), limits);
    assert_eq!(socket.recv().unwrap().unwrap().as_bytes().len(), 1000);
    assert_eq!(socket.recv().unwrap_err().close_code(), Some(1009));
}

#[test]
fn what_came_before_the_transport_broke_is_still_read() {
    let mut wire = Wire::new(encode([Message::text("one"), Message::text("two")]), End::Reset);
    wire.piece = 9; // one message for each read
    wire.broken = true;
    let mut socket = server(wire);
    assert_eq!(socket.recv().unwrap(), Some(Owned::Text("one".into())));
    socket.feed("reply").unwrap();
    // The reply cannot be written any more; the second message was there before.
    assert_eq!(socket.recv().unwrap(), Some(Owned::Text("two".into())));
    assert!(matches!(socket.recv(), Err(Error::Io(_))));
}

#[test]
fn close_reads_and_discards_until_the_answer() {
    let mut input = encode((0..1000).map(|_| Message::text("still on its way")));
    input.extend(encode([CloseFrame::new(CloseCode::NORMAL, "yes")]));
    let mut socket = server(Wire::new(input, End::Fin));
    socket.feed("last").unwrap();
    socket.close(CloseCode::NORMAL, "go").unwrap();
    assert_eq!(socket.stream().0.written, b"\x81\x04last\x88\x04\x03\xe8go", "one Close only");
    assert_eq!(socket.closed().unwrap().reason, "yes");
    socket.close(CloseCode::GOING_AWAY, "again").unwrap();
    assert!(matches!(socket.recv(), Ok(None)));
}

#[test]
fn close_tells_of_a_peer_that_ends_without_its_own() {
    let mut socket = server(Wire::new([], End::Fin));
    let error = socket.close(CloseCode::NORMAL, "").unwrap_err();
    assert_eq!(error.to_string(), "the connection ended without a closing handshake (1006)");
}

#[test]
fn errors_say_what_happened() {
    let mut socket = server(Wire::new(encode([CloseFrame::empty()]), End::Fin));
    assert!(matches!(socket.recv(), Ok(None)));
    assert_eq!(
        socket.send("x").unwrap_err().to_string(),
        "the connection was closed by the peer without a code (1005)"
    );
    let mut socket = server(Wire::new([], End::Silence));
    assert_eq!(socket.recv().unwrap_err().to_string(), "nothing was received in time");
    assert_eq!(socket.ping(&[0; 126]).unwrap_err().to_string(), "a Ping or Pong has at most 125 bytes of payload");
}
