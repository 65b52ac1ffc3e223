//! Where a client goes: a server, what is asked of it, and the credentials that a URL holds.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use wsproto::handshake::{ClientRequest, Headers, InvalidHeader, InvalidUrl};

use crate::error::{Error, InvalidTarget};

/// What a client connects to: a URL as `&str` or `String`; with the feature `http` also an `http::Uri` or an
/// `http::Request<()>`, which may have headers.
///
/// A URL is `ws://[user[:password]@]host[:port][/path][?query]`, or `wss` for TLS (RFC 6455 §3). User information becomes
/// Basic authentication (RFC 7617), percent-decoded; over `ws` everybody on the way can read it. A header `Authorization`
/// of yours takes its place.
///
/// An `http::Uri` may also begin with `http://` or `https://`, which then stand for `ws` and `wss`. Of an
/// `http::Request` the method is GET and the version HTTP/1.1, as they are by default, and the headers go to the server,
/// but for these:
///
/// - `Host`, `Connection`, `Upgrade`, `Sec-WebSocket-Key` and `Sec-WebSocket-Version` are ignored: the handshake writes its
///   own.
/// - `Sec-WebSocket-Protocol` and `Origin` count as if they were given as options.
/// - `Sec-WebSocket-Extensions` is an error: see [`InvalidTarget::Extensions`].
pub trait IntoTarget {
    /// The target.
    ///
    /// # Errors
    ///
    /// Yours: this is no URL of a WebSocket, or no request for one.
    fn into_target(self) -> Result<Target, Error>;
}

/// A server that a client can connect to, and what is asked of it. [`IntoTarget`] makes one.
///
/// Its `Debug` shows neither the password of the URL nor any value of a header.
#[derive(Clone)]
pub struct Target {
    pub(crate) request: ClientRequest,
    /// The value of `Authorization` that the URL's user information makes.
    pub(crate) credentials: Option<String>,
}

impl Target {
    /// The target of a URL. Its scheme is one of RFC 6455, or with `Schemes::Http` one of HTTP, too.
    pub(crate) fn parse(url: &str, schemes: Schemes) -> Result<Self, Error> {
        let (secure, rest) = schemes.split(url).ok_or(InvalidUrl::Scheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // The last `@` ends the user information, which cannot hold one.
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((user_info, authority)) => (basic(user_info)?, authority),
            None => (None, authority),
        };
        Ok(Self { request: client_request(secure, authority, path)?, credentials })
    }

    /// Whether the server is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.request.secure
    }

    /// The host to connect to: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        // (A target has a valid authority.)
        self.request.host().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.request.port().unwrap_or_default()
    }

    /// Where it leads, for a log: without the query and the user information, where secrets stand, and not longer than 200
    /// bytes.
    pub(crate) fn place(&self) -> String {
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        let path = self.request.path.split('?').next().unwrap_or_default();
        let place = format!("{scheme}://{}{path}", self.request.authority);
        // (A target is ASCII.)
        place.get(..200).map(str::to_owned).unwrap_or(place)
    }

    /// Adds the headers that were given as options, so that [`redirect`](Self::redirect) takes care of them, too.
    pub(crate) fn add_headers(&mut self, headers: &Headers) -> Result<(), InvalidHeader> {
        headers.iter().try_for_each(|(name, value)| self.request.headers.push(name, value))
    }

    /// The request, complete but for the options: with the `Authorization` of the URL, unless the headers have one.
    ///
    /// Do not log it: unlike the target it shows what its headers hold.
    pub(crate) fn request(&self) -> Result<ClientRequest, InvalidHeader> {
        let mut request = self.request.clone();
        if let Some(credentials) = self.credentials.as_ref().filter(|_| !request.headers.contains("Authorization")) {
            request.headers.push("Authorization", credentials)?;
        }
        Ok(request)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("secure", &self.request.secure)
            .field("authority", &self.request.authority)
            .field("path", &self.request.path)
            .field("credentials", &self.credentials.is_some())
            .field("origin", &self.request.origin)
            .field("subprotocols", &self.request.subprotocols)
            .field("headers", &self.request.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<Target, Error> {
        Target::parse(self, Schemes::WebSocket)
    }
}

impl IntoTarget for String {
    fn into_target(self) -> Result<Target, Error> {
        self.as_str().into_target()
    }
}

impl IntoTarget for &String {
    fn into_target(self) -> Result<Target, Error> {
        self.as_str().into_target()
    }
}

impl IntoTarget for Target {
    fn into_target(self) -> Result<Target, Error> {
        Ok(self)
    }
}

/// Which schemes a URL may have.
#[derive(Clone, Copy)]
pub(crate) enum Schemes {
    /// `ws` and `wss`.
    WebSocket,
    /// Also `http` and `https`, where HTTP speaks of itself.
    Http,
}

impl Schemes {
    /// Whether TLS is asked for, and what follows `://`.
    pub(crate) fn split(self, url: &str) -> Option<(bool, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let known = match self {
            Self::WebSocket => &[("ws", false), ("wss", true)][..],
            Self::Http => &[("ws", false), ("wss", true), ("http", false), ("https", true)],
        };
        // "Although schemes are case-insensitive [...]" (RFC 3986 §3.1).
        let (_, secure) = known.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known))?;
        Some((*secure, rest))
    }
}

/// The core is the judge of what a URL is.
pub(crate) fn client_request(secure: bool, authority: &str, path: &str) -> Result<ClientRequest, Error> {
    let scheme = if secure { "wss" } else { "ws" };
    Ok(ClientRequest::from_url(&format!("{scheme}://{authority}{path}"))?)
}

/// `Basic`, and the base64 of `user:password` (RFC 7617 §2). The bytes are those of the URL, decoded, whatever their
/// charset. `None` where both are empty.
fn basic(user_info: &str) -> Result<Option<String>, InvalidTarget> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    let (mut pair, password) = (decode(user)?, decode(password)?);
    // "[...] a user-id containing a colon character is invalid".
    if pair.contains(&b':') {
        return Err(InvalidTarget::UserInfo);
    }
    pair.push(b':');
    pair.extend(password);
    // "The user-id and password MUST NOT contain any control characters".
    if pair.iter().any(u8::is_ascii_control) {
        return Err(InvalidTarget::UserInfo);
    }
    Ok(Some(format!("Basic {}", STANDARD.encode(pair))))
}

/// `userinfo = *( unreserved / pct-encoded / sub-delims / ":" )` (RFC 3986 §3.2.1), decoded.
fn decode(text: &str) -> Result<Vec<u8>, InvalidTarget> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'%' => {
                [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte),
        };
        if !valid {
            return Err(InvalidTarget::UserInfo);
        }
    }
    Ok(percent_decode_str(text).collect())
}

#[cfg(test)]
mod tests {
    use wsproto::handshake::LocalHandshakeError;

    use super::*;

    fn authorization(url: &str) -> Option<String> {
        let request = url.into_target().unwrap().request().unwrap();
        request.headers.text("Authorization").map(str::to_owned)
    }

    fn basic_of(pair: &[u8]) -> Option<String> {
        Some(format!("Basic {}", STANDARD.encode(pair)))
    }

    #[test]
    fn a_url_says_where_to_go() {
        let target = "WSS://user:pass@[::1]:9001?q=1".to_owned().into_target().unwrap();
        assert_eq!((target.is_secure(), target.host(), target.port()), (true, "::1", 9001));
        let request = target.clone().into_target().unwrap().request().unwrap();
        assert_eq!((request.authority.as_str(), request.path.as_str()), ("[::1]:9001", "/?q=1"));
        let target = (&"ws://example.com:80".to_owned()).into_target().unwrap();
        assert_eq!((target.is_secure(), target.host(), target.port()), (false, "example.com", 80));
        assert_eq!(target.request().unwrap().authority, "example.com");
    }

    #[test]
    fn user_information_becomes_basic_authentication() {
        // The example of RFC 7617 §2, and that of §2.1.
        assert_eq!(authorization("ws://Aladdin:open%20sesame@h/").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(authorization("ws://test:123%C2%A3@h/").unwrap(), "Basic dGVzdDoxMjPCow==");
        for (url, pair) in [
            ("ws://u@h/", &b"u:"[..]),
            ("ws://u:@h/", b"u:"),
            ("ws://:p@h/", b":p"),
            ("ws://u:a:b%3Ac@h/", b"u:a:b:c"),
            ("ws://u%40x:p%2F%3f%23@h/", b"u@x:p/?#"),
            ("ws://u:+!$&'()*,;=-._~@h/", b"u:+!$&'()*,;=-._~"),
            ("ws://u:%ff@h/", b"u:\xff"),
        ] {
            assert_eq!(authorization(url), basic_of(pair), "{url}");
        }
        for url in ["ws://h/", "ws://@h/", "ws://:@h/", "ws://h/a@b", "ws://h/?u:p@x"] {
            assert_eq!(authorization(url), None, "{url}");
        }
    }

    #[test]
    fn what_is_no_user_information_is_refused() {
        for user_info in [
            "a%3Ab:p",
            "u:%00",
            "u%0D%0A:p",
            "u:%7f",
            "u:%1b",
            "a@b:p",
            "u:%",
            "u:%4",
            "u:%zz",
            "u:%+1",
            "u:p p",
            "ü:p",
            "u:[",
            // Some take a backslash for a slash: the host would be another one.
            "evil.com\\",
            "u\\:p",
            "u:\n",
        ] {
            let error = format!("ws://{user_info}@h/").into_target().unwrap_err();
            assert!(matches!(error, Error::Target(InvalidTarget::UserInfo)), "{user_info:?}: {error:?}");
        }
    }

    #[test]
    fn the_callers_authorization_takes_the_place_of_the_urls() {
        let mut target = "ws://u:p@h/".into_target().unwrap();
        target.add_headers(&Headers::from_fields([("X", "y"), ("authorization", "Bearer t")]).unwrap()).unwrap();
        let headers = target.request().unwrap().headers;
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("X", &b"y"[..]), ("authorization", b"Bearer t")]);
    }

    #[test]
    fn the_error_says_which_rule_was_broken() {
        for (url, rule) in [
            ("", InvalidUrl::Scheme),
            ("h", InvalidUrl::Scheme),
            ("http://h/", InvalidUrl::Scheme),
            ("https://h/", InvalidUrl::Scheme),
            ("ws://", InvalidUrl::Authority),
            ("ws://u:p@/", InvalidUrl::Authority),
            ("ws://u:p@h:x/", InvalidUrl::Authority),
            ("ws://u:p@h/#f", InvalidUrl::Fragment),
            ("ws://h#u@h", InvalidUrl::Fragment),
            ("ws://u:p@h/a b", InvalidUrl::Path),
        ] {
            let error = url.into_target().unwrap_err();
            assert!(matches!(&error, Error::Handshake(LocalHandshakeError::Url(other)) if *other == rule), "{url}");
        }
        let error = "https://h/".into_target().unwrap_err();
        assert!(error.to_string().contains("ws:// or wss://"), "{error}");
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let mut target = "ws://ann:hunter2@h/".into_target().unwrap();
        target.add_headers(&Headers::from_fields([("Cookie", "hunter2")]).unwrap()).unwrap();
        let shown = format!("{target:?}");
        let encoded = STANDARD.encode("ann:hunter2");
        assert!(!shown.contains("hunter2") && !shown.contains(&encoded), "{shown}");
        assert!(shown.contains("credentials: true") && shown.contains("Cookie"), "{shown}");
        for url in [
            "hunter2",
            "ftp://u:hunter2@h/",
            "ws://u:hunter2@/",
            "ws://u:hunter2@h:x/",
            "ws://u:hunter2 @h/",
            "ws://u:hunter2@h/#",
            "ws://u:hunter2@h/ ",
            "ws://u%3a:hunter2@h/",
        ] {
            let error = url.into_target().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
