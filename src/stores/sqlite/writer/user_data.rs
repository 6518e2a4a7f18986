//! User data of callbacks, replaced if it is still as it was read. The callback's own row keeps its version: what a
//! flow attaches is no step of its life.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Binary, Nullable};
use domain::ports::{Replaced, StoreError};

use super::super::rows::check_format;
use super::super::statement::{Bind, execute, first, statements};
use super::Writer;
use crate::stores::command::user_data::ReplaceUserData;

statements! {
    LookAtData -> (BigInt, Nullable<BigInt>, Nullable<Binary>) = "SELECT c.format, d.id, d.user_data
        FROM callbacks c LEFT JOIN details d ON d.id = c.details WHERE c.id = ? AND c.tenant = ?";
    WriteData = "UPDATE details SET user_data = ? WHERE id = ?";
    NameDetails = "UPDATE callbacks SET details = ? WHERE id = ? AND tenant = ?";
}

impl Writer {
    pub(super) fn replace_user_data(&mut self, replace: &ReplaceUserData) -> QueryResult<Result<Replaced, StoreError>> {
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, replace.tenant)? else {
            return Ok(Ok(Replaced::NotFound));
        };
        let uuid = replace.id.as_uuid();
        let id: Bind<'_> = uuid.as_bytes().as_slice().into();
        let row = first::<LookAtData, (i64, Option<i64>, Option<Vec<u8>>)>(&mut self.connection, &[id, tenant.into()])?;
        let Some((format, details, data)) = row else { return Ok(Ok(Replaced::NotFound)) };
        if let Err(error) = check_format(format) {
            return Ok(Err(error));
        }
        if data.unwrap_or_default() != replace.before {
            return Ok(Ok(Replaced::Changed));
        }
        let after = replace.after.as_deref();
        match details {
            Some(row) => {
                execute::<WriteData>(&mut self.connection, &[after.into(), row.into()])?;
            }
            None => {
                if let Some(row) = self.add_details(None, after)? {
                    execute::<NameDetails>(&mut self.connection, &[row.into(), id, tenant.into()])?;
                }
            }
        }
        Ok(Ok(Replaced::Done))
    }
}
