//! One connection of the soak: sends numbered messages in its own manner, and judges each echo.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wsproto::{CloseCode, RemoteProtocolError};
use wsproto_conformance::numbered::{Body, Dice, check, message};
use wsproto_io::{ConnectOptions, Error, Message, Transport, WebSocket};

use crate::Failure;
use crate::server::CLOSE;

/// How long an echo may take, the stalls and delays included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Up to so many bytes are sent before an end that is not split reads: two ends that both only write would wait for ever.
const BURST: usize = 48 * 1024;

/// How a connection uses the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `send`, then `recv`.
    Send,
    /// `feed`, then `recv`, which writes.
    Feed,
    /// `feed`, `flush`, then batches of borrowed messages.
    Batches,
    /// A reader and a writer at the same time.
    Split,
    /// Futures of `recv` that are dropped after a millisecond, again and again.
    Impatient,
}

pub(crate) const MANNERS: [Manner; 5] = [Manner::Send, Manner::Feed, Manner::Batches, Manner::Split, Manner::Impatient];

/// How the server uses it.
const PATHS: [&str; 5] = ["/whole", "/batches", "/split", "/impatient", "/pieces"];

/// What a connection shares with the one that injects faults.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// A fault was injected that ends the connection: from here on it may fail.
    pub(crate) doomed: AtomicBool,
    /// It is to go without a word.
    pub(crate) vanish: AtomicBool,
    /// It is to ask the server to close.
    pub(crate) ask: AtomicBool,
    /// It is to drop futures for a while.
    pub(crate) drops: AtomicU64,
}

/// What all connections counted.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) pings: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

pub(crate) struct Member {
    pub(crate) stream: u64,
    pub(crate) manner: Manner,
    path: &'static str,
    pub(crate) control: Arc<Control>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) pace: Duration,
    dice: Dice,
    sent: u64,
    received: u64,
}

/// How a connection ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It went on to the last message, and closed.
    Survived,
    /// By a fault; what arrived before was in order and whole.
    Broken,
}

impl Member {
    pub(crate) fn new(stream: u64, totals: Arc<Totals>, stop: watch::Receiver<bool>, pace: Duration) -> Self {
        let manner = MANNERS[usize::try_from(stream).unwrap_or(0) % MANNERS.len()];
        let (control, mut dice) = (Arc::default(), Dice::new(stream));
        let path = PATHS[usize::try_from(dice.below(5)).unwrap_or(0)];
        Self { stream, manner, path, control, totals, stop, pace, dice, sent: 0, received: 0 }
    }

    /// Whether this connection is one of those with TLS: each fourth.
    pub(crate) const fn is_secure(&self) -> bool {
        self.stream % 4 == 3
    }

    /// Whether the server closes when it is asked to.
    pub(crate) fn can_be_closed(&self) -> bool {
        self.path != "/pieces"
    }

    /// Connects through the proxy at this address.
    pub(crate) async fn connect(
        &mut self,
        proxy: SocketAddr,
        options: &ConnectOptions,
    ) -> Result<WebSocket<Transport>, Error> {
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        let path = self.path;
        options.connect(format!("{scheme}://{proxy}{path}")).await
    }

    /// Sends and judges until it is to stop, or a fault ends it.
    pub(crate) async fn run(mut self, socket: WebSocket<Transport>) -> Result<End, Failure> {
        let (control, stream, manner) = (Arc::clone(&self.control), self.stream, self.manner);
        let result = if manner == Manner::Split { self.run_split(socket).await } else { self.run_whole(socket).await };
        match result {
            Err(Problem::Connection(_)) if control.doomed.load(Relaxed) => Ok(End::Broken),
            Err(problem) => Err(format!("connection {stream} ({manner:?}): {problem}").into()),
            Ok(end) => Ok(end),
        }
    }

    async fn run_whole(&mut self, mut socket: WebSocket<Transport>) -> Result<End, Problem> {
        while !*self.stop.borrow() {
            if self.control.vanish.load(Relaxed) {
                return Ok(End::Broken);
            }
            let mut burst = 0;
            for _ in 0..=self.dice.below(4) {
                let message = self.next();
                burst += message.as_bytes().len();
                if self.manner == Manner::Send {
                    socket.send(&message).await?;
                } else {
                    socket.feed(&message).await?;
                }
                if burst >= BURST {
                    break;
                }
            }
            let round_trip = if self.dice.below(20) == 0 { Some(socket.ping().await?) } else { None };
            self.take_all(&mut socket).await?;
            if let Some(round_trip) = round_trip {
                let mut round_trip = pin!(round_trip);
                // Somebody must receive meanwhile; nothing is to come but the Pong.
                tokio::select! {
                    time = &mut round_trip => drop(time?),
                    message = socket.recv() => return Err(unexpected(&socket, message?.as_ref())),
                    () = sleep(PATIENCE) => return Err(Problem::late("a Pong")),
                }
                self.totals.pings.fetch_add(1, Relaxed);
            }
            if self.control.ask.load(Relaxed) {
                return self.ask(socket).await;
            }
            self.pause(&mut socket).await?;
        }
        match timeout(PATIENCE, socket.close(CloseCode::NORMAL, "")).await {
            Ok(closed) => closed?,
            Err(_) => return Err(Problem::late("the Close")),
        }
        Ok(End::Survived)
    }

    /// The server closes as it was asked to, behind all that was sent before.
    async fn ask(&mut self, mut socket: WebSocket<Transport>) -> Result<End, Problem> {
        socket.send(CLOSE).await?;
        let message = timeout(PATIENCE, socket.recv()).await.map_err(|_| Problem::late("the server's Close"))?;
        match (message?, socket.closed().map(|closed| closed.code)) {
            (None, Some(1001)) => Ok(End::Broken),
            (message, _) => Err(unexpected(&socket, message.as_ref())),
        }
    }

    /// Waits for its turn; not blind to the server meanwhile.
    async fn pause(&mut self, socket: &mut WebSocket<Transport>) -> Result<(), Problem> {
        let pace =
            self.pace / 2 + Duration::from_micros(self.dice.below(u64::try_from(self.pace.as_micros()).unwrap_or(0)));
        tokio::select! {
            message = socket.recv() => Err(unexpected(socket, message?.as_ref())),
            () = sleep(pace) => Ok(()),
        }
    }

    async fn take_all(&mut self, socket: &mut WebSocket<Transport>) -> Result<(), Problem> {
        let deadline = Instant::now() + PATIENCE;
        while self.received < self.sent {
            if Instant::now() >= deadline {
                return Err(Problem::late("an echo"));
            }
            if self.manner == Manner::Batches {
                let Some(mut batch) =
                    timeout(PATIENCE, socket.read()).await.map_err(|_| Problem::late("an echo"))??
                else {
                    return Err(Problem::Connection("the server closed".into()));
                };
                while let Some(data) = batch.message() {
                    self.judge(data.as_bytes())?;
                }
                continue;
            }
            let drops = self.manner == Manner::Impatient || self.control.drops.load(Relaxed) > 0;
            let patience = if drops { Duration::from_millis(1) } else { PATIENCE };
            match timeout(patience, socket.recv()).await {
                Ok(message) => {
                    let message = message?.ok_or_else(|| Problem::Connection("the server closed".into()))?;
                    self.judge(message.as_bytes())?;
                }
                Err(_) if drops => {
                    self.totals.dropped.fetch_add(1, Relaxed);
                    let _ = self.control.drops.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
                }
                Err(_) => return Err(Problem::late("an echo")),
            }
        }
        Ok(())
    }

    async fn run_split(&mut self, socket: WebSocket<Transport>) -> Result<End, Problem> {
        let (mut reader, mut writer) = socket.split();
        let mut dice = self.dice.clone();
        let (stop, control, stream, pace) = (self.stop.clone(), Arc::clone(&self.control), self.stream, self.pace);
        let writing = async {
            let mut sent = 0;
            while !*stop.borrow() && !control.vanish.load(Relaxed) && !control.ask.load(Relaxed) {
                for _ in 0..=dice.below(8) {
                    writer.feed(make(stream, sent, &mut dice)).await?;
                    sent += 1;
                }
                writer.flush().await?;
                let until = Instant::now()
                    + pace / 2
                    + pace.mul_f64(0.01 * u8::try_from(dice.below(100)).map_or(0.0, f64::from));
                sleep_until(until).await;
            }
            if control.vanish.load(Relaxed) {
                return Ok(None);
            }
            if control.ask.load(Relaxed) {
                writer.send(CLOSE).await?;
            } else {
                // Its echo is the last; behind it the reader closes.
                writer.send("last").await?;
            }
            Ok::<_, Problem>(Some((sent, writer)))
        };
        let reading = async {
            loop {
                match reader.recv().await? {
                    Some(message) if message.as_text() == Some("last") => return Ok((Some(reader), self.received)),
                    Some(message) => self.judge(message.as_bytes())?,
                    None if reader.closed().is_some_and(|closed| closed.code == 1001) => {
                        return Ok((None, self.received));
                    }
                    None => return Err(Problem::Connection("the server closed".into())),
                }
            }
        };
        let (mut writing, mut reading) = (pin!(writing), pin!(reading));
        let written = tokio::select! {
            written = &mut writing => written?,
            read = &mut reading => {
                // An end that comes before the last message is an error, and was told as one.
                read?;
                return Err(Problem::Connection("the server closed".into()));
            }
        };
        let Some((sent, mut writer)) = written else { return Ok(End::Broken) };
        let (read, received) = timeout(PATIENCE, reading).await.map_err(|_| Problem::late("the last echo"))??;
        if received != sent {
            return Err(Problem::Wrong(format!("{sent} messages were sent, {received} came back")));
        }
        let Some(mut reader) = read else { return Ok(End::Broken) };
        writer.send_close(CloseCode::NORMAL, "");
        match timeout(PATIENCE, reader.recv()).await {
            Ok(Ok(None)) => Ok(End::Survived),
            Ok(Ok(Some(_))) => Err(Problem::Wrong("a message behind the last".into())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Problem::late("the Close")),
        }
    }

    fn next(&mut self) -> Message {
        self.sent += 1;
        make(self.stream, self.sent - 1, &mut self.dice)
    }

    fn judge(&mut self, message: &[u8]) -> Result<(), Problem> {
        check(message, self.stream, self.received)
            .map_err(|wrong| Problem::Wrong(format!("message {}, {} bytes: {wrong}", self.received, message.len())))?;
        self.received += 1;
        self.totals.messages.fetch_add(1, Relaxed);
        self.totals.bytes.fetch_add(message.len() as u64, Relaxed);
        Ok(())
    }
}

/// The next message: mostly short, sometimes of up to 64 KiB, seldom of 1 MiB, with the first line hardly less.
fn make(stream: u64, number: u64, dice: &mut Dice) -> Message {
    let len = match dice.below(1000) {
        0 => 1024 * 1024 - 64,
        1..100 => dice.below(64 * 1024),
        100..300 => dice.below(8 * 1024),
        300..350 => 0,
        _ => dice.below(512),
    };
    let body = if dice.below(2) == 0 { Body::Bytes } else { Body::Text };
    message(stream, number, body, usize::try_from(len).unwrap_or(0))
}

/// What went wrong with a connection.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The connection ended: that may be a fault's doing.
    Connection(String),
    /// Never to be excused.
    Wrong(String),
}

impl Problem {
    fn late(what: &str) -> Self {
        Self::Wrong(format!("{what} did not come within {} s", PATIENCE.as_secs()))
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection(text) | Self::Wrong(text) => f.write_str(text),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Remote(RemoteProtocolError::UnexpectedEof) => Self::Connection(error.to_string()),
            // A peer that breaks the protocol, or we: no fault of the network's excuses that.
            Error::Remote(_) | Error::Local(_) => Self::Wrong(error.to_string()),
            error => Self::Connection(error.to_string()),
        }
    }
}

fn unexpected(socket: &WebSocket<Transport>, message: Option<&Message>) -> Problem {
    match (message, socket.closed()) {
        (Some(message), _) => Problem::Wrong(format!("{} bytes that nobody sent", message.as_bytes().len())),
        (None, Some(closed)) => Problem::Connection(closed.to_string()),
        (None, None) => Problem::Connection("the end".into()),
    }
}
