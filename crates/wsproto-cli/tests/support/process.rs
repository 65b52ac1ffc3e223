//! What the system tells of a process.

use std::fs;

/// A value of `/proc/PID/status` that is given in kB, in bytes.
fn bytes(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// Its resident memory, in bytes.
pub(crate) fn resident(pid: u32) -> usize {
    bytes(pid, "VmRSS")
}
