//! Whom we believe to be the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why nobody can be believed.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file with authorities cannot be used.
    #[error("cannot read certificates of authorities from `{}`", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why; nothing if there are none in it.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// The library knows no version of TLS.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// Settings for connections to servers whose certificate is good for their name, and comes from an authority in `files`
/// or one that the system trusts.
///
/// # Errors
/// If a file cannot be read, or has no certificate in it.
pub fn tls(files: &[PathBuf]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in files {
        add(&mut roots, path)?;
    }
    // A system without any is no error: the files may be all there is.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let unread = |source| TlsError::Authorities { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unread(Some(error)))?;
    let mut found = 0;
    for certificate in certificates {
        roots.add(certificate.map_err(|error| unread(Some(error)))?)?;
        found += 1;
    }
    if found == 0 { Err(unread(None)) } else { Ok(()) }
}
