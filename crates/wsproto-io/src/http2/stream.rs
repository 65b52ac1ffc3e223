//! One stream as a transport.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hub::Hub;
use super::inbox::{Inbox, kind};

/// One stream of a connection of HTTP/2, as the transport of a WebSocket (RFC 8441 §5).
///
/// Its flow is that of HTTP/2: who does not read stops the peer at a window of 64 KiB, and a peer that does not read stops who
/// writes; neither stops the other streams. To shut it down is `END_STREAM`; to drop it before is `RST_STREAM` with CANCEL.
pub struct Http2Stream {
    inbox: Arc<Inbox>,
    /// `None` when it was reset, and while it is dropped.
    send: Option<SendStream<Bytes>>,
    /// Whether `END_STREAM` was sent.
    finished: bool,
}

impl Http2Stream {
    pub(super) fn new(hub: &Arc<Hub>, recv: RecvStream, send: SendStream<Bytes>) -> Self {
        Self::from_inbox(Inbox::new(hub, recv), send)
    }

    pub(super) const fn from_inbox(inbox: Arc<Inbox>, send: SendStream<Bytes>) -> Self {
        Self { inbox, send: Some(send), finished: false }
    }

    /// The number of the stream: odd, as a client began it (RFC 9113 §5.1.1).
    #[must_use]
    pub fn id(&self) -> u32 {
        self.send.as_ref().map_or(0, |send| send.stream_id().as_u32())
    }
}

/// Most bytes that are copied for `h2` at a time. It cuts them into frames.
const MOST: usize = 64 * 1024;

impl Http2Stream {
    /// Writes all of these bytes without a copy, as one DATA frame where the window and the peer's limit allow, once there is
    /// room for any. What goes beyond the window waits in `h2`, so there is no more room before that has left.
    pub(crate) fn poll_give(&mut self, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let (send, _) = ready!(self.poll_room(bytes.len(), cx))?;
        let n = bytes.len();
        let sent = send.send_data(std::mem::take(bytes).into(), false);
        Poll::Ready(sent.map(|()| n).map_err(|error| kind(&error).into()))
    }

    /// Waits until some of so many bytes can be sent: how many.
    fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<(&mut SendStream<Bytes>, usize)>> {
        let broken = || Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        let Some(send) = self.send.as_mut().filter(|_| !self.finished) else { return broken() };
        send.reserve_capacity(wanted);
        let mut room = send.capacity();
        while room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(room) => room.map_err(|error| kind(&error))?,
                None => return broken(),
            };
        }
        Poll::Ready(Ok((send, room)))
    }

    /// Ends the stream at once, by `RST_STREAM` with CANCEL, unless our direction has ended in order.
    pub(crate) fn reset(&mut self) {
        if self.finished {
            return;
        }
        self.inbox.give_up();
        self.send = None;
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(self.inbox.poll_read(space.initialize_unfilled(), cx))?;
        space.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (send, room) = ready!(self.poll_room(bytes.len().min(MOST), cx))?;
        let n = room.min(bytes.len()).min(MOST);
        let sent = send.send_data(Bytes::copy_from_slice(&bytes[..n]), false);
        Poll::Ready(sent.map(|()| n).map_err(|error| kind(&error).into()))
    }

    /// What was written is the connection's, which writes it as soon as it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends `END_STREAM`, once.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let finished = std::mem::replace(&mut self.finished, true);
        if let Some(send) = self.send.as_mut().filter(|_| !finished) {
            // Where the peer has reset the stream, there is nothing to be ended.
            let _ = send.send_data(Bytes::new(), true);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        match self.send.take() {
            Some(send) if self.finished => self.inbox.leave(send),
            _ => self.inbox.give_up(),
        }
    }
}

impl fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Stream").field("id", &self.id()).finish_non_exhaustive()
    }
}
