//! Number rules, seen from outside.

use domain::tenant::TenantDocument;
use serde_json::json;

use crate::harness::api;
use crate::harness::http::Client;
use crate::harness::service::{Options, Service};

#[test]
fn a_number_that_is_not_called_is_refused_counted_and_explained() {
    let service = Service::start(Options::fast());
    let mut client = api::client(service.external());
    for (number, code) in [("+1 900 555 0100", 7037), ("555", 7036), ("call me", 7030)] {
        let answer = api::create(&mut client, None, &api::booking(number, None)).unwrap();
        assert_eq!((answer.status, answer.code()), (400, Some(code)), "{}", answer.text());
    }
    let booked = api::create(&mut client, None, &api::booking("+14165550107", None)).unwrap();
    assert_eq!(booked.status, 200, "{}", booked.text());

    let mut operator = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let metrics = operator.get("/metrics").unwrap().text();
    for rule in ["premium", "impossible", "not-a-number"] {
        let series = format!(r#"ges_numbers_refused_total{{rule="{rule}",tenant="demo"}} 1"#);
        assert!(metrics.lines().any(|line| line == series), "{series} in\n{metrics}");
    }
    for (number, result, decided_by) in [
        ("+1 416 555 0107", "pass", "none"),
        ("+1 212 555 0107", "fail", "pattern"),
        ("+44 20 7946 0018", "fail", "country"),
        ("900 555 0100", "warn", "premium"),
    ] {
        let body = json!({"number": number, "rule": "north-america"}).to_string();
        let data = operator.post_json("/ges/v1/number-rules/test", &[], &body).unwrap().json()["data"].clone();
        let told = (data["result"].as_str(), data["decidedBy"].as_str());
        assert_eq!(told, (Some(result), Some(decided_by)), "{number}: {data}");
    }
    for planted in ["9005550100", "2125550107", "2079460018"] {
        assert!(!service.everything_written().contains(planted), "a number was written to the log");
    }
}

/// Documents that the handbook shows are what people copy.
#[test]
fn the_handbooks_number_rule_is_read() {
    let page = include_str!("../../docs/api/numbers.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let document: TenantDocument = serde_saphyr::from_str(&format!("tenant: demo\n{text}")).unwrap();
    let tenant = document.resolve(domain::ids::TenantId::from_name("demo")).unwrap();
    assert!(tenant.queues["sales"].numbers.is_some());
}
