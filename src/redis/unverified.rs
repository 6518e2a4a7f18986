//! What `rejectUnauthorized: false` asks for: any certificate is taken. Whoever sits between can then read everything;
//! the setting exists because installations with certificates of their own making have it.

use std::sync::Arc;

use fred::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use fred::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use fred::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use fred::rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Looks at nothing but the signatures of the handshake.
#[derive(Debug)]
pub(super) struct Unverified(Arc<CryptoProvider>);

impl Unverified {
    /// With the provider of the process, which is installed first of all.
    pub(super) fn new() -> Result<Self, String> {
        CryptoProvider::get_default().cloned().map(Self).ok_or_else(|| "no crypto provider is installed".to_owned())
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
