//! The sample tenant of the embedded mode: made once, in an empty database, so that the first screen can
//! print a command that works.

use std::path::Path;

use chrono_tz::America::New_York;
use domain::call_in::CallInGroup;
use domain::capacity::{CapacityRule, DayPlaces};
use domain::hours::{BusinessHours, HoursRef, Range, Week};
use domain::ids::{ApiKeyId, CallInGroupName, QueueName, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::number_rules::{BlockedPattern, NumberRule};
use domain::numbers::BadRegion;
use domain::ports::{Clock, SettingsStore, StoreError};
use domain::queue::{CallDirection, QueueSettings, SlotMinutes};
use domain::tenant::TenantDocument;
use thiserror::Error;

use crate::front_door::{generate_key, hash_key};
use crate::master_key::{SecretFileError, read_or_create_secret_file};

/// Name of the demo's contact centre.
pub(super) const TENANT: &str = "demo";
/// Its queue that is always open, for callbacks now and later.
pub(super) const SUPPORT: &str = "support";
/// Its queue with office hours: Monday to Friday 09:00–17:00 in New York.
const SALES: &str = "sales";
/// Its queue with the limits that a real one has: one waiting callback of a number, three for now in a day.
const STRICT: &str = "strict";
/// Its queue whose customers call in when a notification tells them that it is their turn.
const APP: &str = "app";
/// The calendar of those hours, and its capacity rule: five callbacks in each half hour of the office.
const OFFICE: &str = "office";
/// Its call-in group, with access codes and one number.
const MOBILE: &str = "mobile";
/// That number: of those that are set aside for examples.
const MOBILE_NUMBER: &str = "+18005550199";
/// A number rule to try numbers on; no queue has it.
const NORTH_AMERICA: &str = "north-america";
/// The one key that is also kept in clear, so that the first screen can show it at every start.
const KEY_FILE: &str = "demo.key";

/// Why the sample tenant could not be made.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The store.
    #[error("cannot keep the sample tenant")]
    Store(#[from] StoreError),
    /// The key file.
    #[error("cannot keep the demo key")]
    Key(#[from] SecretFileError),
    /// Names and hours of the sample are not valid; a mistake in this program.
    #[error("the sample tenant is not valid: {0}")]
    Invalid(String),
}

/// Makes the sample tenant if the store holds no tenant at all, and its key if it is not there yet. Returns
/// the key in clear, or nothing if the store belongs to other tenants.
///
/// # Errors
/// [`DemoError`].
pub(super) async fn ensure(
    settings: &dyn SettingsStore,
    clock: &dyn Clock,
    data_dir: &Path,
    hashing_key: &[u8; 32],
    wanted_key: Option<&str>,
) -> Result<Option<String>, DemoError> {
    let tenants = settings.tenants().await?;
    let id = TenantId::from_name(TENANT);
    if tenants.is_empty() {
        settings.put_tenant(id, document()?).await?;
    } else if !tenants.iter().any(|tenant| tenant.id == id) {
        return Ok(None);
    }
    let key = match wanted_key {
        Some(key) => key.to_owned(),
        None => read_or_create_secret_file(&data_dir.join(KEY_FILE), || {
            generate_key().map_err(|error| std::io::Error::other(error.to_string()))
        })?,
    };
    let hash = hash_key(hashing_key, &key);
    if settings.keys().await?.iter().all(|known| known.hash != hash) {
        let scopes = Scope::ALL.to_vec();
        let (created_at, label) = (clock.now(), "demo".to_owned());
        let key = ApiKey { id: ApiKeyId::generate(), tenant: id, hash, label, scopes, created_at, revoked_at: None };
        settings.add_key(key).await?;
    }
    Ok(Some(key))
}

fn document() -> Result<TenantDocument, DemoError> {
    let invalid = |error: &dyn std::fmt::Display| DemoError::Invalid(error.to_string());
    // No buffer and no throttle: whoever tries the demo wants the call at the very second, again and again.
    let support = QueueSettings { execution_buffer_seconds: 0, ..QueueSettings::unlimited() };
    let office = Week::working_days(Range::new("09:00", "17:00").map_err(|error| invalid(&error))?);
    let sales = QueueSettings {
        hours: HoursRef::Named(OFFICE.to_owned()),
        capacity_rule: Some(OFFICE.to_owned()),
        ..support.clone()
    };
    let strict = QueueSettings {
        duplicate_limit: 1,
        throttle_daily_limit: 3,
        execution_buffer_seconds: 0,
        ..QueueSettings::default()
    };
    let app =
        QueueSettings { call_direction: CallDirection::UserOriginated, push_threshold_minutes: 1, ..support.clone() };
    let queues = [(SUPPORT, support), (SALES, sales), (STRICT, strict), (APP, app)];
    let queues = queues.into_iter().map(|(name, settings)| Ok((QueueName::new(name)?, settings)));
    let queues = queues.collect::<Result<Vec<_>, domain::ids::IdError>>().map_err(|error| invalid(&error))?;
    let five = DayPlaces::from([("09:00-17:00".to_owned(), 5)]);
    let rule = CapacityRule {
        slot_minutes: SlotMinutes::new(30).map_err(|error| invalid(&error))?,
        week: [("mon-fri".to_owned(), five)].into(),
        ..CapacityRule::default()
    };
    let mut document = TenantDocument::with_queues(TENANT, queues);
    document.business_hours.insert(OFFICE.to_owned(), BusinessHours::weekly(New_York, office));
    let permitted = [("US", vec![BlockedPattern::Simple("212555".to_owned())]), ("CA", vec![])];
    let permitted = permitted.into_iter().map(|(country, blocked)| Ok((country.parse()?, blocked)));
    let countries = permitted.collect::<Result<_, BadRegion>>().map_err(|error| invalid(&error))?;
    document.number_rules.insert(NORTH_AMERICA.to_owned(), NumberRule { countries });
    document.capacity_rules.insert(OFFICE.to_owned(), rule);
    let mobile = CallInGroup { numbers: vec![MOBILE_NUMBER.to_owned()], ..CallInGroup::default() };
    document.call_in_groups.insert(CallInGroupName::new(MOBILE).map_err(|error| invalid(&error))?, mobile);
    document.event_feed.enabled = true;
    Ok(document)
}
