//! Finding callbacks. Whatever is wanted, so many rows are looked at for one page and no more: a filter that hardly
//! any callback passes costs as much as none.
//!
//! Ids rise with the time of booking, so the table itself is the list in order, and no index is kept for searching.
//! Two that are there for other work make what is asked most often short: who waits under a number, and what is on its
//! way to an agent. Everything else is looked through part by part.

mod parts;

use std::collections::BTreeSet;

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Binary};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Found, StoreError};
use domain::search::Search;

use super::readers::Reader;
use super::statement::statements;
use crate::stores::database::{CallbackReads as _, SearchReads};
use crate::stores::packing::unpacked;
use crate::stores::rows::{callback_id, sql_limit};
use crate::stores::search::{Lists, MAX_EXAMINED, MAX_STREAMS, MAX_UNPACKED_BYTES, Part};
use parts::Stream;

statements! {
    QueuesOfTenant -> (BigInt) = "SELECT key FROM queues WHERE tenant = ? LIMIT ?";
    LoadUserData -> (Binary) = "SELECT user_data FROM details WHERE id = ? AND user_data IS NOT NULL";
}

type Hunt<'a> = crate::stores::search::Hunt<'a, Stream>;

impl Reader {
    /// Looks at part after part until the page is full, and tells where to go on.
    fn look(&mut self, hunt: &Hunt<'_>) -> Result<(Vec<CallbackId>, Option<CallbackId>), StoreError> {
        let mut ids = Vec::new();
        let (mut examined, mut unpacked_bytes) = (0, 0);
        let mut from = hunt.start();
        loop {
            let part = self.part(hunt, from)?;
            let Part { rows, end, looked_at } = part;
            let last = rows.len().saturating_sub(1);
            for (place, row) in rows.into_iter().enumerate() {
                if !hunt.admits(&row)? {
                    continue;
                }
                let id = callback_id(&row.0)?;
                if self.has_properties(hunt, row.5, &mut unpacked_bytes)? {
                    ids.push(id);
                }
                if ids.len() >= hunt.search.limit || unpacked_bytes >= MAX_UNPACKED_BYTES {
                    let is_last = place == last && end.is_none();
                    return Ok((ids, Some(id).filter(|_| !is_last)));
                }
            }
            let Some(end) = end else { return Ok((ids, None)) };
            examined += looked_at;
            if examined >= MAX_EXAMINED {
                return Ok((ids, Some(CallbackId::from_uuid(end))));
            }
            from = end;
        }
    }

    fn has_properties(
        &mut self,
        hunt: &Hunt<'_>,
        details: Option<i64>,
        unpacked_bytes: &mut usize,
    ) -> Result<bool, StoreError> {
        let wanted = &hunt.search.properties;
        if wanted.is_empty() {
            return Ok(true);
        }
        let Some(details) = details else { return Ok(false) };
        let found: Option<(Vec<u8>,)> = self.first::<LoadUserData, _>(&[details.into()])?;
        let Some((packed,)) = found else { return Ok(false) };
        let data = unpacked(&packed)?;
        *unpacked_bytes += data.len();
        Ok(wanted.admit(Some(&data)))
    }

    /// The lists in which everything that is wanted stands, if there are few of them.
    fn streams(&mut self, hunt: &Hunt<'_>) -> Result<Option<Vec<Stream>>, StoreError> {
        let lists = hunt.lists();
        if lists == Lists::None {
            return Ok(None);
        }
        let queues: Vec<i64> = match &hunt.queues {
            Some(queues) => queues.iter().copied().collect(),
            None => {
                let binds = [hunt.tenant.into(), sql_limit(MAX_STREAMS + 1).into()];
                let found = self.rows::<QueuesOfTenant, (i64,)>(&binds)?;
                found.into_iter().map(|(key,)| key).collect()
            }
        };
        let each = |queue: i64| -> Vec<Stream> {
            if lists == Lists::ByNumber {
                hunt.search.phones.iter().map(|phone| Stream::Waiting { queue, phone: *phone }).collect()
            } else {
                hunt.search.states.iter().map(|state| Stream::Active { queue, state: *state }).collect()
            }
        };
        let mut streams: Vec<Stream> = queues.into_iter().flat_map(each).take(MAX_STREAMS + 1).collect();
        if lists == Lists::ByState {
            // What is set aside stands in no list of work.
            streams.push(Stream::Parked);
        }
        Ok((streams.len() <= MAX_STREAMS).then_some(streams))
    }
}

#[async_trait]
impl SearchReads for Reader {
    async fn find(
        &mut self,
        (tenant, key): (TenantId, i64),
        queues: Option<BTreeSet<i64>>,
        search: &Search,
    ) -> Result<Found, StoreError> {
        let mut hunt = Hunt { tenant: key, search, queues, streams: None };
        hunt.streams = self.streams(&hunt)?;
        let (ids, next) = self.look(&hunt)?;
        let mut callbacks = Vec::with_capacity(ids.len());
        for id in ids {
            // It was seen in this very snapshot.
            callbacks.extend(self.load(tenant, id).await?);
        }
        Ok(Found { callbacks, next })
    }
}
