//! The names by which a server lets itself be called.

use wsproto::handshake::http1::PlainRequest;
use wsproto::handshake::{ClientRequest, InvalidUrl, Request};

/// Hosts, each with a port or for any port. `None`: any host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Option<Vec<(String, Option<u16>)>>);

impl Hosts {
    pub(crate) fn parse<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidUrl> {
        let parsed = names.into_iter().map(|name| {
            let name = name.as_ref();
            // It is one where it is all of the authority of a URL.
            let request = ClientRequest::from_url(&format!("ws://{name}/")).map_err(|_| InvalidUrl::Authority)?;
            if request.authority != name || request.path != "/" {
                return Err(InvalidUrl::Authority);
            }
            let (host, port) = split(name);
            Ok((host.to_owned(), port))
        });
        Ok(Self(Some(parsed.collect::<Result<_, _>>()?)))
    }

    pub(crate) fn allow(&self, request: &Request) -> bool {
        self.has(request.authority())
    }

    pub(crate) fn allow_page(&self, request: &PlainRequest) -> bool {
        self.has(request.headers().text("Host").unwrap_or_default())
    }

    fn has(&self, authority: &str) -> bool {
        let Some(hosts) = &self.0 else { return true };
        let (host, port) = split(authority);
        // "The host subcomponent is case-insensitive" (RFC 3986 §3.2.2).
        hosts.iter().any(|(own, wanted)| own.eq_ignore_ascii_case(host) && (wanted.is_none() || *wanted == port))
    }
}

/// Host and port of an authority that is valid. (Behind the last colon of an address in brackets stands no number alone.)
fn split(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h16_a_host_is_let_in_with_its_port_or_with_any() {
        let hosts = Hosts::parse(["localhost", "example.com:8443", "[::1]", "[2001:db8::1]:81"]).unwrap();
        for host in ["localhost", "LOCALHOST:9001", "localhost:", "Example.com:8443", "[::1]", "[::1]:9001"] {
            assert!(hosts.has(host), "{host}");
        }
        assert!(hosts.has("[2001:DB8::1]:81"));
        for host in
            ["", "evil.example", "localhost.evil.example", "example.com", "example.com:443", "[::2]", "[2001:db8::1]"]
        {
            assert!(!hosts.has(host), "{host}");
        }
        assert!(Hosts::default().has("evil.example"));
        assert!(!Hosts::parse::<&str>([]).unwrap().has("localhost"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for name in ["", "http://a", "a/", "a/b", "a?b", "u@a", "a b", "*.a:b", "a:65536", "::1", "a#b"] {
            assert!(Hosts::parse([name]).is_err(), "{name}");
        }
    }
}
