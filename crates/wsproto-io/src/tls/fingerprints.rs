//! A certificate in 32 bytes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio_rustls::rustls::server::ParsedCertificate;

use super::{BadPem, TlsError, pem};

/// What others know a certificate by, such as browsers that are told to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fingerprints {
    /// The SHA-256 of the certificate in DER.
    pub certificate: [u8; 32],
    /// The SHA-256 of its public key (the DER of its `SubjectPublicKeyInfo`), which outlives a renewal of the
    /// certificate with the same key.
    pub public_key: [u8; 32],
}

impl Fingerprints {
    /// Those of the first certificate in this PEM.
    ///
    /// # Errors
    ///
    /// Yours: there is no certificate, or it cannot be read ([`TlsError::Certificates`]).
    pub fn of_pem(certificates: &[u8]) -> Result<Self, TlsError> {
        let certificates = pem::certificates(certificates).map_err(TlsError::Certificates)?;
        let first = &certificates[0];
        let parsed = ParsedCertificate::try_from(first);
        let parsed = parsed.map_err(|error| TlsError::Certificates(BadPem::content(error)))?;
        Ok(Self { certificate: sha256(first)?, public_key: sha256(&parsed.subject_public_key_info())? })
    }

    /// The public key's in Base64, as a pin of RFC 7469 §2.4 is written.
    #[must_use]
    pub fn public_key_pin(&self) -> String {
        BASE64_STANDARD.encode(self.public_key)
    }
}

/// By the hash of a cipher suite of TLS, which spares a dependency.
fn sha256(bytes: &[u8]) -> Result<[u8; 32], TlsError> {
    let hash = TLS13_AES_128_GCM_SHA256.tls13().map(|suite| suite.common.hash_provider.hash(bytes));
    let hash = hash.and_then(|hash| hash.as_ref().try_into().ok());
    hash.ok_or_else(|| tokio_rustls::rustls::Error::General("no SHA-256".into()).into())
}
