//! What a connection on tokio holds while it is idle, counted.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::task::Poll;

use allocation_counter::{measure, opt_out};
use support::{End, Wire, encode, poll_once, server};
use wsproto::Message;
use wsproto_io::WebSocket;

/// Live bytes that `work` leaves, once the buffers of the thread are there.
fn left_by(work: impl FnOnce()) -> i64 {
    measure(work).bytes_current
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_holds_no_buffer() {
    let input = encode((0..100).map(|_| Message::binary(vec![7; 1000])));
    let quiet = Wire::new([], End::Silence);
    let busy = Wire::new(input.clone(), End::Silence);
    busy.state().written.reserve(1 << 20);
    // What the thread keeps to lend is made here.
    for _ in 0..3 {
        echo_all(&mut server(&Wire::new(input.clone(), End::Silence)));
    }

    let mut sockets = Vec::with_capacity(2);
    let made = left_by(|| sockets.push(server(&quiet)));
    assert!(made <= 2048, "{made} bytes for a WebSocket");
    sockets.push(server(&busy));
    for socket in &mut sockets {
        let held = left_by(|| echo_all(socket));
        // The timer, and wakers.
        assert!(held <= 512, "{held} bytes held while it waits");
        assert_eq!(socket.queued(), 0);
    }
    assert!(frames_came_back(&busy));
    opt_out(|| drop(sockets));
}

/// Receives all that there is, and answers; then it waits.
fn echo_all(socket: &mut WebSocket<Wire>) {
    loop {
        let polled = poll_once(&mut Box::pin(socket.recv()));
        let Poll::Ready(message) = polled else { return };
        let message = message.unwrap().unwrap();
        assert!(poll_once(&mut Box::pin(socket.feed(&message))).is_ready());
    }
}

fn frames_came_back(wire: &Wire) -> bool {
    support::frames(&wire.written()).len() == 100
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_a_pointer_and_its_halves_are_small() {
    assert_eq!(size_of::<wsproto_io::WebSocket<tokio::net::TcpStream>>(), size_of::<usize>());
    assert!(size_of::<wsproto_io::Reader<tokio::net::TcpStream>>() <= 768);
    assert!(size_of::<wsproto_io::Writer<tokio::net::TcpStream>>() <= 16);
}
