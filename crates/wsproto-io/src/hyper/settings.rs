//! Whether a server has WebSockets over HTTP/2, by its settings.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use hyper::body::Body;
use hyper::client::conn::http2::Connection;
use hyper::rt::bounds::Http2ClientConnExec;
use hyper::rt::{Read, Write};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a server's settings are waited for, where they cannot be seen to arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server of a connection has said that it takes an extended CONNECT (`SETTINGS_ENABLE_CONNECT_PROTOCOL`, RFC
/// 8441 §3). Made by [`drive`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExtendedConnect(watch::Receiver<Option<bool>>);

impl ExtendedConnect {
    /// Waits for the server's settings, if they are not there yet. `false` also where the connection ends before.
    pub async fn is_enabled(&self) -> bool {
        let mut told = self.0.clone();
        told.wait_for(Option::is_some).await.is_ok_and(|told| *told == Some(true))
    }
}

/// Drives a client's connection of HTTP/2 in place of hyper's own future, and tells what
/// [`ConnectOptions::connect_http2`](crate::ConnectOptions::connect_http2) has to know of the server.
///
/// ```no_run
/// # async fn run(tcp: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use hyper::body::Bytes;
/// use hyper::client::conn::http2;
/// use hyper_util::rt::{TokioExecutor, TokioIo};
/// use wsproto_io::ConnectOptions;
///
/// type Body = http_body_util::Empty<Bytes>;
/// let (mut send, connection) = http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(tcp)).await?;
/// let (connection, extended) = wsproto_io::hyper::drive(connection);
/// tokio::spawn(connection);
/// let options = ConnectOptions::new();
/// let mut socket = options.connect_http2("ws://example.com/chat", &mut send, &extended).await?;
/// socket.send("hello").await?;
/// # Ok(()) }
/// ```
///
/// hyper does not say when the server's settings arrive. They are seen by what they change; where that is nothing, a server
/// counts as one without extended CONNECT after 2 s. (A builder with `initial_max_send_streams(0)` makes all of them seen.)
pub fn drive<T, B, E>(mut connection: Connection<T, B, E>) -> (impl Future<Output = hyper::Result<()>>, ExtendedConnect)
where
    T: Read + Write + Unpin + 'static,
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    E: Http2ClientConnExec<B, T> + Unpin,
{
    let (tell, told) = watch::channel(None);
    let streams = connection.current_max_send_streams();
    let driving = async move {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        // The settings wake another task of hyper's: so this one looks, ever less often.
        loop {
            if let Ok(ended) = timeout(pause, poll_fn(|cx| Pin::new(&mut connection).poll(cx))).await {
                return ended;
            }
            let enabled = connection.is_extended_connect_protocol_enabled();
            if enabled || connection.current_max_send_streams() != streams || begun.elapsed() > PATIENCE {
                tell.send_replace(Some(enabled));
                break;
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        connection.await
    };
    (driving, ExtendedConnect(told))
}
