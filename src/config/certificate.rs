//! The certificate of the listeners and its key, from the files that are named.
//!
//! They are read with the rest of the configuration: what is wrong with them is told beside all other mistakes, and
//! another certificate is noticed as any secret that changes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::Error;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::parts::Listeners;
use super::reader::Reader;
use super::sources::read_bounded;

const CERT: &str = "GES_TLS_CERT";
const KEY: &str = "GES_TLS_KEY";
/// Longest file. Five certificates with the largest keys have a fifth of it.
const MAX_BYTES: u64 = 64 << 10;

/// A certificate, those of the authorities above it, and its key. `Debug` shows only that there is one.
#[derive(Clone)]
pub struct ServerCertificate(Arc<CertifiedKey>);

impl ServerCertificate {
    /// What a server shows.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }
}

impl PartialEq for ServerCertificate {
    /// The key is the one that belongs to the certificate, so equal certificates have equal keys.
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

/// What the listeners show, if they are to speak TLS. What is wrong with it is noted.
pub(super) fn read(listeners: &Listeners, reader: &mut Reader<'_>) -> Option<ServerCertificate> {
    match (&listeners.tls_cert, &listeners.tls_key) {
        (None, None) => None,
        (Some(_), None) => {
            reader.refuse(KEY, "the certificate of GES_TLS_CERT needs its key: set both, or neither");
            None
        }
        (None, Some(_)) => {
            reader.refuse(CERT, "the key of GES_TLS_KEY needs its certificate: set both, or neither");
            None
        }
        (Some(cert), Some(key)) => {
            let chain = noted(CERT, chain(cert), reader);
            let key = noted(KEY, private_key(key), reader);
            let certified = pair(chain?, key?).map_err(|(name, rule)| reader.refuse(name, rule));
            certified.ok().map(|certified| ServerCertificate(Arc::new(certified)))
        }
    }
}

/// What is said of an address that speaks another way than the listeners.
pub(super) fn warning(listeners: &Listeners) -> Option<String> {
    let url = listeners.internal_url.as_ref().filter(|_| listeners.tls_cert.is_some())?;
    let plain = url.completed("https", 0).starts_with("http:");
    let told = "GES_INTERNAL_URL begins with http, but the listeners speak TLS: only a proxy between makes it work";
    plain.then(|| told.to_owned())
}

fn noted<T>(name: &str, read: Result<T, String>, reader: &mut Reader<'_>) -> Option<T> {
    read.map_err(|rule| reader.refuse(name, &rule)).ok()
}

/// Errors of the parser are not told: they may quote a line of the wrong file.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = text(path)?;
    match CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err("the file holds no certificates in PEM form".to_owned()),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let none = "the file holds no private key in PEM form (PKCS#8, PKCS#1 or SEC1, without a password)";
    PrivateKeyDer::from_pem_slice(text(path)?.as_bytes()).map_err(|_| none.to_owned())
}

fn text(path: &Path) -> Result<String, String> {
    read_bounded(path, MAX_BYTES).map_err(|why| format!("the file {why}"))
}

/// What belongs together; else the setting to blame, and why.
fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, (&'static str, &'static str)> {
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
        Error::InvalidCertificate(_) => (CERT, "the first certificate of the file is none of X.509, version 3"),
        Error::InconsistentKeys(_) => (KEY, "the key is not that of the first certificate of GES_TLS_CERT"),
        _ => (KEY, "the key is none of RSA (2,048 to 4,096 bits), ECDSA (P-256 or P-384) or Ed25519"),
    })
}
