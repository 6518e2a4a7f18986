//! Certificates of a private authority, and a client over TLS that tells what was agreed on.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, DEFAULT_VERSIONS, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::http;

/// The page that says how certificates are made, below this heading.
const PAGE: &str = "docs/security.md";
const HEADING: &str = "### A certificate of your own";
/// Longest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// An authority (`ca.crt`) and a certificate of it (`tls.crt`, `tls.key`) for this machine, made by the very commands of
/// the handbook.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ges-certificates-").tempdir().unwrap();
        let page = std::fs::read_to_string(PAGE).unwrap();
        let below = page.split_once(HEADING).expect(HEADING).1;
        let commands = below.split("```sh\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("commands");
        let made = Command::new("sh").args(["-euc", commands]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The authority that clients have to trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.0.path().join("ca.crt")
    }

    /// What is in a file of it.
    pub(crate) fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.path().join(file)).unwrap()
    }
}

/// A connection over TLS that stays open.
pub(crate) struct Encrypted(StreamOwned<ClientConnection, TcpStream>);

impl Encrypted {
    /// Connects to whoever shows a certificate of `authority`.
    pub(crate) fn open(address: SocketAddr, authority: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(DEFAULT_VERSIONS)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::IpAddress(address.ip().into());
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = http::connect(address)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(session, stream)))
    }

    /// The answer to a GET, head and body. Answers of the service tell their length.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<String> {
        write!(self.0, "GET {path} HTTP/1.1\r\nHost: ges\r\n\r\n")?;
        self.0.flush()?;
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while !is_whole(&answer) {
            let count = self.0.read(&mut part)?;
            if count == 0 || answer.len() > MAX_ANSWER {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&part[..count]);
        }
        String::from_utf8(answer).map_err(io::Error::other)
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
