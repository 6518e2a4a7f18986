//! The settings that questions are answered from, without a tree.

use std::sync::Arc;

use domain::hours::Calendar;
use domain::ids::TenantId;
use domain::ports::{HoursDesk, Unserved};
use domain::tenant::{Tenant, TenantDocument};

use super::Fake;

/// The demo tenant: `support`, also called `help`, never closes, `sales` keeps `office` hours, one queue has a name
/// that has to be encoded, `european` has a number rule, and `lenient` takes every number.
pub(super) fn tenant() -> Arc<Tenant> {
    let document = serde_json::json!({
        "tenant": "demo",
        "queues": {
            "support": {"aliases": ["help"]},
            "sales": {"hours": "office"},
            "a/b é": {"hours": {"zone": "UTC", "weekly": {"tue": [{"from": "00:00", "to": "02:00"}]}}},
            "shut": {"hours": {"zone": "UTC"}},
            "european": {"defaultRegion": "DE", "numberRule": "europe"},
            "lenient": {"refusePremiumNumbers": false, "refuseImpossibleNumbers": false},
        },
        "numberRules": {"europe": {"countries": {"DE": ["15*99"], "GB": [{"regex": "^20"}], "RU": []}}},
        "businessHours": {
            "office": {"zone": "America/New_York", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}},
            "support": {"zone": "UTC"},
        },
    });
    let document: TenantDocument = serde_json::from_value(document).unwrap();
    Arc::new(document.resolve(TenantId::from_name("demo")).unwrap())
}

impl HoursDesk for Fake {
    fn calendar(&self, tenant: TenantId, name: &str) -> Result<Option<Arc<Calendar>>, Unserved> {
        self.mood_now();
        let known = self.tenant.lock().unwrap().clone()?;
        assert_eq!(tenant, known.id);
        Ok(known.hours(name).cloned())
    }
}
