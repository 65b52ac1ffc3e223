//! How `wsproto connect` opens a connection: TLS, credentials, redirects, and what is told of it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::runtime::{Builder, Runtime};
use wsproto_io::tls::ServerTls;
use wsproto_io::wsproto::handshake::Request;
use wsproto_io::{AcceptOptions, Decision, ServeOptions, Transport, WebSocket, serve};

use support::{assert_fails, run, text};

fn connect(url: &str, arguments: &[&str], input: &[u8]) -> Output {
    run(&[&["connect", url][..], arguments].concat(), input)
}

/// A server in this process that echoes, with TLS if it is to; its URL, and what keeps it.
fn tokio_server(tls: Option<ServerTls>, options: ServeOptions) -> (String, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let url = format!("{scheme}://localhost:{}/", listener.local_addr().unwrap().port());
    let options = match tls {
        Some(tls) => options.tls(tls),
        None => options,
    };
    runtime.spawn(serve(listener, options, |mut socket: WebSocket<Transport>, _| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?;
        }
        Ok(())
    }));
    (url, runtime)
}

/// The certificate of an authority of this name, and a server's of that name that is valid until this year.
fn certificates(authority: &str, name: &str, until: i32) -> (String, ServerTls) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, authority);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let leaf = params.signed_by(&key, &authority).unwrap();
    let tls = ServerTls::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    (authority.pem(), tls)
}

/// A file that goes when the test ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wsproto-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn h18_connect_checks_a_server_unless_told_not_to() {
    let (authority, tls) = certificates("authority", "localhost", 3001);
    let (other, _) = certificates("other", "localhost", 3001);
    let (ca, other) = (File::new("ca.pem", &authority), File::new("other.pem", &other));
    let (url, _server) = tokio_server(Some(tls), ServeOptions::new());

    let output = connect(&url, &["--ca", ca.path()], b"hello\n");
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), "hello\n".into(), "".into())
    );
    assert_fails(&connect(&url, &["--ca", other.path()], b""), &format!("by no authority in {}", other.path()));
    assert_fails(&connect(&url, &[], b""), "give that authority's certificate with --ca FILE");
    let output = connect(&url, &["--insecure"], b"hello\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "hello\n".into()));
    assert_eq!(text(&output.stderr), "warning: nobody has checked who the server is (--insecure)\n");

    assert_fails(&connect(&url, &["--ca", "/no/such/file"], b""), "No such file or directory (os error 2)");
    let empty = File::new("empty.pem", "");
    let output = connect(&url, &["--ca", empty.path()], b"");
    assert!(text(&output.stderr).starts_with(&format!("wsproto: --ca {}: ", empty.path())), "{}", text(&output.stderr));
    assert_eq!(connect(&url, &["--ca", ca.path(), "--insecure"], b"").status.code(), Some(2));
}

#[test]
fn h18_connect_tells_expired_from_another_name() {
    let (authority, tls) = certificates("authority", "localhost", 2002);
    let ca = File::new("expired.pem", &authority);
    let (url, _server) = tokio_server(Some(tls), ServeOptions::new());
    let output = connect(&url, &["--ca", ca.path()], b"");
    assert!(text(&output.stderr).contains("certificate has expired"), "{}", text(&output.stderr));
    let (authority, tls) = certificates("authority", "a.example", 3001);
    let ca = File::new("name.pem", &authority);
    let (url, _server) = tokio_server(Some(tls), ServeOptions::new());
    assert_fails(&connect(&url, &["--ca", ca.path()], b""), "not for localhost, but for a.example");
}

#[test]
fn connect_tells_what_was_agreed_on() {
    let (authority, tls) = certificates("authority", "localhost", 3001);
    let ca = File::new("verbose.pem", &authority);
    let options = || ServeOptions::new().accept(AcceptOptions::new().subprotocol("chat"));
    let (url, _server) = tokio_server(Some(tls), options());
    let output = connect(&url, &["-v", "--ca", ca.path(), "--subprotocol", "chat", "--show-frames"], b"hello\n");
    assert_eq!(text(&output.stdout), "hello\n");
    let said = text(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with(['<', '>'])).collect();
    let [address, tls, alpn, subprotocol, extensions, closed] = lines[..] else { panic!("{said}") };
    assert!(address.starts_with("address: 127.0.0.1:") && tls.starts_with("tls: 1.3, TLS13_"), "{said}");
    assert_eq!((alpn, subprotocol, closed), ("alpn: http/1.1", "subprotocol: chat", "closed with code 1000"));
    assert!(extensions.starts_with("extensions: permessage-deflate"), "{said}");
    // What is shown are frames, not TLS.
    assert!(said.contains("\n< text fin=1 rsv=000 mask=- len=5 68 65 6c 6c 6f\n"), "{said}");

    let (url, _server) = tokio_server(None, options());
    let said = text(&connect(&url, &["-v", "--no-deflate"], b"").stderr);
    assert!(said.ends_with("\nsubprotocol: none\nextensions: none\nclosed with code 1000\n"), "{said}");
    assert_eq!(said.lines().count(), 4);
}

#[test]
fn connect_says_where_a_redirect_leads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let output = connect(&url, &[], b"");
    assert_fails(&output, "redirects (status 302), which is not followed: connect to wss://other.example/");
    server.join().unwrap();
}

#[test]
fn connect_has_basic_authentication_and_never_shows_it() {
    let decide = |_, request: Request| async move {
        match request.headers().text("Authorization") {
            Some("Basic YW5uOmh1bnRlcjI=") => Decision::accept(),
            _ => Decision::reject(401),
        }
    };
    let (url, _server) = tokio_server(None, ServeOptions::new().decide(decide));
    let with_user = |user: &str| url.replace("://", &format!("://{user}@"));
    assert!(connect(&with_user("ann:hunter2"), &[], b"").status.success());
    assert_fails(&connect(&url, &[], b""), "status 401");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        &format!("ws://ann:hunter2@127.0.0.1:{port}/"),
        "ws://ann:hunter2@no.such.invalid/",
        "ws://ann:hunter2 @h/",
        "ann:hunter2@h/",
    ] {
        let output = connect(url, &["-v"], b"");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && !said.contains("hunter2"), "{said}");
    }
}
