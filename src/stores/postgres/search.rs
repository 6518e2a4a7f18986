//! Finding callbacks. Whatever is wanted, so many rows are looked at for one page and no more: a filter that hardly
//! any callback passes costs as much as none.
//!
//! Ids rise with the time of booking, so the table itself is the list in order, and no index is kept for searching. Two
//! that are there for other work make what is asked most often short: who waits under a number, and what somebody works
//! on. Everything else is looked through part by part. A callback that changes while a page is made may be missed by it,
//! and none is shown that does not pass the filter.

mod parts;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use domain::callback::Callback;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Found, StoreError};
use domain::search::{Order, Search};

use super::pool::Reader;
use super::reading::IdentifiedRow;
use super::statement::statements;
use crate::stores::database::{NameReads as _, SearchReads};
use crate::stores::packing::unpacked;
use crate::stores::rows::{callback, callback_id, check_format};
use crate::stores::search::{MAX_EXAMINED, MAX_UNPACKED_BYTES, Part, SeenRow};
use parts::List;
pub(super) use parts::MAX_UNOWNED;

/// Rows whose user data is read at once.
const DATA_AT_ONCE: usize = 50;

statements! {
    LoadUserData = "SELECT id, user_data FROM details WHERE id = ANY (?) AND user_data IS NOT NULL";
    LoadSeveral = "SELECT format, version, queue, phone, state, hand_off, attempt, refusals, last_seq, dialled,
        owes_terminate, desired_time, expires_at, start_at, wake_at, owner, ended_at, slot, session, reason, devices,
        turn_seconds, turn_until, id FROM callbacks WHERE id = ANY (?) AND tenant = ?";
}

type Hunt<'a> = crate::stores::search::Hunt<'a, List>;

/// What a page has so far.
#[derive(Default)]
struct Page {
    ids: Vec<CallbackId>,
    unpacked_bytes: usize,
}

impl Page {
    fn is_full(&self, hunt: &Hunt<'_>) -> bool {
        self.ids.len() >= hunt.search.limit || self.unpacked_bytes >= MAX_UNPACKED_BYTES
    }

    /// Whether the user data of a row is wanted; `data` holds what rows have.
    fn has_properties(
        &mut self,
        hunt: &Hunt<'_>,
        row: &SeenRow,
        data: &HashMap<i64, Vec<u8>>,
    ) -> Result<bool, StoreError> {
        let wanted = &hunt.search.properties;
        if wanted.is_empty() {
            return Ok(true);
        }
        let Some(packed) = row.5.and_then(|details| data.get(&details)) else { return Ok(false) };
        let text = unpacked(packed)?;
        self.unpacked_bytes += text.len();
        Ok(wanted.admit(Some(&text)))
    }
}

impl Reader {
    /// Looks at part after part until the page is full, and tells where to go on.
    async fn look(&mut self, hunt: &Hunt<'_>) -> Result<(Vec<CallbackId>, Option<CallbackId>), StoreError> {
        let mut page = Page::default();
        let mut examined = 0;
        let mut from = hunt.start();
        loop {
            let Part { rows, end, looked_at } = self.part(hunt, from).await?;
            if let Some(last) = self.take_wanted(hunt, &rows, &mut page).await? {
                let is_last = rows.last().is_none_or(|row| row.0 == last) && end.is_none();
                let next = if is_last { None } else { Some(callback_id(&last)?) };
                return Ok((page.ids, next));
            }
            let Some(end) = end else { return Ok((page.ids, None)) };
            examined += looked_at;
            if examined >= MAX_EXAMINED {
                return Ok((page.ids, Some(CallbackId::from_uuid(end))));
            }
            from = end;
        }
    }

    /// Takes what is wanted of rows; the one with which the page was full, if it was.
    async fn take_wanted(
        &mut self,
        hunt: &Hunt<'_>,
        rows: &[SeenRow],
        page: &mut Page,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        for some in rows.chunks(DATA_AT_ONCE) {
            let mut admitted = Vec::with_capacity(some.len());
            for row in some {
                if hunt.admits(row)? {
                    admitted.push(row);
                }
            }
            let data = self.user_data_of(hunt, &admitted).await?;
            for row in admitted {
                if page.has_properties(hunt, row, &data)? {
                    page.ids.push(callback_id(&row.0)?);
                }
                if page.is_full(hunt) {
                    return Ok(Some(row.0.clone()));
                }
            }
        }
        Ok(None)
    }

    /// Packed user data of rows, if it is asked for.
    async fn user_data_of(&mut self, hunt: &Hunt<'_>, of: &[&SeenRow]) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
        let details: Vec<i64> = of.iter().filter_map(|row| row.5).collect();
        if hunt.search.properties.is_empty() || details.is_empty() {
            return Ok(HashMap::new());
        }
        let binds = [details.as_slice().into()];
        let found: Vec<(i64, Vec<u8>)> = self.rows::<LoadUserData, _>(&binds).await?;
        Ok(found.into_iter().collect())
    }

    /// Callbacks in the order of the search. What has changed since it was seen is looked at once more.
    async fn load_several(
        &mut self,
        (tenant, key): (TenantId, i64),
        search: &Search,
        ids: &[CallbackId],
    ) -> Result<Vec<Callback>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let uuids: Vec<_> = ids.iter().map(|id| id.as_uuid()).collect();
        let bytes: Vec<&[u8]> = uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect();
        let binds = [bytes.as_slice().into(), key.into()];
        let mut loaded = BTreeMap::new();
        for IdentifiedRow(row, id) in self.rows::<LoadSeveral, _>(&binds).await? {
            check_format(row.0)?;
            let (_, queue) = self.queue_name(row.2).await?;
            let it = callback(callback_id(&id)?, tenant, queue, row)?;
            if search.admits(it.state, it.desired_time, it.phone) {
                loaded.insert(it.id, it);
            }
        }
        Ok(match search.order {
            Order::OldestFirst => loaded.into_values().collect(),
            Order::NewestFirst => loaded.into_values().rev().collect(),
        })
    }
}

#[async_trait]
impl SearchReads for Reader {
    async fn find(
        &mut self,
        tenant: (TenantId, i64),
        queues: Option<BTreeSet<i64>>,
        search: &Search,
    ) -> Result<Found, StoreError> {
        let mut hunt = Hunt { tenant: tenant.1, search, queues, streams: None };
        hunt.streams = self.lists(&hunt).await?;
        let (ids, next) = self.look(&hunt).await?;
        Ok(Found { callbacks: self.load_several(tenant, search, &ids).await?, next })
    }
}
