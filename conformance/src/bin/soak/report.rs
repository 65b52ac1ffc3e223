//! Memory over the time of the soak, and what it says.

use std::time::Duration;

use wsproto_conformance::process::Usage;

const MIB: f64 = 1024.0 * 1024.0;

/// How much the memory may grow, in the last third of what follows the warm-up against the first: 10 % and 4 MiB.
const SHARE: f64 = 0.10;
const ABSOLUTE: f64 = 4.0 * MIB;

/// One process, looked at each second.
#[derive(Debug)]
pub(crate) struct Memory {
    name: &'static str,
    process: u32,
    samples: Vec<f64>,
    cpu: Duration,
}

impl Memory {
    pub(crate) const fn new(name: &'static str, process: u32) -> Self {
        Self { name, process, samples: Vec::new(), cpu: Duration::ZERO }
    }

    pub(crate) fn sample(&mut self) {
        if let Some(usage) = Usage::of(self.process) {
            #[allow(clippy::cast_precision_loss, reason = "bytes of memory, far below 2^52")]
            self.samples.push(usage.resident as f64);
            self.cpu = usage.cpu;
        }
    }

    /// The samples after the warm-up: the first third of all.
    fn warm(&self) -> &[f64] {
        &self.samples[self.samples.len() / 3..]
    }

    /// One line for the summary.
    pub(crate) fn summary(&self, elapsed: Duration) -> String {
        let warm = self.warm();
        let least = warm.iter().copied().fold(f64::INFINITY, f64::min) / MIB;
        let most = warm.iter().copied().fold(0.0, f64::max) / MIB;
        let cpu = 100.0 * self.cpu.as_secs_f64() / elapsed.as_secs_f64();
        let (name, mean) = (self.name, mean(warm) / MIB);
        format!("{name}: RSS {least:.1} / {mean:.1} / {most:.1} MiB (least, mean, most), CPU {cpu:.0} %")
    }

    /// How much it climbed.
    ///
    /// # Errors
    ///
    /// More than it may.
    pub(crate) fn trend(&self) -> Result<String, String> {
        let warm = self.warm();
        let third = warm.len() / 3;
        if third == 0 {
            return Ok(format!("{}: too short for a trend", self.name));
        }
        let (first, last) = (mean(&warm[..third]), mean(&warm[warm.len() - third..]));
        let text = format!("{}: {:.1} MiB early, {:.1} MiB late", self.name, first / MIB, last / MIB);
        if last > first * (1.0 + SHARE) + ABSOLUTE { Err(format!("memory climbs: {text}")) } else { Ok(text) }
    }
}

fn mean(samples: &[f64]) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a count of seconds")]
    let count = samples.len().max(1) as f64;
    samples.iter().sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(samples: impl Iterator<Item = u32>) -> Result<String, String> {
        let samples = samples.map(|mib| f64::from(mib) * MIB).collect();
        Memory { name: "x", process: 0, samples, cpu: Duration::ZERO }.trend()
    }

    #[test]
    fn what_climbs_after_the_warm_up_fails() {
        assert!(trend((0..90).map(|_| 100)).is_ok());
        assert!(trend((0..90).map(|second| 100.min(second * 10))).is_ok());
        assert!(trend((0..90).map(|second| 100 + second)).is_err());
        assert!(trend((0..90).map(|second| 100 + second % 30)).is_ok());
        assert!(trend((0..2).map(|_| 100)).is_ok());
    }
}
