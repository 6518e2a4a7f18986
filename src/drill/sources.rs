//! Where a drill looks: the Prometheus of the installation, and the health of its nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::judge::{Line, Mark};
use super::{DrillError, DrillOptions, line};
use crate::clients::http::authorities;
use crate::config::{Config, Secret};

/// From the first packet to an open connection.
const CONNECT: Duration = Duration::from_secs(2);
/// One question to Prometheus.
const ANSWER: Duration = Duration::from_secs(10);
/// A node whose health cannot be had in that time is not well.
const HEALTH: Duration = Duration::from_secs(3);
/// How often what is asked once is asked without an answer.
const TRIES: usize = 5;
/// Work that is due may rest for so long.
const REST_SECONDS: f64 = 90.0;

/// See the module. Addresses have no slash at their end.
pub(super) struct Sources {
    client: Client,
    prometheus: String,
    /// What tells the series of this installation from others'.
    labels: String,
    nodes: Vec<String>,
    /// What internal listeners ask for, if they do.
    token: Option<String>,
}

impl Sources {
    pub(super) fn new(options: &DrillOptions, config: &Config) -> Result<Self, DrillError> {
        let authorities = authorities(&config.outward.ca_files)?;
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .tls_certs_merge(authorities)
            // What is asked stands beside the service.
            .no_proxy()
            .build()?;
        let plain = |url: &String| url.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            prometheus: plain(&options.prometheus),
            labels: options.labels.clone(),
            nodes: options.service.iter().map(plain).collect(),
            token: config.listeners.internal_token.as_ref().map(Secret::reveal).map(str::to_owned),
        })
    }

    fn prometheus(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}/api/v1/{path}", self.prometheus))
    }

    /// Samples of an expression: the vector of the answer.
    async fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = answer(self.prometheus(&format!("query?query={query}"))).await?;
        answer.pointer("/data/result")?.as_array().cloned()
    }

    /// Whether there is a rule for each of these alerts.
    ///
    /// # Errors
    /// There is none, or nobody can say.
    pub(super) async fn know(&self, alerts: &[String]) -> Result<(), DrillError> {
        let answer = answer(self.prometheus("rules?type=alert")).await;
        let groups = answer.as_ref().and_then(|answer| answer.pointer("/data/groups")?.as_array());
        let groups = groups.ok_or_else(|| DrillError::NoRules(self.prometheus.clone()))?;
        let rules = groups.iter().filter_map(|group| group.get("rules")?.as_array()).flatten();
        let known: BTreeSet<_> = rules.filter_map(|rule| rule.get("name")?.as_str()).collect();
        match alerts.iter().find(|alert| !known.contains(alert.as_str())) {
            None => Ok(()),
            Some(alert) => Err(DrillError::NoSuchAlert(alert.clone())),
        }
    }

    /// Names of the alerts that fire; none if that is not known just now.
    pub(super) async fn firing(&self) -> Option<BTreeSet<String>> {
        let found = self.query(&self.of_ours("ALERTS", r#"alertstate="firing""#)).await?;
        let name = |sample: &Value| Some(sample.pointer("/metric/alertname")?.as_str()?.to_owned());
        Some(found.iter().filter_map(name).collect())
    }

    /// A node that does not say that everything is up.
    pub(super) async fn ill(&self) -> Option<String> {
        for node in &self.nodes {
            let request = self.client.get(format!("{node}/ges/v1/health/detail")).timeout(HEALTH);
            let request = if let Some(token) = &self.token { request.bearer_auth(token) } else { request };
            let detail = answer(request).await;
            let status = detail.as_ref().and_then(|detail| detail.get("status")?.as_str());
            if status != Some("UP") {
                return Some(node.clone());
            }
        }
        None
    }

    /// What has to hold whatever was injected, over the time of the drill: nobody was forgotten, no callback set aside, and
    /// nothing rests.
    pub(super) async fn invariants(&self, since: Duration) -> Vec<Line> {
        let seconds = since.as_secs().max(60);
        // As in the alert rules: a counter that appears at 1 has increased by nothing, as far as `increase` can tell.
        let rise = |metric: &str, label: &str| {
            let series = self.of_ours(metric, label);
            format!("sum(({series} unless {series} offset {seconds}s) or increase({series}[{seconds}s])) or vector(0)")
        };
        let missed = rise("ges_promises_total", r#"result="missed""#);
        let parked = rise("ges_callbacks_parked_total", "");
        let rests = format!("max({}) or vector(0)", self.of_ours("ges_work_oldest_seconds", ""));
        vec![
            self.at_most("callbacks that were missed", &missed, 0.0).await,
            self.at_most("callbacks that were set aside", &parked, 0.0).await,
            self.at_most("seconds that work has been due", &rests, REST_SECONDS).await,
        ]
    }

    async fn at_most(&self, about: &str, expression: &str, most: f64) -> Line {
        for _ in 0..TRIES {
            let found = self.query(expression).await;
            let number = |found: &Vec<Value>| found.first()?.pointer("/value/1")?.as_str()?.parse::<f64>().ok();
            if let Some(value) = found.as_ref().and_then(number) {
                let mark = if value <= most { Mark::Good } else { Mark::Bad };
                return line(mark, about, format!("{value:.0}, at most {most:.0}"));
            }
            tokio::time::sleep(super::PAUSE).await;
        }
        line(Mark::Bad, about, "Prometheus does not say")
    }

    fn of_ours(&self, metric: &str, label: &str) -> String {
        let labels: Vec<_> = [label, &self.labels].into_iter().filter(|it| !it.is_empty()).collect();
        format!("{metric}{{{}}}", labels.join(","))
    }
}

/// The JSON of an answer with a good status; none if there is no such answer.
async fn answer(request: RequestBuilder) -> Option<Value> {
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}
