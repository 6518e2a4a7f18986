//! A change of a tenant as the writer takes it.

use chrono::{DateTime, Utc};
use domain::audit::Act;
use domain::ids::TenantId;
use domain::ports::{Application, CredentialChange, Expected, KeyChange, NewEntry, StoreError};
use domain::tenant::TenantDocument;

use crate::stores::user_data;

/// Who makes and revokes keys one by one: the command line.
pub(in crate::stores) const BY_COMMAND: &str = "ges";

/// A change of one tenant whose texts are written already: the writer is one thread, callers are many.
pub(in crate::stores) struct Apply {
    pub(in crate::stores) tenant: TenantId,
    pub(in crate::stores) name: String,
    pub(in crate::stores) settings: String,
    pub(in crate::stores) packed: Vec<u8>,
    pub(in crate::stores) expected: Expected,
    pub(in crate::stores) actor: String,
    /// None is the database's own now.
    pub(in crate::stores) at: Option<DateTime<Utc>>,
    pub(in crate::stores) keys: Vec<KeyChange>,
    pub(in crate::stores) credentials: Vec<CredentialChange>,
}

impl Apply {
    /// Writes the document down.
    pub(in crate::stores) fn new(tenant: TenantId, document: TenantDocument, actor: &str) -> Result<Self, StoreError> {
        let settings = serde_json::to_string(&document)
            .map_err(|error| StoreError::NotDone(format!("cannot write settings: {error}")))?;
        Ok(Self {
            tenant,
            name: document.tenant,
            packed: user_data::pack(&settings),
            settings,
            expected: Expected::Any,
            actor: actor.to_owned(),
            at: None,
            keys: Vec::new(),
            credentials: Vec::new(),
        })
    }

    pub(in crate::stores) fn bytes(&self) -> usize {
        size_of::<Self>() + self.settings.len() + self.packed.len() + self.keys.len() * size_of::<KeyChange>()
    }
}

impl Apply {
    /// Whether the revision that is there, if one is, may be changed.
    pub(in crate::stores) fn expects(&self, revision: Option<u64>) -> bool {
        match self.expected {
            Expected::Any => true,
            Expected::Absent => revision.is_none(),
            Expected::Revision(wanted) => revision == Some(wanted),
        }
    }

    /// What it says in the audit log, part by part; `revision` is the new one, if there is one.
    pub(in crate::stores) fn acts(&self, at: DateTime<Utc>, revision: Option<u64>) -> Vec<NewEntry> {
        let entry = |act, subject| NewEntry { at, act, actor: self.actor.clone(), subject, details: String::new() };
        let settings = revision.map(|revision| entry(Act::SettingsApplied, format!("revision {revision}")));
        let keys = self.keys.iter().map(|change| match change {
            KeyChange::Add(key) => entry(Act::KeyCreated, key.id.to_string()),
            KeyChange::Change { id, .. } => entry(Act::KeyChanged, id.to_string()),
            KeyChange::Revoke(id) => entry(Act::KeyRevoked, id.to_string()),
        });
        let credentials = self.credentials.iter().map(|change| match change {
            CredentialChange::Put { credential, .. } => NewEntry {
                details: format!("fingerprint {}", credential.fingerprint),
                ..entry(Act::CredentialPut, format!("{}/{}", credential.kind.name(), credential.name))
            },
            CredentialChange::Remove { kind, name } => entry(Act::CredentialRemoved, format!("{}/{name}", kind.name())),
        });
        settings.into_iter().chain(keys).chain(credentials).collect()
    }
}

impl TryFrom<Application> for Apply {
    type Error = StoreError;

    fn try_from(application: Application) -> Result<Self, StoreError> {
        let Application { tenant, expected, document, actor, at, keys, credentials } = application;
        Ok(Self { expected, at: Some(at), keys, credentials, ..Self::new(tenant, document, &actor)? })
    }
}
