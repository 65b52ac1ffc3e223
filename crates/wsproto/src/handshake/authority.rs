//! Host and port (RFC 3986 §3.2), as in `Host`, `:authority` and an origin.

use core::net::{Ipv4Addr, Ipv6Addr};

/// An authority without user information: `host` or `host:port`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<'a> {
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` where it is not `uri-host [ ":" port ]` with a host that is not empty (RFC 9110 §7.2, §4.2.1).
    ///
    /// User information is refused (RFC 9110 §4.2.4), and so is everything else that is not a name of letters,
    /// digits and `-._~!$&'()*+,;=%`, or an address in brackets.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracket) => {
                let end = bracket.find(']')?;
                bracket[..end].parse::<Ipv6Addr>().ok()?;
                text.split_at(end + 2)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
        if host.is_empty() || !(host.starts_with('[') || host.bytes().all(is_name_byte)) {
            return None;
        }
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            // "port = *DIGIT": an empty port is the default port (RFC 3986 §3.2.3).
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both name the same host and port, where `default` is the port of one that has none.
    pub(super) fn is_same(self, other: Authority<'_>, default: u16) -> bool {
        self.port.unwrap_or(default) == other.port.unwrap_or(default) && same_host(self.host, other.host)
    }
}

/// "The host subcomponent is case-insensitive" (RFC 3986 §3.2.2); addresses are compared as numbers.
fn same_host(a: &str, b: &str) -> bool {
    let v6 = |host: &str| host.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    match (v6(a), v6(b)) {
        (None, None) => match (a.parse::<Ipv4Addr>(), b.parse::<Ipv4Addr>()) {
            (Ok(a), Ok(b)) => a == b,
            _ => a.eq_ignore_ascii_case(b),
        },
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_come_apart() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("Example.com:8080", "Example.com", Some(8080)),
            ("example.com:", "example.com", None),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:9001", "[2001:db8::1]", Some(9001)),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("a_b~c", "a_b~c", None),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host, authority.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for text in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:80:80",
            "a:+80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "u:p@a",
            "a\\b",
            "[::1",
            "::1",
            "[]",
            "[a]",
            "[::1]x",
            "[::1]80",
            "a]",
            "[::1%eth0]",
            "é",
            "a\r\nb",
            "a\0",
            "\"a\"",
            "<a>",
            "a:٣",
        ] {
            assert!(Authority::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_compared_whole() {
        let same = |a, b| Authority::parse(a).unwrap().is_same(Authority::parse(b).unwrap(), 80);
        assert!(same("EXAMPLE.com:80", "example.com"));
        assert!(same("[::1]", "[0:0:0:0:0:0:0:1]:80"));
        for (a, b) in [("a.com", "evil-a.com"), ("a.com", "a.com.evil"), ("a.com:81", "a.com"), ("[::1]", "localhost")]
        {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
