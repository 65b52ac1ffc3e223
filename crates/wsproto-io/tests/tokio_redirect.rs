//! Redirects, between servers on loopback. (`src/redirect.rs` tests where each leads.)

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;

use ends::{ACCEPTANCE, head, rest, soon, speak};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use wsproto_io::{ConnectOptions, Error, RedirectError, Rejected, connect};

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\nthere")
}

fn acceptance() -> String {
    format!("{ACCEPTANCE}\r\n")
}

fn rejection(result: Result<impl Sized, Error>) -> Box<Rejected> {
    match result.err() {
        Some(Error::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

/// The first lines of the requests.
fn lines(heads: &[String]) -> Vec<&str> {
    heads.iter().map(|head| head.lines().next().unwrap()).collect()
}

#[tokio::test]
async fn a_redirect_is_reported_where_it_is_not_asked_for() {
    let (address, server) = speak([redirect(302, "/there")]).await;
    let rejected = rejection(soon(connect(format!("ws://{address}/here"))).await);
    assert_eq!((rejected.status, rejected.body.as_slice()), (302, &b"there"[..]));
    assert_eq!(rejected.headers.text("Location"), Some("/there"));
    assert_eq!(lines(&soon(server).await.unwrap()), ["GET /here HTTP/1.1"]);
}

#[tokio::test]
async fn relative_redirects_are_followed_with_all_that_was_asked_for() {
    for status in [301, 302, 303, 307, 308] {
        let (address, server) = speak([redirect(status, "../b?c"), acceptance()]).await;
        let options = ConnectOptions::new().follow_redirects(1).header("Cookie", "a=b").unwrap().subprotocol("chat");
        let socket = soon(options.connect(format!("ws://u:p@{address}/x/y/z"))).await.unwrap();
        drop(socket);
        let heads = soon(server).await.unwrap();
        assert_eq!(lines(&heads), ["GET /x/y/z HTTP/1.1", "GET /x/b?c HTTP/1.1"], "{status}");
        for head in heads {
            for header in ["Cookie: a=b", "Authorization: Basic dTpw", "Sec-WebSocket-Protocol: chat"] {
                assert!(head.contains(&format!("\r\n{header}\r\n")), "{header}: {head}");
            }
        }
    }
}

#[tokio::test]
async fn t15_credentials_do_not_follow_to_another_port() {
    for url_has_them in [false, true] {
        let (there, other) = speak([acceptance()]).await;
        let (here, server) = speak([redirect(307, &format!("http://{there}/b"))]).await;
        let mut options = ConnectOptions::new().follow_redirects(3);
        for (name, value) in [("Cookie", "secret=1"), ("Proxy-Authorization", "secret"), ("X-Other", "kept")] {
            options = options.header(name, value).unwrap();
        }
        let url = if url_has_them {
            format!("ws://secret:secret@{here}/a")
        } else {
            options = options.header("Authorization", "Bearer secret").unwrap();
            format!("ws://{here}/a")
        };
        drop(soon(options.connect(url)).await.unwrap());
        let (first, second) = (soon(server).await.unwrap().remove(0), soon(other).await.unwrap().remove(0));
        for header in
            ["Authorization: ", "Cookie: secret=1\r\n", "Proxy-Authorization: secret\r\n", "X-Other: kept\r\n"]
        {
            assert!(first.contains(&format!("\r\n{header}")), "{first}");
        }
        assert!(second.starts_with("GET /b HTTP/1.1\r\n") && second.contains("\r\nX-Other: kept\r\n"), "{second}");
        for word in ["authorization", "cookie", "secret"] {
            assert!(!second.to_ascii_lowercase().contains(word), "{second}");
        }
        assert!(second.contains(&format!("\r\nHost: {there}\r\n")), "{second}");
    }
}

/// Nor do they come back by a second redirect.
#[tokio::test]
async fn t15_credentials_are_gone_for_good() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = elsewhere.local_addr().unwrap();
    let (here, server) = speak([redirect(302, &format!("ws://{there}/b")), acceptance()]).await;
    let redirecting = tokio::spawn(async move {
        let (mut stream, _) = elsewhere.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(redirect(302, &format!("ws://{here}/c")).as_bytes()).await.unwrap();
        rest(&mut stream).await;
        head
    });
    let options = ConnectOptions::new().follow_redirects(2).header("Cookie", "secret").unwrap();
    drop(soon(options.connect(format!("ws://{here}/a"))).await.unwrap());
    let heads = soon(server).await.unwrap();
    assert_eq!(lines(&heads), ["GET /a HTTP/1.1", "GET /c HTTP/1.1"]);
    assert!(heads[0].contains("secret") && !heads[1].contains("secret"), "{heads:?}");
    assert!(!soon(redirecting).await.unwrap().contains("secret"));
}

/// A redirect that says nothing about its length, on a connection that stays open: its body is not waited for.
#[tokio::test]
async fn a_redirect_is_followed_when_its_head_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (there, server) = speak([acceptance()]).await;
    let here = listener.local_addr().unwrap();
    let redirecting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let redirect = format!("HTTP/1.1 302 x\r\nLocation: ws://{there}/b\r\n\r\nsee there");
        stream.write_all(redirect.as_bytes()).await.unwrap();
        // Until the client has had enough.
        rest(&mut stream).await;
    });
    let options = ConnectOptions::new().follow_redirects(1).handshake_timeout(ends::FOR_EVER);
    drop(soon(options.connect(format!("ws://{here}/a"))).await.unwrap());
    assert_eq!(lines(&soon(server).await.unwrap()), ["GET /b HTTP/1.1"]);
    soon(redirecting).await.unwrap();
}

#[tokio::test]
async fn one_redirect_too_many_is_reported() {
    let answers = [redirect(302, "/b"), redirect(302, "/c"), redirect(302, "/d")];
    let (address, server) = speak(answers).await;
    let rejected =
        rejection(soon(ConnectOptions::new().follow_redirects(2).connect(format!("ws://{address}/a"))).await);
    assert_eq!((rejected.status, rejected.headers.text("Location")), (302, Some("/d")));
    let requests = ["GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /c HTTP/1.1"];
    assert_eq!(lines(&soon(server).await.unwrap()), requests);
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let (address, server) = speak(vec![redirect(301, ""); 11]).await;
    let options = ConnectOptions::new().follow_redirects(10);
    let rejected = rejection(soon(options.connect(format!("ws://{address}/a"))).await);
    assert_eq!(rejected.status, 301);
    assert_eq!(lines(&soon(server).await.unwrap()), ["GET /a HTTP/1.1"; 11]);
}

#[tokio::test]
async fn t15_what_leads_nowhere_is_the_servers_fault() {
    for location in ["ftp://x/", "http://u:p@x/", "javascript:alert(1)", "//"] {
        let (address, server) = speak([redirect(302, location)]).await;
        let result = soon(ConnectOptions::new().follow_redirects(5).connect(format!("ws://{address}/"))).await;
        assert!(matches!(result, Err(Error::Redirect(RedirectError::Location(_)))), "{location}: {result:?}");
        soon(server).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_redirect_is_not_followed() {
    for answer in [
        "HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n".to_owned(),
        redirect(300, "/b"),
        redirect(304, "/b"),
        redirect(401, "/b"),
        redirect(201, "/b"),
    ] {
        let (address, server) = speak([&answer]).await;
        let result = soon(ConnectOptions::new().follow_redirects(5).connect(format!("ws://{address}/a"))).await;
        let rejected = rejection(result);
        assert!(answer.starts_with(&format!("HTTP/1.1 {} ", rejected.status)), "{answer}");
        soon(server).await.unwrap();
    }
}
