//! Authorities and certificates for tests.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _, SanType,
    date_time_ymd,
};
use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// When a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub enum Dates {
    Past,
    Good,
    Future,
}

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for these names and addresses.
    pub fn leaf(&self, names: &[&str], dates: Dates) -> Leaf {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = match dates {
            Dates::Past => (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1)),
            Dates::Good => (date_time_ymd(2001, 1, 1), date_time_ymd(3001, 1, 1)),
            Dates::Future => (date_time_ymd(3000, 1, 1), date_time_ymd(3001, 1, 1)),
        };
        self.sign(&params)
    }

    /// A certificate for these as names of hosts, even where they look like addresses.
    pub fn leaf_of_names(&self, names: &[&str]) -> Leaf {
        let mut params = CertificateParams::default();
        let names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        params.subject_alt_names = names.collect();
        self.sign(&params)
    }

    /// The authority's own certificate and key, as if it were a server.
    pub fn as_leaf(&self) -> Leaf {
        Leaf::new(self.0.pem(), self.0.key())
    }

    fn sign(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf::new(certificate.pem(), &key)
    }
}

/// A server's certificate and its key, in PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
    /// The `SubjectPublicKeyInfo` in DER.
    pub public_key: Vec<u8>,
}

impl Leaf {
    fn new(certificate: String, key: &KeyPair) -> Self {
        Self { certificate, key: key.serialize_pem(), public_key: key.subject_public_key_info() }
    }

    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        Self::new(certificate.pem(), &key)
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()]
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = TLS13_AES_128_GCM_SHA256.tls13().unwrap().common.hash_provider.hash(bytes);
    hash.as_ref().try_into().unwrap()
}

/// A directory that goes when the test ends.
pub struct Files(PathBuf);

impl Files {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wsproto-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
