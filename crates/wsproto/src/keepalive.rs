//! When to ping, and when to give up: deadlines as data.

use core::time::Duration;

/// Decides when a Ping is due and when a silent peer counts as gone (RFC 6455 §5.5.2).
///
/// It has no clock: each `now` is the caller's time since any fixed instant, from a clock that does not jump. The
/// loop is: wait until [`deadline`](Self::deadline) or until something happens, tell what happened, then
/// [`poll`](Self::poll).
///
/// - Any byte from the peer is life, not only a Pong: a Ping is due after a whole interval without one.
/// - The deadline for the answer begins when the Ping was written to the transport, not when it was queued, and
///   begins again when the transport accepts or delivers a byte: a slow peer is not a dead one.
/// - While the caller does not read, the deadline stands still: the answer may be there, unread.
///
/// ```
/// use core::time::Duration;
/// use wsproto::keepalive::{Action, Keepalive};
///
/// let seconds = Duration::from_secs;
/// let mut keepalive = Keepalive::new(seconds(20), seconds(20), seconds(0));
/// keepalive.received(seconds(5));
/// assert_eq!(keepalive.deadline(), Some(seconds(25)));
/// assert_eq!(keepalive.poll(seconds(25)), Some(Action::Ping));
/// keepalive.ping_written(seconds(26));
/// assert_eq!(keepalive.poll(seconds(46)), Some(Action::GiveUp));
/// ```
#[derive(Clone, Debug)]
pub struct Keepalive {
    interval: Duration,
    timeout: Duration,
    wait: Wait,
    /// Since when the caller does not read.
    paused: Option<Duration>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The end of a silent interval.
    Silence { until: Duration },
    /// That the Ping is written.
    PingWritten,
    /// A byte from the peer.
    Answer { until: Duration },
    /// Nothing: the peer counts as gone.
    Nothing,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a Ping, and call [`Keepalive::ping_written`] when the transport has taken it.
    Ping,
    /// The peer is gone: close the transport. There is nobody to send a Close to.
    GiveUp,
}

impl Keepalive {
    /// Pings after `interval` of silence (a good default: 20 s), and gives up `timeout` after that (20 s).
    #[must_use]
    pub const fn new(interval: Duration, timeout: Duration, now: Duration) -> Self {
        Self { interval, timeout, wait: Wait::Silence { until: now.saturating_add(interval) }, paused: None }
    }

    /// The transport delivered bytes.
    pub const fn received(&mut self, now: Duration) {
        match self.wait {
            Wait::Silence { .. } | Wait::Answer { .. } => {
                self.wait = Wait::Silence { until: now.saturating_add(self.interval) };
            }
            // The Ping is on its way, and its answer is to be waited for when it is written.
            Wait::PingWritten | Wait::Nothing => {}
        }
    }

    /// The transport accepted bytes.
    pub const fn sent(&mut self, now: Duration) {
        if let Wait::Answer { .. } = self.wait {
            self.wait_for_answer(now);
        }
    }

    /// The transport accepted the whole Ping that [`Action::Ping`] asked for.
    pub const fn ping_written(&mut self, now: Duration) {
        if let Wait::PingWritten = self.wait {
            self.wait_for_answer(now);
        }
    }

    /// The deadline begins (again). What was paused of the one before is not added to it.
    const fn wait_for_answer(&mut self, now: Duration) {
        self.wait = Wait::Answer { until: now.saturating_add(self.timeout) };
        if self.paused.is_some() {
            self.paused = Some(now);
        }
    }

    /// The caller stops reading, because its application does not take messages, or its queue is full.
    pub const fn pause(&mut self, now: Duration) {
        if self.paused.is_none() {
            self.paused = Some(now);
        }
    }

    /// The caller reads again.
    pub const fn resume(&mut self, now: Duration) {
        if let (Some(since), Wait::Answer { until }) = (self.paused, self.wait) {
            self.wait = Wait::Answer { until: until.saturating_add(now.saturating_sub(since)) };
        }
        self.paused = None;
    }

    /// When [`poll`](Self::poll) will have something to say, unless something happens before.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        match self.wait {
            Wait::Silence { until } => Some(until),
            Wait::Answer { until } if self.paused.is_none() => Some(until),
            _ => None,
        }
    }

    /// What is to be done now. Each action is given once.
    pub fn poll(&mut self, now: Duration) -> Option<Action> {
        if self.deadline()? > now {
            return None;
        }
        let (next, action) = match self.wait {
            Wait::Silence { .. } => (Wait::PingWritten, Action::Ping),
            _ => (Wait::Nothing, Action::GiveUp),
        };
        self.wait = next;
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Pinged at 10 s, and the Ping written at 12 s.
    fn waiting() -> Keepalive {
        let mut keepalive = Keepalive::new(s(10), s(5), s(0));
        assert_eq!(keepalive.poll(s(9)), None);
        assert_eq!(keepalive.poll(s(10)), Some(Action::Ping));
        assert_eq!((keepalive.poll(s(11)), keepalive.deadline()), (None, None), "nothing is due while it is queued");
        keepalive.ping_written(s(12));
        assert_eq!(keepalive.deadline(), Some(s(17)));
        keepalive
    }

    #[test]
    fn silence_ends_the_connection_once() {
        let mut keepalive = waiting();
        assert_eq!(keepalive.poll(s(16)), None);
        assert_eq!(keepalive.poll(s(17)), Some(Action::GiveUp));
        assert_eq!(keepalive.poll(s(99)), None);
        keepalive.received(s(99));
        assert_eq!(keepalive.deadline(), None);
    }

    #[test]
    fn t12_any_byte_is_life() {
        let mut keepalive = waiting();
        keepalive.received(s(16));
        assert_eq!(keepalive.deadline(), Some(s(26)));
        assert_eq!(keepalive.poll(s(26)), Some(Action::Ping));
    }

    #[test]
    fn t12_a_transport_that_still_accepts_bytes_is_slow_not_dead() {
        let mut keepalive = waiting();
        keepalive.sent(s(16));
        assert_eq!(keepalive.poll(s(20)), None);
        assert_eq!(keepalive.poll(s(21)), Some(Action::GiveUp));
    }

    #[test]
    fn t12_the_deadline_stands_still_while_we_do_not_read() {
        let mut keepalive = waiting();
        keepalive.pause(s(14));
        keepalive.pause(s(15)); // already
        assert_eq!((keepalive.deadline(), keepalive.poll(s(60))), (None, None));
        keepalive.resume(s(60));
        assert_eq!(keepalive.deadline(), Some(s(63)));
        keepalive.resume(s(61)); // already
        assert_eq!(keepalive.poll(s(63)), Some(Action::GiveUp));
    }

    #[test]
    fn t12_a_deadline_that_begins_in_a_pause_counts_the_rest_of_it() {
        let mut keepalive = waiting();
        keepalive.pause(s(13));
        keepalive.sent(s(100));
        keepalive.resume(s(101));
        assert_eq!(keepalive.deadline(), Some(s(106)));

        let mut keepalive = Keepalive::new(s(10), s(5), s(0));
        assert_eq!(keepalive.poll(s(10)), Some(Action::Ping));
        keepalive.pause(s(11));
        keepalive.ping_written(s(100));
        assert_eq!(keepalive.deadline(), None);
        keepalive.resume(s(101));
        assert_eq!(keepalive.deadline(), Some(s(106)));
    }

    #[test]
    fn bytes_that_arrive_while_the_ping_is_queued_do_not_lose_it() {
        let mut keepalive = Keepalive::new(s(10), s(5), s(0));
        assert_eq!(keepalive.poll(s(10)), Some(Action::Ping));
        keepalive.received(s(11));
        keepalive.sent(s(11));
        keepalive.ping_written(s(12));
        assert_eq!(keepalive.deadline(), Some(s(17)));
    }

    #[test]
    fn t09_time_that_goes_back_or_to_its_end_does_no_harm() {
        let mut keepalive = Keepalive::new(s(10), Duration::MAX, s(100));
        assert_eq!(keepalive.poll(s(0)), None);
        assert_eq!(keepalive.poll(Duration::MAX), Some(Action::Ping));
        keepalive.ping_written(s(200));
        keepalive.pause(s(200));
        keepalive.resume(s(100));
        assert_eq!(keepalive.deadline(), Some(Duration::MAX));
    }
}
