//! Web pages of other origins.

use axum::body::Body;
use domain::ids::TenantId;
use domain::keys::Scope;
use domain::ports::KeyRing as _;
use domain::tenant::TenantDocument;
use http::{Method, Request};

use crate::front_door::DoorLimits;
use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, CREATE, House, api_key, door, settings};

const SHOP: &str = "https://shop.example";
const BODY: &str = r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#;

/// Tenants by name, each with a key of that name, and their origins.
fn house(side: Side, tenants: &[(&str, &[&str])]) -> House {
    let (door, fake) = door();
    let of = |(name, origins): &(&str, &[&str])| {
        let cors_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let document = TenantDocument { cors_origins, ..TenantDocument::with_queues(name, []) };
        document.resolve(TenantId::from_name(name)).unwrap()
    };
    let (known, keys): (Vec<_>, Vec<_>) =
        tenants.iter().map(|tenant| (of(tenant), api_key(tenant.0, tenant.0, &Scope::ALL))).unzip();
    door.keys.replace(&known, keys);
    House::behind(side, settings(DoorLimits::default()), (door, fake))
}

async fn create(house: &House, key: &str, origin: Option<&str>) -> Answer {
    let mut request = Request::post(CREATE).header("x-api-key", key);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    house.send(request.body(Body::from(BODY)).unwrap()).await
}

async fn preflight(house: &House, origin: &str) -> Answer {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(CREATE)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-api-key");
    house.send(request.body(Body::empty()).unwrap()).await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.headers.get("access-control-allow-origin").map(String::as_str)
}

#[tokio::test]
async fn without_origins_nothing_is_said() {
    let house = house(Side::External, &[("demo", &[])]);
    let answer = create(&house, "demo", Some(SHOP)).await;
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    assert!(!answer.headers.contains_key("vary"));
    let refused = preflight(&house, SHOP).await;
    assert_eq!((refused.refusal(), allowed(&refused)), ((405, 405), None));
}

#[tokio::test]
async fn a_preflight_passes_if_any_tenant_allows_its_origin() {
    let house = house(Side::External, &[("demo", &[SHOP]), ("other", &["http://localhost:81"])]);
    for origin in [SHOP, "http://localhost:81"] {
        let answer = preflight(&house, origin).await;
        assert_eq!((answer.status, allowed(&answer), answer.text.as_str()), (200, Some(origin), ""));
        assert_eq!(answer.headers["access-control-allow-methods"], "GET, POST");
        let headers = answer.headers["access-control-allow-headers"].to_ascii_lowercase();
        for wanted in ["x-api-key", "content-type", "idempotency-key", "cache-control"] {
            assert!(headers.contains(wanted), "{wanted}");
        }
        assert_eq!(
            (answer.headers["access-control-max-age"].as_str(), answer.headers["vary"].as_str()),
            ("600", "Origin")
        );
        assert!(
            !answer.headers.contains_key("access-control-allow-credentials"),
            "keys come in a header, not in cookies"
        );
    }
    for origin in ["https://evil.example", "https://shop.example:444", "null"] {
        let answer = preflight(&house, origin).await;
        assert_eq!((answer.refusal(), allowed(&answer)), ((405, 405), None), "{origin}");
    }
    assert!(house.fake.booked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_can_be_read_only_if_the_tenant_of_the_key_allows_it() {
    let house = house(Side::External, &[("demo", &[SHOP]), ("other", &["http://localhost:81"]), ("open", &["*"])]);
    for (key, origin, expected) in [
        ("demo", Some(SHOP), Some(SHOP)),
        ("demo", Some("http://localhost:81"), None),
        ("other", Some(SHOP), None),
        ("open", Some("https://any.example"), Some("https://any.example")),
        ("demo", None, None),
    ] {
        let answer = create(&house, key, origin).await;
        assert_eq!((answer.status, allowed(&answer)), (200, expected), "{key} {origin:?}");
        assert_eq!(answer.headers["vary"], "Origin", "caches must not mix them up");
    }
    let refused = create(&house, "unknown", Some(SHOP)).await;
    assert_eq!((refused.refusal(), allowed(&refused)), ((401, 1103), None));
    let request = Request::post(CREATE).header("x-api-key", "demo").header("origin", SHOP).body(Body::from("{"));
    let refused = house.send(request.unwrap()).await;
    assert_eq!((refused.refusal(), allowed(&refused)), ((400, 501), Some(SHOP)), "refusals are to be read too");
    assert!(refused.headers["access-control-expose-headers"].contains("Retry-After"));
}

#[tokio::test]
async fn the_internal_listener_is_for_no_page() {
    let house = house(Side::Internal, &[("open", &["*"])]);
    let answer = create(&house, "open", Some(SHOP)).await;
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    assert_eq!(preflight(&house, SHOP).await.refusal(), (405, 405));
}
