//! What was measured: counted by all connections at the same time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

/// The tallies of some connections each, so that they seldom wait for each other.
pub(super) struct Tallies {
    shards: Vec<Mutex<Histogram<u64>>>,
    errors: Mutex<Errors>,
    stopped: AtomicBool,
}

/// Errors by what they say.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    kinds: BTreeMap<String, u64>,
    others: u64,
}

/// How many kinds of errors are told apart: a server may put anything into the reason of its Close.
const KINDS: usize = 16;

/// The longest time that is told apart, in nanoseconds; more counts as this.
const LONGEST: u64 = 3_600_000_000_000;

impl Tallies {
    pub(super) fn new(shards: usize) -> Result<Self, CreationError> {
        let shards = (0..shards.max(1)).map(|_| Ok(Mutex::new(empty()?))).collect::<Result<_, _>>()?;
        Ok(Self { shards, errors: Mutex::default(), stopped: AtomicBool::new(false) })
    }

    /// The shard of a connection. Held for the messages of one read, never while somebody waits.
    pub(super) fn shard(&self, connection: usize) -> MutexGuard<'_, Histogram<u64>> {
        self.shards[connection % self.shards.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the measuring: what comes now does not count.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// A connection failed. After the end nobody cares.
    pub(super) fn failed(&self, error: String) {
        if self.is_stopped() {
            return;
        }
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).add(error);
    }

    pub(super) fn messages(&self) -> u64 {
        (0..self.shards.len()).map(|index| self.shard(index).len()).sum()
    }

    pub(super) fn total(&self) -> Total {
        let mut latencies = self.shard(0).clone();
        for index in 1..self.shards.len() {
            // (All have the same bounds.)
            let _ = latencies.add(&*self.shard(index));
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Total { latencies, errors }
    }
}

fn empty() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, LONGEST, 3)
}

/// Counts a message that took this long.
pub(super) fn record(latencies: &mut Histogram<u64>, time: Duration) {
    latencies.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST).max(1));
}

impl Errors {
    fn add(&mut self, error: String) {
        if self.kinds.len() < KINDS || self.kinds.contains_key(&error) {
            *self.kinds.entry(error).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.kinds.values().sum::<u64>() + self.others
    }

    /// What they say, and how often; the most frequent first.
    pub(super) fn by_kind(&self) -> Vec<(&str, u64)> {
        let mut kinds: Vec<_> = self.kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if self.others > 0 {
            kinds.push(("others", self.others));
        }
        kinds
    }
}

/// All of it.
pub(super) struct Total {
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: Errors,
}

impl Total {
    pub(super) fn messages(&self) -> u64 {
        self.latencies.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_count() {
        let tallies = Tallies::new(3).unwrap();
        for connection in 0..10 {
            record(&mut tallies.shard(connection), Duration::from_micros(connection as u64 + 1));
        }
        record(&mut tallies.shard(0), Duration::MAX);
        let total = tallies.total();
        assert_eq!((tallies.messages(), total.messages(), total.latencies.min()), (11, 11, 1000));
        assert!(total.latencies.max() >= LONGEST);
    }

    #[test]
    fn kinds_of_errors_are_bounded_and_those_after_the_end_do_not_count() {
        let tallies = Tallies::new(1).unwrap();
        for index in 0..100 {
            tallies.failed(format!("error {index:03}"));
            tallies.failed("error 005".to_owned());
        }
        tallies.stop();
        tallies.failed("late".to_owned());
        let errors = tallies.total().errors;
        assert_eq!((errors.count(), errors.by_kind().len()), (200, KINDS + 1));
        assert_eq!(errors.by_kind()[0], ("error 005", 101));
        assert_eq!(errors.by_kind()[KINDS].0, "others");
    }
}
