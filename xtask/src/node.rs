//! Node.js, which runs some of the peers and drives the browser.

use crate::command::{CommandLine, find_program};

/// The oldest that all of them run on: undici wants it.
const OLDEST: [u32; 3] = [20, 18, 1];

/// What is missing here of it; none where it is there, and recent.
pub(crate) fn missing() -> Option<String> {
    if let Some(absent) = ["node", "npm"].into_iter().find(|name| find_program(name).is_none()) {
        return Some(format!("there is no {absent}"));
    }
    match CommandLine::new("node --version").output() {
        Ok(version) if is_recent(&version) => None,
        Ok(version) => Some(format!("Node.js 20.18.1 or later is needed, and this is {}", version.trim())),
        Err(error) => Some(format!("{error:#}")),
    }
}

fn is_recent(version: &str) -> bool {
    let numbers = version.trim().trim_start_matches('v').split(['.', '-']);
    let numbers: Vec<u32> = numbers.map_while(|number| number.parse().ok()).take(3).collect();
    numbers.as_slice() >= &OLDEST[..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for version in ["v20.18.1\n", "v20.19.0", "v22.1.0", "v100.0.0", "v24.0.0-nightly"] {
            assert!(is_recent(version), "{version}");
        }
        for version in ["v20.18.0", "v20.9.9", "v18.20.4", "v20", "", "node"] {
            assert!(!is_recent(version), "{version}");
        }
    }
}
