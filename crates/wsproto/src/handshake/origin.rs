//! Which origins a server lets in (RFC 6455 §10.2, RFC 6454).

use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use super::authority::Authority;
use super::request::Request;

/// Which origins may open a WebSocket. A browser lets any page connect to any server and sends its cookies along, so the
/// server must look at `Origin` ("cross-site WebSocket hijacking").
///
/// A request without an `Origin` passes under every policy: it does not come from a page in a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// The origin's host and port must be those of the request; a missing port is the default port of the origin's
    /// scheme, which must be `http` or `https`. (The scheme is not compared: behind a proxy that ends TLS a server
    /// cannot know its own.) The default.
    ///
    /// This believes what the request says of its host. A page can let its own name lead to this server ("DNS rebinding"),
    /// and then it is a page of that host. Where that counts, as on a loopback address or in a private network, compare
    /// [`Request::authority`] with the names that the server has, and reject others with 421.
    #[default]
    SameHost,
    /// The origin must be in the list.
    List(OriginList),
    /// Any origin passes, `null` included.
    Any,
}

impl OriginPolicy {
    /// The policy that lets these origins in, each in the form `https://example.com` or `https://example.com:8443`;
    /// `null` is an origin, too.
    ///
    /// # Errors
    ///
    /// When one of them is no origin, by the caller's fault: with a path or a trailing `/`, or without a scheme.
    pub fn list<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Result<Self, InvalidOrigin> {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        if origins.iter().all(|origin| origin == "null" || Origin::parse(origin).is_some()) {
            Ok(Self::List(OriginList(origins)))
        } else {
            Err(InvalidOrigin)
        }
    }

    /// Whether this policy lets the request in.
    #[must_use]
    pub fn allows(&self, request: &Request) -> bool {
        let Some(text) = request.origin() else { return true };
        match self {
            Self::Any => true,
            Self::SameHost => Origin::parse(text).is_some_and(|origin| origin.is_host(request.authority())),
            Self::List(list) => match Origin::parse(text) {
                Some(origin) => list.origins().filter_map(Origin::parse).any(|listed| listed.is_same(origin)),
                None => text == "null" && list.origins().any(|listed| listed == "null"),
            },
        }
    }
}

/// Origins that were checked ([`OriginPolicy::list`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginList(Vec<String>);

impl OriginList {
    fn origins(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A text that is not an origin was put into a list of origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin has the form `scheme://host` or `scheme://host:port`, without a path")
    }
}

impl Error for InvalidOrigin {}

/// `origin = scheme "://" host [ ":" port ]` (RFC 6454 §7.1).
#[derive(Clone, Copy)]
struct Origin<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let mut bytes = scheme.bytes();
        let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if is_scheme { Some(Self { scheme, authority: Authority::parse(authority)? }) } else { None }
    }

    /// The port of an origin that names none; `None` where the scheme is not that of a web page.
    fn default_port(self) -> Option<u16> {
        if self.scheme.eq_ignore_ascii_case("https") {
            Some(443)
        } else if self.scheme.eq_ignore_ascii_case("http") {
            Some(80)
        } else {
            None
        }
    }

    fn is_host(self, host: &str) -> bool {
        match (self.default_port(), Authority::parse(host)) {
            (Some(default), Some(host)) => self.authority.is_same(host, default),
            _ => false,
        }
    }

    fn is_same(self, other: Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority.is_same(other.authority, self.default_port().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{Headers, HttpVersion, RequestHead, ServerHandshake};

    fn request(host: &str, origin: Option<&str>) -> Request {
        let headers = Headers::from_fields([
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        let mut headers = headers.unwrap();
        if let Some(origin) = origin {
            headers.push("Origin", origin).unwrap();
        }
        let (version, method, path) = (HttpVersion::Http11, "GET", "/");
        let head = RequestHead { version, method, scheme: None, authority: None, path, protocol: None, headers };
        ServerHandshake::new(head).unwrap().request().clone()
    }

    #[test]
    fn a_list_lets_in_what_it_lists() {
        let policy = OriginPolicy::list(["https://example.com", "http://[::1]:9001", "app://here", "null"]).unwrap();
        let allows = |origin| policy.allows(&request("server", Some(origin)));
        for origin in ["https://example.com", "HTTPS://EXAMPLE.com:443", "http://[0::1]:9001", "app://here", "null"] {
            assert!(allows(origin), "{origin}");
        }
        for origin in [
            "http://example.com",
            "https://example.com:444",
            "https://example.com.evil",
            "https://evil-example.com",
            "https://server",
            "app://there",
            "http://[::1]",
            "",
            "NULL",
            "https://example.com/",
            "example.com",
        ] {
            assert!(!allows(origin), "{origin}");
        }
        let without_null = OriginPolicy::list(["https://example.com"]).unwrap();
        assert!(!without_null.allows(&request("server", Some("null"))));
        assert!(without_null.allows(&request("server", None)));
    }

    #[test]
    fn a_list_is_checked() {
        for origin in ["example.com", "https://example.com/", "https://a b", "*", "", "://x", "1a://x", "https://u@x"] {
            assert_eq!(OriginPolicy::list([origin]), Err(InvalidOrigin), "{origin}");
        }
    }

    #[test]
    fn any_origin_passes_only_where_it_was_said() {
        for origin in ["https://evil.com", "null", "", "what ever"] {
            assert!(OriginPolicy::Any.allows(&request("server", Some(origin))), "{origin}");
            assert!(!OriginPolicy::default().allows(&request("server", Some(origin))), "{origin}");
        }
    }
}
