//! What is answered to one who asks for no WebSocket.

use wsproto_io::Page;
use wsproto_io::wsproto::handshake::InvalidHeader;
use wsproto_io::wsproto::handshake::http1::PlainRequest;

/// The page for browsers, and the text for all others.
pub(super) struct Pages {
    html: Page,
    text: Page,
}

const HTML: &str = include_str!("../page.html");

const TEXT: &str = "This is a WebSocket echo server (wsproto serve).\n\
                    Connect with a WebSocket client: every message comes back.\n";

/// Nothing is loaded from elsewhere; WebSockets may go anywhere, also where a browser does not take `'self'` for them;
/// `data:` and `blob:` are the page's own pictures of what was received. What `default-src` does not stand for is named: no
/// other page frames this one, moves its base or takes a form's answers.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self' ws: wss:; img-src data: blob:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

impl Pages {
    pub(super) fn new() -> Result<Self, InvalidHeader> {
        let html = Page::html(HTML)
            .header("Content-Security-Policy", POLICY)?
            .header("X-Content-Type-Options", "nosniff")?
            .header("Referrer-Policy", "no-referrer")?
            .header("Cache-Control", "no-store")?;
        Ok(Self { html, text: Page::text(TEXT) })
    }

    pub(super) fn find(&self, request: &PlainRequest) -> Page {
        let wants_html = request.headers().values("Accept").any(takes_html);
        if request.path() == "/" && wants_html { self.html.clone() } else { self.text.clone() }
    }
}

/// Whether this value of `Accept` names HTML (RFC 9110 §12.5.1), as that of a browser does and `*/*` does not.
fn takes_html(accept: &[u8]) -> bool {
    accept.split(|&byte| byte == b',').any(|range| {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"));
        is_html && !parts.any(refuses)
    })
}

/// "a value of 0 means 'not acceptable'" (RFC 9110 §12.4.2); it may be written as `0.000`.
fn refuses(parameter: &[u8]) -> bool {
    match parameter {
        [b'q' | b'Q', b'=', b'0', decimals @ ..] => decimals.iter().all(|byte| b".0".contains(byte)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_takes_html_and_others_do_not_say_so() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "image/png, Text/HTML ;q=0.1",
            "text/html;charset=utf-8",
            "text/html;q=0.01",
        ] {
            assert!(takes_html(accept.as_bytes()), "{accept}");
        }
        for accept in ["*/*", "", "text/*", "text/html;q=0", "text/html; q=0.000", "text/htmlx", "application/json"] {
            assert!(!takes_html(accept.as_bytes()), "{accept}");
        }
    }
}
