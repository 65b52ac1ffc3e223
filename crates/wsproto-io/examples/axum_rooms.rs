//! A chat with rooms, by axum: what one says at `/rooms/NAME`, all in that room hear. For whoever has 64 messages waiting and is
//! sent one more, the room does not wait: the member is told so, and has to leave.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::{response::Response, routing::any};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use wsproto_io::axum::WebSocketUpgrade;
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{Error, Handle, Message, Transport, WebSocket, Writer};

/// Messages that wait for a member, at most.
const QUEUE: usize = 64;

/// The members of each room, by the number of their arrival.
type Members = HashMap<String, HashMap<u64, (mpsc::Sender<Arc<Message>>, Handle)>>;

#[derive(Default)]
pub(crate) struct Rooms(Mutex<Members>, AtomicU64);

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attend(self: Arc<Self>, room: String, socket: WebSocket<Transport>) -> Result<(), Error> {
        let (mut reader, writer) = socket.split();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let number = self.1.fetch_add(1, Relaxed);
        self.lock().entry(room.clone()).or_default().insert(number, (queue, writer.handle()));
        let speaking = async {
            while let Some(message) = reader.recv().await? {
                self.say(&room, &Arc::new(message));
            }
            Ok(())
        };
        let hearing = async {
            let _ = hear(writer, waiting).await;
            pending().await // the reader learns how it ended
        };
        let end = tokio::select! { end = speaking => end, end = hearing => end };
        self.lock().get_mut(&room).map(|members| members.remove(&number));
        self.lock().retain(|_, members| !members.is_empty());
        end
    }

    fn say(&self, room: &str, message: &Arc<Message>) {
        self.lock().entry(room.to_owned()).or_default().retain(|_, (queue, handle)| {
            let heard = queue.try_send(Arc::clone(message));
            heard.inspect_err(|_| handle.close(CloseCode::POLICY_VIOLATION, "too slow")).is_ok()
        });
    }
}

async fn hear(mut writer: Writer<Transport>, mut waiting: mpsc::Receiver<Arc<Message>>) -> Result<(), Error> {
    while let Some(message) = waiting.recv().await {
        writer.send(&*message).await?;
    }
    Ok(())
}

async fn enter(State(rooms): State<Arc<Rooms>>, Path(room): Path<String>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| rooms.attend(room, socket))
}

pub(crate) fn app() -> Router {
    Router::new().route("/rooms/{room}", any(enter)).with_state(Arc::default()) // `any`: HTTP/2 says CONNECT
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    axum::serve(TcpListener::bind("127.0.0.1:9001").await?, app()).await
}
