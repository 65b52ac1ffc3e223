//! The transport, what is to be written to it, and the clock: everything of a connection but what was read.

mod ending;
mod room;

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::Instant;
use wsproto::frame::Role;
use wsproto::keepalive::Action;
use wsproto::{CloseCode, CloseFrame, Event, LocalProtocolError, Ping, RemoteProtocolError, Reply};

use self::ending::Ending;
use super::handle::Handle;
use super::pulse::{Pulse, RoundTrip};
use super::timer::Timer;
use super::transport::Multiplexed;
use crate::error::{Closed, Error, Timeout};
use crate::incoming::Incoming;
use crate::options::Keep;
use crate::outgoing::Outgoing;
use crate::trace::{debug, trace};

/// The times of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    keep: Keep,
    close_timeout: Duration,
}

impl Times {
    pub(super) const fn new(keep: Keep, close_timeout: Duration) -> Self {
        Self { keep, close_timeout }
    }
}

/// The transport, the outgoing queue, and the deadlines. Its methods wait for nothing: those that are called `poll_…`
/// register the task, and are called again.
#[derive(Debug)]
pub(super) struct Io<S> {
    pub(super) stream: S,
    pub(super) outgoing: Outgoing,
    pub(super) handle: Handle,
    pulse: Pulse,
    timer: Timer,
    role: Role,
    close_timeout: Duration,
    /// How long the transport may take nothing of what waits for it.
    stall_timeout: Option<Duration>,
    /// Until when the connection lasts, whatever the peer sends: when we close, it is the time for that, else the time that
    /// the transport has to take something.
    limit: Option<Instant>,
    /// Whether we close: our Close is sent, or there is nobody to send it to.
    closing: bool,
    /// How the connection ended.
    end: Option<Box<End>>,
    ending: Ending,
    /// What the transport failed with when it was written to: it takes nothing any more.
    broken: Option<io::ErrorKind>,
    /// Whether the transport was written to, and has not been flushed since.
    unflushed: bool,
    /// Whether the queue was full, and is not at its lower mark since.
    choked: bool,
    /// Whether a Ping waits for the end of a frame.
    ping_owed: bool,
    /// Whether nobody takes messages any more: they are thrown away.
    pub(super) discards: bool,
    /// Whether the next message need not wait.
    pub(super) granted: bool,
    /// Whether a message is queued in part: no other may be begun before its end, by whichever half.
    pub(super) stepping: bool,
    /// Whether the queue was written ahead of time since the last read: once is enough.
    hurried: bool,
    /// Whether something that was queued was given up.
    lost: bool,
    /// Whether another task asked for our Close.
    pub(super) asked_to_close: bool,
    /// Whether the transport is one stream of several.
    pub(super) multiplexed: Option<Multiplexed<S>>,
}

/// How a connection ended.
#[derive(Debug)]
struct End {
    closed: Closed,
    /// What the peer did wrong.
    error: Option<RemoteProtocolError>,
}

/// Where no deadline is to be reached: a time far away that can still be added to.
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// A deadline, also where the time until then is beyond what the clock counts.
pub(super) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + FAR)
}

impl<S> Io<S> {
    pub(super) fn new(stream: S, outgoing: Outgoing, role: Role, times: Times) -> Self {
        Self {
            stream,
            outgoing,
            handle: Handle::new(),
            pulse: Pulse::new(times.keep),
            timer: Timer::default(),
            role,
            close_timeout: times.close_timeout,
            stall_timeout: times.keep.stall,
            limit: None,
            closing: false,
            end: None,
            ending: Ending::Open,
            broken: None,
            unflushed: false,
            choked: false,
            ping_owed: false,
            discards: false,
            granted: false,
            stepping: false,
            hurried: false,
            lost: false,
            asked_to_close: false,
            multiplexed: None,
        }
    }

    /// What the peer's Close said, or what stands for it.
    pub(super) fn closed(&self) -> Option<&Closed> {
        self.end.as_ref().map(|end| &end.closed)
    }

    /// Whether nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.ending == Ending::Over
    }

    /// How much is to be done before the transport has all, a flush counted as one byte.
    pub(super) fn backlog(&self) -> usize {
        self.outgoing.queued() + usize::from(self.unflushed)
    }

    /// Whether what is begun of a message can be finished. A frame must be, so that a Close can stand behind it; fragments
    /// behind the peer's Close are for nobody.
    pub(super) fn can_finish(&self) -> bool {
        self.broken.is_none() && !self.is_over() && (self.end.is_none() || self.outgoing.is_in_frame())
    }

    /// Whether the transport takes nothing any more.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether a message can be sent.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match (self.closed(), self.broken) {
            (Some(closed), _) => Err(Error::Closed(closed.clone())),
            (None, Some(kind)) => Err(Error::Io(kind.into())),
            (None, None) => Ok(()),
        }
    }

    /// Whether a message can be sent, and our own Close is not before it.
    pub(super) fn check_sendable(&self) -> Result<(), Error> {
        self.check_open()?;
        match self.closing {
            true if self.asked_to_close => Err(Error::Closing),
            true => Err(LocalProtocolError::CloseSent.into()),
            false => Ok(()),
        }
    }

    /// Takes note of an event: pays what is owed for it.
    pub(super) fn heard(&mut self, event: &Event<'_>, reply: Option<Reply>) {
        match event {
            Event::Ping(_) => self.handle.ping_received(),
            Event::Pong(pong) => {
                if let Some(time) = self.pulse.pong(&pong.payload) {
                    self.handle.round_trip(time);
                    trace!("a Pong after {time:?}");
                }
            }
            Event::Close(frame) => self.over(Closed::received(frame), None),
            _ => {}
        }
        if let Some(reply) = reply {
            self.reply(reply);
        }
    }

    /// Takes note of what the peer did wrong: it is told so.
    pub(super) fn refuse(&mut self, error: RemoteProtocolError) {
        if let Some(reply) = error.response() {
            self.reply(reply);
        }
        self.over(Closed::failed(error), Some(error));
    }

    fn reply(&mut self, reply: Reply) {
        self.outgoing.reply(reply);
        self.handle.queued(self.outgoing.queued());
    }

    fn over(&mut self, closed: Closed, error: Option<RemoteProtocolError>) {
        if self.end.is_none() {
            debug!("the WebSocket has ended: {closed}");
            self.end = Some(End { closed, error }.into());
            self.pulse.stop();
        }
    }

    /// Queues a Close. From here on the time for closing runs.
    pub(super) fn send_close(&mut self, code: CloseCode, reason: &str) {
        if self.closing {
            return;
        }
        // Also in the middle of a frame, and where the queue is full: then it leaves as soon as it can. (After an extension's
        // failure none can leave, but the time runs all the same.)
        self.reply(Reply::close(&CloseFrame::new(code, reason)));
        self.begin_closing();
    }

    /// Queues a Ping; gives what waits for its Pong.
    pub(super) fn ping(&mut self) -> Result<RoundTrip, Error> {
        self.check_sendable()?;
        let end = self.ping_end();
        let (payload, round_trip) = self.pulse.ping(end);
        self.queue_ping(payload)?;
        Ok(round_trip)
    }

    /// Where a Ping that is queued now ends, in all that is sent: a header of 2 bytes, a client's mask of 4, 8 of payload.
    fn ping_end(&self) -> u64 {
        let header = if self.role == Role::Client { 6 } else { 2 };
        self.outgoing.total() + (self.outgoing.queued() + header + 8) as u64
    }

    fn queue_ping(&mut self, payload: [u8; 8]) -> Result<(), Error> {
        self.outgoing.control(Ping::new(payload.to_vec()))?;
        self.handle.ping_sent();
        self.handle.queued(self.outgoing.queued());
        Ok(())
    }

    /// The keepalive's Ping, unless a frame is in progress.
    fn pay_ping(&mut self) {
        if self.ping_owed && !self.outgoing.is_in_frame() {
            self.ping_owed = false;
            let end = self.ping_end();
            let payload = self.pulse.keepalive_ping(end);
            // After our own Close no Ping is due any more.
            let _ = self.queue_ping(payload);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    /// Sees to what other tasks asked for through the handle.
    fn heed(&mut self, cx: &Context<'_>) {
        if !self.closing && self.end.is_none() {
            if let Some((code, reason)) = self.handle.asked(cx.waker()) {
                self.send_close(code, &reason);
                self.asked_to_close = true;
            }
        }
    }

    /// One turn of one who waits for input: writes, reads, looks at the clock. Ready with `true` where something was read,
    /// with `false` where nothing will come any more and all is done.
    ///
    /// It writes and reads at the same time: a peer that does not read before we do is read from.
    pub(super) fn poll_turn(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        incoming.give_back();
        self.heed(cx);
        loop {
            // What the transport fails with, reading will tell: it may still hold what the peer sent before.
            let _ = self.poll_write(0, cx);
            if self.end.is_some() {
                incoming.broken();
                return self.poll_end(incoming, cx).map(|()| Ok(false));
            }
            if let Some(timeout) = self.overdue() {
                incoming.broken();
                return Poll::Ready(Err(self.give_up(timeout)));
            }
            self.pulse.resume();
            if let Poll::Ready(read) = self.poll_fill(incoming, cx) {
                return Poll::Ready(read.map(|()| true));
            }
            ready!(self.poll_clock(incoming, cx))?;
        }
    }

    /// Writes until at most this many bytes wait, and flushes.
    pub(super) fn poll_write(&mut self, mark: usize, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let written = self.poll_write_on(mark, cx);
        if written.is_pending() && self.limit.is_none() && coop::has_budget_remaining() {
            self.limit = self.stall_timeout.map(deadline);
        }
        written
    }

    /// The transport has taken something.
    fn took(&mut self) {
        if !self.closing {
            self.limit = None;
        }
    }

    fn poll_write_on(&mut self, mark: usize, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(kind) = self.broken {
            self.outgoing.discard();
            self.handle.queued(0);
            return Poll::Ready(Err(Error::Io(kind.into())));
        }
        self.pay_ping();
        while !self.outgoing.is_below(mark) {
            if self.outgoing.unwritten().is_empty() {
                break; // what was owed is owed no more: a Close has left
            }
            match ready!(self.poll_write_once(cx)) {
                Ok(0) => return Poll::Ready(Err(self.break_down(io::ErrorKind::WriteZero.into()))),
                Ok(n) => {
                    self.unflushed = true;
                    self.took();
                    self.pulse.sent(self.outgoing.total());
                    self.handle.bytes_sent(n);
                    self.handle.queued(self.outgoing.queued());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.break_down(error))),
            }
        }
        if self.unflushed {
            match ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
                Ok(()) => {
                    self.unflushed = false;
                    self.took();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(self.break_down(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One write of what is queued.
    fn poll_write_once(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.multiplexed {
            Some(by) if self.outgoing.is_worth_giving() => {
                let mut queue = self.outgoing.take();
                let given = (by.poll_give)(&mut self.stream, cx, &mut queue);
                self.outgoing.put_back(queue, if let Poll::Ready(Ok(n)) = given { n } else { 0 });
                given
            }
            _ => {
                let n = ready!(Pin::new(&mut self.stream).poll_write(cx, self.outgoing.unwritten()))?;
                self.outgoing.advance(n);
                Poll::Ready(Ok(n))
            }
        }
    }

    fn break_down(&mut self, error: io::Error) -> Error {
        debug!("the transport takes nothing any more: {error}");
        self.outgoing.discard();
        self.handle.queued(0);
        self.unflushed = false;
        self.broken = Some(error.kind());
        // Whoever reads on does not do so for ever.
        self.begin_closing();
        Error::from(error)
    }

    /// One read, into a buffer that the thread lends: how many bytes it gave, 0 at the end. A transport that is always
    /// ready, as none of tokio's is, does not keep the thread from other tasks.
    fn poll_read(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Spent also where nothing is there: were it given back, the timer could have it, and tell that nothing came where
        // the transport was never asked.
        ready!(coop::poll_proceed(cx)).made_progress();
        let mut buffer = incoming.lend();
        let mut space = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut space);
        let n = space.filled().len();
        incoming.received(buffer, n);
        match ready!(read) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            read => Poll::Ready(read.map(|()| n)),
        }
    }

    /// One read, for the application.
    fn poll_fill(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match ready!(self.poll_read(incoming, cx)) {
            Ok(n) if n > 0 => {
                self.hurried = false;
                self.pulse.received();
                self.handle.bytes_received(n);
            }
            // TLS says so where its own closing message is missing.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                incoming.broken();
                self.abandon();
                return Poll::Ready(Err(Error::from(error)));
            }
            _ => {
                if let Err(error) = incoming.eof() {
                    self.refuse(error);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Looks at the clock. Ready where something was queued, or a time ran out.
    fn poll_clock(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let pulse = if self.closing { None } else { self.pulse.deadline() };
        let Some(alarm) = self.limit.into_iter().chain(pulse).min() else { return Poll::Pending };
        ready!(self.timer.poll_at(alarm, cx));
        let timeout = match self.overdue() {
            Some(timeout) => timeout,
            None => match self.pulse.poll() {
                Some(Action::GiveUp) => Timeout::Pong,
                Some(Action::Ping) => {
                    trace!("the peer is silent: a Ping");
                    self.ping_owed = true;
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(Ok(())),
            },
        };
        incoming.broken();
        Poll::Ready(Err(self.give_up(timeout)))
    }

    /// Writes the Pong in front of a message before the application begins to work on that: once for each read, so that a
    /// peer cannot make a packet of each.
    pub(super) fn hurry(&mut self, cx: &mut Context<'_>) {
        if !mem::replace(&mut self.hurried, true) {
            let _ = self.poll_write(0, cx);
        }
    }
}

impl<S> Drop for Io<S> {
    fn drop(&mut self) {
        self.handle.forget();
    }
}
