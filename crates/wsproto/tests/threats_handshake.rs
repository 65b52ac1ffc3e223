//! One test for each row of the table of threats to the handshake, section 1, that concerns the core.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use wsproto::extension::{Decoder, Encoder, End, Extension, FrameInfo, Negotiated, Params, Progress};
use wsproto::frame::{Mask, Rsv};
use wsproto::handshake::http1::{self, HeadLimits, RejectionBody, RequestReader, ResponseReader};
use wsproto::handshake::{
    AcceptConnection, ClientHandshake, ClientRequest, HeadError, Headers, HttpVersion, InvalidHeader, InvalidUrl,
    LocalHandshakeError, NegotiationError, OriginPolicy, Outcome, RejectConnection, RequestError, RequestHead,
    ResponseError, ResponseHead, ServerHandshake, client_extensions_handshake, server_extensions_handshake,
};
use wsproto::{Connection, Event, ExtensionError, Input, Limits};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const NONCE: [u8; 16] = *b"the sample nonce";

/// The lines of a valid request, each without its end; the tests replace, add and remove some.
const REQUEST: [&str; 6] = [
    "GET /chat?room=1 HTTP/1.1",
    "Host: example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

const RESPONSE: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

/// The head with the lines that begin with `without` replaced by `with` (at the place of the first; at the end, where
/// there was none).
fn head(lines: &[&str], without: &str, with: &[&str]) -> Vec<u8> {
    let mut head: Vec<&str> = lines.to_vec();
    let at = head.iter().position(|line| !without.is_empty() && line.starts_with(without)).unwrap_or(head.len());
    head.retain(|line| without.is_empty() || !line.starts_with(without));
    head.splice(at..at, with.iter().copied());
    (head.join("\r\n") + "\r\n\r\n").into_bytes()
}

fn request(without: &str, with: &[&str]) -> Vec<u8> {
    head(&REQUEST, without, with)
}

fn response(without: &str, with: &[&str]) -> Vec<u8> {
    head(&RESPONSE, without, with)
}

/// What a server makes of these bytes, when they come at once.
fn serve(bytes: &[u8]) -> Result<Option<(ServerHandshake, usize)>, RequestError> {
    RequestReader::new(HeadLimits::default()).receive(bytes)
}

fn refused(bytes: &[u8]) -> RequestError {
    match serve(bytes) {
        Err(error) => error,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

fn accepted(bytes: &[u8]) -> ServerHandshake {
    match serve(bytes) {
        Ok(Some((handshake, length))) if length == bytes.len() => handshake,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

fn client(request: ClientRequest) -> ClientHandshake {
    ClientHandshake::new(request, NONCE).unwrap()
}

fn plain_client() -> ClientHandshake {
    client(ClientRequest::new("example.com", "/chat"))
}

/// What a client makes of these bytes, when they come at once.
fn answer(handshake: ClientHandshake, bytes: &[u8]) -> Result<Option<(Outcome, usize)>, ResponseError> {
    ResponseReader::new(handshake, HeadLimits::default()).receive(bytes)
}

fn answer_refused(bytes: &[u8]) -> ResponseError {
    match answer(plain_client(), bytes) {
        Err(error) => error,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

/// An extension for tests: accepts the offers that it would make itself, and changes no data.
struct Plain {
    offers: Vec<Params>,
    rsv: Rsv,
}

impl Plain {
    fn new(rsv: Rsv, offers: &[Params]) -> Self {
        Self { offers: offers.to_vec(), rsv }
    }

    fn negotiated(&self) -> Negotiated {
        Negotiated { rsv: self.rsv, decoder: Box::new(Identity), encoder: Box::new(Identity) }
    }
}

impl Extension for Plain {
    fn name(&self) -> &str {
        self.offers.first().map_or("", Params::name)
    }

    fn offers(&self) -> Vec<Params> {
        self.offers.clone()
    }

    fn accept(&self, offer: &Params) -> Option<(Params, Negotiated)> {
        self.offers.contains(offer).then(|| (offer.clone(), self.negotiated()))
    }

    fn finalize(&self, answer: &Params) -> Option<Negotiated> {
        self.offers.contains(answer).then(|| self.negotiated())
    }
}

struct Identity;

impl Decoder for Identity {
    fn start_frame(&mut self, _: FrameInfo, _: Rsv) -> Result<bool, ExtensionError> {
        Ok(false)
    }

    fn decode(&mut self, input: &[u8], _: End, _: &mut [u8]) -> Result<Progress, ExtensionError> {
        Ok(Progress { consumed: input.len(), produced: 0, more: false })
    }
}

impl Encoder for Identity {
    fn start_frame(&mut self, _: FrameInfo, _: usize, _: bool) -> Option<Rsv> {
        None
    }

    fn encode(&mut self, _: &[u8], _: End, _: &mut Vec<u8>) -> Result<(), ExtensionError> {
        Ok(())
    }
}

/// Twice the bytes, twice the work; and each byte is looked at once by the scan, however the bytes come.
#[test]
fn h01_the_work_is_linear() {
    let unlimited = HeadLimits { size: usize::MAX, headers: usize::MAX, ..HeadLimits::default() };
    for length in [8_000, 16_000] {
        let padding = format!("X-Padding: {}", "x".repeat(length));
        let bytes = request("", &[&padding]);
        for step in [1, 7, 4096] {
            let mut reader = RequestReader::new(unlimited);
            let mut found = None;
            for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
                assert!(found.is_none());
                found = reader.receive(&bytes[..end]).unwrap();
            }
            assert_eq!(found.unwrap().1, bytes.len());
            assert_eq!(reader.bytes_visited(), bytes.len() as u64, "in steps of {step}");

            let padding = format!("X-Padding: {}", "x".repeat(length));
            let bytes = response("", &[&padding]);
            let mut reader = ResponseReader::new(plain_client(), unlimited);
            let found = (1..=bytes.len()).find_map(|end| reader.receive(&bytes[..end]).unwrap());
            assert_eq!(found.unwrap().1, bytes.len());
            assert_eq!(reader.bytes_visited(), bytes.len() as u64);
        }
    }
    // A huge header is refused at the limit, in whatever steps it comes, and not looked at any further.
    let huge = [&b"GET / HTTP/1.1\r\nX: "[..], &b"x".repeat(20_000_000)].concat();
    let mut reader = RequestReader::new(HeadLimits::default());
    for end in (0..huge.len()).step_by(4096) {
        match reader.receive(&huge[..end]) {
            Ok(found) => assert!(found.is_none() && end <= 16 * 1024),
            Err(error) => assert_eq!((error.status(), end > 16 * 1024), (431, true)),
        }
    }
    assert_eq!(reader.bytes_visited(), 16 * 1024);
}

#[test]
fn h02_too_many_headers() {
    let lines: Vec<String> = (0..20_000).map(|i| format!("X{i}: y")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let most = 64 - (REQUEST.len() - 1);
    accepted(&request("", &lines[..most]));
    for count in [most + 1, 2_000, 20_000] {
        let bytes = request("", &lines[..count]);
        assert_eq!(refused(&bytes), RequestError::Head(HeadError::TooManyHeaders));
        // (A response has two lines less.)
        let bytes = response("", &lines[..count.max(most + 3)]);
        assert_eq!(answer_refused(&bytes), ResponseError::Head(HeadError::TooManyHeaders));
    }
    // Fewer are allowed where the caller says so, and none at all.
    let limits = HeadLimits { headers: 0, ..HeadLimits::default() };
    let error = RequestReader::new(limits).receive(&request("", &[])).unwrap_err();
    assert_eq!(error.status(), 431);
    // A reader keeps no bytes: all that it has is its own size.
    assert!(size_of::<RequestReader>() <= 256, "{}", size_of::<RequestReader>());
}

/// The verdicts; that they take linear time is tested beside the tokenizer, with a counter.
#[test]
fn h03_hostile_lists_get_a_verdict() {
    let long = |start: &str, unit: &str, end: &str| format!("{start}{}{end}", unit.repeat(8192 / unit.len()));
    for (value, subprotocols, extensions) in [
        (long("b", " ", "x"), None, None),
        (long("b", "\t", ""), Some(1), Some(1)),
        (long("", ",", "a"), Some(1), Some(1)),
        (long("", " ,", "a"), Some(1), Some(1)),
        (long("", "a", ""), Some(1), Some(1)),
        (long("", "a,", ""), None, Some(4096)), // subprotocols must differ
        (long("", ";", ""), None, None),
        (long("b", ";a", ""), None, None), // too many parameters
        (long("b", ";a=1", ", c"), None, None),
        (long("", "\"", ""), None, None),
        (long("", "\\", ""), None, None),
        (long("b;c=\"", "a", "\""), None, Some(1)),
        (long("b;c=\"", "\\a", "\", d"), None, Some(2)),
        (long("b;c=\"", "a", ""), None, None),
        (long("b;c=\"", "\\", "\""), None, None),
        (long("b;c=\"", "\\\"", "\""), None, None),
        (long("b;c=\"", " ", "\""), None, None),
        (long("b;c=", "=", ""), None, None),
    ] {
        let sample = &value[..12];
        let read = serve(&request("", &[&format!("Sec-WebSocket-Protocol: {value}")]));
        let expected = subprotocols.ok_or(RequestError::Subprotocols);
        let count = read.map(|found| found.unwrap().0.request().subprotocols().count());
        assert_eq!(count, expected, "{sample}");
        let read = serve(&request("", &[&format!("Sec-WebSocket-Extensions: {value}")]));
        let count = read.map(|found| found.unwrap().0.request().extensions().count());
        assert_eq!(count, extensions.ok_or(RequestError::Extensions), "{sample}");
    }
}

/// What is kept of a hostile list while it is judged is small beside the list: numbers are bounded, exactly.
#[test]
fn h02_lists_are_bounded() {
    let names = |count: usize| (0..count).map(|i| format!("p{i}")).collect::<Vec<_>>();
    let offer = |count| request("", &[&format!("Sec-WebSocket-Protocol: {}", names(count).join(","))]);
    assert_eq!(accepted(&offer(64)).request().subprotocols().count(), 64);
    assert_eq!(refused(&offer(65)), RequestError::Subprotocols);
    let two = [names(40).join(","), names(65)[40..].join(",")].map(|value| format!("Sec-WebSocket-Protocol: {value}"));
    assert_eq!(refused(&request("", &[&two[0], &two[1]])), RequestError::Subprotocols);
    let parameters = |count| request("", &[&format!("Sec-WebSocket-Extensions: foo;{}", names(count).join(";"))]);
    assert_eq!(accepted(&parameters(64)).request().extensions().next().unwrap().iter().count(), 64);
    assert_eq!(refused(&parameters(65)), RequestError::Extensions);
    let answer = format!("foo;{}", names(65).join(";"));
    let malformed = client_extensions_handshake([answer.as_str()], &[&Plain::new(Rsv::RSV1, &[Params::new("foo")])]);
    assert_eq!(malformed.err(), Some(NegotiationError::Malformed));

    let peak = |value: &str| {
        let bytes = request("", &[value]);
        assert!(bytes.len() <= 16 * 1024);
        allocation_counter::measure(|| drop(serve(&bytes))).bytes_max
    };
    let list = |name: &str, first: &str, unit: &str| format!("{name}: {first}{}", unit.repeat(15_000 / unit.len()));
    let plain = peak(&list("X-List", "", "x"));
    for value in [
        list("Sec-WebSocket-Protocol", "", "a,"),
        list("Sec-WebSocket-Protocol", "", "aa,"),
        list("Sec-WebSocket-Extensions", "foo", ";a"),
        list("Sec-WebSocket-Extensions", "foo", ";a=b"),
        list("Sec-WebSocket-Extensions", "foo", ",a"),
    ] {
        let peak = peak(&value);
        assert!(peak <= plain + 8 * 1024, "{peak} bytes, {plain} without a list: {}", &value[..32]);
    }
}

/// Texts that carry what injections are made of.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\r\n",
        "\r",
        "\n",
        "\0",
        " ",
        "\t",
        ":",
        ";",
        ",",
        "=",
        "\"",
        "\\",
        "/",
        "#",
        "?",
        "@",
        "[",
        "]",
        "é",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "Host: evil",
        "HTTP/1.1",
        "Content-Length: 5",
        "\r\n\r\n",
        "a",
        "b",
        "chat",
        "X-A",
        "1",
    ]);
    prop_oneof![
        3 => prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
        2 => "[a-z]{1,8}",
    ]
}

/// Mostly `usual`, sometimes anything, so that each part is tried alone as well.
fn part(usual: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(usual.to_owned()), 2 => hostile().prop_map(move |text| format!("{usual}{text}")), 1 => hostile()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn h04_what_a_client_writes_is_one_request(
        authority in part("example.com"),
        path in part("/chat"),
        origin in proptest::option::of(part("https://example.com")),
        subprotocols in prop::collection::vec(part("chat"), 0..3),
        names in (part("foo"), part("bar"), part("1")),
        header in proptest::option::of((part("X-Extra"), part("value"))),
    ) {
        let mut headers = Headers::new();
        let pushed = header.as_ref().map_or(Ok(()), |(name, value)| headers.push(name, value));
        let expected = header.as_ref().filter(|_| pushed.is_ok());
        prop_assert_eq!(headers.len(), usize::from(expected.is_some()));
        let offer = Params::new(names.0).with(names.1.clone()).with_value(names.1, names.2);
        let extension = Plain::new(Rsv::RSV2, std::slice::from_ref(&offer));
        let request = ClientRequest {
            origin: origin.clone(),
            subprotocols: subprotocols.clone(),
            extensions: vec![Arc::new(extension)],
            headers,
            ..ClientRequest::new(authority.clone(), path.clone())
        };
        let mut out = Vec::new();
        let Ok(handshake) = ClientHandshake::new(request, NONCE) else {
            prop_assert!(out.is_empty());
            return Ok(());
        };
        http1::write_request(&handshake, &mut out).unwrap();
        let (read, length) = serve(&out).unwrap().unwrap();
        let read = read.request();
        prop_assert_eq!(length, out.len());
        prop_assert_eq!(read.headers(), &handshake.request().headers);
        prop_assert_eq!(read.authority(), authority);
        prop_assert_eq!(read.target(), path);
        prop_assert_eq!(read.origin(), origin.as_deref());
        prop_assert_eq!(read.subprotocols().collect::<Vec<_>>(), subprotocols);
        prop_assert_eq!(read.extensions().collect::<Vec<_>>(), vec![offer]);
        let expected = expected.map(|(name, value)| (name.as_str(), value.as_bytes()));
        prop_assert!(expected.is_none_or(|field| read.headers().iter().last() == Some(field)));
        prop_assert!(read.headers().len() <= 10);
    }

    #[test]
    fn h04_what_a_server_writes_is_one_response(
        subprotocol in part("chat"),
        name in part("X-Extra"),
        value in part("value"),
        names in (part("foo"), part("bar"), part("1")),
        status in 0..1000_u16,
        length in proptest::option::of(0..9_u64),
    ) {
        let mut headers = Headers::new();
        let _ = headers.push(&name, &value);
        let offer = Params::new("foo");
        // A server's own extension that answers with what cannot be written.
        struct Hostile(Params);
        impl Extension for Hostile {
            fn name(&self) -> &str { "foo" }
            fn offers(&self) -> Vec<Params> { vec![Params::new("foo")] }
            fn accept(&self, _: &Params) -> Option<(Params, Negotiated)> {
                Some((self.0.clone(), Plain::new(Rsv::RSV3, &[]).negotiated()))
            }
            fn finalize(&self, answer: &Params) -> Option<Negotiated> {
                (*answer == self.0).then(|| Plain::new(Rsv::RSV3, &[]).negotiated())
            }
        }
        let answer_params = Params::new(names.0).with(names.1.clone()).with_value(names.1, names.2);
        let hostile = Arc::new(Hostile(answer_params));
        let handshake = client(ClientRequest {
            subprotocols: vec!["chat".into()],
            extensions: vec![hostile.clone()],
            ..ClientRequest::new("example.com", "/")
        });
        let mut bytes = Vec::new();
        http1::write_request(&handshake, &mut bytes).unwrap();
        let server = accepted(&bytes);
        prop_assert_eq!(server.request().extensions().collect::<Vec<_>>(), vec![offer]);

        let accept = AcceptConnection { subprotocol: Some(&subprotocol), extensions: &[&*hostile], headers: headers.clone(), ..Default::default() };
        if let Ok(accepted) = server.accept(&accept) {
            let mut out = Vec::new();
            http1::write_response(&accepted.response, &mut out);
            let Ok(Some((Outcome::Accepted(read), length))) = answer(handshake.clone(), &out) else {
                panic!("{}", out.escape_ascii());
            };
            prop_assert_eq!(length, out.len());
            prop_assert_eq!(&read.response, &accepted.response);
            prop_assert_eq!(read.subprotocol.as_deref(), Some("chat"));
            prop_assert_eq!(read.extensions.len(), accepted.extensions.len());
        }
        if let Ok(rejected) = server.reject(&RejectConnection { status, headers, content_length: length }) {
            let mut out = Vec::new();
            http1::write_response(&rejected, &mut out);
            let Ok(Some((Outcome::Rejected(read), length))) = answer(handshake, &out) else {
                panic!("{}", out.escape_ascii());
            };
            prop_assert_eq!(length, out.len());
            prop_assert_eq!(read, rejected);
        }
    }
}

#[test]
fn h04_injection_is_refused_by_type() {
    let new = |request: ClientRequest| ClientHandshake::new(request, NONCE).map(|_| ()).unwrap_err();
    let base = || ClientRequest::new("example.com", "/");
    for text in ["\r\nX: y", "\n", "\r", "a\0", " ", "a b", "é"] {
        assert_eq!(new(ClientRequest::new("example.com", format!("/{text}"))), LocalHandshakeError::Path);
        assert_eq!(new(ClientRequest::new(format!("a{text}"), "/")), LocalHandshakeError::Authority);
        let subprotocols = vec![format!("chat{text}")];
        assert_eq!(new(ClientRequest { subprotocols, ..base() }), LocalHandshakeError::Subprotocol);
        for offer in [
            Params::new(format!("foo{text}")),
            Params::new("foo").with(format!("a{text}")),
            Params::new("foo").with_value("a", text),
        ] {
            let extensions: Vec<Arc<dyn Extension>> = vec![Arc::new(Plain::new(Rsv::RSV1, &[offer]))];
            assert_eq!(new(ClientRequest { extensions, ..base() }), LocalHandshakeError::Extension);
        }
        let url = |url: String| ClientRequest::from_url(&url).err();
        assert_eq!(url(format!("ws://example.com/{text}")), Some(InvalidUrl::Path.into()));
        assert_eq!(url(format!("ws://a{text}/")), Some(InvalidUrl::Authority.into()));
        assert_eq!(Headers::new().push(&format!("X{text}"), "").err(), Some(InvalidHeader::Name));
    }
    let origin = Some("https://a\r\nX: y".to_owned());
    assert_eq!(new(ClientRequest { origin, ..base() }), LocalHandshakeError::Origin);
    for name in ["Host", "upgrade", "CONNECTION", "Sec-WebSocket-Key", "sec-websocket-foo", "Transfer-Encoding"] {
        let headers = Headers::from_fields([(name, "x")]).unwrap();
        assert_eq!(new(ClientRequest { headers: headers.clone(), ..base() }), LocalHandshakeError::ReservedHeader);
        let server = accepted(&request("", &[]));
        let accept = AcceptConnection { headers: headers.clone(), ..Default::default() };
        assert_eq!(server.accept(&accept).unwrap_err(), LocalHandshakeError::ReservedHeader);
        let reject = RejectConnection { headers, ..RejectConnection::new(403) };
        assert_eq!(server.reject(&reject).unwrap_err(), LocalHandshakeError::ReservedHeader);
    }
}

#[test]
fn h05_the_accept_key_is_verified() {
    let lower = ACCEPT.to_lowercase();
    let line = |value: &str| format!("Sec-WebSocket-Accept: {value}");
    for values in [
        &[][..],
        &[""],
        &["s3pPLMBiTxaQ9kYGzzhZRbK+xOp="],
        &[lower.as_str()],
        &[&ACCEPT[..27]],
        &[&ACCEPT[1..]],
        &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=="],
        &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, x"],
        &["\"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\""],
        &[KEY],
        &[ACCEPT, ACCEPT],
        &[ACCEPT, "x"],
    ] {
        let lines: Vec<String> = values.iter().map(|value| line(value)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let bytes = response("Sec-WebSocket-Accept", &lines);
        assert_eq!(answer_refused(&bytes), ResponseError::Accept, "{values:?}");
    }
    let (outcome, _) = answer(plain_client(), &response("", &[])).unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Accepted(_)));
    // Another nonce, another key.
    let other = ClientHandshake::new(ClientRequest::new("example.com", "/"), [7; 16]).unwrap();
    assert_eq!(answer(other, &response("", &[])).unwrap_err(), ResponseError::Accept);
}

#[test]
fn h06_a_key_is_16_bytes_in_base64() {
    for value in [
        "",
        "AAAAAAAAAAAAAAAAAAAA",     // 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=", // 17 bytes
        "dGhlIHNhbXBsZSBub25jZQ",   // no padding
        "dGhlIHNhbXBsZSBub25jZR==", // not canonical
        "dGhlIHNhbXBsZSBub25j*Q==",
        "the sample nonce",
    ] {
        let error = refused(&request("Sec-WebSocket-Key", &[&format!("Sec-WebSocket-Key: {value}")]));
        assert_eq!((error, error.status()), (RequestError::Key, 400), "{value}");
    }
    let line = format!("Sec-WebSocket-Key: {KEY}");
    assert_eq!(refused(&request("Sec-WebSocket-Key", &[&line, &line])), RequestError::Key);
    assert_eq!(refused(&request("Sec-WebSocket-Key", &[])), RequestError::Key);
    let accepted = accepted(&request("Sec-WebSocket-Key", &[&line])).accept(&AcceptConnection::default()).unwrap();
    assert_eq!(accepted.response.headers().text("sec-websocket-accept"), Some(ACCEPT));
}

#[test]
fn h07_framing_headers_are_refused() {
    for lines in [
        &["Content-Length: 5"][..],
        &["Transfer-Encoding: chunked"],
        &["transfer-encoding: identity"],
        &["Transfer-Encoding: \tchunked"],
        &["Transfer-Encoding:"],
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Content-Length: 0", "Transfer-Encoding: chunked"],
        &["Content-Length: +5"],
        &["Content-Length: +0"],
        &["Content-Length: 00"],
        &["Content-Length: 0, 0"],
        &["Content-Length:"],
        &["Content-Length: 0", "Content-Length: 0"],
        &["Content-Length: 0", "Content-Length: 5"],
    ] {
        let error = refused(&request("", lines));
        assert_eq!((error, error.status()), (RequestError::Body, 400), "{lines:?}");
        // A plain GET with a body is no request to be answered as HTTP either.
        let mut plain = REQUEST[..2].to_vec();
        plain.extend(lines);
        assert_eq!(refused(&head(&plain, "", &[])), RequestError::Body);
    }
    accepted(&request("", &["Content-Length: 0"]));

    for line in ["Content-Length: 0", "Content-Length: 5", "Transfer-Encoding: chunked", "content-length:"] {
        assert_eq!(answer_refused(&response("", &[line])), ResponseError::Body, "{line}");
    }

    // After a refusal nothing more is read: the same error for ever, whatever follows.
    let mut bytes = request("", &["Content-Length: 5"]);
    let mut reader = RequestReader::new(HeadLimits::default());
    assert_eq!(reader.receive(&bytes).unwrap_err(), RequestError::Body);
    bytes.extend_from_slice(&request("", &[]));
    assert_eq!(reader.receive(&bytes).unwrap_err(), RequestError::Body);
    assert_eq!(reader.receive(&request("", &[])).unwrap_err(), RequestError::Body);
    let mut out = Vec::new();
    http1::write_error(RequestError::Body, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"), "{text}");

    // A rejection closes, too, and the client gets no connection from it.
    let server = accepted(&request("", &[]));
    let rejected = server.reject(&RejectConnection::new(403)).unwrap();
    assert_eq!(rejected.headers().text("Connection"), Some("close"));
    assert_eq!(rejected.headers().text("Content-Length"), Some("0"));
}

#[test]
fn h08_lines_are_read_strictly() {
    use HeadError::{BareCarriageReturn, BareLineFeed, Character, EmptyLine, Folded, Syntax};
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let valid = text(request("", &[]));
    for (bytes, error) in [
        (valid.replace("\r\n", "\n"), BareLineFeed),
        (valid.replacen("\r\n", "\n", 1), BareLineFeed),
        (valid.replace("13\r\n\r\n", "13\r\n\n"), BareLineFeed),
        (valid.replace("13\r\n\r\n", "13\n\r\n"), BareLineFeed),
        (valid.replace("websocket\r\n", "websocket\r"), BareCarriageReturn),
        (valid.replace("websocket\r\n", "websocket\r\r\n"), BareCarriageReturn),
        (valid.replace("example", "exa\rmple"), BareCarriageReturn),
        (valid.replace("example", "exa\nmple"), BareLineFeed),
        (valid.replace("example", "exa\0mple"), Character),
        (valid.replace("example", "exa\u{1}mple"), Character),
        (valid.replace("example", "exa\u{7f}mple"), Character),
        (valid.replace("/chat", "/ch\0at"), Character),
        (valid.replace("/chat", "/chät"), Character),
        (valid.replace("GET ", "GET\t"), Character),
        (format!("\r\n{valid}"), EmptyLine),
        (format!("\n{valid}"), EmptyLine),
        (text(request("", &["X: a", " folded"])), Folded),
        (text(request("", &["X: a", "\tfolded"])), Folded),
        (text(request("Host", &[" Host: example.com"])), Folded),
        (text(request("Host", &["Host : example.com"])), Syntax),
        (text(request("Host", &["Host\t: example.com"])), Syntax),
        (text(request("", &["no colon"])), Syntax),
        (text(request("", &[": no name"])), Syntax),
        (text(request("", &["Näme: x"])), Syntax),
        (text(request("", &["Na(me: x"])), Syntax),
        (valid.replace("GET ", "GET  "), Syntax),
        (valid.replace(" HTTP", "  HTTP"), Syntax),
        (valid.replace("HTTP/1.1", "HTTP/1.1 "), Syntax),
        (format!(" {valid}"), Syntax),
        (valid.replace("GET", "G\"T"), Syntax),
    ] {
        let refused = refused(bytes.as_bytes());
        assert_eq!((refused, refused.status()), (RequestError::Head(error), 400), "{bytes:?}");
    }
    // A value may hold obs-text, and white space around it belongs to nobody.
    let mut bytes = request("", &["X-Raw: \t a"]);
    let at = bytes.len() - 5;
    bytes.splice(at..=at, [b'a', 0xe9, 0xff, b' ', b'\t']);
    let handshake = accepted(&bytes);
    assert_eq!(handshake.request().headers().value("x-raw"), Some(&b"a\xe9\xff"[..]));

    let valid = text(response("", &[]));
    for (bytes, error) in [
        (valid.replace("\r\n", "\n"), BareLineFeed),
        (valid.replace("websocket\r\n", "websocket\r"), BareCarriageReturn),
        (valid.replace("Switching", "Swi\0tching"), Character),
        (format!("\r\n{valid}"), EmptyLine),
        (text(response("", &["X: a", " folded"])), Folded),
        (text(response("Upgrade", &["Upgrade : websocket"])), Syntax),
        (valid.replace("101", "10"), Syntax),
        (valid.replace("101", "1011"), Syntax),
        (valid.replace("101", "099"), Syntax),
        (valid.replace("HTTP/1.1 ", "HTTP/1.1  "), Syntax),
    ] {
        assert_eq!(answer_refused(bytes.as_bytes()), ResponseError::Head(error), "{bytes:?}");
    }
}

#[test]
fn h09_version_method_and_target() {
    let first = |line: &str| request("GET", &[line]);
    for (line, error, status) in [
        ("GET / HTTP/1.0", RequestError::HttpVersion, 505),
        ("GET / HTTP/1.2", RequestError::HttpVersion, 505),
        ("GET / HTTP/0.9", RequestError::HttpVersion, 505),
        ("GET / HTTP/2.0", RequestError::HttpVersion, 505),
        ("GET / HTTP/1.10", RequestError::Head(HeadError::Syntax), 400),
        ("GET / http/1.1", RequestError::Head(HeadError::Syntax), 400),
        ("GET /", RequestError::Head(HeadError::Syntax), 400),
        ("POST / HTTP/1.1", RequestError::Method, 405),
        ("get / HTTP/1.1", RequestError::Method, 405),
        ("HEAD / HTTP/1.1", RequestError::Method, 405),
        ("OPTIONS * HTTP/1.1", RequestError::Method, 405),
        ("CONNECT example.com:443 HTTP/1.1", RequestError::Method, 405),
        ("GET * HTTP/1.1", RequestError::Target, 400),
        ("GET example.com:80 HTTP/1.1", RequestError::Target, 400),
        ("GET chat HTTP/1.1", RequestError::Target, 400),
        ("GET /#part HTTP/1.1", RequestError::Target, 400),
        ("GET ftp://example.com/ HTTP/1.1", RequestError::Target, 400),
        ("GET ws://example.com/ HTTP/1.1", RequestError::Target, 400),
        ("GET http://example.com#x HTTP/1.1", RequestError::Host, 400),
        ("GET http:///path HTTP/1.1", RequestError::Host, 400),
        ("GET http://user@example.com/ HTTP/1.1", RequestError::Host, 400),
    ] {
        let refused = refused(&first(line));
        assert_eq!((refused, refused.status()), (error, status), "{line}");
    }
    for (line, authority, scheme, path) in [
        ("GET / HTTP/1.1", "example.com", None, "/"),
        ("GET //a?b=http://c HTTP/1.1", "example.com", None, "//a?b=http://c"),
        ("GET http://other.example:81/a?b HTTP/1.1", "other.example:81", Some("http"), "/a?b"),
        ("GET HTTPS://[::1] HTTP/1.1", "[::1]", Some("HTTPS"), "/"),
        ("GET http://other.example?b HTTP/1.1", "other.example", Some("http"), "/?b"),
    ] {
        let handshake = accepted(&first(line));
        let request = handshake.request();
        assert_eq!((request.authority(), request.scheme(), request.target()), (authority, scheme, path), "{line}");
    }
    for version in ["8", "7", "0", "14", "013", "13, 8", "13.0", "x", ""] {
        let error = refused(&request("Sec-WebSocket-Version", &[&format!("Sec-WebSocket-Version: {version}")]));
        assert_eq!((error, error.status()), (RequestError::Version, 426), "{version}");
    }
    let response = RequestError::Version.response(HttpVersion::Http11).head;
    let text = |name| response.headers().text(name);
    assert_eq!(text("Sec-WebSocket-Version"), Some("13"));
    assert_eq!((text("Upgrade"), text("Connection")), (Some("websocket"), Some("Upgrade, close")));
    assert_eq!(RequestError::Method.response(HttpVersion::Http11).head.headers().text("Allow"), Some("GET"));
    assert_eq!(answer_refused(b"HTTP/1.0 101 x\r\n\r\n"), ResponseError::HttpVersion);
    assert_eq!(answer_refused(b"HTTP/1.2 101 x\r\n\r\n"), ResponseError::HttpVersion);
}

#[test]
fn h10_singletons_and_token_lists() {
    let host = "Host: example.com";
    for lines in [&[][..], &[host, host], &["Host:"], &["Host: a b"], &["Host: a/b"], &["Host: a, b"], &["Host: u@a"]] {
        // (A comma may stand in a name, by RFC 3986; the space behind it may not.)
        let error = refused(&request("Host", lines));
        assert_eq!((error, error.status()), (RequestError::Host, 400), "{lines:?}");
    }
    // Also where the target's authority replaces it.
    for lines in [&["GET http://a/ HTTP/1.1"][..], &["GET http://a/ HTTP/1.1", host, host]] {
        let mut lines = lines.to_vec();
        lines.extend(&REQUEST[2..]);
        assert_eq!(refused(&head(&lines, "", &[])), RequestError::Host);
    }
    let version = "Sec-WebSocket-Version: 13";
    assert_eq!(refused(&request("Sec-WebSocket-Version", &[version, version])), RequestError::VersionCount);
    assert_eq!(refused(&request("Sec-WebSocket-Version", &[])), RequestError::VersionCount);
    let origin = "Origin: https://example.com";
    assert_eq!(refused(&request("", &[origin, origin])), RequestError::Origin);

    for lines in [
        &["Upgrade: h2c, websocket"][..],
        &["Upgrade: h2c", "Upgrade: websocket"],
        &["Upgrade: WebSocket"],
        &["Upgrade: ,websocket\t,"],
        &["Upgrade: websocket", "Upgrade: websocket"],
    ] {
        accepted(&request("Upgrade", lines));
    }
    for lines in
        [&[][..], &["Upgrade: h2c"], &["Upgrade: websockets"], &["Upgrade: web socket"], &["Upgrade: xwebsocket"]]
    {
        assert_eq!(refused(&request("Upgrade", lines)), RequestError::NotWebSocket, "{lines:?}");
    }
    for lines in [&["Connection: keep-alive, Upgrade"][..], &["Connection: keep-alive", "connection: upgrade"]] {
        accepted(&request("Connection", lines));
    }
    for lines in [&[][..], &["Connection: keep-alive"], &["Connection: upgraded"], &["Connection: close, up grade"]] {
        assert_eq!(refused(&request("Connection", lines)), RequestError::Connection, "{lines:?}");
    }
    // A response has one value of Upgrade, and it is `websocket`.
    for lines in [
        &[][..],
        &["Upgrade: h2c, websocket"],
        &["Upgrade: websocket", "Upgrade: websocket"],
        &["Upgrade: h2c", "Upgrade: websocket"],
        &["Upgrade: websocket2"],
    ] {
        assert_eq!(answer_refused(&response("Upgrade", lines)), ResponseError::Upgrade, "{lines:?}");
    }
    assert_eq!(answer_refused(&response("Connection", &["Connection: close"])), ResponseError::Connection);
    let (outcome, _) = answer(plain_client(), &response("Upgrade", &["Upgrade: WEBSOCKET"])).unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Accepted(_)));
}

#[test]
fn h11_informational_responses_are_skipped() {
    let upgrade = response("", &[]);
    for (count, ok) in [(0, true), (1, true), (8, true), (9, false), (100, false)] {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n".repeat(count);
        let bytes = [&hints[..], &upgrade].concat();
        match answer(plain_client(), &bytes) {
            Ok(Some((Outcome::Accepted(_), length))) => assert_eq!((ok, length), (true, bytes.len())),
            other => assert_eq!((ok, other.unwrap_err()), (false, ResponseError::TooManyInformational)),
        }
    }
    // 100 and 102 as well; a rejection may follow; a 1xx cannot hide a broken head.
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\nbody";
    let (outcome, length) = answer(plain_client(), bytes).unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Rejected(head) if head.status() == 403));
    assert_eq!(length, bytes.len() - 4);
    assert_eq!(
        answer_refused(b"HTTP/1.1 103 x\r\n\r\n\r\nHTTP/1.1 101 x\r\n\r\n"),
        ResponseError::Head(HeadError::EmptyLine)
    );
    // The number is the caller's.
    for most in [0, 1, 20] {
        let limits = HeadLimits { informational: most, ..HeadLimits::default() };
        for (count, ok) in [(most, true), (most + 1, false)] {
            let bytes = [&b"HTTP/1.1 103 x\r\n\r\n".repeat(count)[..], &upgrade].concat();
            let read = ResponseReader::new(plain_client(), limits).receive(&bytes);
            assert_eq!(read.is_ok(), ok, "{count} of {most}");
            assert!(ok || matches!(read, Err(ResponseError::TooManyInformational)));
        }
    }
    // The limit of the head is for all of them together.
    let hint = format!("HTTP/1.1 103 x\r\nX: {}\r\n\r\n", "x".repeat(6000)).repeat(3);
    assert_eq!(answer_refused(hint.as_bytes()), ResponseError::Head(HeadError::TooLarge));
    // A 101 is final: a second one behind it is input of the connection, not of the handshake.
    let twice = [&upgrade[..], &upgrade].concat();
    let mut reader = ResponseReader::new(plain_client(), HeadLimits::default());
    let (_, length) = reader.receive(&twice).unwrap().unwrap();
    assert_eq!(length, upgrade.len());
    assert!(reader.receive(&twice).unwrap().is_none());
    // On header lists the caller's library skips them.
    let hint = ResponseHead::new(103, Headers::new()).unwrap();
    assert_eq!(plain_client().response(hint).unwrap_err(), ResponseError::Status(103));
}

#[test]
fn h12_bytes_behind_the_head_are_kept() {
    // A masked "Hi" behind the request, an unmasked one behind the response; cut everywhere, inside of CR LF CR LF too.
    let mut masked = *b"\x81\x82\x01\x02\x03\x04Hi";
    Mask::new([1, 2, 3, 4]).apply(&mut masked[6..]);
    let bytes = [&request("", &[])[..], &masked].concat();
    let deliver = |mut connection: Connection, mut rest: Vec<u8>| {
        let mut input = Input::new(&mut rest);
        let event = connection.receive(&mut input).unwrap().unwrap();
        assert!(matches!(event, Event::Message(message) if message.data.as_bytes() == b"Hi"));
    };
    for cut in 0..=bytes.len() {
        let mut reader = RequestReader::new(HeadLimits::default());
        let first = reader.receive(&bytes[..cut]).unwrap();
        let (handshake, length) = first.or_else(|| reader.receive(&bytes).unwrap()).unwrap();
        let accepted = handshake.accept(&AcceptConnection::default()).unwrap();
        deliver(Connection::server(accepted.extensions, Limits::default()), bytes[length..].to_vec());
    }
    let bytes = [&response("", &[])[..], b"\x81\x02Hi"].concat();
    for cut in 0..=bytes.len() {
        let mut reader = ResponseReader::new(plain_client(), HeadLimits::default());
        let first = reader.receive(&bytes[..cut]).unwrap();
        let (outcome, length) = first.or_else(|| reader.receive(&bytes).unwrap()).unwrap();
        let Outcome::Accepted(accepted) = outcome else { panic!("rejected") };
        let connection = Connection::client(accepted.extensions, Limits::default(), || [0; 4]);
        deliver(connection, bytes[length..].to_vec());
    }
}

/// What a reader says, as text, when the bytes come in these steps.
fn verdict<T>(ends: impl Iterator<Item = usize>, mut receive: impl FnMut(usize) -> Option<T>) -> Option<T> {
    for end in ends {
        if let Some(verdict) = receive(end) {
            return Some(verdict);
        }
    }
    None
}

fn request_verdict(bytes: &[u8], limits: HeadLimits, ends: impl Iterator<Item = usize>) -> String {
    let mut reader = RequestReader::new(limits);
    let verdict = verdict(ends, |end| match reader.receive(&bytes[..end]) {
        Ok(None) => None,
        Ok(Some((handshake, length))) => Some(format!("{length} {:?}", handshake.request())),
        Err(error) => Some(format!("{error:?}")),
    });
    verdict.unwrap_or_default()
}

fn response_verdict(bytes: &[u8], limits: HeadLimits, ends: impl Iterator<Item = usize>) -> String {
    let mut reader = ResponseReader::new(plain_client(), limits);
    let verdict = verdict(ends, |end| match reader.receive(&bytes[..end]) {
        Ok(None) => None,
        Ok(Some((outcome, length))) => Some(format!("{length} {outcome:?}")),
        Err(error) => Some(format!("{error:?}")),
    });
    verdict.unwrap_or_default()
}

fn requests() -> Vec<Vec<u8>> {
    let mut all = vec![request("", &[]), [request("", &[]), b"\r\n\r\nmore".to_vec()].concat()];
    for (without, with) in [
        ("Host", &[][..]),
        ("Host", &["Host: a", "Host: b"]),
        ("Host", &["Host : a"]),
        ("Upgrade", &[]),
        ("Upgrade", &["Upgrade: h2c, websocket"]),
        ("Connection", &["Connection: close"]),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key: x"]),
        ("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]),
        ("Sec-WebSocket-Version", &[]),
        ("", &["Content-Length: 5"]),
        ("", &["Transfer-Encoding: chunked"]),
        ("", &["X: a", " b"]),
        ("", &["X: a\rb"]),
        ("", &["X: a\nb"]),
        ("", &["X: a\0b"]),
        ("", &["no colon"]),
        ("", &["Sec-WebSocket-Protocol: a, b"]),
        ("", &["Sec-WebSocket-Protocol: a b"]),
        ("", &["Sec-WebSocket-Protocol: a, a"]),
        ("", &["Sec-WebSocket-Protocol:"]),
        ("", &["Sec-WebSocket-Extensions: a; b=\"c\", a"]),
        ("", &["Sec-WebSocket-Extensions: a; b=\"c"]),
        ("", &["Origin: https://example.com"]),
        ("", &["A: 1", "B: 2", "C: 3", "D: 4"]),
        ("GET", &["GET http://a/b HTTP/1.1"]),
        ("GET", &["GET * HTTP/1.1"]),
        ("GET", &["POST / HTTP/1.1"]),
        ("GET", &["GET / HTTP/1.0"]),
        ("GET", &["GET / HTTP/3.0"]),
        ("GET", &["GET /"]),
        ("GET", &["G\0T / HTTP/1.1"]),
        ("GET", &["", "GET / HTTP/1.1"]),
    ] {
        all.push(request(without, with));
    }
    for bytes in
        [&b"\n"[..], b"\x16\x03\x01\x02\0", b"GET /\r\n\r\n", b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HT"]
    {
        all.push(bytes.to_vec());
    }
    let long = format!("X: {}", "x".repeat(400));
    all.push(request("", &[&long]));
    all.push([request("", &[&long]), b"\n\r\0".to_vec()].concat());
    all
}

fn responses() -> Vec<Vec<u8>> {
    let hint = b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
    let mut all = vec![response("", &[]), [hint.clone(), response("", &[]), b"\x81\0".to_vec()].concat()];
    all.push(hint.repeat(9));
    for (without, with) in [
        ("Upgrade", &[][..]),
        ("Upgrade", &["Upgrade: h2c"]),
        ("Upgrade", &["Upgrade : websocket"]),
        ("Connection", &["Connection: close"]),
        ("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept: x"]),
        ("", &["Content-Length: 0"]),
        ("", &["Sec-WebSocket-Protocol: chat"]),
        ("", &["Sec-WebSocket-Extensions: foo"]),
        ("", &["X: a", "\tb"]),
        ("", &["X: a\nb"]),
        ("HTTP", &["HTTP/1.1 200 OK"]),
        ("HTTP", &["HTTP/1.0 403"]),
        ("HTTP", &["HTTP/1.0 101 x"]),
        ("HTTP", &["HTTP/2 101 x"]),
        ("HTTP", &["HTTP/1.1 99 x"]),
        ("HTTP", &["HTTP/1.1 404 \u{e9}"]),
        ("HTTP", &["ICY 200 OK"]),
    ] {
        all.push(response(without, with));
    }
    let long = format!("X: {}", "x".repeat(400));
    all.push(response("", &[&long]));
    all
}

#[test]
fn h13_the_verdict_does_not_depend_on_the_cuts() {
    let limits = [
        HeadLimits::default(),
        HeadLimits { size: 300, ..HeadLimits::default() },
        HeadLimits { headers: 8, ..HeadLimits::default() },
        HeadLimits { size: 30, headers: 1, informational: 0 },
    ];
    let (mut verdicts, mut checked) = (String::new(), 0);
    for limits in limits {
        for (all, verdict) in [
            (
                requests(),
                &mut (|bytes: &[u8], ends: &mut dyn Iterator<Item = usize>| request_verdict(bytes, limits, ends))
                    as &mut dyn FnMut(&[u8], &mut dyn Iterator<Item = usize>) -> String,
            ),
            (responses(), &mut |bytes, ends| response_verdict(bytes, limits, ends)),
        ] {
            for bytes in all {
                let whole = verdict(&bytes, &mut [bytes.len()].into_iter());
                assert_eq!(verdict(&bytes, &mut (0..=bytes.len())), whole, "{}", bytes.escape_ascii());
                for cut in 0..=bytes.len() {
                    let split = verdict(&bytes, &mut [cut, bytes.len()].into_iter());
                    assert_eq!(split, whole, "cut at {cut}: {}", bytes.escape_ascii());
                    checked += 1;
                }
                writeln!(verdicts, "{whole}").unwrap();
            }
        }
    }
    assert!(checked > 40_000, "{checked}");
    // The table reaches what it is meant to reach.
    for text in ["TooLarge", "TooManyHeaders", "Folded", "NotWebSocket", "Accepted", "Rejected", "TooManyInformational"]
    {
        assert!(verdicts.contains(text), "{text}");
    }

    // A head of 64 KiB, at the default limit: the same verdict at the same byte.
    let bytes = request("", &[&format!("X: {}", "x".repeat(65_536))]);
    let ends = [[bytes.len(), bytes.len()], [100, bytes.len()], [16 * 1024, bytes.len()], [16 * 1024, 16 * 1024 + 1]];
    for ends in ends {
        assert_eq!(request_verdict(&bytes, HeadLimits::default(), ends.into_iter()), "Head(TooLarge)", "{ends:?}");
    }
    let one_less = request_verdict(&bytes, HeadLimits::default(), 0..=16 * 1024);
    assert_eq!(one_less, "");
}

#[test]
fn h15_the_body_of_a_rejection_is_bounded() {
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x1_0000], b"\r\n"].concat();
    for (headers, prefix) in [
        (&[("Content-Length", "1000000000")][..], &b""[..]),
        (&[], b""),
        (&[("Transfer-Encoding", "chunked")], b"1\r\nx\r\n"),
    ] {
        let head = ResponseHead::new(403, Headers::from_fields(headers.iter().copied()).unwrap()).unwrap();
        let mut body = RejectionBody::new(&head, RejectionBody::DEFAULT_LIMIT).unwrap();
        let (mut given, mut offered) = (0, 0);
        let mut input = prefix.to_vec();
        while !body.is_finished() {
            while !body.is_finished() && !input.is_empty() {
                let (consumed, data) = body.receive(&input).unwrap();
                given += data.data.len();
                input.drain(..consumed);
            }
            input.extend_from_slice(&chunk);
            offered += chunk.len();
            assert!(offered < 4 * chunk.len(), "reads on and on");
        }
        assert_eq!((given, body.is_truncated()), (64 * 1024, true), "{headers:?}");
        // Nothing more is taken.
        let (consumed, data) = body.receive(b"more").unwrap();
        assert_eq!((consumed, data.data.len(), data.body_finished), (0, 0, true));
    }
    // It keeps nothing of what it read.
    assert!(size_of::<RejectionBody>() <= 64, "{}", size_of::<RejectionBody>());
}

#[test]
fn h16_origins() {
    let same = OriginPolicy::default();
    let list = OriginPolicy::list(["https://good.com", "http://localhost:3000"]).unwrap();
    for (host, origin, by_host, by_list) in [
        ("good.com", None, true, true),
        ("good.com", Some("https://good.com"), true, true),
        ("good.com", Some("http://good.com"), true, false),
        ("good.com:443", Some("https://good.com"), true, true),
        ("good.com", Some("https://good.com:443"), true, true),
        ("good.com", Some("http://good.com:443"), false, false),
        ("good.com:80", Some("https://good.com"), false, true),
        ("GOOD.com", Some("HTTPS://Good.COM"), true, true),
        ("good.com:8080", Some("https://good.com:8080"), true, false),
        ("good.com:8080", Some("https://good.com"), false, true),
        ("good.com", Some("https://good.com:8080"), false, false),
        ("good.com", Some("null"), false, false),
        ("good.com", Some("NULL"), false, false),
        ("good.com", Some(""), false, false),
        ("good.com", Some("good.com"), false, false),
        ("good.com", Some("https://"), false, false),
        ("good.com", Some("https://evil.com"), false, false),
        ("good.com", Some("https://good.com.evil.com"), false, false),
        ("good.com", Some("https://evil-good.com"), false, false),
        ("good.com", Some("https://sub.good.com"), false, false),
        ("good.com", Some("https://good.com@evil.com"), false, false),
        ("good.com", Some("https://evil.com/https://good.com"), false, false),
        ("good.com", Some("https://good.com/"), false, false),
        ("good.com", Some("https://good.com#"), false, false),
        ("good.com", Some("https://good.com https://evil.com"), false, false),
        ("good.com", Some("https://evil.com https://good.com"), false, false),
        ("good.com", Some("chrome-extension://good.com"), false, false),
        ("good.com", Some("file://"), false, false),
        ("good.com", Some("https:good.com"), false, false),
        ("localhost:3000", Some("http://localhost:3000"), true, true),
        ("localhost:9001", Some("http://localhost:3000"), false, true),
        ("127.0.0.1:9001", Some("http://127.0.0.1:9001"), true, false),
        ("127.0.0.1:9001", Some("http://localhost:9001"), false, false),
        ("127.0.0.1:9001", Some("http://127.0.0.1"), false, false),
        ("10.0.0.1", Some("http://10.0.0.10"), false, false),
        ("[::1]:9001", Some("http://[::1]:9001"), true, false),
        ("[::1]:9001", Some("http://[0:0:0:0:0:0:0:1]:9001"), true, false),
        ("[::1]:9001", Some("http://[::2]:9001"), false, false),
        ("[::1]", Some("http://::1"), false, false),
    ] {
        let origin_line = origin.map(|origin| format!("Origin: {origin}"));
        let host_line = format!("Host: {host}");
        let mut lines = vec![host_line.as_str()];
        lines.extend(origin_line.as_deref());
        let handshake = accepted(&request("Host", &lines));
        let request = handshake.request();
        assert_eq!(request.origin(), origin);
        assert_eq!(same.allows(request), by_host, "{origin:?} at {host}, same host");
        assert_eq!(list.allows(request), by_list, "{origin:?} at {host}, list");
        assert!(OriginPolicy::Any.allows(request));
        // Accepting judges by itself, and by the same host where nothing was said.
        let accept = |origins: &OriginPolicy| handshake.accept(&AcceptConnection { origins, ..Default::default() });
        let by_default = handshake.accept(&AcceptConnection::default());
        for (answer, allowed) in [(by_default, by_host), (accept(&same), by_host), (accept(&list), by_list)] {
            let expected = if allowed { Ok(101) } else { Err(LocalHandshakeError::OriginNotAllowed) };
            assert_eq!(answer.map(|accepted| accepted.response.status()), expected, "{origin:?} at {host}");
        }
        assert!(accept(&OriginPolicy::Any).is_ok());
    }
    let message = LocalHandshakeError::OriginNotAllowed.to_string();
    assert!(message.contains("403") && message.contains("OriginPolicy::Any"), "{message}");
    // An origin that is not visible ASCII could not be shown as it is, so the request is refused.
    let mut bytes = request("", &["Origin: https://good.com"]);
    let at = bytes.len() - 5;
    bytes[at] = 0xff;
    assert_eq!(refused(&bytes), RequestError::Origin);
}

#[test]
fn h17_negotiation() {
    let foo = Plain::new(Rsv::RSV1, &[Params::new("foo").with_value("a", "1"), Params::new("foo")]);
    let bar = Plain::new(Rsv::RSV1, &[Params::new("bar")]);
    let baz = Plain::new(Rsv::RSV2, &[Params::new("baz")]);
    let supported: [&dyn Extension; 3] = [&bar, &baz, &foo];
    for (requested, expected) in [
        (&[][..], None),
        (&["quux"], None),
        (&["foo"], Some("foo")),
        (&["foo; a=2, foo; b, foo; a=1; a=1, foo; a=\"1\", foo"], Some("foo; a=1")),
        (&["foo; a=2", "foo"], Some("foo")),
        (&["foo, foo; a=1"], Some("foo")),
        (&["foo, bar, baz"], Some("foo, baz")), // foo and bar claim the same bit
        (&["bar, foo", "baz"], Some("bar, baz")),
        (&["FOO"], None),
        (&["foo; a"], None),
        (&["foo;"], None),
        (&["foo", "bar;"], None),
    ] {
        let (answer, extensions) = server_extensions_handshake(requested.iter().copied(), &supported);
        assert_eq!(answer.as_deref(), expected, "{requested:?}");
        assert_eq!(extensions.len(), expected.map_or(0, |answer| answer.split(", ").count()));
    }
    let offered: [&dyn Extension; 3] = [&foo, &bar, &baz];
    for (accepted, expected) in [
        (&[][..], Ok(0)),
        (&["foo"], Ok(1)),
        (&["foo; a=1, baz"], Ok(2)),
        (&["baz", "foo; a=1"], Ok(2)),
        (&["quux"], Err(NegotiationError::NotOffered)),
        (&["foo, quux"], Err(NegotiationError::NotOffered)),
        (&["foo, foo"], Err(NegotiationError::Repeated)),
        (&["foo", "foo; a=1"], Err(NegotiationError::Repeated)),
        (&["foo; a=2"], Err(NegotiationError::Parameters)),
        (&["foo; a=1; a=1"], Err(NegotiationError::Parameters)),
        (&["foo; unknown"], Err(NegotiationError::Parameters)),
        (&["foo, bar"], Err(NegotiationError::RsvConflict)),
        (&["foo;"], Err(NegotiationError::Malformed)),
        (&["foo; a=\"\""], Err(NegotiationError::Malformed)),
    ] {
        let result = client_extensions_handshake(accepted.iter().copied(), &offered).map(|extensions| extensions.len());
        assert_eq!(result, expected, "{accepted:?}");
    }

    // Through whole heads, both ways.
    for value in ["foo;", "foo; a=", "foo bar", "\"foo\"", "", ",,"] {
        let error = refused(&request("", &[&format!("Sec-WebSocket-Extensions: {value}")]));
        assert_eq!((error, error.status()), (RequestError::Extensions, 400), "{value}");
    }
    for value in ["", ",", "a b", "a, a", "a;b", "\"a\""] {
        let error = refused(&request("", &[&format!("Sec-WebSocket-Protocol: {value}")]));
        assert_eq!((error, error.status()), (RequestError::Subprotocols, 400), "{value}");
    }
    let asking = || {
        client(ClientRequest {
            subprotocols: vec!["chat".into(), "superchat".into()],
            extensions: vec![Arc::new(Plain::new(Rsv::RSV1, &[Params::new("foo")]))],
            ..ClientRequest::new("example.com", "/")
        })
    };
    for (lines, error) in [
        (&["Sec-WebSocket-Protocol: other"][..], ResponseError::Subprotocol),
        (&["Sec-WebSocket-Protocol: Chat"], ResponseError::Subprotocol),
        (&["Sec-WebSocket-Protocol: chat, superchat"], ResponseError::Subprotocol),
        (&["Sec-WebSocket-Protocol:"], ResponseError::Subprotocol),
        (&["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"], ResponseError::Subprotocol),
        (&["Sec-WebSocket-Extensions: bar"], ResponseError::Extensions(NegotiationError::NotOffered)),
        (&["Sec-WebSocket-Extensions: foo; a"], ResponseError::Extensions(NegotiationError::Parameters)),
        (
            &["Sec-WebSocket-Extensions: foo", "sec-websocket-extensions: foo"],
            ResponseError::Extensions(NegotiationError::Repeated),
        ),
        (&["Sec-WebSocket-Extensions: foo;"], ResponseError::Extensions(NegotiationError::Malformed)),
        (&["Sec-WebSocket-Extensions: é"], ResponseError::Extensions(NegotiationError::Malformed)),
    ] {
        assert_eq!(answer(asking(), &response("", lines)).unwrap_err(), error, "{lines:?}");
        // Nothing was asked for by this one.
        assert!(answer(plain_client(), &response("", lines)).is_err());
    }
    let lines = ["Sec-WebSocket-Protocol: superchat", "Sec-WebSocket-Extensions: foo"];
    let (outcome, _) = answer(asking(), &response("", &lines)).unwrap().unwrap();
    let Outcome::Accepted(accepted_by_client) = outcome else { panic!("rejected") };
    assert_eq!(accepted_by_client.subprotocol.as_deref(), Some("superchat"));
    assert_eq!(accepted_by_client.extensions.len(), 1);
    assert_eq!(accepted_by_client.agreed, [Params::new("foo")]);

    // Both ends say what was agreed on, in the order of the answer.
    let baz = Arc::new(Plain::new(Rsv::RSV2, &[Params::new("baz")]));
    let foo = Arc::new(Plain::new(Rsv::RSV1, &[Params::new("foo").with_value("a", "1")]));
    let client =
        client(ClientRequest { extensions: vec![baz.clone(), foo.clone()], ..ClientRequest::new("example.com", "/") });
    let mut bytes = Vec::new();
    http1::write_request(&client, &mut bytes).unwrap();
    let accept = AcceptConnection { extensions: &[&*foo, &*baz], ..Default::default() };
    let by_server = accepted(&bytes).accept(&accept).unwrap();
    let expected = [Params::new("baz"), Params::new("foo").with_value("a", "1")];
    assert_eq!(by_server.agreed, expected);
    let Ok(Outcome::Accepted(by_client)) = client.response(by_server.response) else { panic!("not accepted") };
    assert_eq!(by_client.agreed, expected);

    // A server cannot answer with a subprotocol that was not offered.
    let server = accepted(&request("", &["Sec-WebSocket-Protocol: chat"]));
    for (subprotocol, ok) in [("chat", true), ("other", false), ("Chat", false), ("", false)] {
        let accept = AcceptConnection { subprotocol: Some(subprotocol), ..Default::default() };
        let result = server.accept(&accept).map(|accepted| accepted.subprotocol);
        let expected =
            if ok { Ok(Some(subprotocol.to_owned())) } else { Err(LocalHandshakeError::SubprotocolNotOffered) };
        assert_eq!(result, expected);
    }
}

/// Rows H5 to H10 and H17 for the extended CONNECT of HTTP/2 and 3, on header lists.
#[test]
fn h09_extended_connect() {
    let base = || RequestHead {
        version: HttpVersion::Http2,
        method: "CONNECT",
        scheme: Some("https"),
        authority: Some("example.com"),
        path: "/chat",
        protocol: Some("websocket"),
        headers: Headers::from_fields([("sec-websocket-version", "13")]).unwrap(),
    };
    let refused = |head: RequestHead<'_>| ServerHandshake::new(head).map(|_| ()).unwrap_err();
    for version in [HttpVersion::Http2, HttpVersion::Http3] {
        let accepted = ServerHandshake::new(RequestHead { version, ..base() }).unwrap();
        let accepted = accepted.accept(&AcceptConnection::default()).unwrap();
        assert_eq!((accepted.response.status(), accepted.response.headers().len()), (200, 0));
    }
    assert_eq!(refused(RequestHead { version: HttpVersion::Http10, ..base() }), RequestError::HttpVersion);
    assert_eq!(refused(RequestHead { method: "GET", protocol: None, ..base() }), RequestError::NotWebSocket);
    for protocol in [None, Some("connect-udp"), Some("WebSocket"), Some("")] {
        let error = refused(RequestHead { protocol, ..base() });
        assert_eq!((error, error.status()), (RequestError::ConnectProtocol, 501));
    }
    for scheme in [None, Some("ftp"), Some("wss"), Some("")] {
        assert_eq!(refused(RequestHead { scheme, ..base() }), RequestError::Target);
    }
    for path in ["", "*", "chat", "/a b", "/#"] {
        assert_eq!(refused(RequestHead { path, ..base() }), RequestError::Target);
    }
    for authority in [None, Some(""), Some("u@a"), Some("a b")] {
        assert_eq!(refused(RequestHead { authority, ..base() }), RequestError::Host);
    }
    for (name, value, error) in [
        ("host", "other.com", RequestError::Host),
        ("connection", "upgrade", RequestError::Connection),
        ("upgrade", "websocket", RequestError::Connection),
        ("content-length", "0", RequestError::Body),
        ("transfer-encoding", "chunked", RequestError::Body),
        ("sec-websocket-version", "13", RequestError::VersionCount),
        ("sec-websocket-extensions", "foo;", RequestError::Extensions),
        ("sec-websocket-protocol", "a b", RequestError::Subprotocols),
    ] {
        assert_eq!(
            refused(RequestHead { headers: base().headers.with(name, value).unwrap(), ..base() }),
            error,
            "{name}"
        );
    }
    let headers = Headers::from_fields([("sec-websocket-version", "8")]).unwrap();
    let error = refused(RequestHead { headers, ..base() });
    // 426 needs the header Upgrade, which HTTP/2 does not have.
    let response = error.response(HttpVersion::Http2).head;
    assert_eq!((error, response.status()), (RequestError::Version, 400));
    assert!(!response.headers().contains("upgrade") && !response.headers().contains("connection"));
    assert_eq!(response.headers().text("sec-websocket-version"), Some("13"));

    // Both sides together, with a subprotocol, an extension and further headers.
    let foo = Arc::new(Plain::new(Rsv::RSV1, &[Params::new("foo")]));
    let request = ClientRequest {
        secure: true,
        subprotocols: vec!["chat".into()],
        extensions: vec![foo.clone()],
        headers: Headers::from_fields([("X-Extra", "1")]).unwrap(),
        ..ClientRequest::new("example.com", "/chat")
    };
    let client = ClientHandshake::http2(request).unwrap();
    let head = client.request();
    assert_eq!((head.method, head.protocol, head.scheme), ("CONNECT", Some("websocket"), Some("https")));
    assert!(head.headers.iter().all(|(name, _)| !name.bytes().any(|byte| byte.is_ascii_uppercase())));
    assert!(!head.headers.contains("sec-websocket-key") && !head.headers.contains("host"));
    assert_eq!(http1::write_request(&client, &mut Vec::new()), Err(LocalHandshakeError::NotHttp1));
    let server = ServerHandshake::new(head).unwrap();
    assert_eq!((server.request().authority(), server.request().path()), ("example.com", "/chat"));
    let headers = Headers::from_fields([("Set-Cookie", "a=b")]).unwrap();
    let accept = AcceptConnection { subprotocol: Some("chat"), extensions: &[&*foo], headers, ..Default::default() };
    let response = server.accept(&accept).unwrap().response;
    let names: Vec<&str> = response.headers().iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["sec-websocket-protocol", "sec-websocket-extensions", "set-cookie"]);
    let Ok(Outcome::Accepted(accepted)) = client.response(response) else { panic!("not accepted") };
    assert_eq!((accepted.subprotocol.as_deref(), accepted.extensions.len()), (Some("chat"), 1));

    // A 2xx would accept, so it rejects nothing; a rejection has no Connection header.
    for status in [100, 101, 199, 200, 204, 299, 600, 999] {
        assert_eq!(server.reject(&RejectConnection::new(status)), Err(LocalHandshakeError::Status(status)));
    }
    let rejected = server.reject(&RejectConnection::new(403)).unwrap();
    assert!(!rejected.headers().contains("connection"));
    assert!(matches!(client.response(rejected), Ok(Outcome::Rejected(head)) if head.status() == 403));
    let switch = ResponseHead::new(101, Headers::new()).unwrap();
    assert_eq!(client.response(switch).unwrap_err(), ResponseError::Status(101));
}
