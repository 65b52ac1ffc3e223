//! `connect` and `serve` over TLS, with certificates made for each test. (`tests/tls.rs` tests TLS by itself.)

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod certificates;
#[path = "support/ends.rs"]
mod ends;

use std::time::{Duration, Instant};

use certificates::{Authority, Dates, Leaf};
use ends::{FOR_EVER, PATIENCE, Server, rest, soon};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use wsproto::CloseCode;
use wsproto_io::tls::{ClientTls, ServerTls, TlsError};
use wsproto_io::{
    AcceptOptions, ConnectOptions, Decision, Error, Message, RedirectError, ServeOptions, Timeout, connect,
};

fn serving(leaf: &Leaf) -> ServeOptions {
    ServeOptions::new().tls(ServerTls::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap())
}

fn trusting(authority: &Authority) -> ConnectOptions {
    ConnectOptions::new().tls(ClientTls::with_ca_pem(authority.pem().as_bytes()).unwrap())
}

/// A server with a certificate for its address, and a client that trusts it.
fn ours() -> (ServeOptions, ConnectOptions) {
    let authority = Authority::new("ours");
    (serving(&authority.leaf(&["127.0.0.1"], Dates::Good)), trusting(&authority))
}

fn wss(server: &Server) -> String {
    format!("wss://{}/", server.address)
}

/// The error of TLS that this client gets.
async fn refused(options: &ConnectOptions, url: String) -> TlsError {
    match soon(options.connect(url)).await {
        Err(Error::Tls(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// For who has TLS or not by what was configured.
#[tokio::test]
async fn no_tls_is_an_option() {
    let server = Server::echo(ours().0.tls(None)).await;
    assert!(soon(connect(server.url("/"))).await.unwrap().stream().tls().is_none());
}

#[tokio::test]
async fn messages_go_to_and_fro_and_both_ends_close() {
    let (options, client) = ours();
    let mut server = Server::echo(options).await;
    let mut socket = soon(client.connect(wss(&server))).await.unwrap();
    assert_eq!(socket.stream().tls().unwrap().alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(socket.stream().tcp().unwrap().peer_addr().unwrap(), server.address);
    for message in [Message::Text("hello".into()), Message::Binary(vec![7; 300_000]), Message::Text(String::new())] {
        soon(socket.send(&message)).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(message));
    }
    soon(socket.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert_eq!(socket.closed().unwrap().code, 1000);
    // Options are used again, and so is what they trust.
    let mut second = soon(client.clone().connect(wss(&server))).await.unwrap();
    server.stop();
    assert_eq!(soon(second.recv()).await.unwrap(), None);
    assert_eq!(second.closed().unwrap().code, 1001);
    server.ended().await;
    assert!(server.is_content());
}

#[tokio::test]
async fn a_client_may_open_tls_first_and_the_websocket_on_it() {
    let (options, client) = ours();
    let server = Server::echo(options).await;
    let transport = soon(client.open(wss(&server))).await.unwrap();
    assert!(transport.tls().is_some());
    let mut socket = soon(client.connect_on(wss(&server), transport)).await.unwrap();
    soon(socket.send("hello")).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("hello".into())));
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_its_name() {
    let authority = Authority::new("ours");
    let mut server = Server::echo(serving(&authority.leaf(&["localhost"], Dates::Good))).await;
    let by_name = format!("wss://localhost:{}/", server.address.port());
    soon(soon(trusting(&authority).connect(&by_name)).await.unwrap().close(CloseCode::NORMAL, "")).await.unwrap();

    let error = refused(&trusting(&Authority::new("theirs")), by_name.clone()).await;
    assert!(matches!(error, TlsError::UnknownIssuer), "{error:?}");
    let (client, told) = server.error().await;
    assert!(client.is_some() && told.starts_with("the peer does not trust the authority"), "{told}");

    match refused(&trusting(&authority), wss(&server)).await {
        TlsError::WrongName { expected, presented } => {
            assert_eq!((&*expected, &*presented[0]), ("127.0.0.1", "localhost"));
        }
        other => panic!("{other:?}"),
    }
    server.error().await;
    // What the platform trusts does not contain an authority that was made a moment ago.
    assert!(matches!(soon(connect(&by_name)).await, Err(Error::Tls(_))));
    server.error().await;
    let anybody = ConnectOptions::new().tls(ClientTls::dangerous_without_verification().unwrap());
    soon(anybody.connect(wss(&server))).await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new("ours");
    let server = Server::echo(serving(&authority.leaf(&["127.0.0.1"], Dates::Past))).await;
    let error = refused(&trusting(&authority), wss(&server)).await;
    assert!(matches!(error, TlsError::Expired { .. }), "{error:?}");
}

#[tokio::test]
async fn a_plain_client_at_a_port_of_tls_is_told_to_the_server() {
    let (options, _) = ours();
    let mut server = Server::echo(options).await;
    // The client sees no HTTP, or an end: it cannot know more.
    let error = soon(connect(server.url("/"))).await.unwrap_err();
    assert!(matches!(error, Error::Response(_) | Error::Io(_)), "{error:?}");
    let (client, told) = server.error().await;
    assert!(client.is_some());
    assert_eq!(told, "what the peer sent is not TLS: is one of the two set to ws://, without TLS?");
    // And so for any other page.
    ask_in_vain(&server).await;
    assert!(server.error().await.1.contains("is not TLS"));
}

async fn ask_in_vain(server: &Server) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_client_of_tls_at_a_plain_port_is_told_so() {
    let (_, client) = ours();
    let mut server = Server::echo(ServeOptions::new()).await;
    let error = refused(&client, wss(&server)).await;
    assert!(matches!(error, TlsError::NotTls), "{error:?}");
    assert_eq!(error.to_string(), "what the peer sent is not TLS: is one of the two set to ws://, without TLS?");
    // The server hears of a request that is none.
    let (client, told) = server.error().await;
    assert!(client.is_some() && told.starts_with("the client's request was refused with 400"), "{told}");
}

#[tokio::test]
async fn h14_the_deadlines_include_the_handshake_of_tls() {
    let (options, client) = ours();
    let short = Duration::from_millis(300);
    let accept = AcceptOptions::new().handshake_timeout(short);
    let mut server = Server::echo(options.accept(accept)).await;
    let begun = Instant::now();
    // Silent, and a record that is never finished.
    for bytes in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(rest(&mut stream).await.is_empty());
        assert_eq!(server.error().await.1, "the handshake took too long");
    }
    assert!((short * 2..PATIENCE).contains(&begun.elapsed()));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/", silent.local_addr().unwrap());
    let client = client.handshake_timeout(short);
    for result in [soon(client.connect(&url)).await.map(drop), soon(client.open(&url)).await.map(drop)] {
        assert!(matches!(result, Err(Error::Timeout(Timeout::Handshake))), "{result:?}");
    }
}

#[tokio::test]
async fn a_handshake_of_tls_does_not_hold_up_the_end() {
    let (options, client) = ours();
    let accept = AcceptOptions::new().handshake_timeout(FOR_EVER);
    let mut server = Server::echo(options.accept(accept).shutdown_timeout(FOR_EVER)).await;
    let mut half_open = TcpStream::connect(server.address).await.unwrap();
    // Who comes later and is served proves that the other was accepted.
    let mut socket = soon(client.connect(wss(&server))).await.unwrap();
    server.stop();
    assert_eq!(soon(socket.recv()).await.unwrap(), None);
    server.ended().await;
    assert!(rest(&mut half_open).await.is_empty());
}

#[tokio::test]
async fn a_rejection_arrives_whole_over_tls() {
    let (options, client) = ours();
    let decide = |_, _| async { Decision::reject(403).body(vec![b'x'; 50_000]) };
    let server = Server::echo(options.decide(decide)).await;
    match soon(client.connect(wss(&server))).await {
        Err(Error::Rejected(rejected)) => {
            assert_eq!((rejected.status, rejected.body.len(), rejected.truncated), (403, 50_000, false));
        }
        other => panic!("{other:?}"),
    }
}

/// A server of TLS that redirects everybody.
async fn redirecting(options: ServeOptions, location: String) -> Server {
    let decide = move |_, _| {
        let location = location.clone();
        async move { Decision::reject(302).header("Location", location).unwrap() }
    };
    Server::echo(options.decide(decide)).await
}

#[tokio::test]
async fn t15_no_redirect_leads_out_of_tls() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for scheme in ["ws", "http"] {
        let (options, client) = ours();
        let location = format!("{scheme}://{}/", plain.local_addr().unwrap());
        let server = redirecting(options, location).await;
        let error = soon(client.follow_redirects(5).connect(wss(&server))).await.unwrap_err();
        assert!(matches!(error, Error::Redirect(RedirectError::LeavesTls)), "{error:?}");
    }
    let asked = tokio::time::timeout(ends::A_WHILE, plain.accept()).await;
    assert!(asked.is_err(), "nobody came");
}

#[tokio::test]
async fn t15_credentials_stay_behind_from_server_to_server_and_into_tls() {
    let authority = Authority::new("ours");
    let there = Server::start(serving(&authority.leaf(&["127.0.0.1"], Dates::Good)), |mut socket, client| async move {
        let headers = client.request.headers();
        let seen = ["Cookie", "Authorization", "X-Other"].map(|name| headers.text(name).unwrap_or("-").to_owned());
        socket.send(&seen.join(" ")).await?;
        socket.recv().await.map(drop)
    })
    .await;
    let client = trusting(&authority).follow_redirects(1);
    let client = client.header("Cookie", "secret").unwrap().header("X-Other", "kept").unwrap();
    // From TLS, and from where there was none.
    let tls = redirecting(serving(&authority.leaf(&["127.0.0.1"], Dates::Good)), wss(&there)).await;
    let plain = redirecting(ServeOptions::new(), wss(&there).replace("wss", "https")).await;
    for url in [format!("wss://u:p@{}/", tls.address), format!("ws://u:p@{}/", plain.address)] {
        let mut socket = soon(client.connect(&url)).await.unwrap();
        assert!(socket.stream().tls().is_some());
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("- - kept".into())), "{url}");
    }
}

/// By ALPN; and where the server has no WebSockets over HTTP/2, by HTTP/1.1, which is kept in mind.
#[cfg(feature = "h2")]
#[tokio::test]
async fn http2_is_agreed_on_and_given_up_where_the_server_has_no_websockets_over_it() {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use wsproto_io::{Http, Transport};

    let (options, client) = ours();
    let server = Server::echo(options.http2(100)).await;
    let client = client.http_version(Http::PreferTwo);
    let mut socket = soon(client.connect(wss(&server))).await.unwrap();
    assert!(matches!(socket.stream(), Transport::Http2(_)));
    socket.send("hello").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("hello".into())));
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();

    // It speaks HTTP/1.1 alone: the same connection serves.
    let (options, client) = ours();
    let server = Server::echo(options).await;
    let client = client.http_version(Http::PreferTwo);
    let socket = soon(client.connect(wss(&server))).await.unwrap();
    assert!(matches!(socket.stream(), Transport::Tls(_)));
    let refused = soon(client.http_version(Http::Two).connect(wss(&server))).await;
    assert!(matches!(refused, Err(Error::Http2Unsupported)), "{refused:?}");

    // It speaks HTTP/2, without the setting: a second connection serves, and the next time the first does.
    let authority = Authority::new("ours");
    let leaf = authority.leaf(&["127.0.0.1"], Dates::Good);
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let chain = CertificateDer::pem_slice_iter(leaf.certificate.as_bytes()).map(Result::unwrap).collect();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        loop {
            let stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            tell.send(http2).unwrap();
            tokio::spawn(async move {
                if http2 {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    assert!(connection.accept().await.is_none(), "it was asked");
                } else {
                    AcceptOptions::new().accept(stream).await.unwrap().recv().await.ok();
                }
            });
        }
    });
    let client = trusting(&authority).http_version(Http::PreferTwo);
    for versions in [&[true, false][..], &[false]] {
        let socket = soon(client.connect(&url)).await.unwrap();
        assert!(matches!(socket.stream(), Transport::Tls(_)));
        for http2 in versions {
            assert_eq!(told.recv().await, Some(*http2));
        }
    }
}
