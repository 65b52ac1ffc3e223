//! What `accept` answers to those that it refuses, in time that passes by itself when everything waits.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use support::{End, REQUEST, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::{Instant, sleep};
use wsproto_io::{AcceptOptions, Decision, Error, Page};

const PLAIN: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A page that takes this long for one who reads 100 bytes in a second.
fn pages(seconds: usize) -> AcceptOptions {
    AcceptOptions::new().pages(move |_| Some(Page::text("x".repeat(seconds * 100))))
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_a_long_page_whole() {
    let (mut client, server) = duplex(100);
    let accepting = tokio::spawn(async move { pages(8).accept(server).await.map(drop) });
    client.write_all(PLAIN.as_bytes()).await.unwrap();
    let mut page = Vec::new();
    let mut piece = [0; 100];
    loop {
        sleep(Duration::from_secs(1)).await;
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            n => page.extend_from_slice(&piece[..n]),
        }
    }
    assert!(String::from_utf8(page).unwrap().ends_with(&"x".repeat(800)));
    let error = accepting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::PlainRequest), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn h14_a_client_that_does_not_take_its_answer_is_gone_at_the_deadline() {
    let wire = Wire::new(PLAIN, End::Silence).with_room(50);
    let begun = Instant::now();
    let error = pages(8).accept(wire.clone()).await.unwrap_err();
    assert!(matches!(error, Error::PlainRequest), "{error:?}");
    assert_eq!((begun.elapsed().as_millis(), wire.written().len()), (10_000, 50));

    // One that took it, and does not go.
    let wire = Wire::new(REQUEST, End::Silence);
    let begun = Instant::now();
    let error = AcceptOptions::new().accept_with(wire.clone(), async |_| Decision::reject(401)).await.unwrap_err();
    assert!(matches!(error, Error::Declined(401)), "{error:?}");
    assert_eq!((begun.elapsed().as_millis(), wire.state().shutdowns), (500, 1));
}

/// What is answered to this request, and the error here.
async fn answered(options: &AcceptOptions, request: &str) -> (String, Option<Error>) {
    let wire = Wire::new(request, End::Fin);
    let accepted = options.accept(wire.clone()).await;
    let answer = String::from_utf8(wire.written()).unwrap();
    (answer.lines().next().unwrap().to_owned(), accepted.err())
}

/// A page whose name leads to this server comes with its own name as `Host`, and as `Origin` ("DNS rebinding").
#[tokio::test(start_paused = true)]
async fn h16_only_the_hosts_that_are_named_are_answered_for() {
    let options = AcceptOptions::new().pages(|_| Some(Page::text("secret")));
    let options = options.hosts(["localhost", "127.0.0.1", "[::1]:9001"]).unwrap();
    for (host, let_in) in [
        ("localhost", true),
        ("Localhost:9001", true),
        ("127.0.0.1:1", true),
        ("[::1]:9001", true),
        ("[::1]:9002", false),
        ("evil.example:9001", false),
        ("localhost.evil.example", false),
        ("127.0.0.2", false),
    ] {
        let request = REQUEST.replace("example.com", host);
        let page = request.replace("\r\n\r\n", &format!("\r\nOrigin: http://{host}\r\n\r\n"));
        for (request, status) in [(request, 101), (page, 101), (PLAIN.replace("example.com", host), 200)] {
            let (line, error) = answered(&options, &request).await;
            let status = if let_in { status } else { 421 };
            assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {line}");
            assert_eq!(matches!(error, Some(Error::Declined(421))), !let_in, "{host}: {error:?}");
        }
        // Not chosen, it is not looked at.
        assert!(answered(&AcceptOptions::new(), &REQUEST.replace("example.com", host)).await.1.is_none(), "{host}");
    }
    assert!(AcceptOptions::new().hosts(["http://localhost"]).is_err());
}
