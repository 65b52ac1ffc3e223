//! Handshake and connection in one object, both ends, with the input cut anywhere.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::borrow::Cow;

use wsproto::handshake::http1::HeadLimits;
use wsproto::handshake::{
    AcceptConnection, ClientRequest, HeadError, LocalHandshakeError, OriginPolicy, RejectConnection, RejectData,
    RequestError, ResponseError,
};
use wsproto::{
    CloseCode, CloseFrame, Event, Input, LocalProtocolError, Message, PeerError, RemoteProtocolError, State, Transport,
    WsConnection, WsEvent,
};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn client(out: &mut Vec<u8>) -> WsConnection {
    let request =
        ClientRequest { subprotocols: vec!["chat".into()], ..ClientRequest::from_url("ws://127.0.0.1/path").unwrap() };
    WsConnection::client(request, [7; 16], || [1, 2, 3, 4], out).unwrap()
}

/// A server that has read this request, and waits for the answer.
fn asked(request: &str) -> WsConnection {
    let mut server = WsConnection::server();
    let mut bytes = request.as_bytes().to_vec();
    assert!(matches!(server.receive(&mut Input::new(&mut bytes)), Ok(Some(WsEvent::Request(_)))));
    server
}

/// Gives the bytes in pieces of `size`, as a driver does: what is not consumed is given again with the next piece.
/// An accepting echo server, or a client that only listens; back come a word for each event, and the output.
fn run(end: &mut WsConnection, bytes: &[u8], size: usize) -> (Vec<String>, Vec<u8>) {
    let (mut events, mut out, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        buffer.extend_from_slice(piece);
        let mut input = Input::new(&mut buffer);
        while let Some(event) = end.receive(&mut input).unwrap() {
            match &event {
                WsEvent::Request(request) => {
                    events.push(format!("request {}", request.path()));
                    let accept = AcceptConnection { subprotocol: Some("chat"), ..Default::default() };
                    end.accept(&accept, &mut out).unwrap();
                }
                WsEvent::Accept(accept) => events.push(format!("accept {:?}", accept.subprotocol)),
                WsEvent::Reject(head) => events.push(format!("reject {}", head.status())),
                WsEvent::RejectData(data) => {
                    events.extend(data.data.iter().map(|&byte| char::from(byte).to_string()));
                    if data.body_finished {
                        events.push("end of body".into());
                    }
                }
                WsEvent::Connection(Event::Message(message)) => {
                    events.extend(message.data.as_bytes().iter().map(|&byte| char::from(byte).to_string()));
                    end.send(message, &mut out).unwrap();
                }
                WsEvent::Connection(event) => {
                    events.push("control".into());
                    if let Some(reply) = event.response() {
                        end.reply(reply, &mut out);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let consumed = input.consumed();
        buffer.drain(..consumed);
    }
    assert!(buffer.is_empty());
    (events, out)
}

#[test]
fn h12_bytes_behind_the_head_are_never_lost_however_the_input_is_cut() {
    let mut request = Vec::new();
    client(&mut request);
    let mut frames = Vec::new();
    let mut peer = wsproto::Connection::client(Default::default(), Default::default(), || [9, 8, 7, 6]);
    peer.send(Message::text("Hi"), &mut frames).unwrap();
    peer.send(CloseFrame::new(CloseCode::NORMAL, ""), &mut frames).unwrap();
    let to_server = [request, frames].concat();
    for size in 1..=to_server.len() {
        let mut server = WsConnection::server();
        let (events, answer) = run(&mut server, &to_server, size);
        assert_eq!(events, ["request /path", "H", "i", "control"], "pieces of {size}");
        assert_eq!(server.transport(), Transport::Close);

        let mut end = client(&mut Vec::new());
        let (events, _) = run(&mut end, &answer, size);
        assert_eq!(events, ["accept Some(\"chat\")", "H", "i", "control"], "pieces of {size}");
        assert_eq!(end.connection().unwrap().state(), State::Closed);
    }
}

#[test]
fn the_answer_may_come_later_and_comes_once() {
    let mut server = WsConnection::server();
    let mut bytes = [REQUEST.as_bytes(), b"\x81\x80\0\0\0\0"].concat();
    let mut input = Input::new(&mut bytes);
    let Some(WsEvent::Request(_)) = server.receive(&mut input).unwrap() else { panic!("no request") };
    // Nothing is taken before the answer.
    assert!(server.receive(&mut input).unwrap().is_none());
    assert_eq!(input.remaining().len(), 6);
    let mut out = Vec::new();
    assert_eq!(server.send(Message::text("early"), &mut out), Err(LocalProtocolError::NotOpen));
    let wrong = AcceptConnection { subprotocol: Some("chat"), ..Default::default() };
    assert_eq!(
        server.accept(&wrong, &mut out),
        Err(LocalHandshakeError::SubprotocolNotOffered),
        "and the request still waits"
    );
    assert!(out.is_empty());
    server.accept(&AcceptConnection::default(), &mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(server.accept(&AcceptConnection::default(), &mut out), Err(LocalHandshakeError::OutOfOrder));
    assert!(matches!(server.receive(&mut input), Ok(Some(WsEvent::Connection(Event::Message(_))))));
    assert!(server.into_connection().is_ok());
}

#[test]
fn a_rejection_streams_its_body() {
    for content_length in [Some(11), None] {
        let mut server = WsConnection::server();
        let mut bytes = [REQUEST.as_bytes(), b"never parsed"].concat();
        let mut input = Input::new(&mut bytes);
        let Some(WsEvent::Request(_)) = server.receive(&mut input).unwrap() else { panic!("no request") };
        let mut out = Vec::new();
        let reject = RejectConnection { content_length, ..RejectConnection::new(403) };
        server.reject(&reject, &mut out).unwrap();
        let piece =
            |data: &'static str, body_finished| RejectData { data: Cow::Borrowed(data.as_bytes()), body_finished };
        server.reject_data(&piece("not ", false), &mut out).unwrap();
        if content_length.is_some() {
            let long = server.reject_data(&piece("long enough", true), &mut out);
            assert_eq!(long, Err(LocalHandshakeError::BodyLength));
            let short = server.reject_data(&piece("", true), &mut out);
            assert_eq!(short, Err(LocalHandshakeError::BodyLength));
        }
        assert_eq!(server.transport(), Transport::KeepOpen);
        server.reject_data(&piece("for you", true), &mut out).unwrap();
        assert_eq!(server.reject_data(&piece("", true), &mut out), Err(LocalHandshakeError::OutOfOrder));
        assert_eq!(server.transport(), Transport::Close);
        assert!(server.receive(&mut input).unwrap().is_none());
        assert!(input.is_empty());
        assert_eq!(server.receive_eof(), Ok(()));

        let mut expected = vec!["reject 403".to_string()];
        expected.extend("not for you".chars().map(String::from));
        for size in 1..=out.len() {
            let mut client = client(&mut Vec::new());
            let (mut events, _) = run(&mut client, &out, size);
            assert_eq!(client.receive_eof(), Ok(()), "the end of a body without a length");
            events.retain(|event| event != "end of body");
            assert_eq!(events, expected, "pieces of {size}");
            assert_eq!(client.transport(), Transport::Close);
        }
    }
}

#[test]
fn a_rejection_without_a_body_is_complete_with_its_head() {
    for (status, end) in
        [(204, "\r\nConnection: close\r\n\r\n"), (205, "\r\nContent-Length: 0\r\n\r\n"), (304, "\r\n\r\n")]
    {
        for content_length in [None, Some(0)] {
            let (mut server, mut out) = (asked(REQUEST), Vec::new());
            server.reject(&RejectConnection { content_length, ..RejectConnection::new(status) }, &mut out).unwrap();
            assert_eq!(server.transport(), Transport::Close, "{status}");
            let data = RejectData { data: Cow::Borrowed(b"body"), body_finished: true };
            assert_eq!(server.reject_data(&data, &mut out), Err(LocalHandshakeError::OutOfOrder));
            assert!(out.ends_with(end.as_bytes()), "{}", out.escape_ascii());
            let mut client = client(&mut Vec::new());
            assert_eq!(run(&mut client, &out, 1).0[0], format!("reject {status}"));
            assert_eq!(client.receive_eof(), Ok(()));
        }
    }
}

#[test]
fn pages_of_other_origins_are_not_let_in_unless_that_was_said() {
    let request = REQUEST.replace("Host: h\r\n", "Host: h\r\nOrigin: https://evil.example\r\n");
    let (mut server, mut out) = (asked(&request), Vec::new());
    let refused = server.accept(&AcceptConnection::default(), &mut out);
    assert_eq!((refused, out.len()), (Err(LocalHandshakeError::OriginNotAllowed), 0));
    server.reject(&RejectConnection::new(403), &mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 403 "));
    let any = AcceptConnection { origins: &OriginPolicy::Any, ..Default::default() };
    assert!(asked(&request).accept(&any, &mut out).is_ok());
}

#[cfg(feature = "deflate")]
#[test]
fn both_ends_say_what_was_agreed_on() {
    use wsproto::extension::PerMessageDeflate;

    let (mut out, mut answer) = (Vec::new(), Vec::new());
    let deflate = PerMessageDeflate::default();
    let request = ClientRequest {
        subprotocols: vec!["chat".into()],
        extensions: vec![std::sync::Arc::new(deflate.clone())],
        ..ClientRequest::new("h", "/")
    };
    let mut client = WsConnection::client(request, [7; 16], || [1, 2, 3, 4], &mut out).unwrap();
    let mut server = asked(std::str::from_utf8(&out).unwrap());
    let accept = AcceptConnection { subprotocol: Some("chat"), extensions: &[&deflate], ..Default::default() };
    let by_server = server.accept(&accept, &mut answer).unwrap();
    let Ok(Some(WsEvent::Accept(by_client))) = client.receive(&mut Input::new(&mut answer)) else {
        panic!("no answer")
    };
    assert_eq!(*by_client, by_server);
    assert_eq!(by_server.subprotocol.as_deref(), Some("chat"));
    let extensions: Vec<_> = by_server.extensions.iter().map(ToString::to_string).collect();
    assert_eq!(by_server.response.headers().text("Sec-WebSocket-Extensions"), Some(extensions.join(", ").as_str()));
    assert!(extensions[0].starts_with("permessage-deflate"), "{extensions:?}");
}

#[test]
fn a_plain_get_can_be_answered_as_http() {
    for size in [1, 1000] {
        let mut server = WsConnection::server();
        let mut bytes = b"GET /status HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n".to_vec();
        let result = bytes.chunks_mut(size).find_map(|piece| {
            assert!(server.plain_request().is_none());
            server.receive(&mut Input::new(piece)).err()
        });
        assert_eq!(result, Some(PeerError::Request(RequestError::NotWebSocket)));
        let plain = server.plain_request().unwrap();
        assert_eq!((plain.path(), plain.headers().text("accept")), ("/status", Some("text/html")));
        assert_eq!(server.transport(), Transport::Close);
    }
    let mut server = WsConnection::server();
    let mut bytes = REQUEST.replace("13", "8").into_bytes();
    assert!(server.receive(&mut Input::new(&mut bytes)).is_err());
    assert!(server.plain_request().is_none());
}

#[test]
fn the_limits_of_heads_and_bodies_are_the_callers() {
    let verdict = |mut end: WsConnection, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        end.receive(&mut Input::new(&mut bytes)).map(|event| event.is_some())
    };
    let size = REQUEST.len();
    for (size, headers, expected) in [
        (size, 5, Ok(true)),
        (size - 1, 5, Err(PeerError::Request(RequestError::Head(HeadError::TooLarge)))),
        (size, 4, Err(PeerError::Request(RequestError::Head(HeadError::TooManyHeaders)))),
    ] {
        let limits = HeadLimits { size, headers, ..HeadLimits::default() };
        assert_eq!(verdict(WsConnection::server().with_head_limits(limits), REQUEST.as_bytes()), expected);
        // Also where a part has arrived.
        let mut server = WsConnection::server();
        let mut bytes = REQUEST.as_bytes().to_vec();
        assert!(server.receive(&mut Input::new(&mut bytes[..100])).unwrap().is_none());
        assert_eq!(verdict(server.with_head_limits(limits), &REQUEST.as_bytes()[100..]), expected);
    }
    let response = b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 403 x\r\n\r\nhello";
    for (informational, expected) in [(1, Ok(true)), (0, Err(PeerError::Response(ResponseError::TooManyInformational)))]
    {
        let limits = HeadLimits { informational, ..HeadLimits::default() };
        assert_eq!(verdict(client(&mut Vec::new()).with_head_limits(limits), response), expected);
    }
    for (limit, events) in [(5, "hello"), (2, "he"), (0, "")] {
        let mut client = client(&mut Vec::new()).with_rejection_limit(limit);
        let mut read = run(&mut client, response, 1000).0;
        read.retain(|event| event.len() == 1);
        assert_eq!(read.concat(), events);
        assert_eq!(client.receive_eof(), Ok(()));
    }
}

#[test]
fn a_malformed_request_has_its_answer_and_stays_failed() {
    let mut server = WsConnection::server();
    let mut bytes = REQUEST.replace("13", "8").into_bytes();
    let error = server.receive(&mut Input::new(&mut bytes)).unwrap_err();
    assert_eq!(error, PeerError::Request(RequestError::Version));
    let mut out = Vec::new();
    server.answer(error, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("HTTP/1.1 426 ") && text.contains("Sec-WebSocket-Version: 13\r\n"), "{text}");
    assert_eq!(server.receive(&mut Input::new(&mut [0x81, 0x80])).unwrap_err(), error);
    assert_eq!((server.receive_eof(), server.transport()), (Err(error), Transport::Close));
}

#[test]
fn errors_of_the_open_connection_are_answered_with_a_close() {
    let mut server = WsConnection::server();
    let mut bytes = [REQUEST.as_bytes(), b"\x83\x80\0\0\0\0"].concat();
    let mut input = Input::new(&mut bytes);
    let Some(WsEvent::Request(_)) = server.receive(&mut input).unwrap() else { panic!("no request") };
    server.accept(&AcceptConnection::default(), &mut Vec::new()).unwrap();
    let error = server.receive(&mut input).unwrap_err();
    assert_eq!(error, PeerError::Connection(RemoteProtocolError::ReservedOpcode(3)));
    let mut out = Vec::new();
    server.answer(error, &mut out);
    assert_eq!((out[0], &out[2..4]), (0x88, &1002_u16.to_be_bytes()[..]));
    assert_eq!(server.transport(), Transport::Close);
}

#[test]
fn an_end_in_the_handshake_is_the_peers_fault() {
    let mut server = WsConnection::server();
    assert_eq!(server.receive_eof(), Err(PeerError::Request(RequestError::UnexpectedEof)));
    let error = asked(REQUEST).receive_eof();
    assert_eq!(error, Err(PeerError::Request(RequestError::UnexpectedEof)), "before the answer");
    assert_eq!(RequestError::UnexpectedEof.status(), 400);
    let mut client = client(&mut Vec::new());
    assert_eq!(client.receive_eof(), Err(PeerError::Response(ResponseError::UnexpectedEof)));
    assert!(client.into_connection().is_err());
    assert!(size_of::<WsEvent<'_>>() <= 64);
}

#[test]
fn the_path_of_a_request_is_without_its_query() {
    for (target, path, query) in [("/", "/", None), ("/chat?", "/chat", Some("")), ("/a?b=/c?d", "/a", Some("b=/c?d"))]
    {
        let mut bytes = REQUEST.replacen("GET / ", &format!("GET {target} "), 1).into_bytes();
        let Ok(Some(WsEvent::Request(request))) = WsConnection::server().receive(&mut Input::new(&mut bytes)) else {
            panic!("no request")
        };
        assert_eq!((request.path(), request.query(), request.target()), (path, query, target));
    }
}
