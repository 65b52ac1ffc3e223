//! Reading and writing while hands are shaken, before there is a connection that does it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, Timeout};
use crate::lend::{self, MIN_READ};

/// Until when a handshake has to be done. `None`: a time so far away that the clock does not have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// Does the work, if it is done in time. (What is ready counts as done in time.)
    pub(crate) async fn hold<T, E: Into<Error>>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
        let done = match self.0 {
            Some(at) => timeout_at(at, work).await.map_err(|_| Error::Timeout(Timeout::Handshake))?,
            None => work.await,
        };
        done.map_err(Into::into)
    }
}

/// One read into a buffer that the thread lends: who waits holds none. Gives what `take` makes of what was read, which is
/// empty at the end.
pub(crate) async fn read<S: AsyncRead + Unpin, R>(stream: &mut S, mut take: impl FnMut(&[u8]) -> R) -> io::Result<R> {
    poll_fn(|cx| {
        let mut buffer = lend::read_buffer(MIN_READ);
        let mut space = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut *stream).poll_read(cx, &mut space);
        let taken = match read {
            Poll::Ready(Ok(())) => Some(take(space.filled())),
            _ => None,
        };
        lend::return_read_buffer(buffer);
        match ready!(read) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => cx.waker().wake_by_ref(),
            read => read?,
        }
        taken.map_or(Poll::Pending, |taken| Poll::Ready(Ok(taken)))
    })
    .await
}

/// Writes all, and flushes.
pub(super) async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    loop {
        match poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}

/// How much of what a peer still sends is read and thrown away, in bytes.
const DRAINED: usize = 64 * 1024;

/// Writes the answer with which a stream ends, by the deadline, so that it arrives: what the peer still sends is read for a
/// moment (`linger`) and thrown away, never parsed.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    out: &[u8],
    deadline: Deadline,
    linger: Duration,
) {
    let written = async {
        write_all(stream, out).await?;
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await
    };
    // Nobody is there to be told that the answer did not arrive.
    if deadline.hold(written).await.is_err() {
        return;
    }
    let drained = async {
        let mut left = DRAINED;
        while let Ok(n) = read(stream, <[u8]>::len).await {
            if n == 0 || n > left {
                break;
            }
            left -= n;
        }
    };
    let _ = timeout(linger, drained).await;
}
