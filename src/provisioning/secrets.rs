//! Takes the secrets of a document in: what stands as a file or a variable is read, checked and sealed, and the
//! document keeps its fingerprint. Nothing of a secret is ever repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use domain::document::Node;
use domain::ids::TenantId;
use domain::ports::{Credential, CredentialChange, CredentialRefused, OfferedCredential};
use domain::secret::{CredentialKind, Secret, SecretRef};
use domain::setting::SettingError;
use domain::tenant::TenantDocument;

use super::credentials::check_form;
use super::{Order, Provisioning, ProvisioningError};

/// Longest secret, in bytes. A service account has two and a half thousand.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Where secrets that are not sealed come from.
pub trait SecretSource: Send + Sync {
    /// The text, without the line end that editors leave.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence about the place in the document.
    fn read(&self, reference: &SecretRef) -> Result<Secret, String>;
}

/// Files and variables of this process.
#[derive(Debug, Clone, Copy)]
pub struct FromProcess;

impl SecretSource for FromProcess {
    fn read(&self, reference: &SecretRef) -> Result<Secret, String> {
        let text = match reference {
            SecretRef::File(path) => read_file(path)?,
            SecretRef::Env(name) => {
                std::env::var(name).map_err(|_| format!("the variable {name} is not set, or is no text"))?
            }
            SecretRef::Sealed(_) => return Err("is sealed already".to_owned()),
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(text)) }
    }
}

fn read_file(path: &str) -> Result<String, String> {
    let cannot_read = |why: &dyn std::fmt::Display| format!("the file {path} cannot be read: {why}");
    let file = File::open(path).map_err(|error| cannot_read(&error))?;
    let mut text = String::new();
    let read = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| cannot_read(&error))?;
    if read as u64 > MAX_SECRET_BYTES { Err(cannot_read(&"it is longer than a secret can be")) } else { Ok(text) }
}

/// Files and variables of whoever asks over the network are not ours to read.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

impl SecretSource for NoSource {
    fn read(&self, _: &SecretRef) -> Result<Secret, String> {
        Err("has to be sealed: only `ges apply` reads files and variables; put it as a credential first".to_owned())
    }
}

/// What was taken in.
pub(super) struct Taken {
    pub(super) mistakes: Vec<SettingError>,
    pub(super) credentials: Vec<CredentialChange>,
    pub(super) remarks: Vec<String>,
}

/// Takes in what one document refers to.
pub(super) struct Intake<'a> {
    provisioning: &'a Provisioning,
    tenant: TenantId,
    settings: &'a TenantDocument,
    order: &'a Order<'a>,
    known: Vec<Credential>,
    /// Fingerprints of what is kept now, also of what this document replaces: it may still refer to it, elsewhere.
    kept: BTreeSet<String>,
    taken: Taken,
}

/// Kind and name of a credential.
pub(super) type Label = (CredentialKind, String);

impl<'a> Intake<'a> {
    pub(super) async fn new(
        provisioning: &'a Provisioning,
        tenant: TenantId,
        settings: &'a TenantDocument,
        order: &'a Order<'a>,
    ) -> Result<Self, ProvisioningError> {
        let known = provisioning.tenants.credentials(tenant).await?;
        let kept = known.iter().map(|credential| credential.fingerprint.clone()).collect();
        let taken = Taken { mistakes: Vec::new(), credentials: Vec::new(), remarks: Vec::new() };
        Ok(Self { provisioning, tenant, settings, order, known, kept, taken })
    }

    pub(super) fn finish(self) -> Taken {
        self.taken
    }

    pub(super) fn broken(&mut self, path: &str, rule: impl Into<String>) {
        self.taken.mistakes.push(SettingError { path: path.to_owned(), value: None, rule: rule.into() });
    }

    /// The text behind a reference that is not sealed; none if there is a mistake, which is noted.
    pub(super) fn read(&mut self, path: &str, reference: &SecretRef) -> Option<Secret> {
        self.order.source.read(reference).map_err(|rule| self.broken(path, rule)).ok()
    }

    pub(super) const fn provisioning(&self) -> &'a Provisioning {
        self.provisioning
    }

    /// The document with every secret sealed, but for API keys. `before` is what is kept: secrets that only it
    /// refers to are forgotten.
    pub(super) async fn secrets(
        &mut self,
        mut document: Node,
        before: Option<&Node>,
    ) -> Result<Node, ProvisioningError> {
        let mut wanted: BTreeMap<Label, String> = BTreeMap::new();
        for place in places(&document) {
            let Some(reference) = document.at(&place).and_then(reference) else { continue };
            let mut label = label(&place);
            let path = place.join(".");
            let Some(fingerprint) = self.secret(&path, &label, &reference).await? else { continue };
            if wanted.get(&label).is_some_and(|other| *other != fingerprint) {
                label.1 = path;
            }
            self.keep_under(&label, &fingerprint).await?;
            wanted.insert(label, fingerprint.clone());
            if let Some(node) = document.at_mut(&place) {
                *node = sealed(fingerprint);
            }
        }
        for place in before.map(places).unwrap_or_default() {
            let (kind, name) = label(&place);
            let is_kept = self.known.iter().any(|known| (known.kind, &known.name) == (kind, &name));
            if is_kept && !wanted.contains_key(&(kind, name.clone())) {
                self.taken.credentials.push(CredentialChange::Remove { kind, name });
            }
        }
        Ok(document)
    }

    /// The fingerprint of one secret; none if there is a mistake, which is noted.
    async fn secret(
        &mut self,
        path: &str,
        label: &Label,
        reference: &SecretRef,
    ) -> Result<Option<String>, ProvisioningError> {
        if let SecretRef::Sealed(fingerprint) = reference {
            let is_new = || self.known.iter().any(|known| known.fingerprint == *fingerprint);
            let known = self.kept.contains(fingerprint) || is_new();
            if !known {
                let rule = "no secret of that fingerprint is kept for this tenant".to_owned();
                let value = Some(fingerprint.clone());
                self.taken.mistakes.push(SettingError { path: path.to_owned(), value, rule });
            }
            return Ok(known.then(|| fingerprint.clone()));
        }
        let Some(secret) = self.read(path, reference) else { return Ok(None) };
        self.take(path, label, &secret).await
    }

    /// Takes a secret in under its kind and name; its fingerprint, or none if there is a mistake, which is noted.
    pub(super) async fn take(
        &mut self,
        path: &str,
        label @ (kind, name): &Label,
        secret: &Secret,
    ) -> Result<Option<String>, ProvisioningError> {
        if let Err(rule) = check_form(*kind, name, secret) {
            self.broken(path, rule);
            return Ok(None);
        }
        let provisioning = self.provisioning;
        let fingerprint = provisioning.sealer.fingerprint(self.tenant, secret);
        if self.known.iter().any(|known| known.fingerprint == fingerprint) {
            return Ok(Some(fingerprint));
        }
        if self.order.ask_providers && !self.is_accepted(path, label, secret).await {
            return Ok(None);
        }
        let sealed = provisioning.sealer.seal(self.tenant, secret)?;
        let credential = Credential {
            kind: *kind,
            name: name.clone(),
            fingerprint: fingerprint.clone(),
            updated_at: provisioning.clock.now(),
        };
        self.known.retain(|known| (known.kind, &known.name) != (*kind, name));
        self.known.push(credential.clone());
        self.taken.credentials.push(CredentialChange::Put { credential, sealed });
        Ok(Some(fingerprint))
    }

    /// Asks whoever has to accept a credential. One who cannot be asked hinders nothing.
    async fn is_accepted(&mut self, path: &str, (kind, name): &Label, secret: &Secret) -> bool {
        let offered = OfferedCredential { tenant: self.tenant, kind: *kind, name, settings: self.settings, secret };
        for check in &self.provisioning.checks {
            match check.check(offered).await {
                Ok(()) => {}
                Err(refused @ CredentialRefused::NotAsked(_)) => self.taken.remarks.push(format!("{path}: {refused}")),
                Err(refused) => {
                    self.broken(path, refused.to_string());
                    return false;
                }
            }
        }
        true
    }

    /// A secret that is kept under another name is kept under this one too: what is kept has the names of what
    /// refers to it.
    async fn keep_under(&mut self, (kind, name): &Label, fingerprint: &str) -> Result<(), ProvisioningError> {
        let there =
            |known: &Credential| (known.kind, &known.name, known.fingerprint.as_str()) == (*kind, name, fingerprint);
        if self.known.iter().any(there) {
            return Ok(());
        }
        let provisioning = self.provisioning;
        let Some(sealed) = provisioning.tenants.sealed(self.tenant, fingerprint).await? else { return Ok(()) };
        let (fingerprint, updated_at) = (fingerprint.to_owned(), provisioning.clock.now());
        let credential = Credential { kind: *kind, name: name.clone(), fingerprint, updated_at };
        self.taken.credentials.push(CredentialChange::Put { credential, sealed });
        Ok(())
    }
}

/// The tree of a sealed reference.
pub(super) fn sealed(fingerprint: String) -> Node {
    Node::Object(vec![("sealed".to_owned(), Node::Text(fingerprint))])
}

/// The reference that a tree is: an object of one member with one of three names. In a document that was read no
/// other part has that form.
pub(super) fn reference(node: &Node) -> Option<SecretRef> {
    let Node::Object(members) = node else { return None };
    let [(key, Node::Text(text))] = members.as_slice() else { return None };
    match key.as_str() {
        "file" => Some(SecretRef::File(text.clone())),
        "env" => Some(SecretRef::Env(text.clone())),
        "sealed" => Some(SecretRef::Sealed(text.clone())),
        _ => None,
    }
}

/// Where the secrets of a document stand, without its API keys.
pub(super) fn places(document: &Node) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    look(document, &mut Vec::new(), &mut found);
    found.retain(|place| place.first().is_none_or(|section| section != super::keys::SECTION));
    found
}

fn look(node: &Node, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if reference(node).is_some() {
        return found.push(path.clone());
    }
    let mut below = |key: String, node: &Node| {
        path.push(key);
        look(node, path, found);
        path.pop();
    };
    match node {
        Node::Object(members) => members.iter().for_each(|(key, node)| below(key.clone(), node)),
        Node::List(items) => items.iter().enumerate().for_each(|(at, node)| below(at.to_string(), node)),
        _ => {}
    }
}

/// Kind and name of the secret at a place: `captcha.keys.web.secretKey` is the captcha's `web`, `push.fcm` the
/// push's `fcm`.
pub(super) fn label(place: &[String]) -> Label {
    let kind = match place.first().map(String::as_str) {
        Some("captcha") => CredentialKind::Captcha,
        Some("push") => CredentialKind::Push,
        Some("webhooks") => CredentialKind::Webhook,
        _ => CredentialKind::Gws,
    };
    let mut rest = place.get(1..).unwrap_or_default();
    if let [first, inner @ ..] = rest
        && first == "keys"
        && !inner.is_empty()
    {
        rest = inner;
    }
    if let [inner @ .., last] = rest
        && ["secret", "secretKey"].contains(&last.as_str())
        && !inner.is_empty()
    {
        rest = inner;
    }
    (kind, rest.join("."))
}
