//! `--ping`: what Pings and their Pongs took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wsproto_io::RoundTrip;

use super::screen::Screen;

/// What the Pings of a connection took.
pub(super) struct Pings {
    interval: Duration,
    screen: Screen,
    taken: Mutex<Taken>,
}

#[derive(Clone, Copy, Default)]
struct Taken {
    sent: u32,
    answered: u32,
    least: Duration,
    most: Duration,
    sum: Duration,
}

impl Pings {
    pub(super) fn new(interval: Duration, screen: Screen) -> Self {
        Self { interval, screen, taken: Mutex::default() }
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Waits, elsewhere, for the answer to a Ping, and tells what it took.
    pub(super) fn sent(self: &Arc<Self>, round_trip: RoundTrip) {
        self.change(Taken::sent);
        let pings = Arc::clone(self);
        tokio::spawn(async move {
            // One without an answer is counted, and no more: how the connection ended is told by itself.
            if let Ok(time) = round_trip.await {
                pings.change(|taken| taken.answered(time));
                pings.screen.note(&format!("ping: {} ms", Millis(time)));
            }
        });
    }

    /// All of them, at the end.
    pub(super) fn summary(&self) -> String {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).summary()
    }

    fn change(&self, change: impl FnOnce(&mut Taken)) {
        change(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Taken {
    fn sent(&mut self) {
        self.sent += 1;
    }

    fn answered(&mut self, time: Duration) {
        self.least = if self.answered == 0 { time } else { self.least.min(time) };
        self.most = self.most.max(time);
        self.sum += time;
        self.answered += 1;
    }

    fn summary(&self) -> String {
        let Self { sent, answered, .. } = self;
        let mut text = format!("ping: {sent} sent, {answered} answered");
        if let Some(average) = self.sum.checked_div(*answered) {
            let [least, average, most] = [self.least, average, self.most].map(Millis);
            text += &format!(", min/avg/max {least}/{average}/{most} ms");
        }
        text
    }
}

/// A time in milliseconds, with as many digits as matter.
struct Millis(Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}", self.0.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_least_average_and_most() {
        let mut taken = Taken::default();
        taken.sent();
        assert_eq!(taken.summary(), "ping: 1 sent, 0 answered");
        for micros in [2000, 1000, 6000] {
            taken.sent();
            taken.answered(Duration::from_micros(micros));
        }
        assert_eq!(taken.summary(), "ping: 4 sent, 3 answered, min/avg/max 1.00/3.00/6.00 ms");
    }
}
