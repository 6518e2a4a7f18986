//! The files on their way out, and what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use chrono::{DateTime, DurationRound as _, FixedOffset, SecondsFormat, TimeDelta, Utc};
use chrono_tz::America::Toronto;
use flate2::read::GzDecoder;
use serde_json::Value;

use super::models::BY_ID;
use super::reading::{Client, Kind, read, read_refusal};
use super::{STRANGER, TENANT, folder};
use crate::harness::http::{Answer, DEADLINE, connect, read_answer};
use crate::harness::tenants;

/// Sends the files, one connection each, and keeps what later ones need.
pub(super) struct Replay {
    address: SocketAddr,
    pub(super) values: BTreeMap<&'static str, String>,
    pub(super) sent: BTreeSet<String>,
}

impl Replay {
    pub(super) fn new(address: SocketAddr) -> Self {
        // A full hour, tomorrow.
        let start = (Utc::now() + TimeDelta::hours(24)).duration_trunc(TimeDelta::hours(1)).unwrap();
        let west = FixedOffset::west_opt(5 * 3_600).unwrap();
        let later = |minutes: i64| start + TimeDelta::minutes(minutes);
        let in_java = |at: DateTime<Utc>| at.with_timezone(&west).to_rfc3339_opts(SecondsFormat::Secs, false);
        let values = [
            ("host", address.to_string()),
            ("key", tenants::key_of(TENANT)),
            ("strangers_key", tenants::key_of(STRANGER)),
            ("utc", start.to_rfc3339_opts(SecondsFormat::Millis, true)),
            ("offset", in_java(later(30))),
            ("later_offset", in_java(later(90))),
            ("nanoseconds", format!("{}.123456789+00:00", later(45).format("%Y-%m-%dT%H:%M:%S"))),
            ("bare", start.with_timezone(&Toronto).format("%Y-%m-%dT%H:%M:%S.000").to_string()),
            ("exponent_ms", exponent(start.timestamp_millis())),
            ("now_ms", Utc::now().timestamp_millis().to_string()),
            ("hundred_kilobytes", "Nobody answered; called again. ".repeat(3_226)),
        ];
        Self { address, values: values.into(), sent: BTreeSet::new() }
    }

    /// What stands in a file, with what was not known when it was written.
    pub(super) fn request(&self, file: &str) -> Vec<u8> {
        let text = fs::read_to_string(folder().join(file).with_extension("http")).unwrap();
        let (_why, text) = text.split_once('\n').unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        let (line, headers) = head.split_once('\n').unwrap();
        let fill = |text: &str, encoded: bool| {
            self.values.iter().fold(text.to_owned(), |text, (name, value)| {
                let value = if encoded { value.replace(':', "%3A").replace('+', "%2B") } else { value.clone() };
                text.replace(&format!("{{{name}}}"), &value)
            })
        };
        let body = fill(body.trim_end_matches('\n'), false);
        let headers = fill(headers, false).replace("{length}", &body.len().to_string());
        let head = format!("{}\n{headers}\n\n", fill(line, true)).replace('\n', "\r\n");
        assert!(!head.contains('{'), "{file}: something was not filled in: {head}");
        [head.as_bytes(), body.as_bytes()].concat()
    }

    pub(super) fn send(&mut self, file: &str) -> Answer {
        let request = self.request(file);
        let mut connection = BufReader::new(connect(self.address).unwrap());
        connection.get_mut().write_all(&request).unwrap();
        let mut answer = read_answer(&mut connection, Instant::now() + DEADLINE).unwrap();
        self.sent.insert(file.to_owned());
        // Whoever asks for it unpacks it, and both clients do so before they read.
        if answer.header("content-encoding") == Some("gzip") {
            let mut plain = Vec::new();
            GzDecoder::new(answer.body.as_slice()).read_to_end(&mut plain).unwrap();
            answer.body = plain;
        }
        answer
    }

    /// Sends a file and reads the answer as both clients do, whoever asked: its `data`.
    pub(super) fn data(&mut self, file: &str, model: Kind) -> Value {
        let answer = self.send(file);
        let data = [Client::JavaScript, Client::Java].map(|client| {
            read(client, &answer, model).unwrap_or_else(|stumble| panic!("{file}: {stumble} in {}", answer.text()))
        });
        let [data, _] = data;
        data
    }

    /// Books, and remembers the id for the files that name one.
    pub(super) fn book(&mut self, file: &str) {
        let id = self.data(file, BY_ID)["id"].as_str().unwrap().to_owned();
        self.values.insert("id", id);
    }

    /// Sends a file that is refused with this status and code.
    pub(super) fn refused(&mut self, file: &str, status: u16, code: i64) -> Answer {
        let answer = self.send(file);
        let read = read_refusal(&answer).unwrap_or_else(|stumble| panic!("{file}: {stumble} in {}", answer.text()));
        assert_eq!((answer.status, read), (status, code), "{file}: {}", answer.text());
        answer
    }
}

/// A number as Java's BigDecimal prints one that is round.
fn exponent(number: i64) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at(1);
    format!("{first}.{}E+{}", rest.trim_end_matches('0'), rest.len())
}
