//! A tenant whose contact centre is no more: nothing new is taken, and what was promised stays within reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use domain::cors;
use domain::ids::{ContactCenterId, TenantId};
use domain::keys::Scope;
use domain::ports::{ContactCenters, KeyRing as _, Standing};
use domain::tenant::TenantDocument;
use http::Request;

use crate::front_door::router::Side;
use crate::front_door::testing::{House, SUB_KEY, api_key, door, settings};
use crate::front_door::{DoorLimits, KeyRing};

const CENTER: &str = "9350e2fc-a1dd-4c65-8d40-1f75a2e080dd";
const SHOP: &str = "https://shop.example";

/// One contact centre that allows one page, and is there or not.
struct Centers(AtomicBool);

impl ContactCenters for Centers {
    fn standing(&self, center: ContactCenterId) -> Standing {
        assert_eq!(center, CENTER.parse().unwrap());
        if self.0.load(Ordering::Relaxed) { Standing::Served } else { Standing::Withdrawn }
    }

    fn any_origins(&self) -> bool {
        true
    }

    fn allows(&self, _: ContactCenterId, origin: &str) -> bool {
        cors::allows(&[SHOP.to_owned()], origin)
    }
}

/// A key of that name for each tenant: `linked` belongs to the contact centre, `listing` too but lists origins itself,
/// `own` does not.
fn house() -> (House, Arc<Centers>) {
    let centers = Arc::new(Centers(AtomicBool::new(true)));
    let (mut door, fake) = door();
    let ring = KeyRing::new(SUB_KEY).among(centers.clone());
    let tenant = |name: &str, center: Option<&str>, origins: &[&str]| {
        let document = TenantDocument {
            contact_center_id: center.map(|center| center.parse().unwrap()),
            cors_origins: origins.iter().map(ToString::to_string).collect(),
            ..TenantDocument::with_queues(name, [])
        };
        document.resolve(TenantId::from_name(name)).unwrap()
    };
    let tenants = [
        tenant("linked", Some(CENTER), &[]),
        tenant("listing", Some(CENTER), &["https://b.example"]),
        tenant("own", None, &[]),
    ];
    let keys = tenants.iter().map(|tenant| api_key(&tenant.name, &tenant.name, &Scope::ALL));
    ring.replace(&tenants, keys.collect());
    door.keys = Arc::new(ring);
    (House::behind(Side::External, settings(DoorLimits::default()), (door, fake)), centers)
}

async fn status(house: &House, key: &str, operation: &str) -> u16 {
    let path = format!("/engagement/v3/{operation}");
    let request = Request::post(path).header("x-api-key", key).header("content-type", "application/json");
    house.send(request.body(Body::from("{}")).unwrap()).await.status
}

#[tokio::test]
async fn new_promises_are_refused_and_old_ones_can_be_looked_at_and_given_up() {
    let (house, centers) = house();
    let new = [
        "callbacks/create",
        "callbacks/holds",
        "callbacks/reschedule",
        "callbacks/recreate",
        "call-in/requests/create",
    ];
    let old = ["callbacks/retrieve", "callbacks/cancel", "callbacks/holds/release"];
    for is_there in [true, false, true] {
        centers.0.store(is_there, Ordering::Relaxed);
        for operation in new {
            // An empty body is refused for itself.
            assert_eq!(status(&house, "linked", operation).await, if is_there { 400 } else { 403 }, "{operation}");
            assert_eq!(status(&house, "own", operation).await, 400, "{operation}");
        }
        for operation in old {
            assert_eq!(status(&house, "linked", operation).await, 400, "{operation}");
        }
    }
}

#[tokio::test]
async fn pages_of_the_contact_centre_are_allowed_where_its_tenant_lists_none() {
    let (house, _) = house();
    let allowed = async |key: &str| {
        let request =
            Request::post("/engagement/v3/callbacks/retrieve").header("x-api-key", key).header("origin", SHOP);
        house.send(request.body(Body::from("{}")).unwrap()).await.headers.get("access-control-allow-origin").cloned()
    };
    assert_eq!(allowed("linked").await.as_deref(), Some(SHOP));
    assert_eq!((allowed("listing").await, allowed("own").await), (None, None));
}
