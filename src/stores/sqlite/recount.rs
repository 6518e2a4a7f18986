//! What readers are asked while places are counted by other grids.

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ids::TenantId;
use domain::ports::StoreError;

use super::readers::Reader;
use super::statement::statements;
use crate::stores::database::{RecountReads, SlotRow};
use crate::stores::rows::FORMAT;

statements! {
    ListGrids -> (BigInt, Text, Nullable<Text>) =
        "SELECT q.key, q.name, q.grid FROM queues q JOIN tenants t ON t.key = q.tenant WHERE t.id = ?";
    PageEnd -> (Nullable<Binary>) = "SELECT max(id) FROM (SELECT id FROM callbacks WHERE id > ? ORDER BY id LIMIT ?)";
    SlotsOfPage -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, state, attempt, queue, slot, desired_time FROM callbacks
        WHERE id > ? AND id <= ? AND tenant = ? AND slot IS NOT NULL AND state <> 4 AND desired_time >= ?
        AND format = ? ORDER BY id";
}

#[async_trait]
impl RecountReads for Reader {
    async fn grid_rows(&mut self, tenant: TenantId) -> Result<Vec<(i64, String, Option<String>)>, StoreError> {
        let uuid = tenant.as_uuid();
        self.rows::<ListGrids, _>(&[uuid.as_bytes().as_slice().into()])
    }

    async fn end_of_page(&mut self, after: &[u8], examined: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let end: Option<(Option<Vec<u8>>,)> = self.first::<PageEnd, _>(&[after.into(), examined.into()])?;
        Ok(end.and_then(|(id,)| id))
    }

    async fn slots_held(
        &mut self,
        tenant: i64,
        (after, last): (&[u8], &[u8]),
        since: i64,
    ) -> Result<Vec<SlotRow>, StoreError> {
        let binds = [after.into(), last.into(), tenant.into(), since.into(), FORMAT.into()];
        self.rows::<SlotsOfPage, _>(&binds)
    }
}
