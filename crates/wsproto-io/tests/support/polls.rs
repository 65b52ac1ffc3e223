//! Futures that are polled by hand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::coop::unconstrained;

/// A waker that counts.
#[derive(Default)]
pub struct Counted(AtomicUsize);

impl Counted {
    pub fn new() -> (Arc<Self>, Waker) {
        let counted = Arc::new(Self::default());
        (Arc::clone(&counted), Waker::from(counted))
    }

    pub fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(&mut unconstrained(future)).poll(&mut Context::from_waker(waker))
}

/// Polls at most this many times, and then drops the future: what it gave, if it did.
pub fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    (0..times).find_map(|_| match poll_once(&mut future) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}
