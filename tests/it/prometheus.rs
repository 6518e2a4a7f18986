//! What operators ask of Prometheus gives a value on what the running program exports: the questions of the product's
//! guide and boards, our boards, and our rules.

use std::time::Duration;

use crate::harness::http::Client;
use crate::harness::prometheus::{Prometheus, number};
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll};
use crate::{alerts, dashboards};

/// How long a value may take to be there: an increase needs two scrapes after its counter appeared.
const WITHIN: Duration = Duration::from_secs(60);

/// What the guide and the boards of the product ask, in its metrics and labels, as it looks in an installation whose scrape
/// brings a `tenant` of its own. The guide's success rate lacks its minus and takes the increase of a sum, which is no
/// expression: here it is repaired. What kube-state-metrics and the container runtime export is left out.
const QUESTIONS: [&str; 31] = [
    r#"sum(increase(ges_callbacks_created{tenant=~"shared"}[5m]))"#,
    r#"sum by (tenant) (rate(ges_callbacks_created{tenant=~".+"}[5m])) * 60"#,
    r#"sum by (exported_tenant) (rate(ges_callbacks_created{exported_tenant=~".+"}[5m])) * 60"#,
    r#"sum by (type, pod) (ges_monitor_size)"#,
    r#"sum(increase(ges_http_requests_total{tenant=~".+"}[5m]))"#,
    r#"sum by (path) (rate(ges_http_requests_total{exported_tenant=~".+"}[5m]) * 60)"#,
    r#"sum by (exported_tenant, path) (rate(ges_http_requests_total[5m]) * 60)"#,
    r#"sum by (path, httpCode) (rate(ges_http_failed_requests_total[5m]) * 60)"#,
    r#"sum by (path, httpCode, exported_tenant) (rate(ges_http_failed_requests_total[5m]) * 60)"#,
    r#"1 - sum(increase(ges_http_failed_requests_total[5m])) / sum(increase(ges_http_requests_total[5m]))"#,
    SUCCESS_RATE,
    r#"sum(increase(ges_push_notifications_sent[5m]))"#,
    r#"sum by (exported_tenant) (rate(ges_push_notifications_sent[1h])) * 60"#,
    r#"sum(ges_push_notifications_sent{exported_tenant="demo"})"#,
    r#"sum(increase(ges_callin_created[5m]))"#,
    r#"sum(rate(ges_callin_created[5m])) * 60"#,
    r#"avg by (pod) (GES_HEALTH)"#,
    r#"avg by (pod) (GWS_CONFIG_STATUS) + avg by (pod) (GWS_ENV_STATUS) + avg by (pod) (GWS_AUTH_STATUS)"#,
    r#"avg by (pod) (REDIS_CONNECTION)"#,
    r#"avg by (pod) (ORS_REDIS_STATUS)"#,
    r#"avg by (pod) (ALL_URS_DOWN)"#,
    r#"time() - ges_process_start_time_seconds{pod="ges-0"}"#,
    r#"avg by (pod) (irate(ges_process_cpu_seconds_total[1m]))"#,
    r#"ges_nodejs_eventloop_lag_seconds"#,
    r#"sum by (pod) (ges_nodejs_heap_space_size_used_bytes) / sum by (pod) (ges_nodejs_heap_space_size_available_bytes)"#,
    r#"ges_process_resident_memory_bytes"#,
    r#"sum(rate(ges_http_requests_total[5m]) * 60) - sum(rate(ges_http_failed_requests_total[5m]) * 60)"#,
    r#"sum by (pod) (increase(ges_http_request_duration_seconds_sum[15m])) / sum by (pod) (increase(ges_http_request_duration_seconds_count[15m]))"#,
    r#"sum by (exported_tenant) (rate(ges_http_failed_requests_total{httpCode="400"}[5m]) * 60)"#,
    r#"sum by (exported_tenant) (rate(ges_http_failed_requests_total{httpCode="401",exported_tenant="none"}[5m]) * 60)"#,
    r#"sum by (pod) (increase(ges_http_failed_requests_total{httpCode="404"}[2m])) <= on (pod) http_404_tolerance"#,
];

const SUCCESS_RATE: &str = r#"(sum(increase(ges_http_requests_total{tenant=~".+"}[5m])) - sum(increase(ges_http_failed_requests_total{tenant=~".+"}[5m]))) / sum(increase(ges_http_requests_total{tenant=~".+"}[5m]))"#;

/// One round of what the questions are about.
fn make_traffic(service: &Service) {
    let mut client = api::client(service.external());
    assert_eq!(api::create(&mut client, None, &api::booking("+14165550100", None)).unwrap().status, 200);
    assert_eq!(api::create(&mut client, None, r#"{"serviceName":7}"#).unwrap().status, 400);
    assert_eq!(api::retrieve(&mut client, uuid::Uuid::nil()).unwrap().status, 404);
    let mut stranger = Client::new(service.external()).with_header("X-API-Key", "nobody's");
    assert_eq!(api::create(&mut stranger, None, "{}").unwrap().status, 401);
}

#[test]
fn what_operators_ask_has_an_answer() {
    let service = Service::start(Options::fast().with("GES_NODE_METRICS", "true"));
    make_traffic(&service);
    let labels = [("pod", "ges-0"), ("namespace", "calls"), ("tenant", "shared")];
    let prometheus = Prometheus::start(service.internal(), &labels, &[alerts::RULES]);
    // So that counters rise between two scrapes.
    make_traffic(&service);
    for question in QUESTIONS {
        let samples = poll::try_until(WITHIN, || {
            let samples = prometheus.try_query(question).unwrap_or_else(|error| panic!("{question}: {error}"));
            let valued = !samples.is_empty() && samples.iter().any(|sample| number(sample).is_finite());
            valued.then_some(samples)
        });
        assert!(samples.is_some(), "{question} gives no value");
    }
    poll::until("a success rate of some requests that failed and some that did not", WITHIN, || {
        let rate = number(prometheus.try_query(SUCCESS_RATE).ok()?.first()?);
        (rate > 0.0 && rate < 1.0).then_some(())
    });
    assert!(prometheus.try_query("increase(sum(ges_http_requests_total)[5m])").is_err(), "as the guide has it");

    for (file, board) in dashboards::boards() {
        for expression in dashboards::expressions(&board) {
            prometheus.try_query(&expression).unwrap_or_else(|error| panic!("{file}: {expression}: {error}"));
        }
    }
    assert_rules_are_well(&prometheus);
}

/// Every rule was evaluated without an error. With one node on one machine only that there are too few may be about to fire,
/// and what was made above.
fn assert_rules_are_well(prometheus: &Prometheus) {
    let rules = poll::until("every rule was evaluated", WITHIN, || {
        let groups = prometheus.get("/api/v1/rules").ok()?["groups"].as_array()?.clone();
        let rules: Vec<_> =
            groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect();
        let evaluated = !rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown");
        evaluated.then_some(rules)
    });
    let ill: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(ill.is_empty(), "{ill:?}");
    let made_above = ["GES_UP", "GES_HTTP_400_TENANT", "GES_HTTP_401_TENANT", "GES_HTTP_404_TENANT"];
    // A busy machine, or one whose memory is small, is no fault of the program's.
    let of_the_machine = [
        "GES_CPU_USAGE",
        "GES_MEMORY_USAGE",
        "GES-NODE-JS-DELAY-WARNING",
        "GES_COMMITS_SLOW",
        "GES_SIGNALS_SLOW",
        "GES_SLOW_HTTP_RESPONSE_TIME",
    ];
    let awake = rules.iter().filter(|rule| rule["state"] == "firing" || rule["state"] == "pending");
    let unexpected: Vec<_> = awake
        .filter_map(|rule| rule["name"].as_str())
        .filter(|name| !made_above.contains(name) && !of_the_machine.contains(name))
        .collect();
    assert_eq!(unexpected, Vec::<&str>::new());
}
