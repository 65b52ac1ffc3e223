//! A chat: what one member says, all hear. Whoever takes nothing for a second, while others speak, has to leave.
//!
//! Each member has a queue of bounded length. Whoever speaks waits for room in all of them, and is not read from meanwhile:
//! so nobody can speak faster than the others hear.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{Error, Handle, Message, ServeOptions, Transport, WebSocket, Writer, serve};

/// Messages that wait for a member, at most.
const QUEUE: usize = 64;

#[derive(Clone)]
pub(crate) struct Member {
    queue: mpsc::Sender<Arc<Message>>,
    pub(crate) handle: Handle,
}

/// The members, by the number of their arrival.
#[derive(Default)]
pub(crate) struct Chat {
    /// How long the others wait for a member whose queue is full.
    pub(crate) patience: Duration,
    members: Mutex<BTreeMap<u64, Member>>,
    arrived: AtomicU64,
}

impl Chat {
    pub(crate) fn members(&self) -> MutexGuard<'_, BTreeMap<u64, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member's time in the chat.
    pub(crate) async fn attend(self: Arc<Self>, socket: WebSocket<Transport>) -> Result<(), Error> {
        let (mut reader, writer) = socket.split();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let number = self.arrived.fetch_add(1, Relaxed);
        self.members().insert(number, Member { queue, handle: writer.handle() });
        let speaking = async {
            while let Some(message) = reader.recv().await? {
                self.say(Arc::new(message)).await;
            }
            Ok(())
        };
        let hearing = async {
            let _ = hear(writer, waiting).await;
            pending().await // the reader learns how it ended
        };
        let end = tokio::select! { end = speaking => end, end = hearing => end };
        self.members().remove(&number);
        end
    }

    async fn say(&self, message: Arc<Message>) {
        let members: Vec<_> = self.members().iter().map(|(number, member)| (*number, member.clone())).collect();
        for (number, member) in members {
            if member.queue.send_timeout(Arc::clone(&message), self.patience).await.is_err() {
                member.handle.close(CloseCode::POLICY_VIOLATION, "too slow");
                self.members().remove(&number);
            }
        }
    }
}

async fn hear(mut writer: Writer<Transport>, mut waiting: mpsc::Receiver<Arc<Message>>) -> Result<(), Error> {
    while let Some(message) = waiting.recv().await {
        writer.feed(&*message).await?;
        if waiting.is_empty() {
            writer.flush().await?; // one write for all that waited
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let chat = Arc::new(Chat { patience: Duration::from_secs(1), ..Chat::default() });
    let listener = TcpListener::bind("127.0.0.1:9001").await?;
    serve(listener, ServeOptions::new(), move |socket, _client| Arc::clone(&chat).attend(socket)).await;
    Ok(())
}
