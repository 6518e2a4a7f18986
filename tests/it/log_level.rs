//! The level of the log is changed while the program runs, and back.

use std::time::Duration;

use crate::harness::http::Client;
use crate::harness::poll;
use crate::harness::service::{Options, Service};

const SOON: Duration = Duration::from_secs(20);

fn lines(service: &Service, message: &str) -> usize {
    service.log().lines().filter(|line| line.contains(message)).count()
}

#[test]
fn fewer_lines_are_written_for_a_while() {
    let service = Service::start(Options::fast());
    let mut client = Client::new(service.internal());
    let json = [("Content-Type", "application/json")];
    let put = client.request("PUT", "/ges/v1/log-level", &json, br#"{"level":"WARN","forSeconds":600}"#).unwrap();
    assert_eq!((put.status, put.json()["data"]["level"].as_str()), (200, Some("WARN")), "{}", put.text());
    let answered = lines(&service, "request answered");
    for _ in 0..5 {
        client.get("/ges/v1/health/live").unwrap();
    }
    let back = client.request("DELETE", "/ges/v1/log-level", &[], &[]).unwrap();
    assert!(back.json()["data"]["until"].is_null(), "{}", back.text());
    poll::until("a line is written again", SOON, || {
        client.get("/ges/v1/tenants").unwrap();
        (lines(&service, "request answered") > answered).then_some(())
    });
    assert_eq!(lines(&service, "/ges/v1/health/live"), 0, "{}", service.log());
    assert_eq!(lines(&service, "the log level is another one for a while"), 1);
    assert_eq!(lines(&service, "the log level is the configured one again"), 1);
}
