//! Pings: when they are due, and what their Pongs tell.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wsproto::keepalive::{Action, Keepalive};

use crate::error::{Closed, Error};
use crate::options::Keep;

/// Most Pings whose Pongs are waited for at a time; of more, the oldest is given up.
const MOST_IN_FLIGHT: usize = 16;

/// The time that the driver keeps for a connection: keepalive, and round trips.
#[derive(Debug)]
pub(super) struct Pulse {
    keepalive: Option<Keepalive>,
    /// The keepalive's zero.
    begun: Instant,
    number: u64,
    /// In the order in which they were sent.
    in_flight: VecDeque<Flight>,
    /// Whether we do not read.
    paused: bool,
}

/// A Ping whose Pong is waited for.
#[derive(Debug)]
struct Flight {
    /// Its payload.
    number: u64,
    /// How many bytes the transport must have taken in all, so that it has taken this Ping.
    end: u64,
    written: Option<Instant>,
    asked_by: Asker,
}

#[derive(Debug)]
enum Asker {
    Keepalive,
    Caller(oneshot::Sender<Duration>),
}

impl Pulse {
    /// Pings after an interval of silence and gives up a timeout after that; without an interval it does neither.
    pub(super) fn new(Keep { interval, timeout, .. }: Keep) -> Self {
        Self {
            keepalive: interval.map(|interval| Keepalive::new(interval, timeout, Duration::ZERO)),
            begun: Instant::now(),
            number: 0,
            in_flight: VecDeque::new(),
            paused: false,
        }
    }

    /// A Ping that the keepalive asked for: its payload, to be queued so that it ends at `end` of all bytes sent.
    pub(super) fn keepalive_ping(&mut self, end: u64) -> [u8; 8] {
        self.fly(end, Asker::Keepalive)
    }

    /// A Ping that a caller asked for: its payload, and what to give the caller.
    pub(super) fn ping(&mut self, end: u64) -> ([u8; 8], RoundTrip) {
        let (told, waiting) = oneshot::channel();
        (self.fly(end, Asker::Caller(told)), RoundTrip(waiting))
    }

    fn fly(&mut self, end: u64, asked_by: Asker) -> [u8; 8] {
        if self.in_flight.len() == MOST_IN_FLIGHT {
            // Not the keepalive's, which waits for what becomes of it.
            let oldest = self.in_flight.iter().position(|flight| matches!(flight.asked_by, Asker::Caller(_)));
            self.in_flight.remove(oldest.unwrap_or(0));
        }
        self.number += 1;
        self.in_flight.push_back(Flight { number: self.number, end, written: None, asked_by });
        self.number.to_be_bytes()
    }

    /// The transport has accepted bytes: this many in all.
    pub(super) fn sent(&mut self, total: u64) {
        if self.keepalive.is_none() && self.in_flight.is_empty() {
            return;
        }
        let now = Instant::now();
        let since = now.duration_since(self.begun);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.sent(since);
        }
        for flight in self.in_flight.iter_mut().filter(|flight| flight.written.is_none() && flight.end <= total) {
            flight.written = Some(now);
            if let (Asker::Keepalive, Some(keepalive)) = (&flight.asked_by, &mut self.keepalive) {
                keepalive.ping_written(since);
            }
        }
    }

    /// The transport has delivered bytes: any byte is life.
    pub(super) fn received(&mut self) {
        if let Some(keepalive) = &mut self.keepalive {
            let since = self.begun.elapsed();
            keepalive.resume(since);
            keepalive.received(since);
        }
    }

    /// We stop reading: what the peer says now, we do not hear.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.pause(self.begun.elapsed());
        }
    }

    /// We read again.
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            if let Some(keepalive) = &mut self.keepalive {
                keepalive.resume(self.begun.elapsed());
            }
        }
    }

    /// A Pong came. "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping
    /// frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame" (RFC 6455
    /// §5.5.3): so it answers all Pings before its own, too.
    pub(super) fn pong(&mut self, payload: &[u8]) -> Option<Duration> {
        let number = u64::from_be_bytes(payload.try_into().ok()?);
        // A peer that guesses the next number answers nothing.
        let at = self.in_flight.iter().position(|flight| flight.number == number && flight.written.is_some())?;
        let now = Instant::now();
        let mut round_trip = None;
        for flight in self.in_flight.drain(..=at) {
            let taken = now.duration_since(flight.written.unwrap_or(now));
            round_trip = Some(taken);
            if let Asker::Caller(caller) = flight.asked_by {
                // Whoever asked may not wait any more.
                let _ = caller.send(taken);
            }
        }
        round_trip
    }

    /// When [`poll`](Self::poll) has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.begun.checked_add(self.keepalive.as_ref()?.deadline()?)
    }

    /// What the keepalive wants done now.
    pub(super) fn poll(&mut self) -> Option<Action> {
        self.keepalive.as_mut()?.poll(self.begun.elapsed())
    }

    /// Nothing will be answered any more.
    pub(super) fn stop(&mut self) {
        self.in_flight = VecDeque::new();
        self.keepalive = None;
    }
}

/// The time that a Ping and its Pong took (RFC 6455 §5.5.2), once the Pong is there: from when the transport took the Ping
/// to when the Pong was read.
///
/// It reads nothing by itself: it comes while somebody receives from the connection.
///
/// # Errors
///
/// [`Error::Closed`] with 1006 where the connection ends without the Pong, or too many Pings were sent after this one
/// (16).
#[derive(Debug)]
pub struct RoundTrip(oneshot::Receiver<Duration>);

impl Future for RoundTrip {
    type Output = Result<Duration, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| Error::Closed(Closed::abnormal()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    fn pulse(interval: Option<Duration>) -> Pulse {
        Pulse::new(Keep { interval, timeout: 5 * SECOND, stall: None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_answers_all_pings_before_its_own() {
        let mut pulse = pulse(None);
        let (_, first) = pulse.ping(10);
        pulse.sent(9);
        advance(SECOND).await;
        pulse.sent(10);
        let (second_payload, second) = pulse.ping(20);
        pulse.sent(20);
        let (third_payload, mut third) = pulse.ping(30);
        advance(SECOND).await;
        assert_eq!(pulse.pong(b"not one of ours"), None);
        assert_eq!(pulse.pong(&second_payload), Some(SECOND));
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (SECOND, SECOND), "from when it was written on");
        assert!(third.0.try_recv().is_err());
        assert_eq!(pulse.pong(&second_payload), None, "once");
        assert_eq!(pulse.pong(&third_payload), None, "what was not written yet is not answered");
        pulse.sent(30);
        assert_eq!(pulse.pong(&third_payload), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn f10_pings_in_flight_are_bounded() {
        let mut pulse = pulse(None);
        let (_, oldest) = pulse.ping(1);
        for _ in 0..1000 {
            drop(pulse.ping(1));
        }
        assert_eq!(pulse.in_flight.len(), MOST_IN_FLIGHT);
        assert!(matches!(oldest.await, Err(Error::Closed(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_keepalive_waits_from_when_its_ping_was_written() {
        let mut pulse = pulse(Some(20 * SECOND));
        let begun = Instant::now();
        advance(20 * SECOND).await;
        assert_eq!(pulse.poll(), Some(Action::Ping));
        let payload = pulse.keepalive_ping(10);
        assert_eq!(pulse.deadline(), None);
        advance(60 * SECOND).await;
        pulse.sent(10);
        assert_eq!(pulse.deadline(), Some(begun + 85 * SECOND));
        advance(SECOND).await;
        pulse.received();
        assert_eq!((pulse.pong(&payload), pulse.deadline()), (Some(SECOND), Some(begun + 101 * SECOND)));
    }
}
