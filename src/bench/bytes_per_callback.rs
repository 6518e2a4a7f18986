//! Bytes of database per scheduled callback, without and with user data.

use std::sync::Arc;
use std::time::Duration;

use super::load::{self, Until};
use super::table::{Table, number};
use super::target::Target;
use super::{BenchError, Scale, seed};

/// Kilobytes of user data, callbacks in the full run, and the aim in bytes per callback, if there is one.
const CASES: [(usize, u64, &str); 4] =
    [(0, 100_000, "600"), (1, 20_000, "1200"), (10, 4_000, "4100"), (100, 1_000, "")];

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let mut table = Table::new(
        "Database bytes per scheduled callback (row, indexes, first history entry, user data)",
        &["user data kB", "callbacks", "bytes each", "aim"],
    );
    for (kilobytes, full_count, aim) in CASES {
        let count = scale.count(full_count);
        let bytes = measure(kilobytes, count).await?;
        table.row([kilobytes.to_string(), count.to_string(), number(bytes), aim.to_owned()]);
    }
    table.print();
    Ok(())
}

async fn measure(kilobytes: usize, count: u64) -> Result<f64, BenchError> {
    let folder = seed::folder().await?;
    let empty = database_bytes(&folder)?;
    let service =
        Target::start(&["serve"], &[("GES_DATA_DIR", folder.text()), ("GES_LOG_LEVEL", "WARN".into())]).await?;
    let from = seed::now();
    let make: load::MakeRequest = Arc::new(move |number| {
        let data = (kilobytes > 0).then(|| typical_user_data(kilobytes * 1000, number));
        seed::create(Some(seed::spread(from, number)), number, data.as_deref())
    });
    let until = Until { requests: count, elapsed: Duration::from_secs(600) };
    let seen = load::run(service.external, 64, until, make, Arc::new(|_, _| ())).await?;
    if seen.ok != count {
        return Err(BenchError::Broken(format!("{} of {count} creates were not answered 200", seen.refused)));
    }
    service.stop()?;
    Ok((database_bytes(&folder)?.saturating_sub(empty)) as f64 / count as f64)
}

fn database_bytes(folder: &super::target::Folder) -> Result<u64, BenchError> {
    let path = folder.path().join("ges.db");
    std::fs::metadata(&path).map(|file| file.len()).map_err(|error| BenchError::Data(error.to_string()))
}

/// JSON as contact centres attach it: names, order numbers, dates, short texts; different for every `number`.
pub(super) fn typical_user_data(bytes: usize, number: u64) -> String {
    const TOPICS: [&str; 6] = ["billing", "delivery", "returns", "contract", "technical", "complaint"];
    let mut text = String::from("{");
    let mut seed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut part = 0;
    while text.len() + 2 < bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = seed >> 33;
        let topic = TOPICS.get(usize::try_from(random).unwrap_or_default() % TOPICS.len()).copied().unwrap_or_default();
        if part > 0 {
            text.push(',');
        }
        text.push_str(&format!(
            r#""item_{part}":{{"orderNumber":"ORD-{random:010}","topic":"{topic}","createdAt":"2030-03-{:02}T{:02}:15:00.000Z","customerId":{},"tier":{},"note":"customer asks about {topic}"}}"#,
            1 + random % 28,
            random % 24,
            seed >> 40,
            random % 4,
        ));
        part += 1;
    }
    text.push('}');
    text
}
