//! Both ends on loopback: a server by `serve`, a server that speaks by a script, and a client by hand.

#![allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wsproto::handshake::Key;
use wsproto_io::{Client, Error, ServeOptions, Transport, WebSocket, serve};

/// Generous: it only turns a test that hangs into one that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any test: what waits for it waits for ever.
pub const FOR_EVER: Duration = Duration::from_secs(3600);

/// How long something is looked at that must not happen. A slow machine makes such a test weaker, and never fail.
pub const A_WHILE: Duration = Duration::from_millis(150);

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it is there in time")
}

/// A server by `serve`, in a task.
pub struct Server {
    pub address: SocketAddr,
    pub task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    errors: mpsc::UnboundedReceiver<(Option<SocketAddr>, String)>,
}

impl Server {
    pub async fn start<F>(
        options: ServeOptions,
        handler: impl Fn(WebSocket<Transport>, Client) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, errors) = mpsc::unbounded_channel();
        let options = options
            .shutdown(async {
                let _ = stopped.await;
            })
            .on_error(move |client, error| {
                let _ = tell.send((client, error.to_string()));
            });
        Self { address, task: tokio::spawn(serve(listener, options, handler)), stop: Some(stop), errors }
    }

    pub async fn echo(options: ServeOptions) -> Self {
        Self::start(options, echo).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Says that it is to stop.
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) {
        soon(&mut self.task).await.unwrap();
    }

    /// The next error that `on_error` hears of, and whose it is.
    pub async fn error(&mut self) -> (Option<SocketAddr>, String) {
        soon(self.errors.recv()).await.unwrap()
    }

    /// Whether `on_error` heard of nothing more.
    pub fn is_content(&mut self) -> bool {
        self.errors.try_recv().is_err()
    }
}

pub async fn echo(mut socket: WebSocket<Transport>, _: Client) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}

/// A request for a WebSocket with these headers more, each with its end of line.
pub fn request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// All that comes until the stream ends. (A reset is an end, too.)
pub async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    bytes
}

/// What is answered to this, until the end.
pub async fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    String::from_utf8(rest(&mut stream).await).unwrap()
}

/// Reads to the end of a head, byte by byte: what follows stays.
pub async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// An acceptance, but for its last end of line.
pub const ACCEPTANCE: &str =
    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: [accept]\r\n";

/// A server that answers each connection with the next of these, and then ends it. `[accept]` stands for what proves the
/// key. The task gives the heads of the requests.
pub async fn speak<B: AsRef<[u8]>>(answers: impl IntoIterator<Item = B>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Vec<Vec<u8>> = answers.into_iter().map(|answer| answer.as_ref().to_vec()).collect();
    let speaking = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = head(&mut stream).await;
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = Key::parse(key.as_bytes()).unwrap().accept();
            // The client may have had enough before the end.
            let _ = stream.write_all(&replace(&answer, b"[accept]", &accept)).await;
            let _ = stream.shutdown().await;
            rest(&mut stream).await;
            heads.push(head);
        }
        heads
    });
    (address, speaking)
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}
