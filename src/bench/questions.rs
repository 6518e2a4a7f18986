//! Questions that a client asks before it books, each as a ratio to retrieve: the answer to one row, as fast as the
//! service answers anything from its store.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::load::{self, HearAnswer, MakeRequest, Seen, Until};
use super::table::{Table, number};
use super::target::Target;
use super::{BenchError, Scale, seed};

/// Bookings in the fortnight that is asked about.
const BOOKINGS: u64 = 4_000;
const CONNECTIONS: [usize; 2] = [1, 16];
/// Ratio to the rate of retrieve that is aimed at.
const AIM: f64 = 3.0;

/// One question, by what it is and its query.
const QUESTIONS: [(&str, &str); 4] = [
    ("availability, 14 days, 5 slots", "?numberOfDays=14&maxTimeSlots=5"),
    ("availability, 14 days, 100 slots", "?numberOfDays=14&maxTimeSlots=100"),
    ("availability, 14 days, all free slots", "?numberOfDays=14"),
    ("availability, 14 days, busy ones too, local times", "?numberOfDays=14&reportBusy=true&timezone=America/New_York"),
];

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let folder = seed::folder().await?;
    let service =
        Target::start(&["serve"], &[("GES_DATA_DIR", folder.text()), ("GES_LOG_LEVEL", "WARN".into())]).await?;
    let ids = book(&service).await?;
    let mut table = Table::new(
        &format!(
            "Questions about 4,032 slots of 5 minutes with {BOOKINGS} bookings, as ratios to retrieve of the same run (aim: \
             {AIM} at most)"
        ),
        &["question", "connections", "per s", "p50 ms", "p99 ms", "bytes", "rate ratio", "p50 ratio"],
    );
    for connections in CONNECTIONS {
        let retrieve = measure(&service, connections, scale, retrieves(ids.clone())).await?;
        table.row(row("retrieve", connections, &retrieve, &retrieve));
        for (name, query) in QUESTIONS {
            let make: MakeRequest = Arc::new(move |_| seed::availability(query));
            let asked = measure(&service, connections, scale, make).await?;
            table.row(row(name, connections, &asked, &retrieve));
        }
    }
    table.print();
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

/// What one kind of request comes to.
struct Asked {
    seen: Seen,
    bytes: usize,
}

async fn measure(service: &Target, connections: usize, scale: Scale, make: MakeRequest) -> Result<Asked, BenchError> {
    let bytes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let heard = bytes.clone();
    let hear: HearAnswer = Arc::new(move |_, answer| heard.store(answer.len(), std::sync::atomic::Ordering::Relaxed));
    let until = Until { requests: u64::MAX, elapsed: scale.load_time() };
    let seen = load::run(service.external, connections, until, make, hear).await?;
    if seen.refused > 0 {
        return Err(BenchError::Broken(format!("{} of {} requests were not answered 200", seen.refused, seen.ok)));
    }
    Ok(Asked { seen, bytes: bytes.load(std::sync::atomic::Ordering::Relaxed) })
}

fn row(name: &str, connections: usize, asked: &Asked, retrieve: &Asked) -> Vec<String> {
    let (seen, base) = (&asked.seen, &retrieve.seen);
    vec![
        name.to_owned(),
        connections.to_string(),
        number(seen.per_second()),
        number(seen.latency_ms(0.5)),
        number(seen.latency_ms(0.99)),
        asked.bytes.to_string(),
        number(base.per_second() / seen.per_second().max(1e-9)),
        number(seen.latency_ms(0.5) / base.latency_ms(0.5).max(1e-9)),
    ]
}
