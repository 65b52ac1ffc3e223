//! Who the server is, for TLS.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use wsproto_io::tls::{Fingerprints, ServerTls};

/// The certificate with its key, and what others know it by.
pub(super) struct Identity {
    pub(super) tls: ServerTls,
    fingerprints: Fingerprints,
}

/// How long a certificate is valid that was made for one run.
const VALID: Duration = Duration::from_secs(90 * 86_400);

/// How far the clock of a client may be behind.
const SKEW: Duration = Duration::from_secs(3_600);

impl Identity {
    pub(super) fn from_files(certificates: &Path, key: &Path) -> Result<Self, Box<dyn Error>> {
        let tls = ServerTls::from_files(certificates, key)?;
        let pem = std::fs::read(certificates).map_err(|error| format!("{}: {error}", certificates.display()))?;
        Ok(Self { tls, fingerprints: Fingerprints::of_pem(&pem)? })
    }

    /// A key and a certificate that nobody but itself signs, for this machine's own names and this address.
    pub(super) fn self_signed(address: IpAddr) -> Result<Self, Box<dyn Error>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.subject_alt_names.extend(names(address).into_iter().map(SanType::IpAddress));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "wsproto serve");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        params.not_before = now - SKEW;
        params.not_after = now + VALID;
        let certificate = params.self_signed(&key)?.pem();
        let tls = ServerTls::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes())?;
        Ok(Self { tls, fingerprints: Fingerprints::of_pem(certificate.as_bytes())? })
    }
}

/// The addresses of a server that listens on this one. Who listens on all of them has no address that is called so.
fn names(address: IpAddr) -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    if !address.is_unspecified() && !addresses.contains(&address) {
        addresses.push(address);
    }
    addresses
}

/// Two lines: what a client, or a browser, is told to trust this certificate alone.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("certificate SHA-256: ")?;
        for (index, byte) in self.fingerprints.certificate.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        writeln!(f, "\npublic key pin (SPKI SHA-256): {}", self.fingerprints.public_key_pin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_addresses_that_can_be_connected_to() {
        let [v4, v6, own] = ["127.0.0.1", "::1", "192.0.2.1"].map(|address| address.parse::<IpAddr>().unwrap());
        for (address, expected) in [("0.0.0.0", None), ("::", None), ("127.0.0.1", None), ("192.0.2.1", Some(own))] {
            let expected: Vec<_> = [v4, v6].into_iter().chain(expected).collect();
            assert_eq!(names(address.parse().unwrap()), expected, "{address}");
        }
    }
}
