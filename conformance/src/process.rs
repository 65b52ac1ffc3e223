//! The memory and the CPU time of a process, as Linux tells them.

use std::fs;
use std::time::Duration;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is resident now, in bytes.
    pub resident: u64,
    /// The most that was resident so far, in bytes.
    pub peak: u64,
    /// CPU time of all its threads, in user and kernel mode.
    pub cpu: Duration,
}

/// Ticks of a second in `/proc/PID/stat`: the same on every architecture of Linux.
const TICKS: u64 = 100;

impl Usage {
    /// Of the process of this id. `None` where there is no such process, or the system is not Linux.
    #[must_use]
    pub fn of(process: u32) -> Option<Self> {
        let read = |file| fs::read_to_string(format!("/proc/{process}/{file}")).ok();
        Self::parse(&read("status")?, &read("stat")?)
    }

    /// Of this process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    fn parse(status: &str, stat: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        // The program's name, in parentheses, may hold spaces. Behind it the fields are counted from the third.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let ticks = times.next()?.ok()? + times.next()?.ok()?;
        let cpu = Duration::from_millis(ticks * 1000 / TICKS);
        Some(Self { resident: bytes("VmRSS")?, peak: bytes("VmHWM")?, cpu })
    }
}

/// How many bytes one connection's sockets may hold between two ends of this machine: the longest sending and receiving
/// buffers of TCP. `None` where the system is not Linux.
#[must_use]
pub fn most_in_sockets() -> Option<u64> {
    let longest = |name| {
        let sizes = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
        sizes.split_whitespace().last()?.parse::<u64>().ok()
    };
    Some(longest("tcp_wmem")? + longest("tcp_rmem")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_the_kernels_text() {
        let status = "Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        let usage = Usage { resident: 1 << 20, peak: 2 << 20, cpu: Duration::from_millis(1750) };
        assert_eq!(Usage::parse(status, stat), Some(usage));
        assert_eq!(Usage::parse("", stat), None);
        assert_eq!(Usage::parse(status, "7 (x) S 1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = Usage::own().unwrap();
        assert!(usage.resident > 0 && usage.peak >= usage.resident, "{usage:?}");
        assert!(most_in_sockets().unwrap() > 64 * 1024);
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
