//! WebSockets beside the one that stalls, on the same connection of HTTP/2. They go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use wsproto::CloseCode;
use wsproto_conformance::numbered::{Body, message};
use wsproto_io::{Error, Http2Connection, Transport, WebSocket};

use crate::Failure;

/// Where a server echoes.
pub(crate) const PATH: &str = "/sibling";

/// How many there are, where there are any.
pub(crate) const COUNT: u32 = 20;

/// How long each waits between a message that came back and the next, so that they take no whole processor.
const PAUSE: Duration = Duration::from_millis(10);

/// Those of a client.
#[derive(Default)]
pub(crate) struct Siblings {
    tasks: JoinSet<Result<(), Failure>>,
    /// How many messages have come back, to each.
    echoed: Vec<Arc<AtomicU64>>,
    stop: watch::Sender<bool>,
}

impl Siblings {
    pub(crate) async fn open(connection: &Http2Connection) -> Result<Self, Failure> {
        let mut siblings = Self::default();
        for stream in 0..COUNT {
            let (socket, echoed) = (connection.open(PATH).await?, Arc::default());
            siblings.echoed.push(Arc::clone(&echoed));
            siblings.tasks.spawn(talk(socket, stream.into(), echoed, siblings.stop.subscribe()));
        }
        // What is made once is made: threads, buffers.
        while siblings.least() == Some(0) {
            sleep(PAUSE).await;
        }
        Ok(siblings)
    }

    /// How many messages have come back to the one to which the fewest have. `None` where there are none.
    pub(crate) fn least(&self) -> Option<u64> {
        self.echoed.iter().map(|echoed| echoed.load(Ordering::Relaxed)).min()
    }

    /// Closes all of them. An error is that of one that did not last, or to which something else came back.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn talk(
    mut socket: WebSocket<Transport>,
    stream: u64,
    echoed: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    while !*stop.borrow() {
        let sent = message(stream, echoed.load(Ordering::Relaxed), Body::Bytes, 1000);
        socket.send(&sent).await?;
        if socket.recv().await?.as_ref() != Some(&sent) {
            return Err(format!("sibling {stream}: something else came back: {:?}", socket.closed()).into());
        }
        echoed.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    Ok(socket.close(CloseCode::NORMAL, "").await?)
}

/// That of a server.
pub(crate) async fn echo(mut socket: WebSocket<Transport>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}
