//! A few bytes, kept in place.

/// At most `N` bytes (`N` ≤ 255) without an allocation: what the input cut in two, the payload of a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inline<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Inline<N> {
    pub(crate) const fn new() -> Self {
        Self { len: 0, bytes: [0; N] }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// Appends as many of these bytes as there is room for.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes[usize::from(self.len)..].iter_mut().zip(bytes) {
            *to = *from;
            self.len += 1;
        }
    }

    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }
}
