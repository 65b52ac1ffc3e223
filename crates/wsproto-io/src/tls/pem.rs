//! Certificates and keys as they are kept: in PEM (RFC 7468).

use std::error::Error as StdError;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Error;

/// What is wrong with certificates or a key that were given, and in which file.
#[derive(Debug)]
pub struct BadPem {
    file: Option<PathBuf>,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Unreadable(io::Error),
    NoCertificate,
    NoKey,
    Encrypted,
    Pem(pem::Error),
    Content(rustls::Error),
}

impl BadPem {
    /// The file, where it was one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The PEM is right, and what it holds is not.
    pub(super) const fn content(error: rustls::Error) -> Self {
        Self { file: None, problem: Problem::Content(error) }
    }

    pub(super) fn of_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }
}

impl From<Problem> for BadPem {
    fn from(problem: Problem) -> Self {
        Self { file: None, problem }
    }
}

impl fmt::Display for BadPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", Error::printable(&file.to_string_lossy()))?;
        }
        match &self.problem {
            Problem::Unreadable(error) => error.fmt(f),
            Problem::NoCertificate => f.write_str("there is no certificate in it (-----BEGIN CERTIFICATE-----)"),
            Problem::NoKey => f.write_str("there is no private key in it (-----BEGIN PRIVATE KEY-----)"),
            Problem::Encrypted => f.write_str("the key is encrypted: decrypt it first"),
            Problem::Pem(error) => write!(f, "this is not PEM: {}", describe(error)),
            Problem::Content(error) => error.fmt(f),
        }
    }
}

/// The library's own words show lines as lists of numbers.
fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "the line -----END ...----- is missing".to_owned(),
        pem::Error::IllegalSectionStart { line } => {
            format!("wrong line: {}", Error::printable(String::from_utf8_lossy(line).trim()))
        }
        error => error.to_string(),
    }
}

impl StdError for BadPem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.problem {
            Problem::Unreadable(error) => Some(error),
            Problem::Pem(error) => Some(error),
            Problem::Content(error) => Some(error),
            _ => None,
        }
    }
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, BadPem> {
    fs::read(file).map_err(|error| BadPem::from(Problem::Unreadable(error)).of_file(file))
}

/// All certificates, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadPem> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(Problem::NoCertificate.into()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(Problem::Pem(error).into()),
    }
}

/// The first private key.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, BadPem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        // "ENCRYPTED PRIVATE KEY" of PKCS #8, or the older "Proc-Type: 4,ENCRYPTED".
        let encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
        match error {
            _ if encrypted => Problem::Encrypted.into(),
            pem::Error::NoItemsFound => Problem::NoKey.into(),
            error => Problem::Pem(error).into(),
        }
    })
}
