//! What our server answers to requests over HTTP/2 that ask for a WebSocket and to those that only look so (RFC 8441 §4,
//! RFC 9113 §8).

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/http2.rs"]
mod http2;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ends::{Server, soon};
use h2::Reason;
use http2::*;
use tokio::sync::mpsc;
use wsproto_io::{AcceptOptions, ServeOptions};

/// A server for one host; and how many WebSockets it has had.
async fn serve() -> (Server, Arc<AtomicUsize>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let accept = AcceptOptions::new().hosts(["localhost"]).unwrap();
    let counting = Arc::clone(&opened);
    let server = Server::start(ServeOptions::new().http2(100).accept(accept), move |socket, client| {
        counting.fetch_add(1, Ordering::Relaxed);
        ends::echo(socket, client)
    });
    (server.await, opened)
}

/// The usual request, but for these fields: `None` is left out, others take their place or stand at the end.
fn changed(changes: &[(&'static str, Option<&'static str>)]) -> Vec<(&'static str, &'static str)> {
    let mut fields = REQUEST.to_vec();
    for (name, value) in changes {
        let at = fields.iter().position(|(known, _)| known == name);
        match (at, *value) {
            (Some(at), Some(value)) => fields[at].1 = value,
            (Some(at), None) => drop(fields.remove(at)),
            (None, value) => fields.extend(value.map(|value| (*name, value))),
        }
    }
    fields
}

/// Only `:protocol` = `websocket` is one (RFC 8441 §4): an implementation that took each CONNECT for one was an open proxy.
#[tokio::test]
async fn p06_a_request_gets_what_it_asks_for() {
    let (server, opened) = serve().await;
    let mut client = Peer::client(server.address).await;
    let plain = [(":method", "CONNECT"), (":authority", "localhost:80")];
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")];
    let asks = [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")];
    let cases = [
        (plain.to_vec(), 501),
        ([&plain[..], &asks].concat(), 501),
        (changed(&[(":protocol", Some("connect-udp"))]), 501),
        // A protocol's name is what it is: RFC 8441 §4 takes it from the registry of HTTP Upgrade tokens.
        (changed(&[(":protocol", Some("websocket2"))]), 501),
        (changed(&[(":protocol", Some("WebSocket"))]), 501),
        ([&get[..], &asks].concat(), 400),
        (changed(&[(":method", Some("GET")), (":protocol", None)]), 400),
        (changed(&[(":authority", None)]), 400),
        (changed(&[(":authority", None), ("host", Some("localhost"))]), 400),
        (changed(&[("host", Some("example.com"))]), 400),
        (changed(&[("host", Some("localhost"))]), 200),
        (changed(&[(":path", Some("*"))]), 400),
        (changed(&[(":scheme", Some("ftp"))]), 400),
        (changed(&[(":scheme", Some("https"))]), 200),
        (changed(&[("sec-websocket-version", None)]), 400),
        (changed(&[("sec-websocket-version", Some("12"))]), 400),
        (changed(&[("sec-websocket-version", Some("13, 8"))]), 400),
        ([&REQUEST[..], &[("sec-websocket-version", "13")]].concat(), 400),
        // "The Sec-WebSocket-Key header is not used" (RFC 8441 §5), so it may be anything.
        (changed(&[("sec-websocket-key", Some("?"))]), 200),
        (changed(&[("origin", Some("http://localhost"))]), 200),
        (changed(&[("origin", Some("https://localhost"))]), 200),
        (changed(&[("origin", Some("http://evil.example"))]), 403),
        (changed(&[("origin", Some("http://localhost.evil.example"))]), 403),
        (changed(&[("origin", Some("null"))]), 403),
        (changed(&[(":authority", Some("evil.example")), ("origin", Some("http://evil.example"))]), 421),
        (changed(&[("content-length", Some("5"))]), 400),
        (changed(&[("sec-websocket-extensions", Some("permessage-deflate;"))]), 400),
    ];
    for (n, (fields, status)) in (0_u32..).zip(&cases) {
        let stream = 2 * n + 1;
        client.send([headers(0, stream, fields)]).await;
        let response = client.until(|frame| frame.is(HEADERS, stream) || frame.is(RST_STREAM, stream)).await;
        assert!(response.kind == HEADERS && response.status() == *status, "{fields:?}: {response:?}");
        if *status == 200 {
            client.echo(stream).await;
        }
    }
    assert_eq!(opened.load(Ordering::Relaxed), cases.iter().filter(|(_, status)| *status == 200).count());
}

/// "A request or response that [...] is malformed [...] MUST be treated as a stream error" (RFC 9113 §8.1.1).
#[tokio::test]
async fn p06_a_malformed_request_is_reset() {
    let (server, opened) = serve().await;
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    let first = [("x-first", "1")];
    let cases = [
        changed(&[(":method", None)]),
        changed(&[(":scheme", None)]),
        changed(&[(":path", None)]),
        changed(&[(":path", Some(""))]),
        changed(&[(":protocol", None)]),
        changed(&[(":method", Some("GET"))]),
        changed(&[(":authority", Some("a b"))]),
        changed(&[("upgrade", Some("websocket"))]),
        changed(&[("connection", Some("upgrade"))]),
        changed(&[("transfer-encoding", Some("chunked"))]),
        changed(&[("te", Some("gzip"))]),
        changed(&[("content-length", Some("five"))]),
        [&REQUEST[..], &[(":path", "/twice")]].concat(),
        [&first[..], &REQUEST].concat(),
        changed(&[(":status", Some("200"))]),
    ];
    for (n, fields) in (1_u32..).zip(&cases) {
        let stream = 2 * n + 1;
        client.send([headers(0, stream, fields)]).await;
        let answer = client.until(|frame| frame.is(HEADERS, stream) || frame.is(RST_STREAM, stream)).await;
        assert_eq!((answer.kind, answer.reason()), (RST_STREAM, Reason::PROTOCOL_ERROR), "{fields:?}");
        client.echo(1).await;
    }
    // `h2` takes these two for a broken header block, which is an error of the connection.
    for field in [("X-Upper", "1"), (":unknown", "1")] {
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        client.send([headers(0, 3, &[&REQUEST[..], &[field]].concat())]).await;
        let answer = client.next().await.unwrap();
        assert_eq!((answer.kind, answer.reason()), (GOAWAY, Reason::PROTOCOL_ERROR), "{field:?}");
    }
    assert_eq!(opened.load(Ordering::Relaxed), 3);
    client.echo(1).await;
}

/// A WebSocket has no trailers: its stream ends with them, and without a Close.
#[tokio::test]
async fn trailers_are_an_end_without_a_close() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(ServeOptions::new().http2(100), move |socket, client| {
        let tell = tell.clone();
        async move {
            let ended = ends::echo(socket, client).await;
            let _ = tell.send(ended.as_ref().err().and_then(wsproto_io::Error::close_code));
            ended
        }
    })
    .await;
    let mut client = Peer::client(server.address).await;
    for (stream, name) in [(1, "x-trailer"), (3, ":path")] {
        client.open(stream, "/").await;
        client.echo(stream).await;
        // (A pseudo-header in trailers is malformed, RFC 9113 §8.1: `h2` passes it over.)
        client.send([headers(END_STREAM, stream, &[(name, "1")])]).await;
        assert_eq!(soon(told.recv()).await, Some(Some(1006)), "{name}");
        let reset = client.until(|frame| frame.is(RST_STREAM, stream)).await;
        assert_eq!(reset.reason(), Reason::CANCEL, "{name}");
    }
}
