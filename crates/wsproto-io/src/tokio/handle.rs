//! What any task can do with a connection: read its counters, and ask it to close.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use wsproto::CloseCode;

/// A handle of a connection, for any task: reads its counters and asks it to close. Cheap to clone.
///
/// ```no_run
/// # async fn kick(socket: wsproto_io::WebSocket<tokio::net::TcpStream>) {
/// let handle = socket.handle();
/// tokio::spawn(async move {
///     if handle.counters().messages_received > 1_000_000 {
///         handle.close(wsproto_io::wsproto::CloseCode::POLICY_VIOLATION, "enough");
///     }
/// });
/// # }
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    pings_received: AtomicU64,
    pings_sent: AtomicU64,
    queued: AtomicUsize,
    /// In nanoseconds, plus one; 0: none yet.
    round_trip: AtomicU64,
    request: Mutex<Request>,
}

#[derive(Default)]
struct Request {
    /// Boxed, as it comes once at most, and there are many connections.
    close: Option<Box<(CloseCode, String)>>,
    /// Who is to look.
    waker: Option<Waker>,
}

/// What a connection has done so far ([`Handle::counters`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Whole messages that were given to the application, or whose last piece was.
    pub messages_received: u64,
    /// Whole messages that were queued.
    pub messages_sent: u64,
    /// Bytes that the transport delivered after the handshake.
    pub bytes_received: u64,
    /// Bytes that the transport took after the handshake.
    pub bytes_sent: u64,
    /// Pings from the peer.
    pub pings_received: u64,
    /// Pings to the peer, those of the keepalive included.
    pub pings_sent: u64,
    /// Bytes that wait for the transport now.
    pub queued: usize,
    /// What the latest Ping and its Pong took.
    pub round_trip: Option<Duration>,
}

impl Handle {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// What the connection has done so far. Each number is exact at some moment of the call; they are not read at the same
    /// moment.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let inner = &*self.0;
        Counters {
            messages_received: inner.messages_received.load(Relaxed),
            messages_sent: inner.messages_sent.load(Relaxed),
            bytes_received: inner.bytes_received.load(Relaxed),
            bytes_sent: inner.bytes_sent.load(Relaxed),
            pings_received: inner.pings_received.load(Relaxed),
            pings_sent: inner.pings_sent.load(Relaxed),
            queued: inner.queued.load(Relaxed),
            round_trip: inner.round_trip.load(Relaxed).checked_sub(1).map(Duration::from_nanos),
        }
    }

    /// Asks the connection to send a Close (RFC 6455 §7.1.2), and does not wait. The task that has the connection goes on
    /// receiving until the peer's Close; it cannot send any more. It sees to this when it next waits in the connection, or at
    /// once where it does. The first request counts.
    ///
    /// A reason of more than 123 bytes is cut.
    pub fn close(&self, code: CloseCode, reason: &str) {
        let mut request = self.request();
        if request.close.is_none() {
            request.close = Some(Box::new((code, reason.to_owned())));
            if let Some(waker) = request.waker.take() {
                drop(request);
                waker.wake();
            }
        }
    }

    /// What was asked for. `waker` is woken when something is.
    pub(super) fn asked(&self, waker: &Waker) -> Option<(CloseCode, String)> {
        let mut request = self.request();
        if request.close.is_none() && !request.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            request.waker = Some(waker.clone());
        }
        request.close.as_deref().cloned()
    }

    fn request(&self) -> MutexGuard<'_, Request> {
        self.0.request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn message_received(&self) {
        add(&self.0.messages_received, 1);
    }

    pub(super) fn message_sent(&self) {
        add(&self.0.messages_sent, 1);
    }

    pub(super) fn bytes_received(&self, n: usize) {
        add(&self.0.bytes_received, n as u64);
    }

    pub(super) fn bytes_sent(&self, n: usize) {
        add(&self.0.bytes_sent, n as u64);
    }

    pub(super) fn ping_received(&self) {
        add(&self.0.pings_received, 1);
    }

    pub(super) fn ping_sent(&self) {
        add(&self.0.pings_sent, 1);
    }

    pub(super) fn queued(&self, bytes: usize) {
        self.0.queued.store(bytes, Relaxed);
    }

    pub(super) fn round_trip(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
        self.0.round_trip.store(nanos.saturating_add(1), Relaxed);
    }
}

/// Each counter has one writer at a time, the holder of the connection: no need for a locked instruction.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.counters()).finish()
    }
}
