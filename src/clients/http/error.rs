//! How calls fail, told without a URL, a header or a body.

use std::error::Error as _;
use std::path::PathBuf;

use http::StatusCode;
use thiserror::Error;

use super::address::PrivateAddress;

/// Longest detail of a cause, in characters.
const MAX_DETAIL_CHARS: usize = 160;

/// Why the client cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A file of certificate authorities.
    #[error("cannot read {path} (GES_CA_FILES)", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file without a certificate.
    #[error("no PEM certificate in {path} (GES_CA_FILES)", path = path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The proxy.
    #[error("the proxy (GES_HTTP_PROXY) cannot be used")]
    Proxy,
}

/// A call without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// No connection was made: surely nothing was done.
    #[error("not done: {0}")]
    NotDone(Cause),
    /// The head of the request may have been sent.
    #[error("perhaps done: {cause}")]
    Perhaps {
        /// Why there is no answer.
        cause: Cause,
        /// The status, if the head of the answer came and only the rest did not.
        status: Option<StatusCode>,
    },
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Cause {
    /// The URL, a header or a scheme that is not allowed here.
    #[error("the URL or a header cannot be used")]
    BadUrl,
    /// The host is, or has, a private address only.
    #[error("the host has no public address")]
    Private,
    /// The name could not be looked up.
    #[error("the name of the host was not found")]
    Lookup,
    /// No connection, or no TLS.
    #[error("no connection: {0}")]
    Connect(String),
    /// The deadline passed.
    #[error("no answer in time")]
    Slow,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke off, or the answer was not HTTP")]
    Broken,
    /// The answer was longer than allowed.
    #[error("the answer was too long")]
    TooLong,
    /// The destination failed too often and is left alone for a while.
    #[error("the destination failed too often and is left alone for a while")]
    Resting,
    /// Too many calls are under way.
    #[error("too many calls are under way")]
    Crowded,
    /// The client could not be made: the system has no certificate authorities.
    #[error("the client could not be set up; are there certificate authorities on this machine?")]
    Setup,
}

impl CallError {
    /// Why.
    pub const fn cause(&self) -> &Cause {
        match self {
            Self::NotDone(cause) | Self::Perhaps { cause, .. } => cause,
        }
    }

    /// The status, if the head of an answer came.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Perhaps { status, .. } => *status,
            Self::NotDone(_) => None,
        }
    }

    /// What reqwest says of a request without an answer. Its own texts hold the URL; those of its sources do not.
    pub(super) fn of_request(error: &reqwest::Error) -> Self {
        let mut innermost = error.source();
        let mut private = false;
        while let Some(source) = innermost {
            private |= source.is::<PrivateAddress>();
            match source.source() {
                Some(deeper) => innermost = Some(deeper),
                None => break,
            }
        }
        if private {
            return Self::NotDone(Cause::Private);
        }
        if error.is_builder() {
            return Self::NotDone(Cause::BadUrl);
        }
        if !error.is_connect() {
            return Self::Perhaps { cause: Cause::Broken, status: None };
        }
        if error.is_dns() {
            return Self::NotDone(Cause::Lookup);
        }
        if error.is_timeout() {
            return Self::NotDone(Cause::Slow);
        }
        let detail = innermost.map(ToString::to_string).unwrap_or_default();
        Self::NotDone(Cause::Connect(detail.chars().take(MAX_DETAIL_CHARS).collect()))
    }
}
