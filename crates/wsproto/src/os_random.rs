//! Randomness from the operating system.

use core::cell::RefCell;
use core::error::Error;
use core::fmt;

use crate::frame::MaskSource;

/// Masks and nonces from the operating system's source of randomness.
///
/// A handle without size: the bytes are read 1 KiB at a time into a buffer of the thread, so that a mask costs no
/// system call and a connection keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct OsRandom(());

impl OsRandom {
    /// Checks that the operating system gives random bytes.
    ///
    /// # Errors
    ///
    /// Where it does not: on a system without such a source, or in a sandbox that forbids it.
    pub fn new() -> Result<Self, NoRandomness> {
        getrandom::fill(&mut [0; 4]).map_err(|_| NoRandomness)?;
        Ok(Self(()))
    }

    /// The nonce of a client's handshake, for [`Sec-WebSocket-Key`](crate::handshake) (RFC 6455 §4.1).
    ///
    /// # Panics
    ///
    /// As [`mask`](MaskSource::mask).
    #[must_use]
    pub fn nonce(&self) -> [u8; 16] {
        take()
    }
}

impl MaskSource for OsRandom {
    /// The key of the next frame.
    ///
    /// # Panics
    ///
    /// When the operating system's source fails after it has worked in [`OsRandom::new`]: no system that we know does
    /// that, and to go on without randomness would break the promise of §10.3.
    fn mask(&mut self) -> [u8; 4] {
        take()
    }
}

/// Random bytes of this thread that were not used yet.
struct Pool {
    bytes: [u8; 1024],
    used: usize,
}

std::thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; 1024], used: 1024 }) };
}

fn take<const N: usize>() -> [u8; N] {
    let pooled = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.bytes.len() - pool.used < N {
            fill(&mut pool.bytes);
            pool.used = 0;
        }
        let start = pool.used;
        pool.used += N;
        let mut taken = [0; N];
        taken.copy_from_slice(&pool.bytes[start..start + N]);
        // What was given away is not kept: a later look into this memory tells nothing.
        pool.bytes[start..start + N].fill(0);
        taken
    });
    // While the thread ends, its pool may be gone.
    pooled.unwrap_or_else(|_| {
        let mut taken = [0; N];
        fill(&mut taken);
        taken
    })
}

#[allow(clippy::expect_used)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system's source of randomness has worked before");
}

/// The operating system gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gives no random bytes: masks must come from another source")
    }
}

impl Error for NoRandomness {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    #[test]
    fn f08_masks_are_fresh_and_spread_over_all_values() {
        let mut random = OsRandom::new().unwrap();
        let mut seen = BTreeMap::new();
        let mut bytes = [0_u32; 256];
        const FRAMES: u32 = 100_000;
        for _ in 0..FRAMES {
            let mask = random.mask();
            *seen.entry(mask).or_insert(0_u32) += 1;
            for byte in mask {
                bytes[usize::from(byte)] += 1;
            }
        }
        let repeated: u32 = seen.values().map(|n| n - 1).sum();
        assert!(repeated <= 8, "{repeated} keys came twice; 1.2 are expected by chance");
        let expected = f64::from(4 * FRAMES) / 256.0;
        let chi2: f64 = bytes.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        // 255 degrees of freedom: beyond 400 or below 150 once in 10^7 runs.
        assert!((150.0..400.0).contains(&chi2), "chi² = {chi2}");
    }

    #[test]
    fn nonces_differ() {
        let random = OsRandom::new().unwrap();
        assert_ne!(random.nonce(), random.nonce());
        assert_eq!(size_of::<OsRandom>(), 0);
    }
}
