//! Where the transport is: with the WebSocket, or shared by its two halves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::io::Io;
use crate::incoming::Incoming;
use crate::outgoing::LOW;

/// The way to the transport.
#[derive(Debug)]
pub(super) enum Side<'a, S> {
    /// One task has it all.
    Own(&'a mut Io<S>),
    /// This half of a WebSocket that was split.
    Shared(&'a Shared<S>, Half),
}

/// The two halves of a WebSocket that was split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Reader,
    Writer,
}

impl<S> Side<'_, S> {
    /// The same way, for a shorter time.
    pub(super) const fn reborrow(&mut self) -> Side<'_, S> {
        match self {
            Self::Own(io) => Side::Own(io),
            Self::Shared(shared, half) => Side::Shared(shared, *half),
        }
    }

    /// Whether messages are thrown away, since a close that was begun here.
    pub(super) fn discards(&self) -> bool {
        match self {
            Self::Own(io) => io.discards,
            // A half is closed by the other, and its messages are its own still.
            Self::Shared(..) => false,
        }
    }

    /// From here on messages are thrown away.
    pub(super) fn discard(&mut self) {
        if let Self::Own(io) = self {
            io.discards = true;
        }
    }

    /// Works on the transport without waiting for it.
    pub(super) fn with<R>(&mut self, work: impl FnOnce(&mut Io<S>, &mut Context<'_>) -> R) -> R {
        match self {
            // Whoever waits later registers itself.
            Self::Own(io) => work(io, &mut Context::from_waker(Waker::noop())),
            Self::Shared(shared, half) => shared.with(*half, |locked, cx| work(&mut locked.io, cx)),
        }
    }

    /// Works on the transport, and registers the task where that is not ready. `incoming` is what was read, where the caller
    /// has it; a writer whose reader is gone gets what that left behind.
    pub(super) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        incoming: Option<&mut Incoming>,
        work: impl FnOnce(&mut Io<S>, Option<&mut Incoming>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        match self {
            Self::Own(io) => work(io, incoming, cx),
            Self::Shared(shared, half) => shared.poll(*half, cx, |locked, cx| {
                let Locked { io, abandoned } = locked;
                work(io, incoming.or(abandoned.as_mut()), cx)
            }),
        }
    }
}

/// What the two halves share. The lock is never held while somebody waits.
#[derive(Debug)]
pub(super) struct Shared<S> {
    locked: Mutex<Locked<S>>,
    tasks: Arc<Tasks>,
    /// Wakes both halves: each of them writes, so neither may take the transport's only waker from the other.
    waker: Waker,
}

#[derive(Debug)]
pub(super) struct Locked<S> {
    pub(super) io: Io<S>,
    /// What the reader left behind when it was dropped: then the writer reads, to answer and to close.
    pub(super) abandoned: Option<Incoming>,
}

impl<S> Shared<S> {
    pub(super) fn new(io: Io<S>) -> Self {
        let tasks = Arc::new(Tasks::default());
        let waker = Waker::from(Arc::clone(&tasks));
        Self { locked: Mutex::new(Locked { io, abandoned: None }), tasks, waker }
    }

    fn lock(&self) -> MutexGuard<'_, Locked<S>> {
        // Each method leaves the connection as it may be found, also where it panics in the middle.
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<R>(&self, half: Half, work: impl FnOnce(&mut Locked<S>, &mut Context<'_>) -> R) -> R {
        let mut locked = self.lock();
        let before = Seen::of(&locked.io);
        let result = work(&mut locked, &mut Context::from_waker(&self.waker));
        let concerns_other = before.concerns_other(half, &locked.io);
        drop(locked);
        if concerns_other {
            self.tasks.rouse(half.other());
        }
        result
    }

    pub(super) fn poll<R>(
        &self,
        half: Half,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Locked<S>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        // Before the work, so that no wake is lost.
        self.tasks.register(half, cx.waker());
        let result = self.with(half, work);
        if result.is_ready() {
            // Who does not wait is not woken.
            self.tasks.forget(half);
        }
        result
    }

    /// The reader goes; what it read and did not take, and all that comes, is the writer's to throw away.
    pub(super) fn abandon(&self, incoming: Incoming) {
        let mut locked = self.lock();
        locked.abandoned = Some(incoming);
        locked.io.discards = true;
        drop(locked);
        self.tasks.rouse(Half::Writer);
    }
}

/// What of the transport may concern the other half.
pub(super) struct Seen {
    ends: [bool; 4],
    backlog: usize,
}

impl Seen {
    pub(super) fn of<S>(io: &Io<S>) -> Self {
        let ends = [io.closed().is_some(), io.is_over(), io.is_broken(), io.stepping];
        Self { ends, backlog: io.backlog() }
    }

    /// Whether the other half must look again, after this one has worked.
    pub(super) fn concerns_other<S>(&self, half: Half, io: &Io<S>) -> bool {
        let now = Self::of(io);
        // Whoever waits for the end, or for the end of a message, learns of it.
        self.ends != now.ends
            // The transport took it from us, and need not tell the other half, which may wait for that.
            || now.backlog < self.backlog.min(LOW + 2)
            // What was queued is written by whoever waits.
            || half == Half::Writer && !io.outgoing.is_empty()
    }
}

impl Half {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Reader => Self::Writer,
            Self::Writer => Self::Reader,
        }
    }
}

/// The tasks that wait in the two halves.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Tasks {
    fn place(&self, half: Half) -> MutexGuard<'_, Option<Waker>> {
        let place = match half {
            Half::Reader => &self.reader,
            Half::Writer => &self.writer,
        };
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn register(&self, half: Half, waker: &Waker) {
        let mut place = self.place(half);
        if !place.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *place = Some(waker.clone());
        }
    }

    pub(super) fn forget(&self, half: Half) {
        drop(self.place(half).take());
    }

    pub(super) fn rouse(&self, half: Half) {
        let waker = self.place(half).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rouse(Half::Reader);
        self.rouse(Half::Writer);
    }
}
