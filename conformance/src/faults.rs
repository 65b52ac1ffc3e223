//! A TCP proxy that breaks connections on request.
//!
//! ```
//! use std::time::Duration;
//! use wsproto_conformance::faults::{Fault, Proxy};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = Proxy::start(server.local_addr()?, None).await?;
//! let client = tokio::net::TcpStream::connect(proxy.address()).await?;
//! server.accept().await?;
//! assert!(proxy.inject(client.local_addr()?, Fault::Stall(Duration::from_secs(1))));
//! assert!(proxy.inject(client.local_addr()?, Fault::Reset)); // instead of the fault before
//! # std::io::Result::Ok(()) })?;
//! # std::io::Result::Ok(())
//! ```

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::numbered::Dice;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both ends see a reset at once; what was on its way is lost.
    Reset,
    /// The server sees the end of the client's direction (FIN). The other direction goes on.
    HalfClose,
    /// Nothing passes for this long, in either direction; nothing is lost.
    Stall(Duration),
    /// What passes is late by this time, and by a random one up to the second, for each read of the proxy's. The order stays.
    Delay(Duration, Duration),
    /// What passes is written one byte at a time.
    Trickle,
    /// When so many bytes more have passed from the server to the client, both directions end (FIN).
    Cut {
        /// Bytes, counted from the moment of the fault.
        after_bytes: u64,
    },
}

/// A proxy on an address of its own. Dropped, it resets or ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    links: Arc<Links>,
    task: AbortHandle,
}

/// What is to happen to a connection, since when.
type Order = Option<(Fault, Instant)>;

/// The connections, by the client's address.
#[derive(Debug, Default)]
struct Links(Mutex<HashMap<SocketAddr, watch::Sender<Order>>>);

impl Links {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, watch::Sender<Order>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, in a task of tokio's, and connects its clients with this server. `fault` is what
    /// each connection begins with.
    ///
    /// # Errors
    ///
    /// The system's: there is no port.
    pub async fn start(server: SocketAddr, fault: Option<Fault>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let links = Arc::<Links>::default();
        let task = tokio::spawn(listen(listener, server, fault, Arc::clone(&links))).abort_handle();
        Ok(Self { address, links, task })
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.links.lock().len()
    }

    /// Lets this happen to the connection of the client with this address, from now on and instead of what was asked for
    /// before. `None` heals what can be healed. `false` where there is no such connection.
    pub fn inject(&self, client: SocketAddr, fault: impl Into<Option<Fault>>) -> bool {
        let order = fault.into().map(|fault| (fault, Instant::now()));
        self.links.lock().get(&client).is_some_and(|link| link.send(order).is_ok())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, server: SocketAddr, fault: Option<Fault>, links: Arc<Links>) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok((client, address)) = listener.accept().await else {
            // Out of descriptors: others end.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (order, orders) = watch::channel(fault.map(|fault| (fault, Instant::now())));
        links.lock().insert(address, order);
        let links = Arc::clone(&links);
        tasks.spawn(async move {
            // Who cannot be connected sees its connection end.
            if let Ok(server) = TcpStream::connect(server).await {
                link(client, server, orders).await;
            }
            links.lock().remove(&address);
        });
    }
}

/// How a connection ends that does not end by itself.
enum End {
    Reset,
    Cut,
}

/// How long what is cut waits for the two ends to see it.
const LINGER: Duration = Duration::from_secs(1);

async fn link(mut client: TcpStream, mut server: TcpStream, mut orders: watch::Receiver<Order>) {
    // Whether that worked is of no consequence: what passes arrives later, at worst.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let dice = client.peer_addr().map_or(0, |address| u64::from(address.port()));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = Pipe::new(from_client, to_server, orders.clone(), Dice::new(dice), true);
    let down = Pipe::new(from_server, to_client, orders.clone(), Dice::new(!dice), false);
    let end = tokio::select! {
        // Also while a pipe waits to write.
        _ = orders.wait_for(|order| matches!(order, Some((Fault::Reset, _)))) => End::Reset,
        both = async { tokio::try_join!(up.run(), down.run()) } => match both {
            Ok(_) => return,
            Err(end) => end,
        },
    };
    match end {
        End::Reset => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        End::Cut => {
            // What is closed with unread bytes in it is reset, and what was written may be lost: so they are read.
            let _ = (client.shutdown().await, server.shutdown().await);
            let mut waste = [tokio::io::sink(), tokio::io::sink()];
            let [first, second] = &mut waste;
            let rest =
                async { tokio::join!(tokio::io::copy(&mut client, first), tokio::io::copy(&mut server, second)) };
            let _ = timeout(LINGER, rest).await;
        }
    }
}

/// One direction.
struct Pipe<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    orders: watch::Receiver<Order>,
    dice: Dice,
    /// Whether it leads from the client to the server.
    up: bool,
    /// Bytes until the cut.
    left: Option<u64>,
}

impl<'a> Pipe<'a> {
    const fn new(from: ReadHalf<'a>, to: WriteHalf<'a>, orders: watch::Receiver<Order>, dice: Dice, up: bool) -> Self {
        Self { from, to, orders, dice, up, left: None }
    }

    /// Passes on until the direction ends.
    async fn run(mut self) -> Result<(), End> {
        self.orders.mark_changed();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            if self.orders.has_changed().unwrap_or(false) {
                self.left = match *self.orders.borrow_and_update() {
                    Some((Fault::Cut { after_bytes }, _)) if !self.up => Some(after_bytes),
                    _ => None,
                };
            }
            let order = *self.orders.borrow();
            match order {
                _ if self.left == Some(0) => return Err(End::Cut),
                Some((Fault::Reset, _)) => return Err(End::Reset),
                Some((Fault::HalfClose, _)) if self.up => return self.end().await,
                Some((Fault::Stall(time), since)) if since.elapsed() < time => {
                    tokio::select! {
                        _ = self.orders.changed() => self.orders.mark_changed(),
                        () = sleep_until(since + time) => {}
                    }
                    continue;
                }
                _ => {}
            }
            let read = tokio::select! {
                biased; // what is read after the fault has it
                _ = self.orders.changed() => {
                    self.orders.mark_changed();
                    continue;
                }
                read = self.from.read(&mut buffer) => read,
            };
            match read {
                Ok(0) => return self.end().await,
                Ok(n) => self.pass(&buffer[..n]).await.map_err(|_| End::Reset)?,
                Err(_) => return Err(End::Reset),
            }
        }
    }

    /// Writes what was read.
    async fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(Fault::Delay(by, jitter)) = self.fault() {
            let jitter = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
            sleep(by + Duration::from_micros(self.dice.below(jitter))).await;
        }
        if let Some(left) = &mut self.left {
            let most = usize::try_from(*left).unwrap_or(usize::MAX);
            bytes = &bytes[..bytes.len().min(most)];
            *left -= bytes.len() as u64;
        }
        while self.fault() == Some(Fault::Trickle) && !bytes.is_empty() {
            self.to.write_all(&bytes[..1]).await?;
            bytes = &bytes[1..];
            // The other direction, and whoever reads the byte, have their turn.
            tokio::task::yield_now().await;
        }
        self.to.write_all(bytes).await
    }

    fn fault(&self) -> Option<Fault> {
        self.orders.borrow().map(|(fault, _)| fault)
    }

    async fn end(mut self) -> Result<(), End> {
        self.to.shutdown().await.map_err(|_| End::Reset)
    }
}
