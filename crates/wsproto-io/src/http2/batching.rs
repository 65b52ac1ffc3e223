//! A transport that is read in large pieces, and written a frame at a time.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lend::{self, MAX_READ};

/// A transport for `h2`, which reads some 8 KiB at a time, and writes the head and the payload of a DATA frame one by one.
///
/// Here it is read into a large buffer that the thread lends, from which `h2` is served until it is empty; and what is written is
/// gathered until it is flushed, or is much: then it leaves in front of the frame that made it so, which is not copied. (`h2`
/// flushes behind each DATA frame of 256 bytes and more.) While nothing happens there is no buffer.
#[derive(Debug)]
pub(crate) struct Batching<S> {
    inner: S,
    /// What was read; `taken` bytes of the first `filled` were taken.
    read: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Bytes that were read since the transport last had nothing, or somebody else had a turn.
    in_turn: usize,
    /// What was gathered; `written` bytes have left.
    gathered: Vec<u8>,
    written: usize,
}

/// Most bytes that are gathered.
const GATHERED: usize = 16 * 1024;

/// What is longer than this is not gathered, in bytes: a copy of it costs more than a write.
const LARGE: usize = 4 * 1024;

impl<S> Batching<S> {
    /// Of a transport from which these first bytes were read already.
    pub(super) fn new(inner: S, first: Vec<u8>) -> Self {
        let filled = first.len();
        Self { inner, read: first, taken: 0, filled, in_turn: 0, gathered: Vec::new(), written: 0 }
    }
}

impl<S: AsyncRead + Unpin> Batching<S> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.in_turn >= MAX_READ {
            // `h2` reads on for as long as there is something; only behind its turn is taken what arrived (`hub.rs`).
            self.in_turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut buffer = lend::read_buffer(MAX_READ);
        let mut space = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut space);
        let filled = space.filled().len();
        if filled > 0 {
            (self.read, self.filled) = (buffer, filled);
            self.in_turn += filled;
        } else {
            self.in_turn = 0;
            lend::return_read_buffer(buffer);
        }
        read
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Batching<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.filled == 0 {
            ready!(self.poll_fill(cx))?;
        }
        let rest = &self.read[self.taken..self.filled];
        let n = rest.len().min(space.remaining());
        space.put_slice(&rest[..n]);
        self.taken += n;
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            lend::return_read_buffer(mem::take(&mut self.read));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Batching<S> {
    /// Writes what was gathered, and with it what it can of these pieces: how many bytes of them.
    fn poll_write_behind(&mut self, pieces: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while !self.gathered.is_empty() {
            let gathered = &self.gathered[self.written..];
            let mut all = [IoSlice::new(gathered); 4]; // a head and a payload are two
            let count = pieces.len().min(all.len() - 1);
            all[1..=count].copy_from_slice(&pieces[..count]);
            let n = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &all[..=count]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let ours = n.min(gathered.len());
            self.written += ours;
            if self.written == self.gathered.len() {
                self.written = 0;
                lend::return_write_buffer(mem::take(&mut self.gathered));
                return Poll::Ready(Ok(n - ours));
            }
        }
        Poll::Ready(Ok(0))
    }

    /// Writes what was gathered.
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.poll_write_behind(&[], cx);
        if written.is_pending() {
            self.gathered.shrink_to_fit(); // for as long as it takes
        }
        written.map_ok(|_| ())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Batching<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        if len > LARGE || self.gathered.len() + len > GATHERED {
            return match ready!(self.poll_write_behind(pieces, cx))? {
                0 => Pin::new(&mut self.inner).poll_write_vectored(cx, pieces),
                n => Poll::Ready(Ok(n)),
            };
        }
        if self.gathered.capacity() == 0 {
            self.gathered = lend::write_buffer();
        }
        for piece in pieces {
            self.gathered.extend_from_slice(piece);
        }
        Poll::Ready(Ok(len))
    }

    /// So that `h2` gives the head and the payload of a frame together.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn numbered(len: u32) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_out_in_order_and_to_the_end() {
        let bytes = numbered(300_000);
        for (room, piece) in [(1_000_000, 8192), (100_000, 1), (10, 8192), (70_000, 65_536), (70_000, 200_000)] {
            let (near, mut far) = duplex(room);
            let (first, rest) = bytes.split_at(24);
            let rest = rest.to_vec();
            let writing = tokio::spawn(async move { far.write_all(&rest).await });
            let mut batching = Batching::new(near, first.to_vec());
            let (mut read, mut space) = (Vec::new(), vec![0; piece]);
            loop {
                match batching.read(&mut space).await.unwrap() {
                    0 => break,
                    n => read.extend_from_slice(&space[..n]),
                }
            }
            writing.await.unwrap().unwrap();
            assert!(read == bytes, "{room}, {piece}");
            assert_eq!(batching.read.capacity(), 0, "it keeps no buffer");
        }
    }

    #[tokio::test]
    async fn one_read_serves_many() {
        let (near, mut far) = duplex(1_000_000);
        far.write_all(&[7; 60_000]).await.unwrap();
        let mut batching = Batching::new(near, Vec::new());
        batching.read_exact(&mut [0; 10]).await.unwrap();
        assert_eq!((batching.taken, batching.filled), (10, 60_000));
    }

    /// Who has much to say lets others have their turn.
    #[tokio::test]
    async fn a_turn_is_bounded() {
        let (near, mut far) = duplex(10_000_000);
        far.write_all(&[7; 1_000_000]).await.unwrap();
        let mut batching = Batching::new(near, Vec::new());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut turns, mut in_turn, mut longest, mut all) = (1, 0, 0, 0);
        while all < 1_000_000 {
            let mut bytes = [0; 8192];
            let mut space = ReadBuf::new(&mut bytes);
            if Pin::new(&mut batching).poll_read(&mut cx, &mut space).is_ready() {
                in_turn += space.filled().len();
                all += space.filled().len();
                longest = longest.max(in_turn);
            } else {
                (turns, in_turn) = (turns + 1, 0);
            }
        }
        assert_eq!((turns, longest), (16, MAX_READ));
    }

    /// Counts writes, and takes so much at a time.
    struct Counting {
        written: Vec<u8>,
        writes: usize,
        most: usize,
        /// Whether each second call finds no room.
        hiccups: bool,
    }

    impl AsyncWrite for Counting {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.writes += 1;
            if self.hiccups && self.writes % 2 == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).take(self.most).collect();
            self.written.extend_from_slice(&all);
            Poll::Ready(Ok(all.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn counting(most: usize, hiccups: bool) -> Batching<Counting> {
        Batching::new(Counting { written: Vec::new(), writes: 0, most, hiccups }, Vec::new())
    }

    #[tokio::test]
    async fn what_is_written_is_written_in_order_however_little_is_taken() {
        let bytes = numbered(100_000);
        for (most, hiccups) in [(usize::MAX, false), (1000, true), (7, false), (17_000, true)] {
            let mut batching = counting(most, hiccups);
            let mut rest = &bytes[..];
            for len in [10, 4096, 4097, 30_000, 1, 9, 16_000, 100, 20_000].into_iter().cycle() {
                let piece;
                (piece, rest) = rest.split_at(len.min(rest.len()));
                batching.write_all(piece).await.unwrap();
                if rest.is_empty() {
                    break;
                }
            }
            batching.flush().await.unwrap();
            assert!(batching.inner.written == bytes, "{most}");
            assert_eq!(batching.gathered.capacity(), 0, "it keeps no buffer");
        }
    }

    #[tokio::test]
    async fn small_frames_are_one_write_and_leave_in_front_of_a_large_one() {
        let mut batching = counting(usize::MAX, false);
        for _ in 0..10 {
            batching.write_all(&[1; 500]).await.unwrap();
        }
        assert_eq!(batching.inner.writes, 0);
        batching.flush().await.unwrap();
        assert_eq!((batching.inner.writes, batching.inner.written.len()), (1, 5000));
        batching.write_all(&[2; 500]).await.unwrap();
        let frame = [IoSlice::new(&[3; 9]), IoSlice::new(&[4; 16_384])];
        assert_eq!(batching.write_vectored(&frame).await.unwrap(), 9 + 16_384);
        assert_eq!((batching.inner.writes, batching.inner.written.len()), (2, 5500 + 9 + 16_384));
        // Nothing grows, however long nobody flushes.
        for _ in 0..1000 {
            batching.write_all(&[5; 500]).await.unwrap();
            assert!(batching.gathered.len() <= GATHERED);
        }
    }
}
