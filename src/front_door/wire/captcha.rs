//! The body of `POST /ges/v1/captcha/verify`.

use domain::secret::Secret;

use super::create::MAX_TOKEN_CHARS;
use super::{Loose, members, object};
use crate::front_door::error::Problem;

/// Longest site key in characters.
pub(crate) const MAX_SITE_KEY_CHARS: usize = domain::setting::MAX_TEXT_CHARS;

members! {
    struct VerifyMembers<'de> {
        "siteKey" => site_key: Loose<'de>,
        "captchaToken" => captcha_token: Loose<'de>,
    }
}

/// Reads a site key and a token.
pub(crate) fn verify(body: &[u8]) -> Result<(String, Secret), Problem> {
    let members: VerifyMembers<'_> = object(body)?;
    let site_key = members.site_key.required_text("siteKey", MAX_SITE_KEY_CHARS)?.into_owned();
    let token = members.captcha_token.required_text("captchaToken", MAX_TOKEN_CHARS)?;
    Ok((site_key, Secret::new(token)))
}
