//! Credentials one by one, as a user interface manages them: checked, sealed, and never shown again.

use domain::document::Node;
use domain::ids::TenantId;
use domain::ports::{Application, Credential, CredentialChange, Expected, StoreError};
use domain::secret::{CredentialKind, Secret};
use domain::setting::SettingError;
use domain::tenant;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use thiserror::Error;

use super::secrets::{Intake, label, places, sealed};
use super::{Order, Plan, Provisioning, ProvisioningError, export};
use crate::clients::signature::is_key;

/// Why a credential cannot be taken away.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The document needs it.
    #[error("the settings refer to it at {0}")]
    InUse(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] ProvisioningError),
}

/// Whether a secret has the form of its kind.
///
/// # Errors
/// The form that it has to have, without anything of it.
pub(super) fn check_form(kind: CredentialKind, name: &str, secret: &Secret) -> Result<(), String> {
    let text = secret.reveal();
    let line = |least: usize, most: usize| {
        let good = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(()) } else { Err(format!("has to be one line of {least} to {most} letters, digits and signs")) }
    };
    match kind {
        CredentialKind::Push if name == "fcm" => service_account(text),
        CredentialKind::Push | CredentialKind::Webhook if is_key(secret) => Ok(()),
        CredentialKind::Push | CredentialKind::Webhook => {
            Err("has to be whsec_ and a key of 24 to 64 bytes in base64".to_owned())
        }
        CredentialKind::Captcha => line(8, 256),
        // The secret of a client; a user is an object.
        CredentialKind::Gws if !text.starts_with('{') => line(1, 512),
        CredentialKind::Gws => {
            let user: Option<Value> = serde_json::from_str(text).ok();
            let has =
                |key: &str| user.as_ref().and_then(|user| user.get(key)?.as_str()).is_some_and(|text| !text.is_empty());
            if has("userName") && has("password") {
                Ok(())
            } else {
                Err("has to be a JSON object with userName and password".to_owned())
            }
        }
    }
}

/// Google's key file of a service account.
fn service_account(text: &str) -> Result<(), String> {
    let file: Value = serde_json::from_str(text).map_err(|_| "has to be the JSON key file of a service account")?;
    let member = |key: &str| file.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if member("type") != Some("service_account") {
        return Err("has to be the JSON key file of a service account (its type is service_account)".to_owned());
    }
    for key in ["project_id", "client_email", "private_key", "token_uri"] {
        if member(key).is_none() {
            return Err(format!("has to be the JSON key file of a service account; {key} is missing"));
        }
    }
    let key = member("private_key").unwrap_or_default();
    PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map(|_| ())
        .map_err(|_| "has to be the JSON key file of a service account; its private_key is no PEM key".to_owned())
}

/// The secret in the body of a request: `{"secret": …}`, or the members that its kind has.
///
/// # Errors
/// What the body has to be.
pub fn secret_of_body(kind: CredentialKind, body: &Value) -> Result<Secret, &'static str> {
    let member = |key: &str| body.get(key).and_then(Value::as_str).map(Secret::new);
    let whole = || Secret::new(body.to_string());
    match kind {
        CredentialKind::Push if body.get("private_key").is_some() => Some(whole()),
        CredentialKind::Gws if body.get("userName").is_some() => Some(whole()),
        CredentialKind::Captcha => member("secretKey").or_else(|| member("secret")),
        _ => member("secret"),
    }
    .ok_or(match kind {
        CredentialKind::Push => "must be the JSON key file of a service account, or an object with secret",
        CredentialKind::Captcha => "must be an object with secretKey",
        CredentialKind::Gws => "must be an object with userName and password, or with secret",
        CredentialKind::Webhook => "must be an object with secret",
    })
}

impl Provisioning {
    /// What is sealed for a tenant.
    ///
    /// # Errors
    /// The store failed.
    pub async fn credentials(&self, tenant: TenantId) -> Result<Vec<Credential>, StoreError> {
        self.tenants.credentials(tenant).await
    }

    /// What becomes of a new credential: sealed, and named wherever the document has a place for it.
    ///
    /// # Errors
    /// [`ProvisioningError::Mistakes`] if its form is wrong or its provider refuses it, or the store failed.
    pub async fn plan_credential(
        &self,
        tenant: TenantId,
        kind: CredentialKind,
        name: &str,
        secret: &Secret,
        order: &Order<'_>,
    ) -> Result<(Plan, String), ProvisioningError> {
        let kept = self.kept(tenant).await?;
        let mut intake = Intake::new(self, tenant, &kept.document, order).await?;
        let own = (kind, name.to_owned());
        let fingerprint = intake.take("", &own, secret).await?;
        let taken = intake.finish();
        let Some(fingerprint) = fingerprint.filter(|_| taken.mistakes.is_empty()) else {
            return Err(ProvisioningError::Mistakes(taken.mistakes));
        };
        let document = export::to_node(&kept.document);
        let named = places(&document).into_iter().find(|place| label(place) == own);
        let place = named.unwrap_or_else(|| vec![section(kind).to_owned(), name.to_owned()]);
        let changed = with(&document, &place, sealed(fingerprint.clone()));
        // A place that nobody has described yet is left alone: the credential is ready for it.
        let document = changed.and_then(|node| tenant::read(node).ok()).unwrap_or(kept.document);
        let mut credentials = taken.credentials;
        if credentials.is_empty() {
            credentials.extend(self.same_again(tenant, &own, &fingerprint).await?);
        }
        let plan = self.plan_with(tenant, kept.revision, document, credentials, order);
        Ok((Plan { remarks: taken.remarks, ..plan }, fingerprint))
    }

    /// A secret that is known already is kept under this name too.
    async fn same_again(
        &self,
        tenant: TenantId,
        (kind, name): &(CredentialKind, String),
        fingerprint: &str,
    ) -> Result<Option<CredentialChange>, StoreError> {
        let sealed = self.tenants.sealed(tenant, fingerprint).await?;
        let (fingerprint, updated_at) = (fingerprint.to_owned(), self.clock.now());
        let credential = Credential { kind: *kind, name: name.clone(), fingerprint, updated_at };
        Ok(sealed.map(|sealed| CredentialChange::Put { credential, sealed }))
    }

    /// What becomes of a document without a credential.
    ///
    /// # Errors
    /// [`ProvisioningError::UnknownEntry`] if there is none, [`CredentialError::InUse`] if the document cannot do
    /// without it, or the store failed.
    pub async fn plan_without_credential(
        &self,
        tenant: TenantId,
        kind: CredentialKind,
        name: &str,
        order: &Order<'_>,
    ) -> Result<Plan, CredentialError> {
        let kept = self.kept(tenant).await?;
        let credentials = self.tenants.credentials(tenant).await.map_err(ProvisioningError::from)?;
        if !credentials.iter().any(|known| known.kind == kind && known.name == name) {
            return Err(ProvisioningError::UnknownEntry.into());
        }
        let mut node = export::to_node(&kept.document);
        let own = (kind, name.to_owned());
        for place in places(&node).into_iter().filter(|place| label(place) == own) {
            if let Some((key, section)) = place.split_last()
                && let Some(section) = node.at_mut(section)
            {
                section.take(key);
            }
            if tenant::read(node.clone()).is_err() {
                return Err(CredentialError::InUse(place.join(".")));
            }
        }
        let document = tenant::read(node).map_err(ProvisioningError::Mistakes)?;
        let remove = CredentialChange::Remove { kind, name: name.to_owned() };
        Ok(self.plan_with(tenant, kept.revision, document, vec![remove], order))
    }

    fn plan_with(
        &self,
        tenant: TenantId,
        revision: u64,
        document: tenant::TenantDocument,
        credentials: Vec<CredentialChange>,
        order: &Order<'_>,
    ) -> Plan {
        Plan {
            name: document.tenant.clone(),
            revision: Some(revision),
            differences: Vec::new(),
            remarks: Vec::new(),
            application: Application {
                tenant,
                expected: Expected::Revision(revision),
                document,
                actor: order.actor.to_owned(),
                at: self.clock.now(),
                keys: Vec::new(),
                credentials,
            },
        }
    }
}

/// The section in which a credential that stands alone would stand.
const fn section(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Push => "push",
        CredentialKind::Captcha => "captcha",
        CredentialKind::Webhook => "webhooks",
        CredentialKind::Gws => "gws",
    }
}

/// The document with something put at a place whose section is there.
fn with(document: &Node, place: &[String], value: Node) -> Option<Node> {
    let mut changed = document.clone();
    let (key, section) = place.split_last()?;
    changed.at_mut(section)?.put(key, value);
    Some(changed)
}

/// As a list of one mistake.
pub(super) fn broken(path: impl Into<String>, rule: impl Into<String>) -> SettingError {
    SettingError { path: path.into(), value: None, rule: rule.into() }
}
