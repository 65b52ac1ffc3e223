//! How a client checks a server.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::{TlsConnector, rustls::WantsVerifier};

use super::{BadPem, HTTP1, TlsError, TlsStream, pem, provider};
use crate::error::Error;

/// How a client checks the server that it connects to. Cheap to clone; clones share their sessions, so that a second
/// connection to a server is made faster.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trusts what the platform trusts, and checks by its rules.
    ///
    /// On Unix systems other than Apple's and Android each call reads the platform's authorities from its files: make
    /// one, and clone it. The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` say where else they are.
    ///
    /// # Errors
    ///
    /// This machine's: it has no authorities ([`TlsError::NoPlatformRoots`]).
    pub fn platform() -> Result<Self, TlsError> {
        let platform = |error| TlsError::NoPlatformRoots(Box::new(error));
        Ok(Self::from_builder(builder()?.with_platform_verifier().map_err(platform)?))
    }

    /// Trusts these authorities alone: one certificate or more, in PEM. A certificate that signed itself is its own
    /// authority.
    ///
    /// # Errors
    ///
    /// Yours: there is no certificate, or one that cannot be read ([`TlsError::Certificates`]).
    pub fn with_ca_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(pem).map_err(TlsError::Certificates)? {
            roots.add(certificate).map_err(|error| TlsError::Certificates(BadPem::content(error)))?;
        }
        Ok(Self::from_builder(builder()?.with_root_certificates(roots)))
    }

    /// As [`with_ca_pem`](Self::with_ca_pem), from a file, which is read now and blockingly.
    ///
    /// # Errors
    ///
    /// As [`with_ca_pem`](Self::with_ca_pem), naming the file.
    pub fn with_ca_file(file: impl AsRef<Path>) -> Result<Self, TlsError> {
        let file = file.as_ref();
        let pem = pem::read(file).map_err(TlsError::Certificates)?;
        Self::with_ca_pem(&pem).map_err(|error| match error {
            TlsError::Certificates(bad) => TlsError::Certificates(bad.of_file(file)),
            error => error,
        })
    }

    /// Does not check who the server is: everybody in between can read and change all that is said. For tests, or for
    /// those who compare the server's certificate themselves.
    ///
    /// The server still proves that it has the key of the certificate that it shows.
    ///
    /// # Errors
    ///
    /// None that is known: [`TlsError::Other`].
    pub fn dangerous_without_verification() -> Result<Self, TlsError> {
        let anyone = Arc::new(Anyone(provider()));
        Ok(Self::from_builder(builder()?.dangerous().with_custom_certificate_verifier(anyone)))
    }

    /// Checks as a configuration of rustls says, which is taken as it is: ALPN is yours to set, to `http/1.1` or not at
    /// all.
    #[must_use]
    pub const fn from_rustls(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }

    fn from_builder(builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Self {
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        Self(Arc::new(config))
    }

    /// Makes TLS on a stream that leads to the server of this name: a host name, an IPv4 address, or an IPv6 address
    /// without brackets. Has no time limit of its own.
    ///
    /// # Errors
    ///
    /// The server's: its certificate, or its TLS ([`Error::Tls`]). Yours: the name. Or the transport's.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.shake_hands(host, stream, &[HTTP1]).await
    }

    /// As [`connect`](Self::connect), and asks for HTTP/2 first, whatever the configuration asks for.
    #[cfg(feature = "h2")]
    pub(crate) async fn connect_http2<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = (*self.0).clone();
        config.alpn_protocols = vec![crate::http2::ALPN.to_vec(), HTTP1.to_vec()];
        Self(Arc::new(config)).shake_hands(host, stream, &[crate::http2::ALPN, HTTP1]).await
    }

    /// TLS with one of these protocols, or without any.
    async fn shake_hands<S>(&self, host: &str, stream: S, protocols: &[&[u8]]) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let invalid = |_| TlsError::InvalidServerName(host.to_owned());
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let stream = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(other) if !protocols.contains(&other) => {
                Err(TlsError::OtherProtocol(Some(String::from_utf8_lossy(other).into_owned())).into())
            }
            _ => Ok(TlsStream::new(stream)),
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

/// Takes any certificate for the right one.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
