//! Documents of tenants, their history, and what is sealed for them.

use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::{
    Application, Applied, ApplyError, Credential, CredentialChange, Expected, KEPT_REVISIONS, KeyChange, Revision,
};
use domain::queue::QueueSettings;
use domain::secret::CredentialKind;
use domain::tenant::TenantDocument;
use ges::stores::combiner::Limits;

use super::harness::*;

fn document(name: &str, capacity: u32) -> TenantDocument {
    let settings = QueueSettings { slot_capacity: capacity, ..QueueSettings::default() };
    TenantDocument::with_queues(name, [(queue(), settings)])
}

fn change(tenant: TenantId, expected: Expected, document: TenantDocument) -> Application {
    let actor = "contract".to_owned();
    Application { tenant, expected, document, actor, at: noon(), keys: Vec::new(), credentials: Vec::new() }
}

/// A change of the tenant `contract`.
fn own(expected: Expected, capacity: u32) -> Application {
    change(tenant(), expected, document("contract", capacity))
}

fn key(number: u8) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(),
        tenant: tenant(),
        hash: [number; 32],
        label: format!("key {number}"),
        scopes: vec![Scope::CallbacksRead],
        created_at: noon(),
        revoked_at: None,
    }
}

fn sealed(name: &str, number: u8) -> CredentialChange {
    CredentialChange::Put { credential: credential(name, number), sealed: vec![number; 40] }
}

fn credential(name: &str, number: u8) -> Credential {
    let fingerprint = format!("{number:016x}");
    Credential { kind: CredentialKind::Captcha, name: name.to_owned(), fingerprint, updated_at: noon() }
}

impl Fixture {
    async fn apply(&self, application: Application) -> Result<Applied, ApplyError> {
        self.tenants.apply(vec![application]).await.map(|applied| applied[0])
    }

    async fn capacity(&self, of: TenantId) -> Option<(u64, u32)> {
        let kept = self.tenants.document(of).await.unwrap()?;
        Some((kept.revision, kept.document.queues[&queue()].slot_capacity))
    }
}

const CHANGED: fn(u64) -> Result<Applied, ApplyError> = |revision| Ok(Applied { revision, changed: true });

pub(crate) async fn documents_come_back_with_their_revision(start: &Start) {
    let store = start(Limits::default());
    assert_eq!(store.capacity(tenant()).await, None);
    assert_eq!(store.apply(own(Expected::Absent, 5)).await, CHANGED(1));
    assert_eq!(store.capacity(tenant()).await, Some((1, 5)));
    assert_eq!(store.apply(own(Expected::Revision(1), 6)).await, CHANGED(2));
    store.settings.put_tenant(tenant(), document("contract", 7)).await.unwrap();
    assert_eq!(store.apply(own(Expected::Any, 8)).await, CHANGED(4));
    assert_eq!(store.capacity(tenant()).await, Some((4, 8)));
    let known = store.settings.tenants().await.unwrap();
    assert_eq!(known, [document("contract", 8).resolve(tenant()).unwrap()]);
}

pub(crate) async fn a_booking_alone_makes_no_document(start: &Start) {
    let store = start(Limits::default());
    store.keep(scheduled(noon())).await;
    assert_eq!(store.capacity(tenant()).await, None);
    assert_eq!(store.apply(own(Expected::Absent, 5)).await, CHANGED(1));
}

pub(crate) async fn what_is_there_has_to_be_as_expected(start: &Start) {
    let store = start(Limits::default());
    let conflict = |found| Err(ApplyError::Conflict { tenant: tenant(), found });
    assert_eq!(store.apply(own(Expected::Revision(1), 5)).await, conflict(None));
    assert_eq!(store.capacity(tenant()).await, None);
    store.apply(own(Expected::Absent, 5)).await.unwrap();
    assert_eq!(store.apply(own(Expected::Absent, 6)).await, conflict(Some(1)));
    store.apply(own(Expected::Revision(1), 6)).await.unwrap();
    assert_eq!(store.apply(own(Expected::Revision(1), 7)).await, conflict(Some(2)));
    assert_eq!(store.capacity(tenant()).await, Some((2, 6)));
    assert_eq!(store.tenants.revisions(tenant(), 10).await.unwrap().len(), 2);
}

pub(crate) async fn of_two_at_once_one_wins(start: &Start) {
    let store = start(Limits::default());
    store.apply(own(Expected::Absent, 1)).await.unwrap();
    let hold = store.injector.hold_writer();
    let mut tasks = Vec::new();
    for capacity in [2, 3] {
        let tenants = store.tenants.clone();
        let work = async move { tenants.apply(vec![own(Expected::Revision(1), capacity)]).await };
        tasks.push(store.queued(work).await);
    }
    drop(hold);
    let outcomes = join(tasks).await;
    assert_eq!(outcomes[0], Ok(vec![Applied { revision: 2, changed: true }]));
    assert_eq!(outcomes[1], Err(ApplyError::Conflict { tenant: tenant(), found: Some(2) }));
    assert_eq!(store.capacity(tenant()).await, Some((2, 2)));
}

pub(crate) async fn several_change_together_or_not_at_all(start: &Start) {
    let store = start(Limits::default());
    let other = |expected, capacity| change(stranger(), expected, document("stranger", capacity));
    let both = vec![own(Expected::Absent, 1), other(Expected::Absent, 2)];
    assert_eq!(store.tenants.apply(both).await.unwrap().len(), 2);
    let wrong = vec![own(Expected::Revision(1), 3), other(Expected::Revision(9), 4)];
    let refused = store.tenants.apply(wrong).await;
    assert_eq!(refused, Err(ApplyError::Conflict { tenant: stranger(), found: Some(1) }));
    assert_eq!((store.capacity(tenant()).await, store.capacity(stranger()).await), (Some((1, 1)), Some((1, 2))));
    let same_name = change(stranger(), Expected::Revision(1), document("contract", 5));
    assert_eq!(store.apply(same_name).await, Err(ApplyError::NameTaken));
}

pub(crate) async fn what_says_the_same_is_no_change(start: &Start) {
    let store = start(Limits::default());
    let me = store.nodes.register("node", "1").await.unwrap();
    store.apply(own(Expected::Absent, 5)).await.unwrap();
    let epoch = store.nodes.heartbeat(me).await.unwrap().epoch;
    assert_eq!(store.apply(own(Expected::Revision(1), 5)).await, Ok(Applied { revision: 1, changed: false }));
    assert_eq!(store.nodes.heartbeat(me).await.unwrap().epoch, epoch);
    assert_eq!(store.tenants.revisions(tenant(), 10).await.unwrap().len(), 1);
    let with_secret = Application { credentials: vec![sealed("web", 1)], ..own(Expected::Revision(1), 5) };
    assert_eq!(store.apply(with_secret).await, Ok(Applied { revision: 1, changed: false }));
    assert!(store.nodes.heartbeat(me).await.unwrap().epoch > epoch, "a secret is a change of settings");
    store.apply(own(Expected::Revision(1), 6)).await.unwrap();
    assert!(store.nodes.heartbeat(me).await.unwrap().epoch > epoch + 1);
}

pub(crate) async fn history_is_kept_and_bounded(start: &Start) {
    let store = start(Limits::default());
    let last = KEPT_REVISIONS + 3;
    for revision in 1..=last {
        let application = Application {
            at: noon() + minutes(i64::try_from(revision).unwrap()),
            actor: format!("actor {revision}"),
            ..own(Expected::Any, u32::try_from(revision).unwrap())
        };
        store.apply(application).await.unwrap();
    }
    let history = store.tenants.revisions(tenant(), 1_000).await.unwrap();
    let numbers: Vec<_> = history.iter().map(|entry| entry.revision).collect();
    assert_eq!(numbers, (4..=last).rev().collect::<Vec<_>>());
    let newest = Revision { revision: last, at: noon() + minutes(103), actor: format!("actor {last}") };
    assert_eq!(history[0], newest);
    assert_eq!(store.tenants.revisions(tenant(), 2).await.unwrap().len(), 2);
    assert_eq!(store.tenants.revision(tenant(), 50).await, Ok(Some(document("contract", 50))));
    assert_eq!(store.tenants.revision(tenant(), 3).await, Ok(None));
    assert_eq!(store.tenants.revision(stranger(), 50).await, Ok(None));
    assert_eq!(store.tenants.revisions(stranger(), 10).await, Ok(vec![]));
}

pub(crate) async fn keys_change_with_the_document(start: &Start) {
    let store = start(Limits::default());
    let (first, second) = (key(1), key(2));
    let with = |keys: Vec<KeyChange>, capacity| Application { keys, ..own(Expected::Any, capacity) };
    let add = vec![KeyChange::Add(first.clone()), KeyChange::Add(second.clone())];
    assert_eq!(store.apply(with(add, 1)).await, CHANGED(1));
    let renamed = KeyChange::Change { id: first.id, label: "renamed".to_owned(), scopes: vec![Scope::CallbacksWrite] };
    let changes = vec![renamed, KeyChange::Revoke(second.id)];
    assert_eq!(store.apply(with(changes, 1)).await, Ok(Applied { revision: 1, changed: false }));
    let mut kept = store.settings.keys().await.unwrap();
    kept.sort_by_key(|key| key.hash);
    let renamed = ApiKey { label: "renamed".to_owned(), scopes: vec![Scope::CallbacksWrite], ..first.clone() };
    assert_eq!(kept, [renamed, ApiKey { revoked_at: Some(noon()), ..second.clone() }]);

    let stray = ApiKey { tenant: stranger(), ..key(3) };
    store.settings.add_key(stray.clone()).await.unwrap();
    for refused in [
        KeyChange::Add(ApiKey { id: ApiKeyId::generate(), ..first.clone() }),
        KeyChange::Revoke(second.id),
        KeyChange::Revoke(stray.id),
        KeyChange::Change { id: stray.id, label: String::new(), scopes: vec![] },
    ] {
        let application = with(vec![KeyChange::Add(key(9)), refused.clone()], 2);
        assert_eq!(store.apply(application).await, Err(ApplyError::KeysChanged), "{refused:?}");
    }
    assert_eq!(store.settings.keys().await.unwrap().len(), 3, "nothing of what was refused stays");
    assert_eq!(store.capacity(tenant()).await, Some((1, 1)));
}

pub(crate) async fn secrets_come_and_go_within_their_tenant(start: &Start) {
    let store = start(Limits::default());
    assert_eq!(store.tenants.holds_secrets().await, Ok(false));
    let with = |credentials| Application { credentials, ..own(Expected::Any, 1) };
    store.apply(with(vec![sealed("web", 1), sealed("app", 2)])).await.unwrap();
    assert_eq!(store.tenants.holds_secrets().await, Ok(true));
    assert_eq!(store.tenants.credentials(tenant()).await.unwrap(), [credential("app", 2), credential("web", 1)]);
    assert_eq!(store.tenants.credentials(stranger()).await.unwrap(), []);
    let first = credential("web", 1).fingerprint;
    assert_eq!(store.tenants.sealed(tenant(), &first).await, Ok(Some(vec![1; 40])));
    assert_eq!(store.tenants.sealed(stranger(), &first).await, Ok(None));
    let remove = CredentialChange::Remove { kind: CredentialKind::Captcha, name: "app".to_owned() };
    store.apply(with(vec![sealed("web", 3), remove])).await.unwrap();
    assert_eq!(store.tenants.credentials(tenant()).await.unwrap(), [credential("web", 3)]);
    assert_eq!(store.tenants.sealed(tenant(), &first).await, Ok(None));
}
