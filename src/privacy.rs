//! Export and erasure by phone number, their receipts, and the audit log. The command line and the internal listener are
//! two ways in.
//!
//! What is done to a number is told in [`domain::erasure`]; here it is put in order: look, cancel what has not ended if
//! that is asked for, wait until routing has been told, erase.

mod document;
mod ending;

use std::sync::Arc;
use std::time::Duration;

use domain::audit::{Act, Broken, Link, Verifier};
use domain::callback::State;
use domain::erasure::{FINGERPRINT, Receipt};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::numbers::{NumberError, PhoneNumber, Region};
use domain::ports::{
    AuditPage, AuditStore, Blinds, Clock, EraseError, Erasing, HeldCallback, HeldRecords, NewEntry, PersonalStore,
    SettingsStore, StoreError, Unserved,
};
use domain::throttle::PHONE_NUMBER;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

pub use document::{
    AuditDocument, AuditEntry, ExportDocument, ExportedCallIn, ExportedCallback, ExportedStep, ReceiptDocument,
    Remainder, Removed, Searched,
};
pub use ending::{DeskEnder, EndError, Ender, StoreEnder};

use crate::stores::audit_digest;

/// Callbacks of one page of an export.
const PAGE_CALLBACKS: usize = 100;
/// Bytes of user data from which on a page of an export takes no more callbacks.
const PAGE_BYTES: usize = 8 << 20;
/// Call-ins that an export tells.
const MAX_CALL_INS: usize = 1_000;

/// How long routing may take to be told of the end of what was cancelled. Later than that the row stays for it, without
/// the number.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);
const SETTLE_PAUSE: Duration = Duration::from_millis(50);

/// Entries of the audit log that are read at once to verify it.
const VERIFIED_AT_ONCE: usize = 1_000;

/// What becomes of callbacks that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// Nothing is erased.
    Refuse,
    /// They are cancelled first.
    Cancel,
}

/// Why nothing was told or erased.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrivacyError {
    /// Callbacks of the number have not ended.
    #[error("{0} callbacks of the number have not ended; nothing was erased")]
    Unfinished(u64),
    /// Agent and customer talk in one of them.
    #[error("agent and customer talk in a callback of the number; nothing was erased")]
    Talking,
    /// One at a time.
    #[error("another erasure is under way")]
    Busy,
    /// Not the cursor of a page.
    #[error("not the cursor of an export")]
    BadCursor,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cancel was not done.
    #[error("a callback could not be cancelled: {0}")]
    NotCancelled(Unserved),
    /// What is stored is no document.
    #[error("what is stored of a callback cannot be read")]
    Unreadable,
}

/// What the audit log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many entries there are.
    pub entries: u64,
    /// Where it is broken first, or its end.
    pub result: Result<Link, Broken>,
}

/// Tells and erases.
pub struct Privacy {
    personal: Arc<dyn PersonalStore>,
    audit: Arc<dyn AuditStore>,
    settings: Arc<dyn SettingsStore>,
    blinds: Arc<dyn Blinds>,
    clock: Arc<dyn Clock>,
    ender: Arc<dyn Ender>,
    /// Taken by the erasure under way.
    one: Mutex<()>,
}

/// Reads a number as a person writes it; `region` is that of numbers without a country.
///
/// # Errors
/// [`NumberError::NotANumber`]. Numbers that cannot exist are read: a queue may have taken one.
pub fn number(text: &str, region: Region) -> Result<PhoneNumber, NumberError> {
    PhoneNumber::parse(text, region).or_else(|_| PhoneNumber::parse_impossible(text, region))
}

impl Privacy {
    /// Over the ports of one store.
    pub fn new(
        (personal, audit, settings): (Arc<dyn PersonalStore>, Arc<dyn AuditStore>, Arc<dyn SettingsStore>),
        blinds: Arc<dyn Blinds>,
        clock: Arc<dyn Clock>,
        ender: Arc<dyn Ender>,
    ) -> Self {
        Self { personal, audit, settings, blinds, clock, ender, one: Mutex::new(()) }
    }

    /// The tenant of that name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find(&self, name: &str) -> Result<Option<TenantId>, StoreError> {
        Ok(self.settings.tenants().await?.iter().find(|tenant| *tenant.name == *name).map(|tenant| tenant.id))
    }

    fn counted_as(&self, tenant: TenantId, phone: PhoneNumber) -> [u8; 16] {
        self.blinds.blind(tenant, PHONE_NUMBER, phone.digits().to_string().as_bytes())
    }

    async fn held(&self, tenant: TenantId, phone: PhoneNumber) -> Result<HeldRecords, StoreError> {
        self.personal.held(tenant, phone, self.counted_as(tenant, phone), self.clock.now()).await
    }

    /// Everything that is kept of a number: callbacks behind `cursor`, a page of them, and with the first page what else
    /// there is. The act stands in the audit log before anything is told.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub async fn export(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        cursor: Option<&str>,
        actor: &str,
    ) -> Result<ExportDocument, PrivacyError> {
        let after: Option<CallbackId> =
            cursor.map(|text| text.parse().map_err(|_| PrivacyError::BadCursor)).transpose()?;
        let mut held = self.held(tenant, phone).await?;
        let at = self.clock.now();
        let mut document = ExportDocument::new(phone, at);
        let mut bytes = 0;
        let wanted: Vec<HeldCallback> =
            held.callbacks.iter().filter(|it| after.is_none_or(|after| it.id > after)).copied().collect();
        for (place, it) in wanted.iter().enumerate() {
            if let Some(told) = self.exported(tenant, it.id).await? {
                bytes += told.bytes();
                document.callbacks.push(told);
            }
            let full = place + 1 >= PAGE_CALLBACKS || bytes >= PAGE_BYTES;
            if full && place + 1 < wanted.len() {
                document.next_cursor = Some(it.id.to_string());
                break;
            }
        }
        if after.is_none() {
            document.call_ins_left_out = held.call_ins.len().saturating_sub(MAX_CALL_INS) as u64;
            held.call_ins.truncate(MAX_CALL_INS);
            document.take_call_ins(held.call_ins)?;
            document.counted_values = held.counted_values;
            document.idempotency_keys = held.idempotency_keys;
        }
        let subject = format!("callbacks {}, callIns {}", document.callbacks.len(), document.call_ins.len());
        let (actor, details) = (actor.to_owned(), String::new());
        let entry = NewEntry { at, act: Act::NumberExported, actor, subject, details };
        self.audit.note_act(tenant, entry).await?;
        Ok(document)
    }

    async fn exported(&self, tenant: TenantId, id: CallbackId) -> Result<Option<ExportedCallback>, PrivacyError> {
        self.personal.record(tenant, id).await?.map(ExportedCallback::new).transpose()
    }

    /// Erases what is kept of a number.
    ///
    /// # Errors
    /// [`PrivacyError`]. What was erased stays erased, and asked again it goes on.
    pub async fn erase(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        unfinished: Unfinished,
        actor: &str,
    ) -> Result<Receipt, PrivacyError> {
        let Ok(_one) = self.one.try_lock() else { return Err(PrivacyError::Busy) };
        let cancelled = self.end_all(tenant, phone, unfinished).await?;
        let at = self.clock.now();
        let erasing = Erasing {
            id: ErasureId::generate(at),
            tenant,
            phone,
            fingerprint: self.blinds.blind(tenant, FINGERPRINT, phone.digits().to_string().as_bytes()),
            counted_as: self.counted_as(tenant, phone),
            actor: domain::audit::actor_name(actor).to_owned(),
            cancelled,
            at,
        };
        self.personal.erase(erasing).await.map_err(|error| match error {
            EraseError::Unfinished(count) => PrivacyError::Unfinished(count),
            EraseError::Store(error) => error.into(),
        })
    }

    /// Ends what has not ended, if that is wanted; how many that were.
    async fn end_all(&self, tenant: TenantId, phone: PhoneNumber, unfinished: Unfinished) -> Result<u64, PrivacyError> {
        let held = self.held(tenant, phone).await?;
        let open: Vec<HeldCallback> =
            held.callbacks.iter().filter(|it| it.state != State::Completed).copied().collect();
        if open.iter().any(|it| it.state == State::Processing) {
            return Err(PrivacyError::Talking);
        }
        if !open.is_empty() && unfinished == Unfinished::Refuse {
            return Err(PrivacyError::Unfinished(open.len() as u64));
        }
        for it in &open {
            self.ender.end(tenant, it.id, self.clock.now()).await.map_err(|error| match error {
                EndError::Talking => PrivacyError::Talking,
                EndError::Unserved(unserved) => PrivacyError::NotCancelled(unserved),
            })?;
        }
        let by = Instant::now() + SETTLE_WITHIN;
        for it in open.iter().chain(held.callbacks.iter().filter(|it| !it.settled && it.state == State::Completed)) {
            self.wait_until_settled(tenant, it.id, by).await?;
        }
        Ok(open.len() as u64)
    }

    /// Waits for routing to be told of an end, but not for long.
    async fn wait_until_settled(&self, tenant: TenantId, id: CallbackId, by: Instant) -> Result<(), StoreError> {
        loop {
            let record = self.personal.record(tenant, id).await?;
            let waits = record.is_some_and(|it| it.callback.wake_at.is_some());
            if !waits || Instant::now() >= by {
                return Ok(());
            }
            sleep(SETTLE_PAUSE).await;
        }
    }

    /// One receipt.
    ///
    /// # Errors
    /// The store failed.
    pub async fn receipt(&self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        self.personal.receipt(tenant, id).await
    }

    /// Receipts, newest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn receipts(
        &self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.personal.receipts(tenant, before, limit).await
    }

    /// Entries of the audit log behind a number.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audit(&self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        self.audit.audit(tenant, after, limit).await
    }

    /// Follows the audit log from its beginning to its end. `noted` is a hash that somebody has kept elsewhere.
    ///
    /// # Errors
    /// The store failed; what is found out about the log is no error.
    pub async fn verify(&self, tenant: TenantId, noted: Option<Link>) -> Result<Verdict, StoreError> {
        let mut page = self.audit.audit(tenant, 0, VERIFIED_AT_ONCE).await?;
        // What is noted of an entry that has been removed because of its age tells nothing any more.
        let noted = noted.filter(|noted| noted.seq > page.base.seq);
        let mut verifier = Verifier::new(tenant, page.base, noted, audit_digest);
        let mut entries = 0;
        loop {
            for entry in &page.entries {
                if let Err(broken) = verifier.take(entry) {
                    return Ok(Verdict { entries, result: Err(broken) });
                }
                entries += 1;
            }
            let Some(last) = page.entries.last().filter(|_| page.entries.len() == VERIFIED_AT_ONCE) else { break };
            page = self.audit.audit(tenant, last.seq, VERIFIED_AT_ONCE).await?;
        }
        Ok(Verdict { entries, result: verifier.finish(page.head) })
    }
}
