//! What a server decides about a request, and what it shows to one who wants no WebSocket.

use std::borrow::Cow;

use wsproto::handshake::{Headers, HttpVersion, InvalidHeader, ResponseHead};

/// The body of a response with status 421.
pub(crate) const MISDIRECTED: &str = "this server does not answer for this host\n";

/// A server's decision about a request: accept it, or reject it with a status.
///
/// ```
/// use wsproto_io::Decision;
///
/// let accept = Decision::accept().subprotocol("chat");
/// let reject = Decision::reject(401).header("WWW-Authenticate", "Bearer")?.body("who are you?\n");
/// # Ok::<(), wsproto::handshake::InvalidHeader>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decision {
    /// `None` accepts.
    pub(crate) status: Option<u16>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Decision {
    /// Accepts the request.
    #[must_use]
    pub const fn accept() -> Self {
        Self { status: None, subprotocol: None, headers: Headers::new(), body: Vec::new() }
    }

    /// Rejects the request with this status, 200 to 599; the connection ends with it.
    #[must_use]
    pub const fn reject(status: u16) -> Self {
        Self { status: Some(status), subprotocol: None, headers: Headers::new(), body: Vec::new() }
    }

    /// Agrees on this subprotocol, which must be one that the client offered. (A rejection has none.)
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// Adds a header to the response.
    ///
    /// # Errors
    ///
    /// Yours: the name or the value cannot be written.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// The body of the rejection. Its length is announced; its type is a header of yours. (An acceptance has none.)
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// A page, for one who asks for no WebSocket: a response of HTTP/1.1, behind which the connection ends.
///
/// ```
/// use wsproto_io::Page;
///
/// let page = Page::html("<!doctype html><title>Hello</title>").header("Cache-Control", "no-cache")?;
/// # Ok::<(), wsproto::handshake::InvalidHeader>(())
/// ```
#[derive(Clone, Debug)]
pub struct Page {
    status: u16,
    headers: Headers,
    body: Cow<'static, [u8]>,
}

impl Page {
    /// A page of HTML in UTF-8, with status 200.
    #[must_use]
    pub fn html(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(200, "text/html; charset=utf-8", text.into())
    }

    /// A page of plain text in UTF-8, with status 200.
    #[must_use]
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(200, "text/plain; charset=utf-8", text.into())
    }

    /// What is answered where there is no page.
    pub(crate) fn not_found() -> Self {
        Self::new(404, "text/plain; charset=utf-8", Cow::Borrowed("there is no such page\n"))
    }

    /// What is answered to one who wants another host.
    pub(crate) fn misdirected() -> Self {
        Self::new(421, "text/plain; charset=utf-8", Cow::Borrowed(MISDIRECTED))
    }

    fn new(status: u16, content_type: &str, text: Cow<'static, str>) -> Self {
        let body = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        // The value is one of ours.
        let headers = Headers::new().with("Content-Type", content_type).unwrap_or_default();
        Self { status, headers, body }
    }

    /// Adds a header, such as `Content-Security-Policy`. Its length and the end of the connection are announced already.
    ///
    /// # Errors
    ///
    /// Yours: the name or the value cannot be written.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// The response: its head, and its body. `None` where it cannot be written.
    pub(crate) fn into_response(mut self, version: HttpVersion) -> Option<(ResponseHead, Cow<'static, [u8]>)> {
        if version == HttpVersion::Http11 {
            self.headers.push("Connection", "close").ok()?;
        }
        self.headers.push("Content-Length", self.body.len().to_string()).ok()?;
        Some((ResponseHead::new(self.status, self.headers).ok()?, self.body))
    }
}
