//! What the world does to a server: descriptors run out, peers are killed, peers do not read.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::process::resident;
use support::{BINARY, Server};
use wsproto_io::Message;
use wsproto_io::blocking::ConnectOptions;

/// CPU time of a process so far, in ticks of 10 ms.
fn ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The numbers of the descriptors that are open.
fn numbers(server: &Server) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap()).collect()
}

fn descriptors(server: &Server) -> usize {
    numbers(server).len()
}

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not {what} after 20 s");
        thread::sleep(Duration::from_millis(20));
    }
}

fn assert_echoes(server: &Server) {
    let mut socket = server.connect();
    socket.send("still there?").unwrap();
    assert_eq!(socket.recv().unwrap(), Some(Message::Text("still there?".into())));
}

/// "Below 5 %": over two seconds, so that a tick more or less does not decide.
fn assert_idles(server: &Server) {
    let before = ticks(server);
    thread::sleep(Duration::from_secs(2));
    let spent = ticks(server) - before;
    assert!(spent < 10, "{spent} ticks of CPU time in 200");
}

#[test]
fn t05_out_of_descriptors_the_server_neither_spins_nor_dies_and_resumes() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 24; exec \"$0\" \"$@\"", BINARY]);
    let mut server = Server::start_as(shell, &[]);
    let begun = std::time::Instant::now();
    let before = descriptors(&server);
    let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    // (Those that were inherited may lie above the limit.)
    until("out of descriptors", || numbers(&server).iter().filter(|&&number| number < 24).count() == 24);
    assert_idles(&server);
    // Each that ends lets another one in, and the next one fails again.
    let mut clients = clients.into_iter();
    for _ in 0..5 {
        drop(clients.next());
        thread::sleep(Duration::from_millis(250));
    }
    drop(clients);
    until("back to where it was", || descriptors(&server) == before);
    assert_echoes(&server);
    server.signal("-TERM");
    assert!(server.wait(Duration::from_secs(5)).success());
    let log = server.stderr();
    // Once a minute at most.
    let most = 1 + begun.elapsed().as_secs() / 60;
    let told = log.matches("wsproto: cannot accept a connection: ").count() as u64;
    assert!((1..=most).contains(&told), "{log}");
}

#[test]
fn t06_a_killed_peer_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let before = descriptors(&server);
    let mut clients = vec![];
    for _ in 0..5 {
        let mut client = Command::new(BINARY)
            .args(["connect", &server.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
        clients.push(client);
    }
    assert_eq!(descriptors(&server), before + 5);
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    until("back to where it was", || descriptors(&server) == before);
    assert_echoes(&server);
}

#[test]
fn t06_a_killed_server_ends_its_client_with_an_error() {
    let server = Server::start(&[]);
    let mut client = Command::new(BINARY);
    client.args(["connect", &server.url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n", "what came before is printed");
    server.signal("-KILL");
    let output = client.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    drop(stdin);
}

/// A client's Ping whose payload begins with its number.
fn ping(number: u64) -> Vec<u8> {
    let mut frame = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.resize(6 + 125, b'x');
    frame
}

/// The numbers of the Pongs that come until the last one of these Pings is answered, or the connection ends.
fn answered(stream: &TcpStream, last: u64) -> Vec<u64> {
    let mut reader = BufReader::new(stream);
    let (mut numbers, mut pong) = (vec![], [0; 2 + 125]);
    while numbers.last() != Some(&last) && reader.read_exact(&mut pong).is_ok() {
        assert_eq!(pong[..2], [0x8a, 125], "a Pong");
        numbers.push(u64::from_be_bytes(pong[2..10].try_into().unwrap()));
    }
    numbers
}

#[test]
fn f10_f11_pings_from_a_peer_that_never_reads_cost_neither_memory_nor_time() {
    /// 128 MiB: the answers are more than the system keeps for the two ends.
    const PINGS: u64 = (128 << 20) / 131;
    let server = Server::start(&[]);
    let socket = ConnectOptions::new().compression(None).connect(&server.url).unwrap();
    let mut stream = socket.stream();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let before = resident(server.id());
    let mut most = 0;
    let flooded = (0..PINGS).step_by(1000).try_for_each(|first| {
        let pings: Vec<u8> = (first..PINGS.min(first + 1000)).flat_map(ping).collect();
        most = most.max(resident(server.id()));
        stream.write_all(&pings)
    });
    // It goes on reading, or has given the peer up, which takes nothing. What it must not do is to wait for it.
    let given_up = match flooded.map_err(|error| error.kind()) {
        Ok(()) => false,
        Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => true,
        Err(other) => panic!("{other:?}: the server stopped reading"),
    };
    assert_idles(&server);
    most = most.max(resident(server.id()));
    assert!(most < before + (1 << 20), "{most} bytes, {before} before");
    assert_echoes(&server);
    if !given_up {
        // In order, from the first on as many as found room; the others are represented by the latest (RFC 6455 §5.5.3).
        let numbers = answered(stream, PINGS - 1);
        let gap = numbers.iter().zip(0..).take_while(|(number, index)| **number == *index).count();
        println!("{gap} of {PINGS} Pings were answered before the queue was full");
        assert_eq!(numbers[gap..], [PINGS - 1]);
    }
    stream.shutdown(Shutdown::Both).unwrap();
}
