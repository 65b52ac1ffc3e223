//! What is done with a connection, and what is logged of it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wsproto_io::wsproto::{CloseCode, Event};
use wsproto_io::{Client, Error, Transport, WebSocket};

use super::log;

/// Logs a connection, echoes on it until it ends, and logs that. (It keeps nothing of the request meanwhile.)
pub(super) fn echo(
    mut socket: WebSocket<Transport>,
    client: &Client,
    log: Arc<Log>,
) -> impl Future<Output = Result<(), Error>> + Send + use<> {
    let address = client.address;
    log.accepted();
    if log.verbose {
        let subprotocol = socket.subprotocol().map(|name| format!(", subprotocol {name}")).unwrap_or_default();
        log.about(address, &format!("connected to {}{subprotocol}", client.request.target()));
    }
    async move {
        match echo_all(&mut socket).await {
            // The server stops, and has sent its Close, while the client goes on sending: to nobody any more.
            Err(Error::Local(_)) => socket.close(CloseCode::GOING_AWAY, "").await?,
            ended => ended?,
        }
        if let Some(closed) = socket.closed() {
            log.about(address, &closed.to_string());
        }
        Ok(())
    }
}

/// Echoes what each read brings: one write for all its messages, pieces as they come, so that no message is held whole.
async fn echo_all(socket: &mut WebSocket<Transport>) -> Result<(), Error> {
    while let Some(mut batch) = socket.read().await? {
        while let Some(event) = batch.next() {
            if let Event::Message(piece) = event {
                batch.feed(piece).await?;
            }
        }
    }
    Ok(())
}

/// What is told on standard error.
pub(super) struct Log {
    verbose: bool,
    /// Whether the listener fails: of a burst of failures only the first is told.
    failing: AtomicBool,
}

impl Log {
    pub(super) const fn new(verbose: bool) -> Self {
        Self { verbose, failing: AtomicBool::new(false) }
    }

    /// An error, of a client's connection or of the listener.
    pub(super) fn error(&self, client: Option<SocketAddr>, error: &Error) {
        match client {
            Some(client) => {
                self.accepted();
                self.about(client, &error.to_string());
            }
            None if self.fails() => log(&format!("wsproto: cannot accept a connection: {error}")),
            None => {}
        }
    }

    /// Tells something of a client, where that is wanted.
    fn about(&self, client: SocketAddr, what: &str) {
        if self.verbose {
            log(&format!("{client}: {what}"));
        }
    }

    /// Notes that the listener failed. Whether it is the first time in a row.
    fn fails(&self) -> bool {
        !self.failing.swap(true, Ordering::Relaxed)
    }

    /// Notes that somebody was accepted.
    fn accepted(&self) {
        self.failing.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_burst_of_failures_one_is_logged() {
        let log = Log::new(false);
        assert_eq!([log.fails(), log.fails(), log.fails()], [true, false, false]);
        log.accepted();
        assert!(log.fails());
    }
}
