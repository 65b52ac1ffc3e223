//! The listener, and how many are served at a time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::timer::Timer;

/// The listener and the tasks.
pub(super) struct Listening {
    listener: TcpListener,
    tasks: JoinSet<()>,
    max_connections: usize,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Until when nobody is accepted.
    pause: Option<Instant>,
    timer: Timer,
}

pub(super) enum Next {
    Shutdown,
    Connection(TcpStream, SocketAddr),
    Failure(io::Error),
}

/// How long nobody is accepted where that fails: out of descriptors or of memory, which ends when others end.
const PAUSE: Duration = Duration::from_millis(100);

impl Listening {
    pub(super) fn new(
        listener: TcpListener,
        max_connections: usize,
        shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Self {
        Self { listener, tasks: JoinSet::new(), max_connections, shutdown, pause: None, timer: Timer::default() }
    }

    /// Runs a connection.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Accepts nobody any more. What is left are the tasks.
    pub(super) fn close(self) -> JoinSet<()> {
        self.tasks
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.shutdown.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Next::Shutdown);
        }
        // Tasks that have ended make room. (What they panicked with is the panic hook's to tell.)
        while let Poll::Ready(Some(_)) = self.tasks.poll_join_next(cx) {}
        if self.tasks.len() >= self.max_connections {
            return Poll::Pending;
        }
        if let Some(until) = self.pause {
            ready!(self.timer.poll_at(until, cx));
            self.pause = None;
        }
        match ready!(self.listener.poll_accept(cx)) {
            Ok((tcp, address)) => Poll::Ready(Next::Connection(tcp, address)),
            Err(error) => {
                // One that has left already is no reason to wait.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    self.pause = Some(Instant::now() + PAUSE);
                }
                Poll::Ready(Next::Failure(error))
            }
        }
    }
}
