//! Certificates and keys that are given for TLS: what is wrong with them is said.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod certificates;

use std::error::Error as _;

use certificates::{Authority, Dates};
use wsproto_io::tls::{ClientTls, Fingerprints, ServerTls, TlsError};

#[test]
fn what_is_given_must_be_certificates_and_their_key() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.leaf(&["localhost"], Dates::Good), authority.leaf(&["localhost"], Dates::Good));
    let make = |certificates: &str, key: &str| ServerTls::from_pem(certificates.as_bytes(), key.as_bytes());
    let said = |made: Result<ServerTls, TlsError>| made.unwrap_err().to_string();

    assert!(matches!(make(&one.certificate, &other.key), Err(TlsError::KeyMismatch { key: None })));
    assert_eq!(said(make(&one.certificate, &other.key)), "the key does not belong to the certificate");

    let none = "the certificates cannot be used: there is no certificate in it (-----BEGIN CERTIFICATE-----)";
    for text in ["", "no PEM at all\n", &one.key] {
        assert!(matches!(make(text, &one.key), Err(TlsError::Certificates(_))));
        assert_eq!(said(make(text, &one.key)), none);
        assert_eq!(ClientTls::with_ca_pem(text.as_bytes()).unwrap_err().to_string(), none);
        assert_eq!(Fingerprints::of_pem(text.as_bytes()).unwrap_err().to_string(), none);
    }
    assert_eq!(
        said(make(&one.certificate, &one.certificate)),
        "the key cannot be used: there is no private key in it (-----BEGIN PRIVATE KEY-----)"
    );
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(
        said(make(&one.certificate, encrypted)),
        "the key cannot be used: the key is encrypted: decrypt it first"
    );

    let cut = one.certificate.replace("-----END CERTIFICATE-----", "");
    assert_eq!(
        said(make(&cut, &one.key)),
        "the certificates cannot be used: this is not PEM: the line -----END ...----- is missing"
    );
    // PEM around what is no certificate, or no key.
    let empty = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    let error = ClientTls::with_ca_pem(empty("CERTIFICATE").as_bytes()).unwrap_err();
    assert!(matches!(error, TlsError::Certificates(_)) && error.source().unwrap().source().is_some(), "{error}");
    assert!(matches!(make(&empty("CERTIFICATE"), &one.key), Err(TlsError::Certificates(_))));
    assert!(matches!(make(&one.certificate, &empty("PRIVATE KEY")), Err(TlsError::Key(_))));
    assert!(matches!(Fingerprints::of_pem(empty("CERTIFICATE").as_bytes()), Err(TlsError::Certificates(_))));
}

#[test]
fn fingerprints_are_those_of_the_first_certificate() {
    let authority = Authority::new("ours");
    let leaf = authority.leaf(&["localhost"], Dates::Good);
    let prints = Fingerprints::of_pem(format!("{}{}", leaf.certificate, authority.pem()).as_bytes()).unwrap();
    assert_eq!(prints, Fingerprints::of_pem(leaf.certificate.as_bytes()).unwrap());
    assert_eq!(prints.certificate, certificates::sha256(&leaf.chain()[0]));
    assert_eq!(prints.public_key, certificates::sha256(&leaf.public_key));
    assert_ne!(prints, Fingerprints::of_pem(authority.pem().as_bytes()).unwrap());
    let pin = prints.public_key_pin();
    assert!(pin.len() == 44 && pin.ends_with('='), "{pin}");
}
