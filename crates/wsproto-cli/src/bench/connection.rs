//! One connection under load.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;
use wsproto_io::wsproto::{Data, Event, Message};
use wsproto_io::{self as ws, Reader, Transport, WebSocket, Writer};

use super::payload::{Payload, Wrong};
use super::tally::{Tallies, record};

/// What each connection does.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) depth: usize,
    pub(super) size: usize,
    pub(super) text: bool,
    pub(super) tallies: Arc<Tallies>,
}

/// Up to this many bytes in flight the outgoing queue is never full (it takes 64 KiB): then `feed` never waits, and one
/// task is enough. Beyond, two ends that both only write would wait for each other for ever.
const IN_ONE_TASK: usize = 48 * 1024;

/// The longest header of a frame of a client.
const HEADER: usize = 14;

/// Why a connection ended before it was told to.
enum Failure {
    Connection(ws::Error),
    Echo(Wrong),
    Closed(Option<ws::Closed>),
}

impl From<ws::Error> for Failure {
    fn from(error: ws::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Echo(wrong)
    }
}

impl Load {
    /// Sends and receives until the measuring ends, or the connection does.
    pub(super) async fn run(self, number: usize, socket: WebSocket<Transport>) {
        let in_flight = self.depth.saturating_mul(self.size + HEADER);
        let end = if in_flight <= IN_ONE_TASK {
            self.in_one_task(number, socket).await
        } else {
            self.in_two_tasks(number, socket).await
        };
        // What happens after the end is nobody's failure.
        self.tallies.failed(match end {
            Failure::Connection(error) => error.to_string(),
            Failure::Echo(wrong) => wrong.to_string(),
            Failure::Closed(Some(closed)) => format!("the connection was {closed}"),
            Failure::Closed(None) => "the connection has ended".to_owned(),
        });
    }

    async fn in_one_task(&self, number: usize, mut socket: WebSocket<Transport>) -> Failure {
        let mut payload = Payload::new(self.size);
        let mut begun = VecDeque::with_capacity(self.depth);
        let first = Instant::now();
        for _ in 0..self.depth {
            begun.push_back(first);
            if let Err(error) = socket.feed(message(self.text, payload.next())).await {
                return error.into();
            }
        }
        loop {
            match self.one_read(number, &mut socket, &mut payload, &mut begun).await {
                Ok(true) => {}
                Ok(false) => return Failure::Closed(socket.closed().cloned()),
                Err(failure) => return failure,
            }
        }
    }

    /// Takes what one read brought, and sends as many messages as came back: they leave with one write. The clock is read
    /// once for all of them.
    async fn one_read(
        &self,
        number: usize,
        socket: &mut WebSocket<Transport>,
        payload: &mut Payload,
        begun: &mut VecDeque<Instant>,
    ) -> Result<bool, Failure> {
        let Some(mut batch) = socket.read().await? else { return Ok(false) };
        let now = Instant::now();
        let mut came = 0;
        for event in batch.by_ref() {
            if let Event::Message(piece) = event {
                payload.compare(bytes(&piece.data), piece.message_finished)?;
                came += usize::from(piece.message_finished);
            }
        }
        if self.tallies.is_stopped() {
            return Ok(true);
        }
        {
            let mut latencies = self.tallies.shard(number);
            for then in begun.drain(..came.min(begun.len())) {
                record(&mut latencies, now.duration_since(then));
            }
        }
        for _ in 0..came {
            begun.push_back(now);
            batch.feed(message(self.text, payload.next())).await?;
        }
        Ok(true)
    }

    /// One task only writes, and this one only reads.
    async fn in_two_tasks(&self, number: usize, socket: WebSocket<Transport>) -> Failure {
        let (mut reader, writer) = socket.split();
        let places = Arc::new(Semaphore::new(self.depth));
        let sent = Arc::new(Mutex::new(Sent { payload: Payload::new(self.size), begun: VecDeque::new() }));
        let writing = tokio::spawn(write(writer, self.clone(), Arc::clone(&sent), Arc::clone(&places)));
        let failure = loop {
            match self.one_read_of_two(number, &mut reader, &sent, &places).await {
                Ok(true) => {}
                Ok(false) => break Failure::Closed(reader.closed().cloned()),
                Err(failure) => break failure,
            }
        };
        places.close();
        drop(reader);
        if matches!(failure, Failure::Echo(_)) {
            // Nothing tells more; and a server that reads no more would hold the other task up for ever.
            writing.abort();
            return failure;
        }
        match writing.await {
            Ok(Err(error)) if !is_end(&error) => error.into(),
            _ => failure,
        }
    }

    async fn one_read_of_two(
        &self,
        number: usize,
        reader: &mut Reader<Transport>,
        sent: &Mutex<Sent>,
        places: &Semaphore,
    ) -> Result<bool, Failure> {
        let Some(batch) = reader.read().await? else { return Ok(false) };
        let now = Instant::now();
        let mut sent = lock(sent);
        for event in batch {
            let Event::Message(piece) = event else { continue };
            sent.payload.compare(bytes(&piece.data), piece.message_finished)?;
            if !piece.message_finished {
                continue;
            }
            if let Some(then) = sent.begun.pop_front().filter(|_| !self.tallies.is_stopped()) {
                record(&mut self.tallies.shard(number), now.duration_since(then));
            }
            places.add_permits(1);
        }
        Ok(true)
    }
}

/// What the two tasks share.
struct Sent {
    payload: Payload,
    begun: VecDeque<Instant>,
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a message for each place that is free.
async fn write(
    mut writer: Writer<Transport>,
    load: Load,
    sent: Arc<Mutex<Sent>>,
    places: Arc<Semaphore>,
) -> Result<(), ws::Error> {
    let mut next = Vec::with_capacity(load.size);
    while let Ok(place) = places.acquire().await {
        place.forget();
        if load.tallies.is_stopped() {
            return Ok(());
        }
        next.clear();
        {
            let mut sent = lock(&sent);
            next.extend_from_slice(sent.payload.next());
            sent.begun.push_back(Instant::now());
        }
        writer.feed(message(load.text, &next)).await?;
        if places.available_permits() == 0 {
            writer.flush().await?;
        }
    }
    Ok(())
}

/// Whether it tells only that the connection has ended: how, the reader knows.
fn is_end(error: &ws::Error) -> bool {
    matches!(error, ws::Error::Closed(_) | ws::Error::Io(_) | ws::Error::Closing)
}

/// A message of this kind. (What is sent is ASCII.)
fn message(text: bool, bytes: &[u8]) -> Message<'_> {
    match std::str::from_utf8(bytes) {
        Ok(bytes) if text => Message::text(bytes),
        _ => Message::binary(bytes),
    }
}

fn bytes<'a>(data: &'a Data<'_>) -> &'a [u8] {
    match data {
        Data::Text(text) => text.as_bytes(),
        Data::Binary(bytes) => bytes,
    }
}
