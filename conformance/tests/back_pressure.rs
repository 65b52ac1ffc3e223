//! An application that takes nothing, then everything: nobody's memory grows, and nothing is lost.
//!
//! Each end is a process of its own (`slow-peer`), so that its memory is its own. The end that takes nothing is told to
//! take when the other has been unable to send for five seconds.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use wsproto_conformance::process::most_in_sockets;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What is offered, in messages of hardly 64 KiB, and in bytes.
const MESSAGES: u64 = 1025;
const OFFERED: u64 = 64 * MIB;

/// How much the memory of either end may grow while all that passes, in bytes.
const GROWTH: u64 = 4 * MIB;

struct Peer {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    fn start(name: &'static str, end: &str, part: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slow-peer"));
        command.args([end, part]).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { name, child, stdin, stdout }
    }

    /// The rest of the next line, which begins with this word.
    fn line(&mut self, word: &str) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        println!("{}: {}", self.name, line.trim_end());
        match line.trim_end().split_once(' ') {
            Some((first, rest)) if first == word => rest.to_owned(),
            _ => panic!("the {} was to say {word:?}, and said {line:?}", self.name),
        }
    }

    fn numbers(&mut self, word: &str) -> HashMap<String, u64> {
        let line = self.line(word);
        let pairs = line.split(' ').map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    /// Waits until it can send no more, and judges how much was accepted until then: as much as there is room for on the way,
    /// and in our queue, and a message for what is cut between them.
    fn stalls(&mut self, smallest: u64, on_the_way: u64) {
        let numbers = self.numbers("stalled");
        let most = on_the_way + 256 * KIB;
        let accepted = numbers["accepted"] * smallest;
        assert!(accepted <= most, "{accepted} bytes were accepted by a peer that takes nothing");
        assert!(numbers["queued"] <= 129 * KIB, "{} bytes are queued", numbers["queued"]);
        assert!(numbers["growth"] <= GROWTH, "it grew by {} bytes meanwhile", numbers["growth"]);
    }

    /// Waits until it tells that its siblings, all of them, went on.
    fn has_siblings_that_go_on(&mut self) {
        let least = self.numbers("siblings")["least"];
        assert!(least >= ECHOES, "one of the siblings echoed {least} messages");
    }

    fn take(&mut self) {
        writeln!(self.stdin, "take").unwrap();
    }

    /// Waits for its end.
    fn ends(mut self, received: u64) {
        let numbers = self.numbers("done");
        assert_eq!(numbers["received"], received);
        let offered = if received == 0 { 0 } else { OFFERED };
        assert!(numbers["bytes"] >= offered, "{} bytes arrived", numbers["bytes"]);
        assert!(numbers["growth"] <= GROWTH, "it grew by {} bytes at the most", numbers["growth"]);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Peer {
    /// A test that failed leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server and the client, each with its part.
fn peers(server: &str, client: &str, flags: &[&str]) -> (Peer, Peer) {
    let mut server = Peer::start("server", "serve", server, flags);
    let url = server.line("listening");
    let client = Peer::start("client", &format!("connect={url}"), client, flags);
    (server, client)
}

#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

/// What a message is at least in the sockets: compressed, digits of four bits and a code for each.
const PLAIN: u64 = 64 * KIB - 8;
const COMPRESSED: u64 = 32 * KIB;

/// What the sockets of both systems take.
fn in_sockets() -> u64 {
    let most = most_in_sockets().unwrap_or(32 * MIB);
    assert!(most + MIB < OFFERED, "the sockets of this machine could take all that is offered");
    most
}

fn takes_late(direction: Direction, flags: &[&str], smallest: u64) {
    let (mut offers, mut takes) = match direction {
        Direction::ToServer => {
            let (server, client) = peers("take", "offer", flags);
            (client, server)
        }
        Direction::ToClient => peers("offer", "take", flags),
    };
    offers.stalls(smallest, in_sockets());
    takes.take();
    takes.ends(MESSAGES);
    offers.ends(0);
}

#[test]
fn a_server_that_takes_nothing_holds_the_client_up_over_tcp() {
    takes_late(Direction::ToServer, &[], PLAIN);
}

#[test]
fn a_server_that_takes_nothing_holds_the_client_up_over_tls() {
    takes_late(Direction::ToServer, &["--tls"], PLAIN);
}

#[test]
fn a_client_that_takes_nothing_holds_the_server_up_over_tcp() {
    takes_late(Direction::ToClient, &[], PLAIN);
}

#[test]
fn a_client_that_takes_nothing_holds_the_server_up_over_tls() {
    takes_late(Direction::ToClient, &["--tls"], PLAIN);
}

#[test]
fn compression_holds_up_as_well() {
    takes_late(Direction::ToServer, &["--compress"], COMPRESSED);
    takes_late(Direction::ToClient, &["--compress", "--tls"], COMPRESSED);
}

/// Both ends only send: each reads up to the first message that nobody takes, and no further.
#[test]
fn two_ends_that_take_nothing_hold_each_other_up() {
    for flags in [&[] as &[&str], &["--tls"]] {
        let (mut server, mut client) = peers("both", "both", flags);
        server.stalls(PLAIN, in_sockets());
        client.stalls(PLAIN, in_sockets());
        server.take();
        client.take();
        client.ends(MESSAGES);
        server.ends(MESSAGES);
    }
}

/// What a stream of HTTP/2 holds on its way, however much the sockets could take: its window.
const IN_STREAM: u64 = 64 * KIB;

/// How many messages each sibling echoes in the five seconds of a stall, at the least: it could 500.
const ECHOES: u64 = 50;

/// A stream whose application takes nothing, beside twenty on the same connection that go on.
fn takes_late_over_http2(direction: Direction, tls: &[&str], smallest: u64) {
    let flags = [&["--http2", "--siblings"], tls].concat();
    match direction {
        Direction::ToServer => {
            let (mut server, mut client) = peers("take", "offer", &flags);
            client.stalls(smallest, IN_STREAM);
            client.has_siblings_that_go_on();
            server.take();
            server.ends(MESSAGES);
            client.ends(0);
        }
        Direction::ToClient => {
            let (mut server, mut client) = peers("offer", "take", &flags);
            server.stalls(smallest, IN_STREAM);
            client.take();
            client.has_siblings_that_go_on();
            client.ends(MESSAGES);
            server.ends(0);
        }
    }
}

#[test]
fn p07_a_server_that_takes_nothing_holds_up_its_stream_alone() {
    takes_late_over_http2(Direction::ToServer, &[], PLAIN);
}

#[test]
fn p07_a_server_that_takes_nothing_holds_up_its_stream_alone_over_tls() {
    takes_late_over_http2(Direction::ToServer, &["--tls"], PLAIN);
}

#[test]
fn p07_a_client_that_takes_nothing_holds_up_its_stream_alone() {
    takes_late_over_http2(Direction::ToClient, &[], PLAIN);
}

#[test]
fn p07_a_client_that_takes_nothing_holds_up_its_stream_alone_over_tls() {
    takes_late_over_http2(Direction::ToClient, &["--tls", "--compress"], COMPRESSED);
}

#[test]
fn p07_two_ends_that_take_nothing_hold_each_other_up_over_http2() {
    let (mut server, mut client) = peers("both", "both", &["--http2", "--tls"]);
    server.stalls(PLAIN, IN_STREAM);
    client.stalls(PLAIN, IN_STREAM);
    server.take();
    client.take();
    client.ends(MESSAGES);
    server.ends(MESSAGES);
}
