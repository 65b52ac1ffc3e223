//! The server's side of the opening handshake, without I/O: what is read, what is decided, what is answered.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wsproto::extension::Extension;
use wsproto::handshake::http1::{self, PlainRequest, RequestReader};
use wsproto::handshake::{
    AcceptConnection, Accepted, ErrorResponse, Headers, HttpVersion, OriginPolicy, RejectConnection, Request,
    RequestError, ResponseHead, ServerHandshake,
};

use crate::decision::{Decision, MISDIRECTED, Page};
use crate::error::Error;
use crate::hosts::Hosts;
use crate::options::Common;

/// What a server can choose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepting {
    pub(crate) common: Common,
    pub(crate) hosts: Hosts,
    pub(crate) origins: OriginPolicy,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) pages: Pages,
}

/// Who answers a plain GET.
#[derive(Clone, Default)]
pub(crate) struct Pages(pub(crate) Option<Arc<FindPage>>);

type FindPage = dyn Fn(&PlainRequest) -> Option<Page> + Send + Sync;

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Pages" } else { "None" })
    }
}

/// How long one who was refused may take to end the transport, when the answer was written.
pub(crate) const LINGER: Duration = Duration::from_millis(500);

/// The bytes to write before the transport ends, and what this end is told.
pub(crate) type Refused = (Vec<u8>, Error);

/// An answer that is no WebSocket, and what this end is told.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) head: ResponseHead,
    pub(crate) body: Cow<'static, [u8]>,
    pub(crate) error: Error,
}

impl Refusal {
    /// To a request that is none for a WebSocket.
    fn of(error: RequestError, version: HttpVersion) -> Self {
        let ErrorResponse { head, body } = error.response(version);
        Self { head, body: body.as_bytes().into(), error: error.into() }
    }

    /// Where the request was right and we are at fault.
    pub(crate) fn of_ours(handshake: &ServerHandshake, error: Error) -> Self {
        Self { error, ..reject(handshake, 500, Decision::reject(500)) }
    }

    fn into_bytes(self) -> Refused {
        let mut out = Vec::new();
        http1::write_response(&self.head, &mut out);
        out.extend_from_slice(&self.body);
        (out, self.error)
    }
}

impl Accepting {
    /// Reads requests.
    pub(crate) fn reading(&self) -> Reading {
        Reading { reader: RequestReader::new(self.common.head_limits), bytes: Vec::new() }
    }

    /// The answer to a request that is refused, or is no request for a WebSocket.
    pub(crate) fn refuse(&self, error: RequestError, plain: Option<&PlainRequest>, version: HttpVersion) -> Refusal {
        let (page, told) = match (&self.pages.0, plain) {
            (Some(_), Some(request)) if !self.hosts.allow_page(request) => (Page::misdirected(), Error::Declined(421)),
            (Some(pages), Some(request)) => (pages(request).unwrap_or_else(Page::not_found), Error::PlainRequest),
            _ => return Refusal::of(error, version),
        };
        match page.into_response(version) {
            Some((head, body)) => Refusal { head, body, error: told },
            None => Refusal::of(error, version),
        }
    }

    /// What is decided without asking: who wants another host, or is a page of an origin that is not let in, is rejected.
    pub(crate) fn prejudge(&self, request: &Request) -> Option<Decision> {
        if !self.hosts.allow(request) {
            return Some(Decision::reject(421).body(MISDIRECTED));
        }
        if self.origins.allows(request) {
            return None;
        }
        Some(Decision::reject(403).body("pages of this origin are not let in\n"))
    }

    /// The answer to a request over HTTP/1.1: the bytes to write, and what was agreed on.
    pub(crate) fn answer(
        &self,
        handshake: &ServerHandshake,
        decision: Decision,
    ) -> Result<(Vec<u8>, Accepted), Refused> {
        let accepted = self.judge(handshake, decision).map_err(|refusal| refusal.into_bytes())?;
        let mut out = Vec::new();
        http1::write_response(&accepted.response, &mut out);
        Ok((out, accepted))
    }

    /// The answer to a request, of any version of HTTP.
    pub(crate) fn judge(&self, handshake: &ServerHandshake, mut decision: Decision) -> Result<Accepted, Box<Refusal>> {
        if let Some(status) = decision.status {
            return Err(reject(handshake, status, decision).into());
        }
        if decision.subprotocol.is_none() {
            let mut offered = handshake.request().subprotocols();
            decision.subprotocol =
                offered.find(|name| self.subprotocols.iter().any(|own| own == name)).map(str::to_owned);
        }
        let extensions: Vec<&dyn Extension> = self.common.extensions.iter().map(AsRef::as_ref).collect();
        let accept = AcceptConnection {
            origins: &self.origins,
            subprotocol: decision.subprotocol.as_deref(),
            extensions: &extensions,
            headers: decision.headers,
        };
        handshake.accept(&accept).map_err(|error| Refusal::of_ours(handshake, error.into()).into())
    }
}

fn reject(handshake: &ServerHandshake, status: u16, decision: Decision) -> Refusal {
    let mut headers = decision.headers;
    if !decision.body.is_empty() && !headers.contains("Content-Type") {
        headers = headers.with("Content-Type", "text/plain; charset=utf-8").unwrap_or_else(|_| Headers::new());
    }
    let reject = RejectConnection { status, headers, content_length: Some(decision.body.len() as u64) };
    match handshake.reject(&reject) {
        Ok(head) => Refusal { head, body: decision.body.into(), error: Error::Declined(status) },
        // Yours: what was decided cannot be written. The client learns that it is not its fault.
        Err(error) => {
            let Refusal { head, .. } = Refusal::of(RequestError::NotWebSocket, handshake.request().version());
            let head = handshake.reject(&RejectConnection::new(500)).unwrap_or(head);
            Refusal { head, body: Cow::Borrowed(b""), error: error.into() }
        }
    }
}

/// A request that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    reader: RequestReader,
    bytes: Vec<u8>,
}

impl Reading {
    /// Takes what was read. Once the request is complete: it, and what follows it, the connection's first input.
    pub(crate) fn receive(
        &mut self,
        accepting: &Accepting,
        piece: &[u8],
    ) -> Result<Option<(ServerHandshake, Vec<u8>)>, Refused> {
        self.bytes.extend_from_slice(piece);
        match self.reader.receive(&self.bytes) {
            Ok(None) => Ok(None),
            Ok(Some((handshake, length))) => Ok(Some((handshake, self.bytes.split_off(length)))),
            Err(error) => Err(accepting.refuse(error, self.reader.plain_request(), HttpVersion::Http11).into_bytes()),
        }
    }
}

/// The setters of a server's options, for the public builder that holds an [`Accepting`] in `accepting`.
macro_rules! accepting_setters {
    () => {
        crate::options::common_setters!(accepting.common);

        /// Which origins are let in; the others are rejected with 403. Default: pages of the same host, and all that is not a
        /// page (and sends no `Origin`).
        #[must_use]
        pub fn origins(mut self, origins: wsproto::handshake::OriginPolicy) -> Self {
            self.accepting.origins = origins;
            self
        }

        /// Which hosts this server answers for, as `example.com`, whatever the port, or `example.com:8443`; an address of IPv6
        /// stands in brackets. (Clients leave out the port of the scheme: `example.com:443` is no client's host.) A request whose `Host` is another gets 421 ("Misdirected Request", RFC 9110 §15.5.20), also one
        /// for a [page](Self::pages). Default: any.
        ///
        /// To be chosen where it counts who can reach the server, as on a loopback address or in a private network: a page
        /// from elsewhere can let its own name lead there ("DNS rebinding"), and then is a page of the same host.
        ///
        /// # Errors
        ///
        /// Yours: one of these is no host.
        pub fn hosts<S: AsRef<str>>(
            mut self,
            hosts: impl IntoIterator<Item = S>,
        ) -> Result<Self, wsproto::handshake::InvalidUrl> {
            self.accepting.hosts = crate::hosts::Hosts::parse(hosts)?;
            Ok(self)
        }

        /// Adds a subprotocol that is spoken here. The first that the client offers and that is spoken here is agreed on,
        /// unless a decision names one.
        #[must_use]
        pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
            self.accepting.subprotocols.push(name.into());
            self
        }

        /// Answers a plain GET, which asks for no WebSocket, with a page; `None` is answered with 404. Default: every such
        /// request gets the status 426. The time to write it is that for the [handshake](Self::handshake_timeout).
        ///
        /// For example `options.pages(|request| (request.path() == "/").then(|| Page::html("<h1>Hello</h1>")))`.
        #[must_use]
        pub fn pages(
            mut self,
            pages: impl Fn(&wsproto::handshake::http1::PlainRequest) -> Option<crate::Page> + Send + Sync + 'static,
        ) -> Self {
            self.accepting.pages = crate::accepting::Pages(Some(std::sync::Arc::new(pages)));
            self
        }
    };
}
pub(crate) use accepting_setters;
