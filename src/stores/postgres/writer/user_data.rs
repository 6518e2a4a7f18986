//! User data of callbacks, replaced if it is still as it was read. The row of the callback is locked, and keeps its
//! version: what a flow attaches is no step of its life.

use domain::ports::{Replaced, StoreError};

use super::super::errors::Sql;
use super::super::statement::{Bind, execute, first, statements};
use super::Batch;
use crate::stores::command::user_data::ReplaceUserData;
use crate::stores::rows::check_format;

statements! {
    LookAtData = "SELECT c.format, d.id, d.user_data
        FROM callbacks c LEFT JOIN details d ON d.id = c.details WHERE c.id = ? AND c.tenant = ?";
    WriteData = "UPDATE details SET user_data = ? WHERE id = ?";
    AddData = "INSERT INTO details (user_data) VALUES (?) RETURNING id";
    NameDetails = "UPDATE callbacks SET details = ? WHERE id = ? AND tenant = ?";
}

impl Batch<'_> {
    pub(super) async fn replace_user_data(&mut self, replace: &ReplaceUserData) -> Sql<Result<Replaced, StoreError>> {
        let Some(tenant) = self.names.known_tenant(replace.tenant) else { return Ok(Ok(Replaced::NotFound)) };
        let uuid = replace.id.as_uuid();
        let id: Bind<'_> = uuid.as_bytes().as_slice().into();
        let row: Option<(i64, Option<i64>, Option<Vec<u8>>)> =
            first::<LookAtData, _>(self.connection, &[id, tenant.into()]).await?;
        let Some((format, details, data)) = row else { return Ok(Ok(Replaced::NotFound)) };
        if let Err(error) = check_format(format) {
            return Ok(Err(error));
        }
        if data.unwrap_or_default() != replace.before {
            return Ok(Ok(Replaced::Changed));
        }
        match (details, replace.after.as_deref()) {
            (Some(row), after) => {
                execute::<WriteData>(self.connection, &[after.into(), row.into()]).await?;
            }
            (None, Some(data)) => {
                if let Some((row,)) = first::<AddData, (i64,)>(self.connection, &[data.into()]).await? {
                    execute::<NameDetails>(self.connection, &[row.into(), id, tenant.into()]).await?;
                }
            }
            (None, None) => {}
        }
        Ok(Ok(Replaced::Done))
    }
}
