//! What was measured, as a table.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Arguments;
use super::tally::Total;

pub(super) struct Report<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) connected: usize,
    pub(super) measured: Duration,
    /// Bytes that were sent and received, frames and all.
    pub(super) moved: (u64, u64),
    pub(super) total: Total,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arguments { connections, depth, size, text, deflate, http2, .. } = self.arguments;
        let seconds = self.measured.as_secs_f64().max(f64::MIN_POSITIVE);
        let kind = if *text { "text" } else { "binary" };
        let compressed = if *deflate { ", compression offered" } else { "" };
        let streams = if *http2 { ", streams of HTTP/2" } else { "" };
        row(f, "connections", format_args!("{} of {connections}{streams}", self.connected))?;
        row(f, "load", format_args!("{depth} in flight each, {size} bytes, {kind}{compressed}"))?;
        row(f, "seconds", format_args!("{seconds:.2}"))?;
        row(f, "messages", self.total.messages())?;
        row(f, "messages/s", format_args!("{:.0}", rate(self.total.messages(), self.measured)))?;
        let mib = |bytes| float(bytes) / seconds / f64::from(1 << 20);
        row(f, "MiB/s sent", format_args!("{:.2}", mib(self.moved.0)))?;
        row(f, "MiB/s received", format_args!("{:.2}", mib(self.moved.1)))?;
        if self.total.messages() > 0 {
            write_latencies(f, &self.total.latencies)?;
        }
        if self.total.errors.count() > 0 {
            row(f, "errors", self.total.errors.count())?;
            for (kind, count) in self.total.errors.by_kind() {
                writeln!(f, "{count:>10}  {kind}")?;
            }
        }
        Ok(())
    }
}

/// How many there were for each second.
pub(super) fn rate(number: u64, time: Duration) -> f64 {
    float(number) / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<16}{value}")
}

/// For people: what is lost beyond 53 bits does not matter.
#[allow(clippy::cast_precision_loss)]
const fn float(number: u64) -> f64 {
    number as f64
}

fn write_latencies(f: &mut fmt::Formatter<'_>, latencies: &Histogram<u64>) -> fmt::Result {
    for (name, quantile) in
        [("latency p50", 0.5), ("latency p90", 0.9), ("latency p99", 0.99), ("latency p99.9", 0.999)]
    {
        row(f, name, Time(latencies.value_at_quantile(quantile)))?;
    }
    row(f, "latency max", Time(latencies.max()))?;
    writeln!(f)?;
    for (from, to, count) in rows(latencies) {
        let share = float(count) / float(latencies.len()) * 100.0;
        let bar = "#".repeat(bar_length(count, latencies.len()));
        writeln!(f, "{:>7} to {:<7}{share:>7.2} %  {bar}", Round(from).to_string(), Round(to).to_string())?;
    }
    Ok(())
}

/// How long the longest bar is.
const BAR: u64 = 40;

/// At least one mark where there is anything.
fn bar_length(count: u64, all: u64) -> usize {
    let marks = u128::from(count) * u128::from(BAR) / u128::from(all.max(1));
    usize::try_from(marks).unwrap_or_default().max(usize::from(count > 0))
}

/// How many messages took from one round time to the next, from the first row to the last where there are any.
fn rows(latencies: &Histogram<u64>) -> Vec<(u64, u64, u64)> {
    let bounds: Vec<u64> = (0..13).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power))).collect();
    let between = bounds.windows(2).map(|pair| (pair[0], pair[1], 0));
    let mut rows: Vec<_> = between.filter(|(from, to, _)| *to > latencies.min() && *from <= latencies.max()).collect();
    for value in latencies.iter_recorded() {
        let at = rows.partition_point(|(_, to, _)| *to <= value.value_iterated_to());
        if let Some((.., count)) = rows.get_mut(at) {
            *count += value.count_at_value();
        }
    }
    rows
}

/// A time in nanoseconds that is a round one in one of the units.
struct Round(u64);

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = unit(self.0);
        write!(f, "{} {name}", self.0 / unit)
    }
}

const fn unit(nanos: u64) -> (u64, &'static str) {
    match nanos {
        0..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    }
}

/// A time in nanoseconds, with three digits and its unit.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = unit(self.0);
        let value = float(self.0) / float(unit);
        let digits = match value {
            _ if unit == 1 => 0,
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        write!(f, "{value:.digits$} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (nanos, text) in [
            (1, "1 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (12_340, "12.3 µs"),
            (123_400, "123 µs"),
            (1_000_000, "1.00 ms"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(Time(nanos).to_string(), text);
        }
    }

    #[test]
    fn a_rate_is_that_of_the_time_that_passed() {
        for (number, millis, expected) in [(0, 1000, 0.0), (100, 1000, 100.0), (100, 4000, 25.0), (100, 500, 200.0)] {
            assert!((rate(number, Duration::from_millis(millis)) - expected).abs() < 1e-9);
        }
        assert!(rate(1, Duration::ZERO).is_finite());
    }

    #[test]
    fn each_message_is_in_one_row() {
        let mut latencies = Histogram::new_with_bounds(1, 1_000_000_000_000, 3).unwrap();
        for nanos in [3, 900, 1_000, 1_001, 1_999, 2_000, 4_000_000, 5_000_000_000] {
            latencies.record(nanos).unwrap();
        }
        let rows = rows(&latencies);
        assert_eq!(rows.iter().map(|(_, _, count)| count).sum::<u64>(), 8);
        assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{rows:?}");
        assert!(rows[0].2 > 0 && rows[rows.len() - 1].2 > 0, "{rows:?}");
        assert_eq!((bar_length(0, 10), bar_length(1, 1_000_000), bar_length(10, 10)), (0, 1, 40));
    }
}
