//! What can go wrong with TLS, and whose fault it was.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, InvalidMessage, PeerMisbehaved};

use super::BadPem;
use crate::error::Error;

/// What went wrong with TLS. Each variant says whose fault it was; "the peer" is the server, seen from a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer's: its certificate has expired.
    Expired {
        /// How long ago, by the clock of this machine; where the platform tells it.
        ago: Option<Duration>,
    },
    /// The peer's: its certificate is not valid yet. Or the clock of this machine is wrong.
    NotYetValid {
        /// In what time it will be, by the clock of this machine; where the platform tells it.
        until: Option<Duration>,
    },
    /// The peer's, or yours: its certificate is issued by an authority that is not trusted here.
    UnknownIssuer,
    /// The peer's, or yours: its certificate is for another name than the one that was connected to.
    WrongName {
        /// The name that was connected to; empty where the platform does not tell it.
        expected: String,
        /// The names that the certificate is for, as the peer wrote them; empty where it has none, or the platform does
        /// not tell them.
        presented: Vec<String>,
    },
    /// The peer's: its certificate has been revoked.
    Revoked,
    /// The peer's: its certificate is not right in another way.
    BadCertificate(Box<CertificateError>),
    /// The two ends have no protocol in common: the client offered some by ALPN (RFC 7301), and `http/1.1` is not among
    /// them; or the server does not have it.
    NoCommonProtocol,
    /// The server's: it chose another protocol than `http/1.1` by ALPN; which one, where it is known. (At a client.)
    OtherProtocol(Option<String>),
    /// The peer's: what it sent is not TLS at all.
    NotTls,
    /// The peer's: it broke TLS, or has no version or algorithm of it that is allowed here.
    Peer(Box<rustls::Error>),
    /// The peer ended the connection with this alert: something here is not to its liking.
    Alert(AlertDescription),
    /// Yours: the certificates that were given.
    Certificates(BadPem),
    /// Yours: the key that was given.
    Key(BadPem),
    /// Yours: the key does not belong to the certificate.
    KeyMismatch {
        /// The key's file, where it was one.
        key: Option<PathBuf>,
    },
    /// Yours: this is neither a host name nor an IP address, so no certificate can be for it.
    InvalidServerName(String),
    /// This machine's: the authorities that it trusts cannot be had.
    NoPlatformRoots(Box<rustls::Error>),
    /// Something else, in the words of rustls.
    Other(Box<rustls::Error>),
}

impl TlsError {
    /// Whether a connection failed by it, and not what was given for one.
    pub(crate) const fn ends_connection(&self) -> bool {
        !matches!(
            self,
            Self::Certificates(_)
                | Self::Key(_)
                | Self::KeyMismatch { .. }
                | Self::InvalidServerName(_)
                | Self::NoPlatformRoots(_)
        )
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(error) => error.into(),
            E::NoApplicationProtocol | E::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                Self::NoCommonProtocol
            }
            E::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => Self::OtherProtocol(None),
            E::AlertReceived(alert) => Self::Alert(alert),
            E::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::InvalidMessage(_)
            | E::NoCertificatesPresented
            | E::DecryptError
            | E::PeerIncompatible(_)
            | E::PeerMisbehaved(_)
            | E::PeerSentOversizedRecord => Self::Peer(Box::new(error)),
            error => Self::Other(Box::new(error)),
        }
    }
}

impl From<CertificateError> for TlsError {
    fn from(error: CertificateError) -> Self {
        use CertificateError as C;
        match error {
            C::Expired => Self::Expired { ago: None },
            C::ExpiredContext { time, not_after } => Self::Expired { ago: Some(between(not_after, time)) },
            C::NotValidYet => Self::NotYetValid { until: None },
            C::NotValidYetContext { time, not_before } => Self::NotYetValid { until: Some(between(time, not_before)) },
            C::UnknownIssuer => Self::UnknownIssuer,
            C::NotValidForName => Self::WrongName { expected: String::new(), presented: Vec::new() },
            C::NotValidForNameContext { expected, presented } => Self::WrongName {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| bare(name)).collect(),
            },
            C::Revoked => Self::Revoked,
            error => Self::BadCertificate(Box::new(error)),
        }
    }
}

fn between(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

/// A name without what rustls writes around it, `DnsName("example.com")` or `IpAddress(0::1)`; an address as usual.
fn bare(name: &str) -> String {
    let inside = |start: &str, end: &str| name.strip_prefix(start)?.strip_suffix(end);
    match (inside("DnsName(\"", "\")"), inside("IpAddress(", ")")) {
        (Some(name), _) => name.to_owned(),
        (_, Some(address)) => address.parse().map_or_else(|_| address.to_owned(), |ip: IpAddr| ip.to_string()),
        _ => name.to_owned(),
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { ago } => {
                f.write_str("the peer's certificate has expired")?;
                ago.map_or(Ok(()), |ago| write!(f, " {} ago, by the clock of this machine", Span(ago)))
            }
            Self::NotYetValid { until } => {
                f.write_str("the peer's certificate is not valid yet")?;
                until.map_or(Ok(()), |until| write!(f, ", but in {}, by the clock of this machine", Span(until)))
            }
            Self::UnknownIssuer => f.write_str(
                "the peer's certificate is issued by an authority that is not trusted here: if it should be, give that \
                 authority's certificate, as to `ClientTls::with_ca_pem`",
            ),
            Self::WrongName { expected, presented } => write_names(f, expected, presented),
            Self::Revoked => f.write_str("the peer's certificate has been revoked"),
            Self::BadCertificate(error) => {
                write!(f, "the peer's certificate is not right: {}", Error::printable(&error.to_string()))
            }
            Self::NoCommonProtocol => f.write_str("the client and the server have no protocol in common (ALPN)"),
            Self::OtherProtocol(None) => f.write_str("the server chose a protocol that was not offered (ALPN)"),
            Self::OtherProtocol(Some(name)) => {
                write!(f, "the server chose the protocol {}, not http/1.1 (ALPN)", Error::printable(name))
            }
            Self::NotTls => f.write_str("what the peer sent is not TLS: is one of the two set to ws://, without TLS?"),
            Self::Peer(error) => {
                write!(f, "the peer's TLS is not acceptable: {}", Error::printable(&error.to_string()))
            }
            Self::Alert(alert) => write_alert(f, *alert),
            Self::Certificates(bad) => write!(f, "the certificates cannot be used: {bad}"),
            Self::Key(bad) => write!(f, "the key cannot be used: {bad}"),
            Self::KeyMismatch { key: None } => f.write_str("the key does not belong to the certificate"),
            Self::KeyMismatch { key: Some(file) } => {
                let file = file.to_string_lossy();
                write!(f, "the key does not belong to the certificate: {}", Error::printable(&file))
            }
            Self::InvalidServerName(name) => {
                write!(f, "this is neither a host name nor an IP address: {}", Error::printable(name))
            }
            Self::NoPlatformRoots(error) => write!(f, "this machine's trusted authorities cannot be had: {error}"),
            Self::Other(error) => write!(f, "TLS failed: {}", Error::printable(&error.to_string())),
        }
    }
}

/// How many names of a certificate are shown: some have hundreds.
const NAMES_SHOWN: usize = 8;

fn write_names(f: &mut fmt::Formatter<'_>, expected: &str, presented: &[String]) -> fmt::Result {
    f.write_str("the peer's certificate is for another name")?;
    if expected.is_empty() {
        return Ok(());
    }
    write!(f, ": not for {}, but for ", Error::printable(expected))?;
    for (index, name) in presented.iter().take(NAMES_SHOWN).enumerate() {
        write!(f, "{}{}", if index == 0 { "" } else { ", " }, Error::printable(name))?;
    }
    match presented.len() {
        0 => f.write_str("none"),
        1..=NAMES_SHOWN => Ok(()),
        more => write!(f, " and {} more", more - NAMES_SHOWN),
    }
}

fn write_alert(f: &mut fmt::Formatter<'_>, alert: AlertDescription) -> fmt::Result {
    f.write_str(match alert {
        AlertDescription::UnknownCA => "the peer does not trust the authority of the certificate here",
        AlertDescription::CertificateExpired => "the certificate here has expired, says the peer",
        AlertDescription::CertificateRevoked => "the certificate here has been revoked, says the peer",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => "the peer does not accept the certificate here",
        AlertDescription::CertificateRequired => "the peer wants a certificate, and there is none here",
        AlertDescription::UnrecognisedName => "the peer is not known by the name that was connected to",
        AlertDescription::ProtocolVersion => "the peer has no version of TLS that is allowed here",
        AlertDescription::HandshakeFailure => "the peer accepts none of the algorithms that are allowed here",
        _ => "the peer ended TLS",
    })?;
    match alert.as_str() {
        Some(name) => write!(f, " (alert {} {name})", u8::from(alert)),
        None => write!(f, " (alert {})", u8::from(alert)),
    }
}

/// A span of time, roughly.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (unit, name) = match seconds {
            0..120 => (1, "seconds"),
            120..7_200 => (60, "minutes"),
            7_200..172_800 => (3_600, "hours"),
            _ => (86_400, "days"),
        };
        write!(f, "{} {name}", seconds / unit)
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Peer(error) | Self::NoPlatformRoots(error) | Self::Other(error) => Some(error.as_ref()),
            Self::Certificates(bad) | Self::Key(bad) => Some(bad),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::pki_types::ServerName;

    #[test]
    fn each_says_what_happened_and_by_whom() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let names = |count: usize| (0..count).map(|index| format!("DnsName(\"{index}.example\")")).collect();
        let wrong = |presented| {
            let expected = ServerName::try_from("a.example").unwrap();
            TlsError::from(CertificateError::NotValidForNameContext { expected, presented })
        };
        let clock = "by the clock of this machine";
        for (error, text) in [
            (CertificateError::Expired.into(), "the peer's certificate has expired".to_owned()),
            (
                CertificateError::ExpiredContext { time: at(300_000), not_after: at(100_000) }.into(),
                format!("the peer's certificate has expired 2 days ago, {clock}"),
            ),
            (CertificateError::NotValidYet.into(), "the peer's certificate is not valid yet".to_owned()),
            (
                CertificateError::NotValidYetContext { time: at(0), not_before: at(7_199) }.into(),
                format!("the peer's certificate is not valid yet, but in 119 minutes, {clock}"),
            ),
            (CertificateError::Revoked.into(), "the peer's certificate has been revoked".to_owned()),
            (
                CertificateError::UnknownIssuer.into(),
                "the peer's certificate is issued by an authority that is not trusted here: if it should be, give that \
                 authority's certificate, as to `ClientTls::with_ca_pem`"
                    .to_owned(),
            ),
            (CertificateError::NotValidForName.into(), "the peer's certificate is for another name".to_owned()),
            (wrong(names(0)), "the peer's certificate is for another name: not for a.example, but for none".to_owned()),
            (
                wrong(vec!["DnsName(\"b\")".into(), "IpAddress(0::1)".into(), "Other".into()]),
                "the peer's certificate is for another name: not for a.example, but for b, ::1, Other".to_owned(),
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::UnknownCA).into(),
                "the peer does not trust the authority of the certificate here (alert 48 UnknownCA)".to_owned(),
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::Unknown(200)).into(),
                "the peer ended TLS (alert 200)".to_owned(),
            ),
            (
                rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol).into(),
                "the server chose a protocol that was not offered (ALPN)".to_owned(),
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
        assert!(wrong(names(10)).to_string().ends_with(", 7.example and 2 more"));
    }

    #[test]
    fn t13_a_certificate_does_nothing_to_a_log() {
        let presented = vec!["DnsName(\"a\u{1b}[2J\r\n\u{202e}\")".to_owned()];
        let expected = ServerName::try_from("a.example").unwrap();
        let error = Error::Tls(CertificateError::NotValidForNameContext { expected, presented }.into());
        assert!(error.to_string().ends_with(r"a\u{1b}[2J\r\n\u{202e}"), "{error}");
        let error = Error::Tls(TlsError::OtherProtocol(Some("h2\u{1b}[2J".to_owned())));
        assert!(error.to_string().contains(r"h2\u{1b}[2J,"), "{error}");
    }

    #[test]
    fn an_error_of_tls_is_found_in_one_of_the_transport() {
        let inside = rustls::Error::InvalidCertificate(CertificateError::Revoked);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, inside);
        assert!(matches!(Error::from(error), Error::Tls(TlsError::Revoked)));
        assert!(matches!(Error::from(std::io::Error::other("x")), Error::Io(_)));
        let error = Error::from(std::io::Error::other(rustls::Error::DecryptError));
        assert!(matches!(&error, Error::Tls(TlsError::Peer(_))), "{error}");
        assert!(error.source().unwrap().is::<rustls::Error>());
    }
}
