//! Where a redirect leads: a `Location` (RFC 9110 §10.2.2), resolved as RFC 3986 §5.2 says.

use wsproto::handshake::{ClientRequest, Headers, InvalidUrl, LocalHandshakeError};

use crate::error::{Error, RedirectError};
use crate::target::{Schemes, Target, client_request};

/// What is for one server only: it does not follow a redirect to another one.
const CREDENTIALS: [&str; 3] = ["Authorization", "Cookie", "Proxy-Authorization"];

impl Target {
    /// The target that a server's `Location` names, with the headers of this one.
    ///
    /// Where host or port differ (from `ws` to `wss`, too, unless both name the same port), the headers `Authorization`,
    /// `Cookie` and `Proxy-Authorization` stay behind, and so do the credentials of the URL. `http` and `https` stand for
    /// `ws` and `wss`. A fragment is ignored. User information is refused: "it is likely being used to obscure the
    /// authority for the sake of phishing attacks" (RFC 9110 §4.2.4).
    ///
    /// # Errors
    ///
    /// The server's: this leads to no WebSocket, or from TLS to a server without.
    pub(crate) fn redirect(&self, location: &str) -> Result<Self, Error> {
        let reference = location.split_once('#').map_or(location, |(reference, _)| reference);
        let found = self.resolve(reference).map_err(as_redirect_error)?;
        if self.request.secure && !found.secure {
            return Err(RedirectError::LeavesTls.into());
        }
        let mut target = self.clone();
        target.request =
            ClientRequest { secure: found.secure, authority: found.authority, path: found.path, ..target.request };
        if !target.host().eq_ignore_ascii_case(self.host()) || target.port() != self.port() {
            target.credentials = None;
            target.request.headers = without_credentials(&self.request.headers)?;
        }
        Ok(target)
    }

    /// The server and the path that a reference without a fragment names, seen from here (RFC 3986 §5.2.2).
    fn resolve(&self, reference: &str) -> Result<ClientRequest, Error> {
        let request = &self.request;
        let (secure, rest) = if has_scheme(reference) {
            let (secure, rest) = Schemes::Http.split(reference).ok_or(InvalidUrl::Scheme)?;
            (secure, Some(rest))
        } else {
            (request.secure, reference.strip_prefix("//"))
        };
        if let Some(rest) = rest {
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            return client_request(secure, authority, &remove_dot_segments(path));
        }
        let base = request.path.split_once('?').map_or(request.path.as_str(), |(path, _)| path);
        let path = match reference.as_bytes() {
            [] => request.path.clone(),
            [b'?', ..] => format!("{base}{reference}"),
            [b'/', ..] => remove_dot_segments(reference),
            // "[...] all but the last segment of the base URI's path" (§5.2.3).
            _ => {
                let directory = base.rfind('/').map_or("/", |slash| &base[..=slash]);
                remove_dot_segments(&format!("{directory}{reference}"))
            }
        };
        client_request(secure, &request.authority, &path)
    }
}

/// `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`, and a colon (RFC 3986 §3.1).
fn has_scheme(reference: &str) -> bool {
    let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_scheme_byte)
    })
}

/// Path and query, where `.` and `..` in the path are done (RFC 3986 §5.2.4). As it was where it begins with no `/`.
fn remove_dot_segments(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let Some(path) = path.strip_prefix('/') else { return reference.to_owned() };
    let mut kept = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // What ends with a dot segment names a directory.
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}

fn without_credentials(headers: &Headers) -> Result<Headers, Error> {
    let is_credential = |name: &str| CREDENTIALS.iter().any(|credential| name.eq_ignore_ascii_case(credential));
    Ok(Headers::from_fields(headers.iter().filter(|(name, _)| !is_credential(name)))?)
}

/// A URL that is not valid is the server's fault here.
fn as_redirect_error(error: Error) -> Error {
    match error {
        Error::Handshake(LocalHandshakeError::Url(error)) => RedirectError::Location(error).into(),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::IntoTarget as _;

    fn url(target: &Target) -> String {
        let scheme = if target.is_secure() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", target.request.authority, target.request.path)
    }

    /// Where a redirect from `base` to `location` leads.
    fn follow(base: &str, location: &str) -> String {
        url(&base.into_target().unwrap().redirect(location).unwrap())
    }

    /// The examples of RFC 3986 §5.4, without their fragments, and without the two that name another scheme.
    #[test]
    fn references_are_resolved_as_the_rfc_says() {
        for (location, expected) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g/"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("g;x?y#s", "ws://a/b/c/g;x?y"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../g", "ws://a/g"),
            ("../../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            (".g", "ws://a/b/c/.g"),
            ("g..", "ws://a/b/c/g.."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"),
            ("g;x=1/./y", "ws://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/./x", "ws://a/b/c/g?y/./x"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
            ("g#s/../x", "ws://a/b/c/g"),
        ] {
            assert_eq!(follow("ws://a/b/c/d;p?q", location), expected, "{location}");
        }
    }

    #[test]
    fn a_redirect_names_any_server_of_websockets() {
        for (location, expected) in [
            ("ws://b:81/x?y", "ws://b:81/x?y"),
            ("wss://b", "wss://b/"),
            ("HTTP://b/../x/./", "ws://b/x/"),
            ("https://b:443/", "wss://b/"),
            ("https://b?x", "wss://b/?x"),
            ("//b:82?x", "ws://b:82/?x"),
            ("//[::1]/", "ws://[::1]/"),
            ("/a:b", "ws://a/a:b"),
            ("./a:b", "ws://a/d/a:b"),
            ("/x//y/..//z", "ws://a/x///z"),
            ("x?http://b/", "ws://a/d/x?http://b/"),
        ] {
            assert_eq!(follow("ws://a/d/e?f", location), expected, "{location}");
        }
        assert_eq!(follow("wss://a:444/", "/x"), "wss://a:444/x");
        assert_eq!(follow("wss://a:444/", "//b/x"), "wss://b/x");
    }

    #[test]
    fn what_leads_nowhere_is_the_servers_fault() {
        for (location, rule) in [
            ("ftp://b/", InvalidUrl::Scheme),
            ("javascript:alert(1)", InvalidUrl::Scheme),
            ("http:/b", InvalidUrl::Scheme),
            ("http:x", InvalidUrl::Scheme),
            ("wss://", InvalidUrl::Authority),
            ("///x", InvalidUrl::Authority),
            ("//b:x/", InvalidUrl::Authority),
            ("//b\\x/", InvalidUrl::Authority),
            ("https://u:p@b/", InvalidUrl::UserInfo),
            ("//u@b/", InvalidUrl::UserInfo),
            ("/a b", InvalidUrl::Path),
            ("/é", InvalidUrl::Path),
            ("/a\r\nX: y", InvalidUrl::Path),
            (" /a", InvalidUrl::Path),
        ] {
            let error = "ws://a/".into_target().unwrap().redirect(location).unwrap_err();
            let expected = RedirectError::Location(rule);
            assert!(matches!(&error, Error::Redirect(other) if *other == expected), "{location}: {error:?}");
        }
    }

    #[test]
    fn t15_a_redirect_stays_on_tls() {
        let target = "wss://a/".into_target().unwrap();
        for location in ["ws://a/", "http://a/", "ws://a:443/", "http://b/"] {
            let error = target.redirect(location).unwrap_err();
            assert!(matches!(error, Error::Redirect(RedirectError::LeavesTls)), "{location}: {error:?}");
        }
        assert!(target.redirect("https://b/").unwrap().redirect("//c/").unwrap().is_secure());
    }

    #[test]
    fn t15_credentials_stay_with_their_server() {
        let headers = [("authorization", "a"), ("X-Y", "z"), ("COOKIE", "c"), ("Proxy-Authorization", "p")];
        let mut target = "ws://u:p@a/x".into_target().unwrap();
        target.add_headers(&Headers::from_fields(headers).unwrap()).unwrap();
        for location in ["/y", "//A/y", "http://a:80/y"] {
            let same = target.redirect(location).unwrap();
            assert_eq!(same.request().unwrap().headers, target.request().unwrap().headers, "{location}");
            assert_eq!(same.credentials, target.credentials, "{location}");
        }
        for location in ["ws://b/y", "//a:81/y", "https://a/y", "//a.b/y", "//xa/y"] {
            let other = target.redirect(location).unwrap();
            // Nor do they come back where a second redirect leads home.
            for target in [other.redirect("wss://a:80/").unwrap(), other] {
                let headers = target.request().unwrap().headers;
                assert_eq!(headers.iter().collect::<Vec<_>>(), [("X-Y", &b"z"[..])], "{location}");
            }
        }
    }

    #[test]
    fn what_was_asked_for_follows_a_redirect() {
        let mut target = "ws://a/".into_target().unwrap();
        target.request.origin = Some("https://o".to_owned());
        target.request.subprotocols = vec!["chat".to_owned()];
        let request = target.redirect("wss://b/c").unwrap().request().unwrap();
        assert_eq!((request.origin.as_deref(), request.subprotocols), (Some("https://o"), vec!["chat".to_owned()]));
    }
}
