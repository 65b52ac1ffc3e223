//! A stream of HTTP/2 as bytes that come and go, for both examples: what there is to know of flow control (RFC 9113 §5.2),
//! and of the end.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::{Error, Reason, RecvStream, SendStream};
use tokio::time::timeout;

/// How much a peer may send that was not worked on, in bytes.
pub(crate) const WINDOW: u32 = 64 * 1024;

pub(crate) struct Stream {
    recv: RecvStream,
    send: SendStream<Bytes>,
    /// What came and was not read: at most a window.
    arrived: BytesMut,
    /// How much of the window whoever reads has.
    lent: usize,
    /// Whether the peer has sent `END_STREAM`.
    has_ended: bool,
}

impl Stream {
    pub(crate) fn new(recv: RecvStream, send: SendStream<Bytes>) -> Self {
        Self { recv, send, arrived: BytesMut::new(), lent: 0, has_ended: false }
    }

    /// What came; `None` at the peer's `END_STREAM`. While nothing has, `out` is sent, as far as the peer's window has room.
    ///
    /// To ask is to say that what was read before has been worked on: only then may the peer send as much again. That is the
    /// back-pressure.
    pub(crate) async fn read(&mut self, out: &mut Vec<u8>) -> Result<Option<BytesMut>, Error> {
        self.recv.flow_control().release_capacity(std::mem::take(&mut self.lent))?;
        poll_fn(|cx| {
            self.take(cx)?;
            if let Poll::Ready(sent) = self.poll_send(out, cx) {
                sent?;
            }
            if self.arrived.is_empty() && !self.has_ended { Poll::Pending } else { Poll::Ready(Ok::<_, Error>(())) }
        })
        .await?;
        self.lent = self.arrived.len();
        Ok(Some(self.arrived.split()).filter(|bytes| !bytes.is_empty()))
    }

    /// Sends all of `out` before anything more is read: for one who answers, and must not be asked faster than the answers
    /// leave.
    pub(crate) async fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        poll_fn(|cx| {
            self.take(cx)?;
            self.poll_send(out, cx)
        })
        .await
    }

    /// Ends the stream in order, once, when both Closes have passed: `END_STREAM`. The peer's is waited for, since to drop the
    /// stream before that would send a `RST_STREAM` behind our end. (To drop it without this is `RST_STREAM` with CANCEL, as the end
    /// of a WebSocket that was not closed has to be, RFC 8441 §5.)
    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        self.send.send_data(Bytes::new(), true)?;
        let rest = async { while self.read(&mut Vec::new()).await.is_ok_and(|bytes| bytes.is_some()) {} };
        let _ = timeout(Duration::from_secs(10), rest).await;
        Ok(())
    }

    /// Takes what has come, also while nobody reads, and does not open the window for it: `h2` gives up a connection on which
    /// many small DATA frames wait for somebody to take them.
    fn take(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !self.has_ended {
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(bytes)) => self.arrived.extend_from_slice(&bytes?),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn poll_send(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !out.is_empty() {
            self.send.reserve_capacity(out.len());
            // `None`: the stream can send no more.
            let room = ready!(self.send.poll_capacity(cx)).unwrap_or(Err(Reason::CANCEL.into()))?;
            let rest = out.split_off(room.min(out.len()));
            self.send.send_data(std::mem::replace(out, rest).into(), false)?;
        }
        Poll::Ready(Ok(()))
    }
}
