//! The client's side of the opening handshake, without I/O: what is asked for, and what comes back.

use std::time::Duration;

use wsproto::OsRandom;
use wsproto::handshake::http1::{self, RejectionBody, ResponseReader};
use wsproto::handshake::{Accepted, ClientHandshake, ClientRequest, Headers, Outcome, ResponseError, ResponseHead};

use crate::error::{Error, Rejected};
use crate::options::Common;

/// What a client can choose.
#[derive(Clone, Debug)]
pub(crate) struct Connecting {
    pub(crate) common: Common,
    pub(crate) headers: Headers,
    pub(crate) origin: Option<String>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) nodelay: bool,
    pub(crate) rejection_limit: u64,
}

impl Default for Connecting {
    fn default() -> Self {
        Self {
            common: Common::default(),
            headers: Headers::new(),
            origin: None,
            subprotocols: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            nodelay: true,
            rejection_limit: RejectionBody::DEFAULT_LIMIT,
        }
    }
}

impl Connecting {
    /// Begins a handshake: the bytes of the request, and what reads the answer. The request has its headers already.
    pub(crate) fn open(&self, request: ClientRequest, random: OsRandom) -> Result<(Vec<u8>, Opening), Error> {
        let handshake = ClientHandshake::new(self.complete(request), random.nonce())?;
        let mut out = Vec::new();
        http1::write_request(&handshake, &mut out)?;
        let reader = ResponseReader::new(handshake, self.common.head_limits);
        let state = State::Head(reader, Vec::new());
        Ok((out, Opening { state, rejection_limit: self.rejection_limit, follows: false }))
    }

    /// The request with what was chosen for all.
    pub(crate) fn complete(&self, mut request: ClientRequest) -> ClientRequest {
        request.origin = self.origin.clone().or(request.origin);
        request.subprotocols.extend(self.subprotocols.iter().cloned());
        request.extensions.extend(self.common.extensions.iter().cloned());
        request
    }
}

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Opening {
    state: State,
    rejection_limit: u64,
    /// Whether a redirect will be followed: nobody wants its body.
    pub(crate) follows: bool,
}

#[derive(Debug)]
enum State {
    Head(ResponseReader, Vec<u8>),
    Rejection(Rejection),
}

/// A rejection whose body is being read.
#[derive(Debug)]
struct Rejection {
    head: ResponseHead,
    reader: RejectionBody,
    body: Vec<u8>,
}

/// What the server said.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The WebSocket is open; with the bytes that followed the head.
    Open(Accepted, Vec<u8>),
    /// It is not.
    Rejected(Error),
}

impl Opening {
    /// Takes what was read. `None`: there is more to read.
    pub(crate) fn receive(&mut self, piece: &[u8]) -> Result<Option<Answer>, Error> {
        let (reader, bytes) = match &mut self.state {
            State::Head(reader, bytes) => (reader, bytes),
            State::Rejection(rejection) => return Ok(rejection.receive(piece)),
        };
        bytes.extend_from_slice(piece);
        match reader.receive(bytes)? {
            None => Ok(None),
            Some((Outcome::Accepted(accepted), length)) => Ok(Some(Answer::Open(accepted, bytes.split_off(length)))),
            Some((Outcome::Rejected(head), length)) => {
                let first = bytes.split_off(length);
                let reader = RejectionBody::new(&head, self.rejection_limit)?;
                let mut rejection = Rejection { head, reader, body: Vec::new() };
                let answer = if self.follows && rejection.is_redirect() {
                    Some(Answer::Rejected(rejection.finish(false)))
                } else {
                    rejection.receive(&first)
                };
                self.state = State::Rejection(rejection);
                Ok(answer)
            }
        }
    }

    /// The transport has ended. A rejection whose head came tells more than what writing failed with (`unwritten`).
    pub(crate) fn end(&mut self, unwritten: Option<Error>) -> Error {
        match &mut self.state {
            State::Rejection(rejection) => {
                let complete = rejection.reader.receive_eof().is_ok();
                rejection.finish(complete)
            }
            State::Head(..) => unwritten.unwrap_or_else(|| ResponseError::UnexpectedEof.into()),
        }
    }

    /// The transport has failed, or took too long. What came of a rejection until then tells more.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        match &mut self.state {
            State::Rejection(rejection) => rejection.finish(false),
            State::Head(..) => error,
        }
    }
}

impl Rejected {
    /// A server sends a GET elsewhere with these statuses (RFC 9110 §15.4), and with a `Location`.
    pub(crate) fn redirect(&self) -> Option<&str> {
        redirect(self.status, &self.headers)
    }
}

fn redirect(status: u16, headers: &Headers) -> Option<&str> {
    if matches!(status, 301 | 302 | 303 | 307 | 308) { headers.text("Location") } else { None }
}

impl Rejection {
    fn receive(&mut self, mut bytes: &[u8]) -> Option<Answer> {
        loop {
            let Ok((consumed, data)) = self.reader.receive(bytes) else {
                return Some(Answer::Rejected(self.finish(false)));
            };
            self.body.extend_from_slice(&data.data);
            bytes = bytes.get(consumed..).unwrap_or_default();
            if data.body_finished {
                return Some(Answer::Rejected(self.finish(true)));
            }
            if bytes.is_empty() {
                return None;
            }
        }
    }

    fn is_redirect(&self) -> bool {
        redirect(self.head.status(), self.head.headers()).is_some()
    }

    fn finish(&mut self, complete: bool) -> Error {
        Error::Rejected(Box::new(Rejected {
            status: self.head.status(),
            headers: self.head.headers().clone(),
            body: std::mem::take(&mut self.body),
            truncated: self.reader.is_truncated() || !complete,
        }))
    }
}

/// The setters of a client's options, for the public builder that holds a [`Connecting`] in `connecting`.
macro_rules! connecting_setters {
    () => {
        crate::options::common_setters!(connecting.common);

        /// Adds a header to the request, such as `Cookie` or `Authorization`.
        ///
        /// # Errors
        ///
        /// Yours: the name or the value cannot be written.
        pub fn header(
            mut self,
            name: &str,
            value: impl AsRef<[u8]>,
        ) -> Result<Self, wsproto::handshake::InvalidHeader> {
            self.connecting.headers.push(name, value)?;
            Ok(self)
        }

        /// The origin that the client acts for, where it acts like a browser.
        #[must_use]
        pub fn origin(mut self, origin: impl Into<String>) -> Self {
            self.connecting.origin = Some(origin.into());
            self
        }

        /// Offers a subprotocol, in order of preference.
        #[must_use]
        pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
            self.connecting.subprotocols.push(name.into());
            self
        }

        /// The time to find the server's addresses and connect to one of them; default 10 s.
        #[must_use]
        pub const fn connect_timeout(mut self, time: std::time::Duration) -> Self {
            self.connecting.connect_timeout = time;
            self
        }

        /// Whether small messages leave at once (`TCP_NODELAY`); default: yes.
        #[must_use]
        pub const fn nodelay(mut self, on: bool) -> Self {
            self.connecting.nodelay = on;
            self
        }

        /// How much of a rejection's body is read, in bytes; default 64 KiB.
        #[must_use]
        pub const fn rejection_limit(mut self, bytes: u64) -> Self {
            self.connecting.rejection_limit = bytes;
            self
        }
    };
}
pub(crate) use connecting_setters;
