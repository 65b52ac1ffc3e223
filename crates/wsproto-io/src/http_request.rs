//! A target as the `http` crate has it.

use http::{Method, Request, Uri, Version, header};
use wsproto::handshake::LocalHandshakeError;

use crate::error::{Error, InvalidTarget};
use crate::target::{IntoTarget, Schemes, Target};

impl IntoTarget for Request<()> {
    fn into_target(self) -> Result<Target, Error> {
        if self.method() != Method::GET {
            return Err(InvalidTarget::Method.into());
        }
        if self.version() != Version::HTTP_11 {
            return Err(InvalidTarget::HttpVersion.into());
        }
        let mut target = self.uri().into_target()?;
        let request = &mut target.request;
        for (name, value) in self.headers() {
            match *name {
                header::HOST
                | header::CONNECTION
                | header::UPGRADE
                | header::SEC_WEBSOCKET_KEY
                | header::SEC_WEBSOCKET_VERSION => {}
                header::SEC_WEBSOCKET_EXTENSIONS => return Err(InvalidTarget::Extensions.into()),
                header::SEC_WEBSOCKET_PROTOCOL => {
                    let names = value.to_str().map_err(|_| LocalHandshakeError::Subprotocol)?;
                    request.subprotocols.extend(names.split(',').map(|name| name.trim().to_owned()));
                }
                header::ORIGIN => {
                    let origin = value.to_str().map_err(|_| LocalHandshakeError::Origin)?;
                    if request.origin.replace(origin.to_owned()).is_some() {
                        return Err(LocalHandshakeError::Origin.into());
                    }
                }
                _ => request.headers.push(name.as_str(), value)?,
            }
        }
        Ok(target)
    }
}

impl IntoTarget for Uri {
    fn into_target(self) -> Result<Target, Error> {
        (&self).into_target()
    }
}

impl IntoTarget for &Uri {
    fn into_target(self) -> Result<Target, Error> {
        Target::parse(&self.to_string(), Schemes::Http)
    }
}

#[cfg(test)]
mod tests {
    use wsproto::handshake::{ClientHandshake, InvalidUrl};

    use super::*;

    #[test]
    fn a_uri_is_a_target() {
        for (uri, authority, path, secure) in [
            ("ws://h:81/a?b", "h:81", "/a?b", false),
            ("http://h", "h", "/", false),
            ("https://h?x", "h", "/?x", true),
            ("WSS://h:443/", "h", "/", true),
        ] {
            let uri: Uri = uri.parse().unwrap();
            for target in [(&uri).into_target().unwrap(), uri.clone().into_target().unwrap()] {
                let request = target.request().unwrap();
                let found = (request.authority.as_str(), request.path.as_str(), request.secure);
                assert_eq!(found, (authority, path, secure), "{uri}");
            }
        }
        let uri: Uri = "wss://u:p@h/".parse().unwrap();
        assert_eq!(uri.into_target().unwrap().request().unwrap().headers.text("Authorization"), Some("Basic dTpw"));
        for uri in ["/a", "h:80", "*", "ftp://h/"] {
            let error = uri.parse::<Uri>().unwrap().into_target().unwrap_err();
            let scheme = LocalHandshakeError::Url(InvalidUrl::Scheme);
            assert!(matches!(&error, Error::Handshake(other) if *other == scheme), "{uri}: {error:?}");
        }
    }

    #[test]
    fn the_headers_of_a_request_go_to_the_server_but_for_the_handshakes() {
        let request = Request::builder()
            .uri("ws://u:p@h/")
            .header("Host", "elsewhere")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", "chat, super")
            .header("Sec-WebSocket-Protocol", "third")
            .header("Origin", "https://o")
            .header("Cookie", "a=b")
            .header("Cookie", "c=d")
            .header("Authorization", "Bearer t")
            .body(())
            .unwrap();
        let request = request.into_target().unwrap().request().unwrap();
        assert_eq!(request.subprotocols, ["chat", "super", "third"]);
        assert_eq!(request.origin.as_deref(), Some("https://o"));
        let fields: Vec<(&str, &[u8])> = request.headers.iter().collect();
        assert_eq!(fields, [("cookie", &b"a=b"[..]), ("cookie", b"c=d"), ("authorization", b"Bearer t")]);
        assert!(ClientHandshake::new(request, [0; 16]).is_ok());
    }

    #[test]
    fn a_request_for_something_else_is_refused() {
        let refused = |build: fn(http::request::Builder) -> http::request::Builder| {
            build(Request::builder().uri("ws://h/")).body(()).unwrap().into_target().unwrap_err()
        };
        let error = refused(|request| request.method("POST"));
        assert!(matches!(error, Error::Target(InvalidTarget::Method)), "{error:?}");
        for error in [refused(|request| request.version(Version::HTTP_2)), refused(|it| it.version(Version::HTTP_10))] {
            assert!(matches!(error, Error::Target(InvalidTarget::HttpVersion)), "{error:?}");
        }
        let error = refused(|request| request.header("Sec-WebSocket-Extensions", "permessage-deflate"));
        assert!(matches!(error, Error::Target(InvalidTarget::Extensions)), "{error:?}");
        assert!(error.to_string().contains("`ConnectOptions::compression`"), "{error}");
        let error = refused(|request| request.header("Origin", "a").header("Origin", "b"));
        assert!(matches!(error, Error::Handshake(LocalHandshakeError::Origin)), "{error:?}");
        let error = refused(|request| request.header("Sec-WebSocket-Protocol", &b"\xff"[..]));
        assert!(matches!(error, Error::Handshake(LocalHandshakeError::Subprotocol)), "{error:?}");
    }

    /// The handshake itself refuses what belongs to it.
    #[test]
    fn other_headers_of_the_connection_are_refused_by_the_handshake() {
        for name in ["Content-Length", "Transfer-Encoding", "TE", "Keep-Alive", "Sec-WebSocket-Accept"] {
            let request = Request::builder().uri("ws://h/").header(name, "0").body(()).unwrap();
            let request = request.into_target().unwrap().request().unwrap();
            let error = ClientHandshake::new(request, [0; 16]).unwrap_err();
            assert_eq!(error, LocalHandshakeError::ReservedHeader, "{name}");
        }
    }
}
