//! What can be chosen for a connection, the same at both ends and for all drivers.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wsproto::Limits;
use wsproto::extension::Extension;
use wsproto::extension::deflate::{CodecPool, PerMessageDeflate};
use wsproto::handshake::http1::HeadLimits;

/// What clients and servers can choose alike.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) extensions: Vec<Arc<dyn Extension>>,
    pub(crate) limits: Limits,
    pub(crate) head_limits: HeadLimits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            extensions: vec![Arc::new(PerMessageDeflate::new().pool(shared_pool()))],
            limits: Limits::default(),
            head_limits: HeadLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
        }
    }
}

/// The pool of all connections for which nobody chose another: options that are made anew for each connection are no reason to
/// keep codecs for each.
fn shared_pool() -> &'static CodecPool {
    /// Codecs of each kind: twice as many as by default, since clients and servers have other settings.
    const IDLE: usize = 2 * CodecPool::DEFAULT_IDLE;
    static POOL: OnceLock<CodecPool> = OnceLock::new();
    POOL.get_or_init(|| CodecPool::new(IDLE))
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("extensions", &self.extensions.iter().map(|extension| extension.name()).collect::<Vec<_>>())
            .field("limits", &self.limits)
            .field("head_limits", &self.head_limits)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("close_timeout", &self.close_timeout)
            .finish()
    }
}

/// When a peer that is silent is pinged, and when it counts as gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Duration,
    /// How long a peer may take nothing of what waits for it.
    pub(crate) stall: Option<Duration>,
}

impl Default for Keep {
    fn default() -> Self {
        let stall = Some(Duration::from_secs(60));
        Self { interval: Some(Duration::from_secs(20)), timeout: Duration::from_secs(20), stall }
    }
}

/// The setters that [`Common`] has, for the public builder that holds it in this field.
macro_rules! common_setters {
    ($($common:ident).+) => {
        /// Compresses with permessage-deflate (RFC 7692) where the peer does so, too; `None`: does not compress. Default:
        /// [`PerMessageDeflate::new`](wsproto::extension::deflate::PerMessageDeflate::new).
        ///
        /// Secrets beside text that an attacker chooses should not be compressed together (the attack is known as CRIME).
        #[must_use]
        pub fn compression(
            mut self,
            compression: impl Into<Option<wsproto::extension::deflate::PerMessageDeflate>>,
        ) -> Self {
            self.$($common).+.extensions.retain(|extension| extension.name() != "permessage-deflate");
            if let Some(deflate) = compression.into() {
                self.$($common).+.extensions.push(std::sync::Arc::new(deflate));
            }
            self
        }

        /// Adds an extension of one's own.
        #[must_use]
        pub fn extension(mut self, extension: std::sync::Arc<dyn wsproto::extension::Extension>) -> Self {
            self.$($common).+.extensions.push(extension);
            self
        }

        /// How much the peer may send: messages of 1 MiB by default.
        #[must_use]
        pub const fn limits(mut self, limits: wsproto::Limits) -> Self {
            self.$($common).+.limits = limits;
            self
        }

        /// How long the peer's head may be: 16 KiB and 64 headers by default, and 8 responses of 1xx before a server's.
        #[must_use]
        pub const fn head_limits(mut self, limits: wsproto::handshake::http1::HeadLimits) -> Self {
            self.$($common).+.head_limits = limits;
            self
        }

        /// The time for the whole handshake, not for each read of it; default 10 s.
        #[must_use]
        pub const fn handshake_timeout(mut self, time: std::time::Duration) -> Self {
            self.$($common).+.handshake_timeout = time;
            self
        }

        /// The time that the peer has to answer our Close, and then to end the transport; default 10 s.
        #[must_use]
        pub const fn close_timeout(mut self, time: std::time::Duration) -> Self {
            self.$($common).+.close_timeout = time;
            self
        }
    };
}
pub(crate) use common_setters;

/// The setters that [`Keep`] has, for the public builder that holds it in `keep`.
macro_rules! keepalive_setters {
    () => {
        /// How long the peer may be silent before it gets a Ping; `None`: for ever, it gets none. Default: 20 s.
        ///
        /// Any byte of the peer's is life. The clock is looked at while the application waits in the connection.
        #[must_use]
        pub fn ping_interval(mut self, interval: impl Into<Option<std::time::Duration>>) -> Self {
            self.keep.interval = interval.into();
            self
        }

        /// How long the peer may then be silent before it counts as gone; default 20 s. The time begins when the transport
        /// has taken the Ping, and anew with each byte that the transport takes or delivers; it stands still while nothing is
        /// read, because the application does not take what came before.
        #[must_use]
        pub const fn pong_timeout(mut self, time: std::time::Duration) -> Self {
            self.keep.timeout = time;
            self
        }

        /// How long the transport may take nothing while bytes wait for it; `None`: for ever, as long as it holds.
        /// Default: 60 s, as nginx gives between two writes (`send_timeout`). Then the connection ends with
        /// [`Timeout::Stalled`](crate::Timeout::Stalled): a peer that never reads cannot be pinged, and would keep its
        /// place and its full queue for ever.
        ///
        /// The time begins when the transport is full, and anew with each byte that it takes. A socket takes bytes again when
        /// about a third of the system's buffer is free, TLS when its own 64 KiB have left: a peer that reads less than
        /// that in this time counts as one that reads nothing.
        #[must_use]
        pub fn stall_timeout(mut self, time: impl Into<Option<std::time::Duration>>) -> Self {
            self.keep.stall = time.into();
            self
        }
    };
}
pub(crate) use keepalive_setters;
