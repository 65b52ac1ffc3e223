//! The turns of a connection.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::inbox::Inbox;
use crate::tokio::Timer;

/// What whoever drives a connection of HTTP/2 shares with its streams.
#[derive(Debug, Default)]
pub(super) struct Hub {
    state: Mutex<State>,
    /// Streams that are open, or wait for the peer's end.
    streams: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// The streams for which something has arrived.
    woken: Vec<Arc<Inbox>>,
    /// The streams that we have ended, with the time by which the peer has to, in this order.
    left: VecDeque<(Instant, Weak<Inbox>)>,
    /// Whether there is one more of those, or of the others, since they were looked at.
    has_news: bool,
    /// Who drives the connection, while it waits.
    driver: Option<Waker>,
}

/// How long the peer has to end a stream that we have ended.
const LEFT: Duration = Duration::from_secs(10);

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one stream more. Whoever drives the connection looks at how many there are.
    pub(super) fn enter(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.has_news = true;
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Counts one stream less.
    pub(super) fn exit(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// A stream has something that is to be taken.
    pub(super) fn note(&self, inbox: Arc<Inbox>) {
        let mut state = self.state();
        state.woken.push(inbox);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// A stream that we have ended waits for the peer's end.
    pub(super) fn leave(&self, inbox: Weak<Inbox>) {
        let mut state = self.state();
        if state.left.len() == state.left.capacity() {
            // Most peers end theirs at once: those need no place, however many there were.
            state.left.retain(|(_, inbox)| inbox.strong_count() > 0);
        }
        state.left.push_back((Instant::now() + LEFT, inbox));
        state.has_news = true;
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// The next stream that is waited for, and until when.
    fn next_left(&self) -> Option<(Instant, Weak<Inbox>)> {
        let mut state = self.state();
        state.has_news = false;
        while state.left.front().is_some_and(|(_, inbox)| inbox.strong_count() == 0) {
            state.left.pop_front();
        }
        state.left.front().cloned()
    }

    /// One turn of the connection, by `poll`; then all that arrived in it is taken.
    pub(super) fn poll<R>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<R>) -> Poll<R> {
        self.state().driver = None; // awake
        let polled = poll(cx);
        self.take();
        if polled.is_pending() {
            let mut state = self.state();
            if state.woken.is_empty() && !state.has_news {
                state.driver = Some(cx.waker().clone());
            } else {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }

    /// Takes what has arrived.
    fn take(&self) {
        loop {
            let woken = mem::take(&mut self.state().woken);
            if woken.is_empty() {
                return;
            }
            woken.iter().for_each(Inbox::take);
        }
    }
}

/// A connection, however it ends: its streams learn of it.
#[derive(Debug)]
pub(super) struct Driven<C> {
    connection: Option<C>,
    pub(super) hub: Arc<Hub>,
    timer: Timer,
}

impl<C> Driven<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection: Some(connection), hub: Arc::default(), timer: Timer::default() }
    }

    /// One turn, as [`Hub::poll`].
    pub(super) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut C, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        while let Some((until, inbox)) = self.hub.next_left() {
            if self.timer.poll_at(until, cx).is_pending() {
                break;
            }
            self.hub.state().left.pop_front();
            if let Some(inbox) = inbox.upgrade() {
                inbox.give_up();
            }
        }
        match &mut self.connection {
            Some(connection) => self.hub.poll(cx, |cx| poll(connection, cx)),
            None => Poll::Pending,
        }
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut C> {
        self.connection.as_mut()
    }
}

impl<C> Drop for Driven<C> {
    fn drop(&mut self) {
        drop(self.connection.take());
        self.hub.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that has come may need a larger window for the connection, and nothing else wakes it.
    #[test]
    fn a_stream_more_is_looked_at_by_who_drives_the_connection() {
        struct Woken(AtomicUsize);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (hub, woken) = (Hub::default(), Arc::new(Woken(AtomicUsize::new(0))));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(hub.poll(&mut Context::from_waker(&waker), |_| Poll::<()>::Pending).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        hub.enter();
        assert_eq!((woken.0.load(Ordering::Relaxed), hub.streams()), (1, 1));
    }

    #[tokio::test]
    async fn streams_that_have_ended_are_not_kept_in_mind() {
        let hub = Hub::default();
        for _ in 0..10_000 {
            hub.leave(Weak::new());
        }
        assert!(hub.state().left.capacity() < 100);
    }
}
