//! The body of `POST /ges/v1/captcha/verify`.

use domain::secret::Secret;
use serde::de::MapAccess;

use super::create::MAX_TOKEN_CHARS;
use super::{Loose, Members, object, skip};
use crate::front_door::error::Problem;

/// Longest site key in characters.
pub(crate) const MAX_SITE_KEY_CHARS: usize = domain::setting::MAX_TEXT_CHARS;

#[derive(Default)]
struct VerifyMembers<'a> {
    site_key: Loose<'a>,
    captcha_token: Loose<'a>,
}

impl<'de> Members<'de> for VerifyMembers<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "siteKey" => self.site_key = from.next_value()?,
            "captchaToken" => self.captcha_token = from.next_value()?,
            _ => skip(from)?,
        }
        Ok(())
    }
}

/// Reads a site key and a token.
pub(crate) fn verify(body: &[u8]) -> Result<(String, Secret), Problem> {
    let members: VerifyMembers<'_> = object(body)?;
    let site_key = members.site_key.required_text("siteKey", MAX_SITE_KEY_CHARS)?.into_owned();
    let token = members.captcha_token.required_text("captchaToken", MAX_TOKEN_CHARS)?;
    Ok((site_key, Secret::new(token)))
}
