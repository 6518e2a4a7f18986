//! Questions that a client asks before it books, each as a ratio to retrieve: the answer to one row, as fast as the
//! service answers anything from its store. Beside them what this hyper alone takes for as many bytes, because a
//! whole fortnight of slots is a body of half a megabyte.
//!
//! Everything goes round, for less than a second each, and the median of the ratios within the rounds is printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Request};
use http_body_util::Full;

use super::load::{self, HearAnswer, MakeRequest, Seen, Until};
use super::table::{Table, number};
use super::target::Target;
use super::throughput::median;
use super::{BenchError, Scale, seed};

/// Bookings in the fortnight that is asked about.
const BOOKINGS: u64 = 4_000;
const CONNECTIONS: [usize; 2] = [1, 16];

/// What is asked, from which server.
struct Question {
    name: &'static str,
    /// Ratio to retrieve that is aimed at; none for what only stands beside.
    aim: Option<f64>,
    of: Of,
    make: MakeRequest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Service,
    /// The server that answers a constant.
    Constant,
}

impl Question {
    fn of_service(name: &'static str, aim: f64, path: &'static str) -> Self {
        Self { name, aim: Some(aim), of: Of::Service, make: Arc::new(move |_| seed::ask(path)) }
    }

    /// Every slot of the fortnight that has places left.
    fn whole() -> Self {
        Self::of_service("availability, 14 days, all free slots", 3.0, WHOLE)
    }

    /// The same as browsers and most clients ask for it.
    fn whole_compressed() -> Self {
        let make: MakeRequest = Arc::new(|_| {
            let mut request = seed::ask(WHOLE);
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            request
        });
        let name = "availability, 14 days, all free slots, gzip";
        Self { name, aim: Some(3.0), of: Of::Service, make }
    }
}

const WHOLE: &str = "/engagement/v3/callbacks/availability/bench?numberOfDays=14";

/// What is asked; `bytes` is the length of the longest answer.
fn questions(ids: Arc<[String]>, bytes: usize) -> Vec<Question> {
    let start_ms = seed::now().timestamp_millis();
    // Each another question, though with the same slots in its answer.
    let anew: MakeRequest = Arc::new(move |number| {
        let start_ms = start_ms.saturating_add_unsigned(number);
        seed::ask(&format!("{WHOLE}&startMS={start_ms}"))
    });
    let constant: MakeRequest = Arc::new(move |_| seed::ask(&format!("/bytes/{bytes}")));
    vec![
        Question { name: "retrieve", aim: None, of: Of::Service, make: retrieves(ids) },
        Question::of_service("queue-status", 1.2, "/engagement/v3/callbacks/queue-status/bench"),
        Question::of_service("estimated-wait-time", 1.2, "/engagement/v3/estimated-wait-time?virtual-queues=bench"),
        Question::of_service(
            "availability, 14 days, 5 slots",
            3.0,
            "/engagement/v3/callbacks/availability/bench?numberOfDays=14&maxTimeSlots=5",
        ),
        Question::of_service(
            "availability, 14 days, 100 slots",
            3.0,
            "/engagement/v3/callbacks/availability/bench?numberOfDays=14&maxTimeSlots=100",
        ),
        Question::whole(),
        Question::whole_compressed(),
        Question::of_service(
            "availability, 14 days, busy too, local times",
            3.0,
            "/engagement/v3/callbacks/availability/bench?numberOfDays=14&reportBusy=true&timezone=America/New_York",
        ),
        Question { name: "availability, all free slots, never the same", aim: None, of: Of::Service, make: anew },
        Question { name: "this hyper, a constant as long as all of them", aim: None, of: Of::Constant, make: constant },
    ]
}

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let folder = seed::folder().await?;
    let service =
        Target::start(&["serve"], &[("GES_DATA_DIR", folder.text()), ("GES_LOG_LEVEL", "WARN".into())]).await?;
    let constant = Target::start(&["bench-constant"], &[]).await?;
    let ids = book(&service).await?;
    let bytes = measure((&service, &constant), &Question::whole(), 1, scale).await?.bytes;
    let asked = questions(ids, bytes);
    let mut table = Table::new(
        &format!(
            "Questions about 4,032 slots of 5 minutes with {BOOKINGS} bookings, as ratios to retrieve of the same \
             round; medians of {} rounds",
            scale.rounds()
        ),
        &["question", "connections", "per s", "p50 ms", "p99 ms", "bytes", "CPU ms", "CPU ratio", "rate ratio", "aim"],
    );
    for connections in CONNECTIONS {
        let mut rounds: Vec<Vec<Asked>> = asked.iter().map(|_| Vec::new()).collect();
        for _ in 0..scale.rounds() {
            for (question, seen) in asked.iter().zip(&mut rounds) {
                seen.push(measure((&service, &constant), question, connections, scale).await?);
            }
        }
        let retrieve = rounds.first().map(Vec::as_slice).unwrap_or_default();
        for (question, seen) in asked.iter().zip(&rounds) {
            table.row(row(question, connections, seen, retrieve));
        }
    }
    table.print();
    println!(
        "CPU ms: processor time of the server alone for one answer. Its granularity is 10 ms per round, so it is \
         rough for\nsmall answers of one connection."
    );
    constant.stop()?;
    service.stop()
}

/// Books, spread over the days and never two in one slot more than another: the ids.
async fn book(service: &Target) -> Result<Arc<[String]>, BenchError> {
    let ids: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let heard = ids.clone();
    let from = seed::now();
    let make: MakeRequest = Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, None));
    let hear: HearAnswer = Arc::new(move |_, answer| {
        heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(seed::id_of(answer));
    });
    let until = Until { requests: BOOKINGS, elapsed: std::time::Duration::from_secs(120) };
    let seen = load::run(service.external, 64, until, make, hear).await?;
    if seen.ok != BOOKINGS {
        return Err(BenchError::Broken(format!("{} of {BOOKINGS} bookings were kept", seen.ok)));
    }
    let ids = ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Ok(ids.into())
}

fn retrieves(ids: Arc<[String]>) -> MakeRequest {
    Arc::new(move |number| -> Request<Full<Bytes>> {
        let index = usize::try_from(number).unwrap_or_default() % ids.len().max(1);
        seed::retrieve(ids.get(index).map_or("", String::as_str))
    })
}

/// What one kind of request comes to in one round.
struct Asked {
    seen: Seen,
    bytes: usize,
    /// Of the server, for all answers.
    cpu_seconds: f64,
}

impl Asked {
    fn cpu_ms(&self) -> f64 {
        self.cpu_seconds * 1e3 / self.seen.ok.max(1) as f64
    }
}

async fn measure(
    (service, constant): (&Target, &Target),
    question: &Question,
    connections: usize,
    scale: Scale,
) -> Result<Asked, BenchError> {
    let target = if question.of == Of::Service { service } else { constant };
    let bytes = Arc::new(AtomicUsize::new(0));
    let heard = bytes.clone();
    let hear: HearAnswer = Arc::new(move |_, answer| heard.store(answer.len(), Ordering::Relaxed));
    let until = Until { requests: u64::MAX, elapsed: scale.load_time() };
    let before = target.cpu_seconds()?;
    let seen = load::run(target.external, connections, until, question.make.clone(), hear).await?;
    let cpu_seconds = target.cpu_seconds()? - before;
    if seen.refused > 0 {
        return Err(BenchError::Broken(format!("{} of {} requests were not answered 200", seen.refused, seen.ok)));
    }
    Ok(Asked { seen, bytes: bytes.load(Ordering::Relaxed), cpu_seconds })
}

fn row(question: &Question, connections: usize, rounds: &[Asked], retrieve: &[Asked]) -> Vec<String> {
    let of = |value: &dyn Fn(&Asked) -> f64| median(rounds.iter().map(value).collect());
    let ratio = |value: &dyn Fn(&Asked) -> f64| {
        median(rounds.iter().zip(retrieve).map(|(asked, base)| value(asked) / value(base).max(1e-9)).collect())
    };
    vec![
        question.name.to_owned(),
        connections.to_string(),
        number(of(&|asked| asked.seen.per_second())),
        number(of(&|asked| asked.seen.latency_ms(0.5))),
        number(of(&|asked| asked.seen.latency_ms(0.99))),
        rounds.last().map_or(0, |asked| asked.bytes).to_string(),
        number(of(&Asked::cpu_ms)),
        number(ratio(&Asked::cpu_ms)),
        number(ratio(&|asked| 1.0 / asked.seen.per_second().max(1e-9))),
        question.aim.map_or_else(|| "–".to_owned(), number),
    ]
}
