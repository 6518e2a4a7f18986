//! The bodies of exports and erasures. The number stands in the body, so that no address and no access log holds it.

use domain::numbers::{PhoneNumber, Region};

use super::create::MAX_PHONE_CHARS;
use super::{Loose, members, object};
use crate::front_door::error::{Kind, Problem};
use crate::privacy::{Unfinished, number};

/// Longest cursor and word in characters; a UUID has 36.
const MAX_WORD_CHARS: usize = 64;

members! {
    struct NumberMembers<'de> {
        "phoneNumber" => phone_number: Loose<'de>,
        "country" => country: Loose<'de>,
        "cursor" => cursor: Loose<'de>,
        "unfinished" => unfinished: Loose<'de>,
    }
}

fn phone(number_text: Loose<'_>, country: Loose<'_>) -> Result<PhoneNumber, Problem> {
    let text = number_text.required_text("phoneNumber", MAX_PHONE_CHARS)?;
    let country = country.country("country")?;
    number(&text, country.unwrap_or(Region::US))
        .map_err(|_| Problem::new(Kind::NotANumber, "phoneNumber is not a valid number."))
}

/// Reads which number is to be told, and from where on.
pub(crate) fn export(body: &[u8]) -> Result<(PhoneNumber, Option<String>), Problem> {
    let members: NumberMembers<'_> = object(body)?;
    let cursor = members.cursor.text("cursor", MAX_WORD_CHARS)?.map(Into::into);
    Ok((phone(members.phone_number, members.country)?, cursor))
}

/// Reads which number is to be erased, and what becomes of callbacks that have not ended.
pub(crate) fn erase(body: &[u8]) -> Result<(PhoneNumber, Unfinished), Problem> {
    let members: NumberMembers<'_> = object(body)?;
    let unfinished = match members.unfinished.text("unfinished", MAX_WORD_CHARS)?.as_deref() {
        None | Some("refuse") => Unfinished::Refuse,
        Some("cancel") => Unfinished::Cancel,
        Some(_) => return Err(Problem::bad("unfinished", "must be refuse or cancel")),
    };
    Ok((phone(members.phone_number, members.country)?, unfinished))
}
