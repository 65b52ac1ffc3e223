//! TLS, with certificates made for each test: who is trusted, and what is said where somebody is not.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certificates;

use std::error::Error as _;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use certificates::{Authority, Dates, Leaf};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::rustls::{AlertDescription, ClientConfig, RootCertStore, ServerConfig};
use wsproto_io::Error;
use wsproto_io::tls::{ClientTls, ServerTls, TlsError};

/// Generous: it only turns a test that hangs into one that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What client and server made of it; both sent five bytes where they could.
struct Outcome {
    client: Result<(), Error>,
    server: Result<(), Error>,
}

impl Outcome {
    /// What the client said, which must be an error of TLS.
    fn client(self) -> TlsError {
        match self.client.unwrap_err() {
            Error::Tls(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn server(self) -> TlsError {
        match self.server.unwrap_err() {
            Error::Tls(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn succeeds(self) {
        self.client.unwrap();
        self.server.unwrap();
    }
}

/// Sends "hello", reads as much.
async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), Error> {
    stream.write_all(b"hello").await?;
    stream.flush().await?;
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).await?;
    assert_eq!(&bytes, b"hello");
    Ok(())
}

async fn meet_on<S>(client: (&ClientTls, &str, S), server: (&ServerTls, S)) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = async {
        let mut stream = client.0.connect(client.1, client.2).await?;
        talk(&mut stream).await
    };
    let server = async {
        let mut stream = server.0.accept(server.1).await?;
        talk(&mut stream).await
    };
    let (client, server) = timeout(PATIENCE, async { tokio::join!(client, server) }).await.unwrap();
    Outcome { client, server }
}

async fn meet(client: &ClientTls, host: &str, server: &ServerTls) -> Outcome {
    let (near, far) = duplex(512);
    meet_on((client, host, near), (server, far)).await
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::with_ca_pem(authority.pem().as_bytes()).unwrap()
}

fn serving(leaf: &Leaf) -> ServerTls {
    ServerTls::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_round_trip_over_tcp_with_nothing_installed_for_the_process() {
    let authority = Authority::new("ours");
    let server = serving(&authority.leaf(&["localhost"], Dates::Good));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let far = listener.accept().await.unwrap().0;
    meet_on((&trusting(&authority), "localhost", near), (&server, far)).await.succeeds();
    assert!(CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn both_agree_on_http_1_1() {
    let authority = Authority::new("ours");
    let (client, server) = (trusting(&authority), serving(&authority.leaf(&["localhost"], Dates::Good)));
    let (near, far) = duplex(512);
    let both = async { tokio::join!(client.connect("localhost", near), server.accept(far)) };
    let (near, far) = timeout(PATIENCE, both).await.unwrap();
    assert_eq!(near.unwrap().connection().alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(far.unwrap().connection().alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn h18_only_the_server_of_this_name_is_talked_to() {
    let authority = Authority::new("ours");
    let client = trusting(&authority);
    let server = serving(&authority.leaf(&["localhost", "*.example.com", "127.0.0.1", "::1"], Dates::Good));
    for host in ["localhost", "LOCALHOST", "localhost.", "a.example.com", "127.0.0.1", "::1", "0:0:0:0:0:0:0:1"] {
        meet(&client, host, &server).await.succeeds();
    }
    for host in [
        "localhost.evil.example",
        "evil.example",
        "example.com",
        "a.b.example.com",
        "127.0.0.2",
        "::2",
        "::ffff:127.0.0.1",
    ] {
        match meet(&client, host, &server).await.client() {
            TlsError::WrongName { expected, presented } => {
                assert_eq!(expected, host);
                assert_eq!(presented, ["localhost", "*.example.com", "127.0.0.1", "::1"]);
            }
            other => panic!("{host}: {other:?}"),
        }
    }
    // An address as a name is no address, and the other way round.
    let server = serving(&authority.leaf_of_names(&["127.0.0.1"]));
    assert!(matches!(meet(&client, "127.0.0.1", &server).await.client(), TlsError::WrongName { .. }));
}

#[tokio::test]
async fn h18_names_that_are_none_are_not_looked_for() {
    let authority = Authority::new("ours");
    let server = serving(&authority.leaf(&["localhost"], Dates::Good));
    for host in
        ["", "a b", "[::1]", "localhost:443", "localhost\0.example", "loc/alhost", "fe80::1%1", "\u{e4}.example"]
    {
        let (near, _far) = duplex(512);
        match trusting(&authority).connect(host, near).await {
            Err(Error::Tls(TlsError::InvalidServerName(name))) => assert_eq!(name, host),
            other => panic!("{host}: {:?}", other.err()),
        }
    }
    meet(&trusting(&authority), "localhost", &server).await.succeeds();
}

#[tokio::test]
async fn h18_only_the_given_authority_is_trusted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let impostor = Authority::new("ours");
    let client = trusting(&ours);
    meet(&client, "localhost", &serving(&ours.leaf(&["localhost"], Dates::Good))).await.succeeds();
    let outcome = meet(&client, "localhost", &serving(&theirs.leaf(&["localhost"], Dates::Good))).await;
    assert!(matches!(outcome.client, Err(Error::Tls(TlsError::UnknownIssuer))), "{:?}", outcome.client);
    assert!(matches!(outcome.server(), TlsError::Alert(AlertDescription::UnknownCA)));
    // The same name, and another key.
    let error = meet(&client, "localhost", &serving(&impostor.leaf(&["localhost"], Dates::Good))).await.client();
    assert!(matches!(error, TlsError::UnknownIssuer | TlsError::BadCertificate(_)), "{error:?}");
    // Both at once, and one that signed itself.
    let both = ClientTls::with_ca_pem(format!("{}{}", ours.pem(), theirs.pem()).as_bytes()).unwrap();
    meet(&both, "localhost", &serving(&theirs.leaf(&["localhost"], Dates::Good))).await.succeeds();
    let own = Leaf::self_signed("localhost");
    let client = ClientTls::with_ca_pem(own.certificate.as_bytes()).unwrap();
    meet(&client, "localhost", &serving(&own)).await.succeeds();
    assert!(matches!(meet(&both, "localhost", &serving(&own)).await.client(), TlsError::UnknownIssuer));
}

#[tokio::test]
async fn h18_certificates_are_valid_for_a_time() {
    let authority = Authority::new("ours");
    let client = trusting(&authority);
    let old = serving(&authority.leaf(&["localhost"], Dates::Past));
    match meet(&client, "localhost", &old).await.client() {
        TlsError::Expired { ago: Some(ago) } => assert!(ago > Duration::from_secs(86_400)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        meet(&client, "localhost", &old).await.server(),
        TlsError::Alert(AlertDescription::CertificateExpired)
    ));
    match meet(&client, "localhost", &serving(&authority.leaf(&["localhost"], Dates::Future))).await.client() {
        TlsError::NotYetValid { until: Some(until) } => assert!(until > Duration::from_secs(86_400)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn h18_an_authority_is_no_server() {
    let authority = Authority::new("localhost");
    let error = meet(&trusting(&authority), "localhost", &serving(&authority.as_leaf())).await.client();
    assert!(matches!(error, TlsError::BadCertificate(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("the peer's certificate is not right: ") && text.contains("Ca"), "{text}");
}

#[tokio::test]
async fn without_verification_anyone_is_talked_to() {
    let authority = Authority::new("ours");
    let client = ClientTls::dangerous_without_verification().unwrap();
    for leaf in [
        authority.leaf(&["localhost"], Dates::Good),
        authority.leaf(&["localhost"], Dates::Past),
        authority.leaf(&["localhost"], Dates::Future),
        authority.leaf(&["other.example"], Dates::Good),
        Leaf::self_signed("localhost"),
        authority.as_leaf(),
    ] {
        for host in ["localhost", "127.0.0.1", "::1"] {
            meet(&client, host, &serving(&leaf)).await.succeeds();
        }
    }
}

/// The names of the variables are the platform's; the process of a test must not change its own, so it starts itself.
#[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android")))]
#[tokio::test]
async fn h18_the_platforms_authorities_are_trusted_by_default() {
    const INNER: &str = "WSPROTO_TEST_PLATFORM_KEY";
    let Ok(file) = std::env::var(INNER) else {
        let files = certificates::Files::new();
        let authority = Authority::new("ours");
        let leaf = authority.leaf(&["localhost"], Dates::Good);
        let roots = files.write("roots.pem", &authority.pem());
        let chain = files.write("server.pem", &format!("{}{}", leaf.certificate, leaf.key));
        let name = "h18_the_platforms_authorities_are_trusted_by_default";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .env(INNER, chain)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    };
    let client = ClientTls::platform().unwrap();
    let server = ServerTls::from_files(&file, &file).unwrap();
    meet(&client, "localhost", &server).await.succeeds();
    assert!(matches!(meet(&client, "127.0.0.1", &server).await.client(), TlsError::WrongName { .. }));
    let other = serving(&Authority::new("theirs").leaf(&["localhost"], Dates::Good));
    assert!(matches!(meet(&client, "localhost", &other).await.client(), TlsError::UnknownIssuer));
    assert!(CryptoProvider::get_default().is_none());
}

fn client_with_alpn(authority: &Authority, protocols: &[&[u8]]) -> ClientTls {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    ClientTls::from_rustls(Arc::new(config))
}

fn server_with_alpn(leaf: &Leaf, protocols: &[&[u8]]) -> ServerTls {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(leaf.chain(), leaf.private_key()).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    ServerTls::from_rustls(Arc::new(config))
}

#[tokio::test]
async fn tls_1_2_is_spoken_and_checked_too() {
    let authority = Authority::new("ours");
    let old = |leaf: &Leaf| {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS12]).unwrap().with_no_client_auth();
        ServerTls::from_rustls(Arc::new(builder.with_single_cert(leaf.chain(), leaf.private_key()).unwrap()))
    };
    let server = old(&authority.leaf(&["localhost"], Dates::Good));
    meet(&trusting(&authority), "localhost", &server).await.succeeds();
    assert!(matches!(meet(&trusting(&authority), "::1", &server).await.client(), TlsError::WrongName { .. }));
    let expired = old(&authority.leaf(&["localhost"], Dates::Past));
    assert!(matches!(meet(&trusting(&authority), "localhost", &expired).await.client(), TlsError::Expired { .. }));
    meet(&ClientTls::dangerous_without_verification().unwrap(), "localhost", &expired).await.succeeds();
}

#[tokio::test]
async fn another_protocol_than_http_1_1_is_refused_by_both() {
    let authority = Authority::new("ours");
    let leaf = authority.leaf(&["localhost"], Dates::Good);
    // The client offers only what this server does not have.
    for (client, server) in [
        (client_with_alpn(&authority, &[b"h2"]), serving(&leaf)),
        (trusting(&authority), server_with_alpn(&leaf, &[b"h2"])),
    ] {
        let outcome = meet(&client, "localhost", &server).await;
        assert!(matches!(outcome.server, Err(Error::Tls(TlsError::NoCommonProtocol))), "{:?}", outcome.server);
        let error = outcome.client();
        assert!(matches!(error, TlsError::NoCommonProtocol), "{error:?}");
        assert_eq!(error.to_string(), "the client and the server have no protocol in common (ALPN)");
    }
    // It offers both, and the server likes the other better.
    let both: &[&[u8]] = &[b"http/1.1", b"h2"];
    let (near, far) = duplex(512);
    let (client, server) = (client_with_alpn(&authority, both), server_with_alpn(&leaf, &[b"h2", b"http/1.1"]));
    let both = async { tokio::join!(client.connect("localhost", near), server.accept(far)) };
    let error = timeout(PATIENCE, both).await.unwrap().0.err().unwrap();
    assert!(matches!(&error, Error::Tls(TlsError::OtherProtocol(Some(name))) if name == "h2"), "{error:?}");
    assert_eq!(error.to_string(), "the server chose the protocol h2, not http/1.1 (ALPN)");
    // Who says nothing of protocols means the usual one.
    meet(&client_with_alpn(&authority, &[]), "localhost", &serving(&leaf)).await.succeeds();
    meet(&trusting(&authority), "localhost", &server_with_alpn(&leaf, &[])).await.succeeds();
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_from_one_who_does_it_badly() {
    let authority = Authority::new("ours");
    // A page; and an alert, `handshake_failure`.
    for (answer, variant) in [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "NotTls"), (&[21, 3, 3, 0, 2, 2, 40], "Alert")]
    {
        let (near, mut far) = duplex(4096);
        far.write_all(answer).await.unwrap();
        let error = timeout(PATIENCE, trusting(&authority).connect("localhost", near)).await.unwrap().err().unwrap();
        match (variant, error) {
            ("NotTls", Error::Tls(TlsError::NotTls))
            | ("Alert", Error::Tls(TlsError::Alert(AlertDescription::HandshakeFailure))) => {}
            (_, error) => panic!("{variant}: {error:?}"),
        }
    }
    let (near, mut far) = duplex(4096);
    far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let server = serving(&authority.leaf(&["localhost"], Dates::Good));
    let error = timeout(PATIENCE, server.accept(near)).await.unwrap().err().unwrap();
    assert!(matches!(error, Error::Tls(TlsError::NotTls)), "{error:?}");
    // The transport's end is the transport's.
    let (near, far) = duplex(4096);
    drop(far);
    let error = timeout(PATIENCE, server.accept(near)).await.unwrap().err().unwrap();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
}

#[tokio::test]
async fn errors_name_the_file() {
    let files = certificates::Files::new();
    let authority = Authority::new("ours");
    let leaf = authority.leaf(&["localhost"], Dates::Good);
    let certificate = files.write("certificate.pem", &leaf.certificate);
    let key = files.write("key.pem", &leaf.key);
    let other = files.write("other.pem", &authority.leaf(&["localhost"], Dates::Good).key);
    let absent = files.path("absent.pem");

    let server = ServerTls::from_files(&certificate, &key).unwrap();
    meet(&trusting(&authority), "localhost", &server).await.succeeds();

    for (file, problem) in [(&absent, "No such file"), (&key, "there is no certificate in it")] {
        let error = ClientTls::with_ca_file(file).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()) && error.contains(problem), "{error}");
    }
    match ServerTls::from_files(&absent, &key).unwrap_err() {
        error @ TlsError::Certificates(_) => {
            let text = error.to_string();
            assert!(text.starts_with(&format!("the certificates cannot be used: {}: ", absent.display())), "{text}");
            let io = error.source().unwrap().source().unwrap().downcast_ref::<std::io::Error>().unwrap();
            assert_eq!(io.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
    match ServerTls::from_files(&certificate, &absent).unwrap_err() {
        TlsError::Key(bad) => assert_eq!(bad.file(), Some(absent.as_path())),
        other => panic!("{other:?}"),
    }
    let empty = files.write("empty.pem", "");
    match ServerTls::from_files(&certificate, &empty).unwrap_err() {
        TlsError::Key(bad) => assert_eq!(bad.file(), Some(empty.as_path())),
        other => panic!("{other:?}"),
    }
    match ServerTls::from_files(&key, &key).unwrap_err() {
        TlsError::Certificates(bad) => assert_eq!(bad.file(), Some(key.as_path())),
        other => panic!("{other:?}"),
    }
    match ServerTls::from_files(&certificate, &other).unwrap_err() {
        TlsError::KeyMismatch { key } => assert_eq!(key, Some(other)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_failed_by_tls_has_the_close_code_1015() {
    let authority = Authority::new("ours");
    let server = serving(&Leaf::self_signed("localhost"));
    let outcome = meet(&trusting(&authority), "localhost", &server).await;
    assert_eq!(outcome.client.unwrap_err().close_code(), Some(1015));
    assert_eq!(outcome.server.unwrap_err().close_code(), Some(1015));
    assert_eq!(Error::from(TlsError::KeyMismatch { key: None }).close_code(), None);
}

#[test]
fn h18_nothing_of_the_configuration_is_shown() {
    let leaf = Leaf::self_signed("localhost");
    assert_eq!(format!("{:?}", serving(&leaf)), "ServerTls { .. }");
    assert_eq!(format!("{:?}", ClientTls::dangerous_without_verification().unwrap()), "ClientTls { .. }");
}

#[tokio::test]
async fn streams_may_move_to_other_tasks() {
    fn moves<T: Send>(value: T) -> T {
        value
    }
    let authority = Authority::new("ours");
    let (client, server) = (trusting(&authority), serving(&authority.leaf(&["::1"], Dates::Good)));
    let (near, far) = duplex(512);
    let client = tokio::spawn(async move {
        let host = Ipv6Addr::LOCALHOST.to_string();
        let mut stream = moves(client.connect(&host, near)).await?;
        talk(&mut stream).await
    });
    let server = tokio::spawn(async move {
        let mut stream = moves(server.accept(far)).await?;
        talk(&mut stream).await
    });
    timeout(PATIENCE, client).await.unwrap().unwrap().unwrap();
    timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}
