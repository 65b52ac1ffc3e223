//! How a connection is opened, by whichever command: where to, what is asked for, and who is trusted.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use wsproto_io::tls::{ClientTls, TlsError};
use wsproto_io::{self as ws, ConnectOptions, Rejected};

/// What all commands that connect can be told about it.
#[derive(Debug, clap::Args)]
pub(crate) struct Opening {
    /// Where to connect, as `ws[s]://[user[:password]@]host[:port][/path]`
    pub(crate) url: String,
    /// A header of the request, as 'Name: value'; may be given several times
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// A subprotocol to offer; may be given several times, in order of preference
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Trust the authorities in this file alone, in PEM; also a server's certificate that signed itself [default: those
    /// that this machine trusts]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Do not check who the server of a wss:// URL is: anybody on the way can read and change everything
    #[arg(long)]
    insecure: bool,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    /// A hundred years.
    const MOST: f64 = 100.0 * 365.0 * 86_400.0;
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(if seconds > MOST { MOST } else { seconds }) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than zero".to_owned()),
    }
}

impl Opening {
    /// The driver's options for it, without a keepalive: nothing is sent that nobody asked for, and a slow server is waited
    /// for.
    pub(crate) fn options(&self, timeout: Duration) -> Result<ConnectOptions, String> {
        let mut options = ConnectOptions::new()
            .connect_timeout(timeout)
            .handshake_timeout(timeout)
            .close_timeout(timeout)
            .ping_interval(None)
            .stall_timeout(None);
        for header in &self.header {
            let (name, value) =
                header.split_once(':').ok_or_else(|| format!("--header {header:?}: a header is 'Name: value'"))?;
            if name.eq_ignore_ascii_case("origin") {
                options = options.origin(value.trim());
                continue;
            }
            options = options.header(name, value.trim()).map_err(|error| format!("--header {header:?}: {error}"))?;
        }
        for name in &self.subprotocol {
            options = options.subprotocol(name);
        }
        if let Some(file) = &self.ca {
            let wrong = |error: &dyn std::fmt::Display| format!("--ca {}: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
            options = options.tls(ClientTls::with_ca_pem(&pem).map_err(|error| wrong(&error))?);
        } else if self.insecure {
            options = options.tls(ClientTls::dangerous_without_verification().map_err(|error| error.to_string())?);
        }
        Ok(options)
    }

    /// What has to be said where the server is not checked.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        let secure = self.url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("wss"));
        (self.insecure && secure).then_some("warning: nobody has checked who the server is (--insecure)")
    }

    /// What went wrong, and how to go on where that is known.
    pub(crate) fn explain(&self, error: &ws::Error) -> String {
        match error {
            ws::Error::Rejected(rejected) => explain_rejection(rejected),
            ws::Error::Tls(TlsError::UnknownIssuer) => match &self.ca {
                Some(file) => format!("the server's certificate is issued by no authority in {}", file.display()),
                None => {
                    "the server's certificate is issued by an authority that is not trusted here: if it should be, \
                         give that authority's certificate with --ca FILE"
                        .to_owned()
                }
            },
            ws::Error::Tls(error @ TlsError::NoPlatformRoots(_)) => {
                format!("{error}: give the certificate of the server's authority with --ca FILE")
            }
            error => error.to_string(),
        }
    }

    /// The path of the URL, with its query. (Whether it is a URL is not asked here.)
    pub(crate) fn path(&self) -> String {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let path = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    }

    /// The URL without its user information, as it can be shown.
    pub(crate) fn shown_url(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // The last `@` ends it. Where there is no scheme, a password may hold anything.
        let shown = match (scheme, authority.rsplit_once('@')) {
            ("", _) => rest.rsplit_once('@').map_or(rest, |(_, rest)| rest).to_owned(),
            (_, None) => format!("{scheme}://{rest}"),
            (_, Some((_, host))) => format!("{scheme}://{host}{path}"),
        };
        ws::Error::printable(&shown).to_string()
    }
}

fn explain_rejection(rejected: &Rejected) -> String {
    if let (301 | 302 | 303 | 307 | 308, Some(location)) = (rejected.status, rejected.headers.text("Location")) {
        return format!(
            "the server redirects (status {}), which is not followed: connect to {}",
            rejected.status,
            ws::Error::printable(location)
        );
    }
    let shown = show_body(&String::from_utf8_lossy(&rejected.body), rejected.truncated);
    format!("the server rejected the request with status {}{shown}", rejected.status)
}

/// The beginning of a rejection's body, as it can be shown, and how much more there is.
fn show_body(body: &str, truncated: bool) -> String {
    let (shown, more) = beginning(body.trim());
    let mut text = if shown.is_empty() { String::new() } else { format!(": {}", ws::Error::printable(shown)) };
    if more > 0 {
        let least = if truncated { "at least " } else { "" };
        let _ = write!(text, " (and {least}{more} characters more)");
    }
    text
}

/// As much of a rejection's body is shown, in characters: it may be a whole page.
const SHOWN: usize = 1000;

/// The beginning of a text, and how many characters follow it.
fn beginning(text: &str) -> (&str, usize) {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => (&text[..end], text[end..].chars().count()),
        None => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_body_the_beginning_is_shown() {
        assert_eq!(show_body(" \n", false), "");
        let most = "é".repeat(1000);
        assert_eq!(show_body(&most, false), format!(": {most}"));
        let more = format!("{most}\u{1b}é\n");
        assert_eq!(show_body(&more, false), format!(": {most} (and 2 characters more)"));
        assert_eq!(show_body(&more, true), format!(": {most} (and at least 2 characters more)"));
    }

    fn opening(url: &str) -> Opening {
        Opening { url: url.to_owned(), header: vec![], subprotocol: vec![], ca: None, insecure: false }
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        for (url, path) in
            [("ws://h", "/"), ("ws://h/", "/"), ("ws://u:p@[::1]:80/a/b?c=/d?", "/a/b?c=/d?"), ("wss://h?x", "/?x")]
        {
            assert_eq!(opening(url).path(), path, "{url}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for (url, shown) in [
            ("ws://h/a@b", "ws://h/a@b"),
            ("wss://u:p@h:1/a@b?c@d", "wss://h:1/a@b?c@d"),
            ("ws://u:p@q@h", "ws://h"),
            ("u:p@h/", "h/"),
            ("u:p/q@h/", "h/"),
            ("h", "h"),
            ("ws://h/\u{1b}[2J", "ws://h/\\u{1b}[2J"),
        ] {
            assert_eq!(opening(url).shown_url(), shown);
        }
    }
}
