//! What is done with a connection, and what is logged of it.

use std::borrow::Cow;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wsproto_io::wsproto::{CloseCode, Data, Event, Message};
use wsproto_io::{Batch, Client, Error, Transport, WebSocket};

use super::log;

/// A client that has this in its query is told by which version of HTTP it came, in a message before all others: a page cannot
/// see that of its WebSocket.
const VERSION: &str = "http-version";

/// Logs a connection, echoes on it until it ends, and logs that. (It keeps nothing of the request meanwhile.)
pub(super) fn echo(
    mut socket: WebSocket<Transport>,
    client: &Client,
    log: Arc<Log>,
) -> impl Future<Output = Result<(), Error>> + Send + use<> {
    let subprotocol = socket.subprotocol().map(|name| format!(", subprotocol {name}")).unwrap_or_default();
    let path = shown(client.request.path());
    log.about(client.address, &format!("connected to {path}, {}{subprotocol}", version(&socket)));
    // Boxed, and only where it is wanted: a connection that waits is small.
    let told = log.verbose.then(|| Box::new((log, client.address)));
    let asks = client.request.query().is_some_and(|query| query.split('&').any(|field| field == VERSION));
    async move {
        if asks {
            let version = version(&socket);
            Box::pin(socket.feed(version)).await?;
        }
        if !has_ended(echo_all(&mut socket).await)? {
            Box::pin(socket.close(CloseCode::GOING_AWAY, "")).await?;
        }
        if let (Some(told), Some(closed)) = (told, socket.closed()) {
            told.0.about(told.1, &closed.to_string());
        }
        Ok(())
    }
}

/// The version of HTTP that a WebSocket came by, as RFC 9110 §2.5 writes it.
fn version(socket: &WebSocket<Transport>) -> &'static str {
    if matches!(socket.stream(), Transport::Http2(_)) { "HTTP/2" } else { "HTTP/1.1" }
}

/// The longest path that is logged whole.
const LONGEST_PATH: usize = 200;

/// A path for the log. (The query is not logged: tokens stand there.)
fn shown(path: &str) -> Cow<'_, str> {
    match path.get(..LONGEST_PATH) {
        Some(start) if start.len() < path.len() => Cow::Owned(format!("{start}...")),
        _ => Cow::Borrowed(path),
    }
}

/// Whether echoing ended with the connection. It ends before where the server stops, and has sent its Close, while the
/// client goes on sending: to nobody any more.
fn has_ended(echoed: Result<(), Error>) -> Result<bool, Error> {
    match echoed {
        Ok(()) => Ok(true),
        Err(Error::Closing) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn echo_all(socket: &mut WebSocket<Transport>) -> Result<(), Error> {
    loop {
        // On the heap, so that a connection that waits is not as large as one that works.
        let echoing = match socket.read().await? {
            Some(batch) => Box::pin(echo_batch(batch)),
            None => return Ok(()),
        };
        echoing.await?;
    }
}

/// Pieces of a message are joined up to this many bytes, where one read brought them.
const JOINED: usize = 64 * 1024;

/// Echoes what one read brought: one write for all its messages, pieces as they come, so that no message is held whole.
///
/// What is not finished is not compressed: its encoder would be held for as long as the peer likes. The choice is the
/// message's and made where it begins; of a piece that goes on with one, `feed` and `feed_uncompressed` are the same.
async fn echo_batch(mut batch: Batch<'_, Transport>) -> Result<(), Error> {
    let mut unfinished: Option<Message<'_>> = None;
    while let Some(event) = batch.next() {
        let Event::Message(piece) = event else { continue };
        // A message that arrived whole may be given in pieces, where it was compressed.
        let piece = match unfinished.take() {
            Some(before) => Message { data: join(before.data, &piece.data), ..piece },
            None => piece,
        };
        if piece.message_finished {
            batch.feed(piece).await?;
        } else if piece.data.as_bytes().len() < JOINED {
            unfinished = Some(piece);
        } else {
            batch.feed_uncompressed(piece).await?;
        }
    }
    match unfinished {
        Some(piece) => match batch.feed_uncompressed(piece).await {
            // The end stood behind it. The next read tells of it, when the client has been told.
            Err(Error::Closed(_)) => Ok(()),
            fed => fed,
        },
        None => Ok(()),
    }
}

/// Two pieces of a message, which have the same kind.
fn join<'b>(mut data: Data<'b>, next: &Data<'_>) -> Data<'b> {
    match (&mut data, next) {
        (Data::Text(text), Data::Text(next)) => text.to_mut().push_str(next),
        (Data::Binary(bytes), next) => bytes.to_mut().extend_from_slice(next.as_bytes()),
        (Data::Text(_), Data::Binary(_)) => {}
    }
    data
}

/// What is told on standard error.
pub(super) struct Log {
    verbose: bool,
    /// When it was told last that the listener fails.
    failed: Mutex<Option<Instant>>,
}

/// How long a listener's failures are not told again: where descriptors have run out, each connection that ends lets one in, and
/// the next one fails.
const QUIET: Duration = Duration::from_secs(60);

impl Log {
    pub(super) const fn new(verbose: bool) -> Self {
        Self { verbose, failed: Mutex::new(None) }
    }

    /// An error, of a client's connection or of the listener.
    pub(super) fn error(&self, client: Option<SocketAddr>, error: &Error) {
        match client {
            Some(client) => self.about(client, &error.to_string()),
            None if self.fails(Instant::now()) => log(&format!("wsproto: cannot accept a connection: {error}")),
            None => {}
        }
    }

    /// Tells something of a client, where that is wanted.
    fn about(&self, client: SocketAddr, what: &str) {
        if self.verbose {
            log(&format!("{client}: {what}"));
        }
    }

    /// Notes that the listener failed. Whether that is to be told.
    fn fails(&self, now: Instant) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = failed.is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        if is_due {
            *failed = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_a_minute() {
        let (log, begun) = (Log::new(false), Instant::now());
        let told = [0, 0, 1, 59, 60, 61, 119, 120, 500].map(|second| log.fails(begun + Duration::from_secs(second)));
        assert_eq!(told, [true, false, false, false, true, false, false, true, true]);
    }
}
