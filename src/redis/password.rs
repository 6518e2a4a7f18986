//! A password that may be replaced while clients use it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use domain::secret::Secret;
use fred::error::Error;
use fred::types::config::{CredentialProvider, Server};

/// The password of one installation of Redis, shared by everybody who opens clients to it. What is open stays open; the
/// next connection shows the new one.
#[derive(Debug, Clone, Default)]
pub struct Password(Arc<ArcSwapOption<Secret>>);

impl Password {
    /// Begins with that.
    pub fn new(secret: Option<Secret>) -> Self {
        Self(Arc::new(ArcSwapOption::new(secret.map(Arc::new))))
    }

    /// Connections show this from now on.
    pub fn replace(&self, secret: Secret) {
        self.0.store(Some(Arc::new(secret)));
    }
}

/// Shows it, whenever a connection is made.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) user: Option<String>,
    pub(super) password: Password,
}

#[async_trait]
impl CredentialProvider for Shown {
    async fn fetch(&self, _: Option<&Server>) -> Result<(Option<String>, Option<String>), Error> {
        let password = self.password.0.load().as_ref().map(|secret| secret.reveal().to_owned());
        Ok((self.user.clone().filter(|_| password.is_some()), password))
    }
}
