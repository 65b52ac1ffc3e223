//! Who a server is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

use super::{BadPem, HTTP1, TlsError, TlsStream, pem, provider};
use crate::error::Error;

/// The certificate and the key by which a server shows who it is. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// Whether it is one of a user's, to be taken as it is.
    #[cfg(feature = "h2")]
    is_given: bool,
}

impl ServerTls {
    /// A certificate, followed by those between it and its authority, and its key, all in PEM. The key may be PKCS #8,
    /// PKCS #1 or SEC 1: RSA, ECDSA or Ed25519.
    ///
    /// # Errors
    ///
    /// Yours: the certificates ([`TlsError::Certificates`]), the key ([`TlsError::Key`]), or that the two do not
    /// belong together ([`TlsError::KeyMismatch`]).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let certificates = pem::certificates(certificates).map_err(TlsError::Certificates)?;
        let key = pem::key(key).map_err(TlsError::Key)?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = builder.with_no_client_auth();
        let mut config = builder.with_single_cert(certificates, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch { key: None },
            error @ rustls::Error::InvalidCertificate(_) => TlsError::Certificates(BadPem::content(error)),
            error => TlsError::Key(BadPem::content(error)),
        })?;
        config.alpn_protocols = vec![HTTP1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            #[cfg(feature = "h2")]
            is_given: false,
        })
    }

    /// As [`from_pem`](Self::from_pem), from two files, which are read now and blockingly. Who replaces them calls this
    /// again.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), naming the file.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let files = (certificates.as_ref(), key.as_ref());
        let certificates = pem::read(files.0).map_err(TlsError::Certificates)?;
        let key = pem::read(files.1).map_err(TlsError::Key)?;
        Self::from_pem(&certificates, &key).map_err(|error| match error {
            TlsError::Certificates(bad) => TlsError::Certificates(bad.of_file(files.0)),
            TlsError::Key(bad) => TlsError::Key(bad.of_file(files.1)),
            TlsError::KeyMismatch { .. } => TlsError::KeyMismatch { key: Some(files.1.to_owned()) },
            error => error,
        })
    }

    /// The same, which agrees on HTTP/2 where the client can. (A configuration that was given as it is stays so.)
    #[cfg(feature = "h2")]
    pub(crate) fn with_http2(self) -> Self {
        if self.is_given {
            return self;
        }
        let mut config = (*self.config).clone();
        config.alpn_protocols.insert(0, crate::http2::ALPN.to_vec());
        Self { config: Arc::new(config), ..self }
    }

    /// A configuration of rustls, which is taken as it is: ALPN is yours to set, to `http/1.1` or not at all; for `serve`
    /// with HTTP/2 also to `h2`.
    #[must_use]
    pub const fn from_rustls(config: Arc<ServerConfig>) -> Self {
        Self {
            config,
            #[cfg(feature = "h2")]
            is_given: true,
        }
    }

    /// Makes TLS on a stream from a client, and gives the stream inside, for a WebSocket to be accepted on. Has no time
    /// limit of its own.
    ///
    /// # Errors
    ///
    /// The client's: its TLS, or that it does not trust this server ([`Error::Tls`]). Or the transport's. Under TLS 1.3 a
    /// client checks the server last: that it does not trust it may be told by the first read instead.
    pub async fn accept<S>(&self, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Ok(TlsStream::new(TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await?))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
