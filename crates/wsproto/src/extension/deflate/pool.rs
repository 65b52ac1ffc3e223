//! The codecs that nobody works with, kept for the next message.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::codec::{Compressor, Decompressor, Settings};

/// Codecs for [`PerMessageDeflate`](super::PerMessageDeflate), lent to a connection for the length of one
/// compressed message.
///
/// A handle: clones share one pool, and so do the clones of a configuration that holds it. The bound is on what is
/// kept while nobody needs it, not on how many work at a time: where none is free, a codec is made.
///
/// Any connections may share one, also those of strangers to each other: nothing of one connection can be seen by
/// another. A decoder forgets its window when it comes back, so that no peer's data can refer to it; an encoder's
/// window is overwritten and its hash table cleared, so that it writes byte for byte what a new one would. (At level
/// 9, where the library may follow entries that only new memory clears, encoders are made for each message, not kept.)
#[derive(Clone)]
pub struct CodecPool(Arc<Shelves>);

struct Shelves {
    /// How many of each kind are kept.
    idle: usize,
    decoders: Mutex<VecDeque<Decompressor>>,
    encoders: Mutex<VecDeque<Compressor>>,
}

impl CodecPool {
    /// How many idle decoders and how many idle encoders the default pool keeps, each: 8, as many messages as a
    /// handful of threads work on at a time. That is about 0.4 MB and 1.3 MB with the default settings.
    pub const DEFAULT_IDLE: usize = 8;

    /// A pool that keeps up to `idle` decoders and up to `idle` encoders for later. With 0 it keeps none.
    ///
    /// Encoders are kept whatever their settings; where there are too many, the one that lies longest goes. A pool
    /// that is shared by several configurations wants more of them.
    #[must_use]
    pub fn new(idle: usize) -> Self {
        Self(Arc::new(Shelves { idle, decoders: Mutex::default(), encoders: Mutex::default() }))
    }

    pub(super) fn decompressor(&self) -> Decompressor {
        // The lock ends with the statement: nothing is made, or worked with, under it.
        let idle = lock(&self.0.decoders).pop_back();
        idle.unwrap_or_else(Decompressor::new)
    }

    pub(super) fn give_decompressor(&self, mut codec: Decompressor) {
        codec.reset();
        put(&self.0.decoders, self.0.idle, codec);
    }

    pub(super) fn compressor(&self, settings: Settings) -> Compressor {
        let idle = {
            let mut shelf = lock(&self.0.encoders);
            let found = shelf.iter().rposition(|codec| codec.settings() == settings);
            found.and_then(|index| shelf.remove(index))
        };
        idle.unwrap_or_else(|| Compressor::new(settings))
    }

    pub(super) fn give_compressor(&self, codec: Compressor) {
        if self.0.idle > 0 {
            if let Some(codec) = codec.cleaned() {
                put(&self.0.encoders, self.0.idle, codec);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> (usize, usize) {
        (lock(&self.0.decoders).len(), lock(&self.0.encoders).len())
    }
}

impl Default for CodecPool {
    fn default() -> Self {
        Self::new(Self::DEFAULT_IDLE)
    }
}

impl fmt::Debug for CodecPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecPool").field("idle", &self.0.idle).finish_non_exhaustive()
    }
}

/// A thread that panicked left a shelf of whole codecs behind: each change to it is one operation.
fn lock<T>(shelf: &Mutex<T>) -> MutexGuard<'_, T> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put<C>(shelf: &Mutex<VecDeque<C>>, idle: usize, codec: C) {
    let too_many = {
        let mut shelf = lock(shelf);
        shelf.push_back(codec);
        if shelf.len() > idle { shelf.pop_front() } else { None }
    };
    drop(too_many); // its memory is freed after the lock
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::thread;

    const SETTINGS: Settings = Settings { level: 6, mem_level: 5, bits: 12 };

    #[test]
    fn no_more_than_the_bound_is_kept() {
        for bound in [0, 1, 3] {
            let pool = CodecPool::new(bound);
            let decoders: Vec<_> = (0..5).map(|_| pool.decompressor()).collect();
            let encoders: Vec<_> = (0..5).map(|_| pool.compressor(SETTINGS)).collect();
            assert_eq!(pool.idle(), (0, 0));
            decoders.into_iter().for_each(|codec| pool.give_decompressor(codec));
            encoders.into_iter().for_each(|codec| pool.give_compressor(codec));
            assert_eq!(pool.idle(), (bound, bound));
        }
    }

    #[test]
    fn an_encoder_is_lent_only_for_the_settings_that_it_has() {
        let pool = CodecPool::new(2);
        for level in 1..=3 {
            pool.give_compressor(Compressor::new(Settings { level, ..SETTINGS }));
        }
        assert_eq!(pool.compressor(Settings { level: 1, ..SETTINGS }).settings().level, 1);
        assert_eq!(pool.idle().1, 2, "the oldest was given up: this one is new");
        assert_eq!(pool.compressor(Settings { level: 2, ..SETTINGS }).settings().level, 2);
        assert_eq!(pool.idle().1, 1);
    }

    #[test]
    fn an_encoder_that_cannot_be_cleaned_is_not_kept() {
        let pool = CodecPool::new(10);
        for level in 0..=9 {
            pool.give_compressor(Compressor::new(Settings { level, ..SETTINGS }));
            assert_eq!(pool.idle().1, usize::from(level.min(8)) + 1);
        }
    }

    #[test]
    fn a_panic_beside_it_does_no_harm() {
        let pool = CodecPool::default();
        let other = pool.clone();
        let panicked = thread::spawn(move || {
            let _lock = other.0.decoders.lock();
            panic!("while the lock is held");
        });
        assert!(panicked.join().is_err());
        pool.give_decompressor(pool.decompressor());
        assert_eq!(pool.idle(), (1, 0));
    }
}
