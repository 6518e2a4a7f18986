//! The audit log: every act is in it, and whoever changes it is seen.

use chrono::Duration;
use domain::audit::{Act, Broken, Entry, Link, Verifier};
use domain::callback::{Cause, Reason, State};
use domain::erasure::RECEIPTS_KEPT;
use domain::ids::ApiKeyId;
use domain::keys::{ApiKey, Scope};
use domain::ports::{Application, Credential, CredentialChange, Expected, KeyChange, NewEntry};
use domain::secret::CredentialKind;
use domain::tenant::TenantDocument;
use ges::stores::audit_digest;
use ges::stores::combiner::Limits;

use super::harness::*;

fn key(hash: u8) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(),
        tenant: tenant(),
        hash: [hash; 32],
        label: "planted-label".to_owned(),
        scopes: Scope::ALL.to_vec(),
        created_at: noon(),
        revoked_at: None,
    }
}

fn application(expected: Expected, name: &str) -> Application {
    Application {
        tenant: tenant(),
        expected,
        document: TenantDocument::with_queues(name, []),
        actor: "ges (planted-person)".to_owned(),
        at: noon(),
        keys: Vec::new(),
        credentials: Vec::new(),
    }
}

fn entry(number: i64) -> NewEntry {
    NewEntry {
        at: noon() + minutes(number),
        act: Act::NumberExported,
        actor: "api".to_owned(),
        subject: format!("callbacks {number}"),
        details: String::new(),
    }
}

impl Fixture {
    async fn acts(&self) -> Vec<Entry> {
        self.audit.audit(tenant(), 0, 1_000).await.unwrap().entries
    }

    /// What is found in the chain as it is stored.
    async fn verdict(&self, noted: Option<Link>) -> Result<Link, Broken> {
        let page = self.audit.audit(tenant(), 0, 1_000).await.unwrap();
        let mut verifier = Verifier::new(tenant(), page.base, noted, audit_digest);
        page.entries.iter().try_for_each(|entry| verifier.take(entry))?;
        verifier.finish(page.head)
    }

    /// A log of so many entries.
    async fn with_entries(self, count: i64) -> Self {
        for number in 1..=count {
            self.audit.note_act(tenant(), entry(number)).await.unwrap();
        }
        self
    }
}

pub(crate) async fn tells_every_act(start: &Start) {
    let store = start(Limits::default());
    let (added, credential) = (
        key(1),
        Credential {
            kind: CredentialKind::Captcha,
            name: "web".to_owned(),
            fingerprint: "0123456789abcdef".to_owned(),
            updated_at: noon(),
        },
    );
    let first = Application {
        keys: vec![KeyChange::Add(added.clone())],
        credentials: vec![CredentialChange::Put { credential, sealed: vec![1, 2, 3] }],
        ..application(Expected::Absent, "contract")
    };
    store.tenants.apply(vec![first]).await.unwrap();
    let change_of_key = KeyChange::Change { id: added.id, label: "x".to_owned(), scopes: vec![] };
    let second = Application {
        keys: vec![change_of_key, KeyChange::Revoke(added.id)],
        credentials: vec![CredentialChange::Remove { kind: CredentialKind::Captcha, name: "web".to_owned() }],
        ..application(Expected::Revision(1), "contract")
    };
    store.tenants.apply(vec![second]).await.unwrap();
    let conflict = application(Expected::Revision(9), "contract");
    assert!(store.tenants.apply(vec![conflict]).await.is_err(), "what is refused is no act");
    let alone = key(2);
    store.settings.add_key(alone.clone()).await.unwrap();
    assert_eq!(store.settings.revoke_key(alone.id, noon()).await, Ok(true));
    assert_eq!(store.settings.revoke_key(alone.id, noon()).await, Ok(false), "once");
    let parked = store.keep(immediate(ME, noon())).await;
    store.callbacks.park(tenant(), parked.id, "planted-reason", noon()).await.unwrap();
    store.callbacks.park(tenant(), parked.id, "again", noon()).await.unwrap();
    store.callbacks.unpark(tenant(), parked.id, noon(), "api").await.unwrap();
    let cancelled = change(&store.load(parked.id).await, |callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::CANCELLED_BY_ADMIN);
        callback.wake_at = None;
    });
    let by_operator = domain::ports::Change { saving: saving(Cause::CancelledByAdmin), ..cancelled };
    store.callbacks.save(by_operator.clone()).await.unwrap();
    assert!(store.callbacks.save(by_operator).await.is_err(), "a conflict is no act");
    store.audit.note_act(tenant(), entry(1)).await.unwrap();

    let acts = store.acts().await;
    let told: Vec<_> =
        acts.iter().map(|it| (it.act.as_str(), it.actor.as_str(), it.subject.as_str(), it.details.as_str())).collect();
    let (added, alone, callback) = (added.id.to_string(), alone.id.to_string(), parked.id.to_string());
    let expected = [
        ("settings.applied", "ges", "revision 1", ""),
        ("key.created", "ges", &added, ""),
        ("credential.put", "ges", "captcha/web", "fingerprint 0123456789abcdef"),
        ("key.changed", "ges", &added, ""),
        ("key.revoked", "ges", &added, ""),
        ("credential.removed", "ges", "captcha/web", ""),
        ("key.created", "ges", &alone, ""),
        ("key.revoked", "ges", &alone, ""),
        ("callback.parked", "service", &callback, ""),
        ("callback.unparked", "api", &callback, ""),
        ("callback.cancelled", "api", &callback, ""),
        ("number.exported", "api", "callbacks 1", ""),
    ];
    assert_eq!(told, expected);
    assert!(acts.iter().zip(1..).all(|(it, seq)| it.seq == seq));
    assert_eq!(store.verdict(None).await, Ok(acts.last().unwrap().link()));
    let text = format!("{acts:?}");
    assert!(!text.contains("planted"), "{text}");
    // Tenants have their own.
    assert!(store.audit.audit(stranger(), 0, 10).await.unwrap().entries.is_empty());
    let page = store.audit.audit(tenant(), 3, 2).await.unwrap();
    assert_eq!(page.entries.iter().map(|it| it.seq).collect::<Vec<_>>(), [4, 5]);
}

pub(crate) async fn shows_what_was_changed(start: &Start) {
    let whole = start(Limits::default()).with_entries(9).await;
    let noted = whole.acts().await[7].link();
    assert_eq!(whole.verdict(Some(noted)).await.map(|head| head.seq), Ok(9));
    for (how, expected) in [
        (Tamper::Change(4), Broken::Changed(4)),
        (Tamper::Change(9), Broken::Changed(9)),
        (Tamper::Remove(1), Broken::Missing(1)),
        (Tamper::Remove(5), Broken::Missing(5)),
        (Tamper::Remove(9), Broken::Missing(9)),
        (Tamper::Swap(3, 6), Broken::Changed(3)),
        (Tamper::Swap(1, 2), Broken::Changed(1)),
    ] {
        let store = start(Limits::default()).with_entries(9).await;
        store.injector.tamper(how);
        assert_eq!(store.verdict(None).await, Err(expected), "{how:?}");
        // It goes on, and stays broken where it is.
        store.audit.note_act(tenant(), entry(10)).await.unwrap();
        assert_eq!(store.verdict(None).await, Err(expected), "{how:?}, later");
    }
    // Who cuts the end off and says that it was never there is seen by whoever knows a later hash.
    let store = start(Limits::default()).with_entries(9).await;
    let noted = store.acts().await[7].link();
    store.injector.tamper(Tamper::CutEnd(7));
    assert_eq!(store.verdict(None).await.map(|head| head.seq), Ok(6), "by itself it looks whole");
    assert_eq!(store.verdict(Some(noted)).await, Err(Broken::Missing(7)));
    store.clone_end().await;
    assert_eq!(store.verdict(Some(noted)).await, Err(Broken::Rewritten(8)));
}

impl Fixture {
    /// Goes on where the end was cut off.
    async fn clone_end(&self) {
        for number in 7..=9 {
            self.audit.note_act(tenant(), entry(number + 100)).await.unwrap();
        }
    }
}

pub(crate) async fn is_kept_for_its_time(start: &Start) {
    let store = start(Limits::default()).with_entries(5).await;
    let late = noon() + RECEIPTS_KEPT + minutes(3);
    store.callbacks.purge(noon() - Duration::days(14), late, 100).await.unwrap();
    assert_eq!(store.acts().await.iter().map(|it| it.seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(store.verdict(None).await.map(|head| head.seq), Ok(5), "it is whole behind what has gone");
    store.callbacks.purge(noon() - Duration::days(14), late + minutes(60), 100).await.unwrap();
    assert_eq!(store.acts().await, []);
    store.audit.note_act(tenant(), entry(6)).await.unwrap();
    assert_eq!(store.verdict(None).await.map(|head| head.seq), Ok(6));
}
