//! A proxy on loopback that breaks what it carries.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What becomes of one direction.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// After this many bytes both connections are reset.
    Reset(usize),
    /// After this many bytes this direction ends.
    Fin(usize),
    /// After this many bytes this direction takes and gives nothing more.
    Stall(usize),
    /// Each piece is late by this much, and up to as much again.
    Late(Duration),
    /// One byte at a time.
    Bytewise,
}

/// Carries the next connection to `to`: its address, and its task.
pub async fn proxy(to: SocketAddr, up: Fault, down: Fault) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let carrying = tokio::spawn(async move {
        let near = listener.accept().await.unwrap().0;
        let far = TcpStream::connect(to).await.unwrap();
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let up = carry(near_in, far_out, up);
        let down = carry(far_in, near_out, down);
        tokio::pin!(up, down);
        // A reset ends both directions.
        let (mut up_open, mut down_open) = (true, true);
        while up_open || down_open {
            let (reset, open) = tokio::select! {
                reset = &mut up, if up_open => (reset, &mut up_open),
                reset = &mut down, if down_open => (reset, &mut down_open),
            };
            *open = false;
            if reset {
                break;
            }
        }
    });
    (address, carrying)
}

/// Whether the connections are to be reset.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fault: Fault) -> bool {
    if let Fault::Late(delay) = fault {
        return carry_late(from, to, delay).await;
    }
    let mut left = match fault {
        Fault::Reset(n) | Fault::Fin(n) | Fault::Stall(n) => n,
        _ => usize::MAX,
    };
    let mut buffer = vec![0; 4096];
    loop {
        if left == 0 {
            match fault {
                Fault::Reset(_) => {
                    // With unsent or unread bytes or not: a reset, not an end.
                    to.as_ref().set_zero_linger().unwrap();
                    from.as_ref().set_zero_linger().unwrap();
                    to.forget();
                    return true;
                }
                Fault::Stall(_) => pending().await,
                _ => {
                    let _ = to.shutdown().await;
                    return false;
                }
            }
        }
        let most = if matches!(fault, Fault::Bytewise) { 1 } else { buffer.len().min(left) };
        let n = from.read(&mut buffer[..most]).await.unwrap_or(0);
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            let _ = to.shutdown().await;
            return false;
        }
        left -= n;
    }
}

/// The pieces wait, each its own time, but in their order.
async fn carry_late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> bool {
    let (pieces, mut late) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let reading = tokio::spawn(async move {
        let mut seed = 1_u32;
        let mut buffer = vec![0; 4096];
        loop {
            let n = from.read(&mut buffer).await.unwrap_or(0);
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = delay * (seed >> 16) / (1 << 16);
            if pieces.send((Instant::now() + delay + jitter, buffer[..n].to_vec())).await.is_err() || n == 0 {
                return;
            }
        }
    });
    while let Some((at, piece)) = late.recv().await {
        sleep_until(at).await;
        if piece.is_empty() || to.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    reading.abort();
    false
}
