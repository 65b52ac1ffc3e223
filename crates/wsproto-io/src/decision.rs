//! What a server decides about a request.

use wsproto::handshake::{Headers, InvalidHeader};

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
