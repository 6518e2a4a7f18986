//! What the choice where users are known asks for.

use super::parts::{Auth, UserAccess};
use super::reader::Reader;

impl UserAccess {
    /// Notes what the way in that was chosen misses.
    pub(super) fn check(&self, auth: Auth, has_gws_client: bool, reader: &mut Reader<'_>) {
        if auth == Auth::Gws && !has_gws_client {
            reader.refuse(
                "GES_AUTH",
                "gws needs a client there: set GES_GWS_AUTH, GES_AUTHENTICATION_CLIENT_ID and its secret",
            );
        }
        if auth == Auth::Oidc && (self.oidc_issuer.is_none() || self.oidc_client_id.is_none()) {
            reader.refuse("GES_AUTH", "oidc needs a provider: set GES_OIDC_ISSUER and GES_OIDC_CLIENT_ID");
        }
        if auth != Auth::Local && self.public_url.is_none() {
            reader.refuse("GES_AUTH", "users who log in elsewhere have to find back: set GES_PUBLIC_URL");
        }
    }

    /// Whether cookies are for encrypted connections only. `expected`: whether those of others are not to be expected.
    pub fn cookies_are_secure(&self, expected: bool) -> bool {
        let encrypted = self.public_url.as_ref().is_some_and(|url| url.to_string().starts_with("https:"));
        self.secure_cookies.unwrap_or(expected || encrypted)
    }
}
