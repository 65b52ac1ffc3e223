//! `wsproto bench`: each line of its contract, with the built binary, over loopback.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use wsproto_io::wsproto::{CloseCode, Limits};
use wsproto_io::{AcceptOptions, Client, Decision, Error, Message, ServeOptions, Transport, WebSocket, serve};

use support::{BINARY, Server, run, text};

/// A server in this process, and what it counts.
struct Peer {
    url: String,
    echoed: Arc<AtomicU64>,
    _runtime: Runtime,
}

/// What the server does with a message.
type Answer = fn(u64, Message) -> Option<Message>;

impl Peer {
    /// Answers each message by its number; closes where there is no answer.
    fn start(answer: Answer) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let echoed = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&echoed);
        let handler = move |socket: WebSocket<Transport>, _: Client| answer_all(socket, answer, Arc::clone(&counter));
        let options = AcceptOptions::new().limits(Limits::none());
        runtime.spawn(serve(listener, ServeOptions::new().accept(options), handler));
        Self { url, echoed, _runtime: runtime }
    }
}

async fn answer_all(mut socket: WebSocket<Transport>, answer: Answer, echoed: Arc<AtomicU64>) -> Result<(), Error> {
    let mut number = 0;
    while let Some(message) = socket.recv().await? {
        let Some(answer) = answer(number, message) else {
            return socket.close(CloseCode::POLICY_VIOLATION, "enough").await;
        };
        number += 1;
        socket.feed(answer).await?;
        echoed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Runs `wsproto bench`: its exit code, its table, and what it said on standard error.
fn bench(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let time = if arguments.contains(&"--seconds") { &[][..] } else { &["--seconds", "0.3"] };
    let output = run(&[&["bench", url], time, arguments].concat(), b"");
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The value of a row of the table.
fn row<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  ")).map(str::trim)
}

fn number_of(table: &str, name: &str) -> u64 {
    row(table, name).unwrap_or_else(|| panic!("no {name} in {table}")).parse().unwrap()
}

#[test]
fn bench_measures_an_echo_server() {
    let peer = Peer::start(|_, message| Some(message));
    for (arguments, connections, load) in [
        (&[][..], "1 of 1", "1 in flight each, 16 bytes, binary"),
        (&["--connections", "3", "--depth", "5", "--size", "0"], "3 of 3", "5 in flight each, 0 bytes, binary"),
        (&["--depth", "7", "--size", "1000", "--text"], "1 of 1", "7 in flight each, 1000 bytes, text"),
        (&["--deflate", "--size", "500"], "1 of 1", "1 in flight each, 500 bytes, binary, compression offered"),
        // More in flight than one task can keep apart, and than the two ends have room for.
        (&["--depth", "16", "--size", "1000000"], "1 of 1", "16 in flight each, 1000000 bytes, binary"),
    ] {
        let before = peer.echoed.load(Ordering::Relaxed);
        let (code, table, said) = bench(&peer.url, arguments);
        assert_eq!((code, said.as_str()), (0, ""), "{table}");
        assert_eq!((row(&table, "connections"), row(&table, "load")), (Some(connections), Some(load)), "{table}");
        let messages = number_of(&table, "messages");
        assert!(messages > 0 && messages <= peer.echoed.load(Ordering::Relaxed) - before, "{table}");
        for name in ["seconds", "messages/s", "MiB/s sent", "MiB/s received"] {
            assert!(row(&table, name).unwrap().parse::<f64>().unwrap() > 0.0, "{name}: {table}");
        }
        for name in ["p50", "p90", "p99", "p99.9", "max"] {
            assert!(row(&table, &format!("latency {name}")).unwrap().ends_with('s'), "{name}: {table}");
        }
        assert_eq!(row(&table, "errors"), None, "{table}");
        let shares = table.lines().filter_map(|line| line.split_once(" %")?.0.rsplit(' ').next()?.parse::<f64>().ok());
        let sum: f64 = shares.sum();
        assert!((99.0..101.0).contains(&sum), "{sum}: {table}");
    }
}

/// A hundred WebSockets share a connection.
#[test]
fn bench_measures_over_http2() {
    for tls in [false, true] {
        let mut server = Server::start(if tls { &["-v", "--tls-self-signed"] } else { &["-v"] });
        let url = format!("{}chat?a=b", server.url);
        let (code, table, said) = bench(&url, &["--http2", "--insecure", "--connections", "150"]);
        let warned = if tls { "warning: nobody has checked who the server is (--insecure)\n" } else { "" };
        assert_eq!((code, said.as_str()), (0, warned), "{table}");
        assert_eq!(row(&table, "connections"), Some("150 of 150, streams of HTTP/2"), "{table}");
        assert!(number_of(&table, "messages") > 150, "{table}");
        server.signal("-TERM");
        assert!(server.wait(Duration::from_secs(5)).success());
        let log = server.stderr();
        let mut of_address = HashMap::new();
        for address in log.lines().filter_map(|line| line.strip_suffix(": connected to /chat, HTTP/2")) {
            *of_address.entry(address).or_insert(0) += 1;
        }
        let mut streams: Vec<_> = of_address.into_values().collect();
        streams.sort_unstable();
        assert_eq!(streams, [50, 100], "{log}");
    }
}

#[test]
fn bench_finds_a_wrong_echo() {
    let number = |number: u64, message: Message| match (number, message) {
        (5.., Message::Binary(mut bytes)) => {
            bytes[0] = b'z';
            Some(Message::Binary(bytes))
        }
        (_, message) => Some(message),
    };
    let text: Answer = |number, message| match message {
        Message::Binary(mut bytes) if number == 5 => {
            bytes[15] ^= 1;
            Some(Message::Binary(bytes))
        }
        message => Some(message),
    };
    let length: Answer = |_, message| Some(Message::Binary(message.as_bytes()[..15].to_vec()));
    for (answer, messages, kind) in [
        (number as Answer, 15, "wrong echo: what came back is not the next message that was sent"),
        (text, 15, "wrong echo: what came back is not what was sent"),
        (length, 0, "wrong echo: what came back has another length than what was sent"),
    ] {
        let peer = Peer::start(answer);
        let (code, table, said) = bench(&peer.url, &["--connections", "3", "--seconds", "60"]);
        assert_eq!((number_of(&table, "messages"), row(&table, "errors")), (messages, Some("3")), "{table}");
        assert!(table.ends_with(&format!("         3  {kind}\n")), "{table}");
        assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    }
}

#[test]
fn bench_finds_a_wrong_echo_of_a_server_that_reads_no_more() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = ServeOptions::new().accept(AcceptOptions::new().limits(Limits::none()));
    runtime.spawn(serve(listener, options, |mut socket: WebSocket<Transport>, _| async move {
        socket.recv().await?;
        socket.send(vec![0; 1000]).await?;
        socket.flush().await?;
        std::future::pending().await
    }));
    // The second message is more than all buffers hold.
    let (code, table, _) = bench(&url, &["--depth", "2", "--size", "50000000", "--seconds", "5"]);
    assert_eq!((code, number_of(&table, "errors")), (1, 1), "{table}");
    assert!(
        table.ends_with("         1  wrong echo: what came back is not the next message that was sent\n"),
        "{table}"
    );
}

#[test]
fn bench_tells_how_servers_end_connections() {
    let peer = Peer::start(|number, message| (number < 3).then_some(message));
    for size in ["16", "100000"] {
        let (code, table, _) = bench(&peer.url, &["--connections", "2", "--size", size, "--seconds", "60"]);
        assert_eq!((code, number_of(&table, "messages"), number_of(&table, "errors")), (1, 6, 2), "{table}");
        assert!(table.ends_with("         2  the connection was closed with code 1008: enough\n"), "{table}");
    }
}

#[test]
fn bench_fails_where_nothing_can_be_measured() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, table, said) = bench(&format!("ws://127.0.0.1:{port}/"), &["--connections", "4"]);
    assert_eq!((code, said.as_str()), (1, "wsproto: nothing could be measured\n"), "{table}");
    assert_eq!((row(&table, "connections"), number_of(&table, "errors")), (Some("0 of 4"), 4));
    assert!(table.contains("         4  the transport failed: Connection refused"), "{table}");

    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = ServeOptions::new().decide(|_, _| async { Decision::reject(403).body("members only") });
    runtime.spawn(serve(listener, options, |_: WebSocket<Transport>, _| async { Ok(()) }));
    let (code, table, _) = bench(&url, &[]);
    assert_eq!(code, 1, "{table}");
    assert!(table.ends_with("         1  the server rejected the request with status 403: members only\n"), "{table}");
}

#[test]
fn bench_ends_early_at_an_interrupt_and_tells_what_it_measured() {
    let peer = Peer::start(|_, message| Some(message));
    let mut command = Command::new(BINARY);
    command.args(["bench", &peer.url, "--seconds", "1000"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while peer.echoed.load(Ordering::Relaxed) < 100 {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let table = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{table}");
    assert!(number_of(&table, "messages") > 0 && number_of(&table, "messages") <= peer.echoed.load(Ordering::Relaxed));
}

#[test]
fn bench_has_one_time_to_open_a_connection() {
    // It lets everybody connect, and answers nobody.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let (code, table, _) = bench(&url, &["--timeout", "0.3", "--connections", "2"]);
    assert_eq!((code, number_of(&table, "errors")), (1, 2), "{table}");
    let help = text(&run(&["bench", "--help"], b"").stdout);
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("--timeout <SECONDS> Time to open each connection, ") && !words.contains("end of input"),
        "{help}"
    );
}

#[test]
fn bench_explains_bad_arguments() {
    for arguments in [&["--connections", "0"][..], &["--depth", "0"], &["--size", "-1"], &["--seconds", "0"]] {
        let output = run(&[&["bench", "ws://127.0.0.1:1/"][..], arguments].concat(), b"");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
