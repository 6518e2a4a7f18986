//! Parameters that many internal operations have, for the document.

use utoipa::IntoParams;

/// Whose the request is.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `entry` reads")]
#[into_params(parameter_in = Header)]
pub(super) struct TenantHeader {
    /// The tenant, by id or name.
    #[param(rename = "ContactCenterID")]
    tenant: String,
}

/// Which callback of the tenant.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `entry` reads")]
#[into_params(parameter_in = Path)]
pub(super) struct CallbackPath {
    /// The callback.
    #[param(format = Uuid)]
    id: String,
}

/// How long a page of a list is.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[into_params(parameter_in = Query)]
pub(super) struct PageLimit {
    /// 1 to 1,000; 100 if absent.
    #[param(nullable = false, minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Which revision is changed.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `admin` reads")]
#[into_params(parameter_in = Header)]
pub(super) struct IfMatch {
    /// ETag of what was read, or * for whatever is there.
    #[param(rename = "If-Match")]
    revision: Option<String>,
}
