//! The body of `POST /ges/v1/callbacks/{id}/user-data`.

use serde::de::MapAccess;

use super::create::user_data;
use super::user_data::UserData;
use super::{Members, object, skip};
use crate::front_door::error::Problem;

#[derive(Default)]
struct AttachMembers {
    user_data: UserData,
}

impl<'de> Members<'de> for AttachMembers {
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "userData" => self.user_data = from.next_value()?,
            _ => skip(from)?,
        }
        Ok(())
    }
}

/// Reads the members to attach, as compact JSON text of an object.
pub(crate) fn attached(body: &[u8]) -> Result<String, Problem> {
    let members: AttachMembers = object(body)?;
    if members.user_data == UserData::Absent {
        return Err(Problem::bad("userData", "is required"));
    }
    Ok(user_data(members.user_data)?.unwrap_or_else(|| "{}".to_owned()))
}
