//! Buffers that a thread lends to its connections, so that none keeps one while it is idle.

use std::cell::Cell;

/// Largest read, in bytes. Behind what one read gave, nothing is read until the application has taken it.
pub(crate) const MAX_READ: usize = 64 * 1024;

/// Smallest read, in bytes: what a connection that waits in a blocking read holds.
pub(crate) const MIN_READ: usize = 4 * 1024;

/// A writing buffer with more room than this is freed, not kept for the next, in bytes.
const MAX_KEPT: usize = 256 * 1024;

/// A writing buffer with more room than this is freed before its thread waits, in bytes: where each connection has a
/// thread of its own, what the thread keeps is what an idle connection holds.
const MAX_KEPT_WHILE_WAITING: usize = 16 * 1024;

/// The lengths of reading buffers: of each, a thread keeps one. (With one for all, connections that read different
/// lengths would have it made anew at each read.)
const LENGTHS: [usize; 3] = [MIN_READ, 4 * MIN_READ, MAX_READ];

thread_local! {
    static READ: [Cell<Vec<u8>>; 3] = const { [const { Cell::new(Vec::new()) }; 3] };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer of `len` bytes, one of [`LENGTHS`]. It is filled with zeros when it is made, not each time that it is lent.
pub(crate) fn read_buffer(len: usize) -> Vec<u8> {
    let kept = READ.try_with(|kept| place(len).map(|place| kept[place].take())).unwrap_or_default();
    kept.filter(|buffer| !buffer.is_empty()).unwrap_or_else(|| vec![0; len])
}

/// Takes a reading buffer back.
pub(crate) fn return_read_buffer(buffer: Vec<u8>) {
    if let Some(place) = place(buffer.len()) {
        // While a thread ends its buffers may be gone; then this one goes, too.
        let _ = READ.try_with(|kept| kept[place].set(buffer));
    }
}

fn place(len: usize) -> Option<usize> {
    LENGTHS.iter().position(|length| *length == len)
}

/// An empty buffer to write into.
pub(crate) fn write_buffer() -> Vec<u8> {
    WRITE.try_with(Cell::take).unwrap_or_default()
}

/// Takes a writing buffer back.
pub(crate) fn return_write_buffer(mut buffer: Vec<u8>) {
    if (1..=MAX_KEPT).contains(&buffer.capacity()) {
        buffer.clear();
        let _ = WRITE.try_with(|kept| kept.set(buffer));
    }
}

/// Before a thread of one connection waits: frees what it keeps, but for the small buffers.
pub(crate) fn before_waiting() {
    let _ = READ.try_with(|kept| kept[1..].iter().for_each(|buffer| drop(buffer.take())));
    let _ = WRITE.try_with(|kept| {
        let buffer = kept.take();
        if buffer.capacity() <= MAX_KEPT_WHILE_WAITING {
            kept.set(buffer);
        }
    });
}

/// How much to read at a time: a connection that sends little holds little while it waits.
///
/// A read that fills its buffer makes the next one four times as large; four in a row that would have fitted in a
/// quarter make it as small again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadSize {
    len: usize,
    small: u8,
}

impl ReadSize {
    pub(crate) const fn new() -> Self {
        Self { len: MIN_READ, small: 0 }
    }

    pub(crate) const fn len(self) -> usize {
        self.len
    }

    /// Notes that a read waited and gave nothing.
    pub(crate) const fn quiet(&mut self) {
        *self = Self::new();
    }

    /// Notes what a read gave.
    pub(crate) fn note(&mut self, n: usize) {
        if n == self.len {
            self.len = (self.len * 4).min(MAX_READ);
            self.small = 0;
        } else if n > self.len / 4 {
            self.small = 0;
        } else {
            self.small += 1;
            if self.small == 4 {
                self.len = (self.len / 4).max(MIN_READ);
                self.small = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grow_and_shrink_with_what_comes() {
        let mut size = ReadSize::new();
        size.note(MIN_READ - 1);
        assert_eq!(size.len(), MIN_READ);
        size.note(MIN_READ);
        assert_eq!(size.len(), 4 * MIN_READ);
        size.note(4 * MIN_READ);
        size.note(MAX_READ);
        assert_eq!(size.len(), MAX_READ);
        for _ in 0..3 {
            size.note(1);
        }
        size.note(MAX_READ / 2);
        for _ in 0..3 {
            size.note(1);
        }
        assert_eq!(size.len(), MAX_READ, "four small reads in a row, not four in all");
        size.note(1);
        assert_eq!(size.len(), MAX_READ / 4);
        size.quiet();
        assert_eq!(size.len(), MIN_READ);
    }

    #[test]
    fn a_thread_that_waits_keeps_no_large_buffer() {
        return_write_buffer(Vec::with_capacity(MAX_KEPT_WHILE_WAITING));
        before_waiting();
        assert!(write_buffer().capacity() >= MAX_KEPT_WHILE_WAITING);
        return_write_buffer(Vec::with_capacity(MAX_KEPT_WHILE_WAITING + 1));
        before_waiting();
        assert_eq!(write_buffer().capacity(), 0);
    }

    #[test]
    fn a_thread_lends_the_same_buffers_again() {
        for len in LENGTHS {
            let mut buffer = read_buffer(len);
            buffer[7] = 1;
            return_read_buffer(buffer);
        }
        for len in LENGTHS {
            let buffer = read_buffer(len);
            assert_eq!((buffer.len(), buffer[7]), (len, 1), "not filled with zeros again");
            assert_eq!(read_buffer(len)[7], 0, "one of each length");
            return_read_buffer(buffer);
        }
        before_waiting();
        assert_eq!(LENGTHS.map(|len| read_buffer(len)[7]), [1, 0, 0]);
        return_read_buffer(vec![1; 100]);
        assert_eq!(read_buffer(MIN_READ), [0; MIN_READ], "a buffer of another length is not kept");

        return_write_buffer(Vec::with_capacity(1000));
        assert!(write_buffer().capacity() >= 1000);
        assert_eq!(write_buffer().capacity(), 0);
        return_write_buffer(Vec::with_capacity(MAX_KEPT + 1));
        assert_eq!(write_buffer().capacity(), 0);
    }
}
