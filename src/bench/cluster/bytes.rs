//! Bytes of database and Redis for callbacks with user data, booked through the API of two nodes.

use std::sync::Arc;

use super::super::bytes_per_callback::typical_user_data;
use super::super::load::MakeRequest;
use super::super::table::{Table, number};
use super::super::{BenchError, Scale, seed};
use super::bed::{Bed, Setup};
use super::figures::{Figures, Row};
use super::servers::Servers;

/// What comes with each callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    None,
    /// So many kilobytes as contact centres attach them.
    Typical(usize),
    /// So many kilobytes of letters and digits at random, in one member.
    Random(usize),
}

impl Data {
    fn text(self, number: u64) -> Option<String> {
        match self {
            Self::None => None,
            Self::Typical(kilobytes) => Some(typical_user_data(kilobytes * 1000, number)),
            Self::Random(kilobytes) => Some(random(kilobytes * 1000, number)),
        }
    }

    fn name(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Typical(kilobytes) => format!("{kilobytes} kB, typical"),
            Self::Random(kilobytes) => format!("{kilobytes} kB, random letters"),
        }
    }
}

/// What is booked, and how many in the full run. The figures of the last are for 10,000.
const CASES: [(Data, u64); 4] =
    [(Data::None, 20_000), (Data::Typical(1), 10_000), (Data::Typical(10), 10_000), (Data::Random(100), 1_000)];
const OF_THE_PRODUCT: f64 = 10_000.0;

/// What each callback of a case takes.
struct Taken {
    database: f64,
    redis: f64,
}

pub(super) async fn run(servers: &Servers, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let title = "Bytes per scheduled callback with user data, two nodes";
    let mut table = Table::new(title, &["user data", "callbacks", "database", "own Redis"]);
    let mut bare = 0.0;
    for (data, count) in CASES {
        let count = scale.count(count);
        let mut bed = Bed::start(servers, Setup::default()).await?;
        let taken = book(&bed, data, count).await?;
        table.row([data.name(), count.to_string(), number(taken.database), number(taken.redis)]);
        let note = |figures: &mut Figures, row, figure: f64, used: bool| {
            if used { figures.note(row, figure) } else { figures.note_unused(row) }
        };
        let used = bed.servers.own.is_used().await?;
        let megabytes = |each: f64| each * OF_THE_PRODUCT / 1e6;
        match data {
            Data::None => bare = taken.database,
            Data::Typical(1) => figures.note(Row::UserData1, (taken.database - bare) / 1e3),
            Data::Typical(_) => {
                figures.note(Row::UserData10, (taken.database - bare) / 1e4);
                figures.note(Row::TenKilobytes, megabytes(taken.database));
                note(figures, Row::TenKilobytesRedis, megabytes(taken.redis), used);
                note(figures, Row::RedisMemoryUserData, taken.redis / 10.0, used);
            }
            Data::Random(_) => {
                figures.note(Row::Random, megabytes(taken.database));
                note(figures, Row::RandomRedis, megabytes(taken.redis), used);
            }
        }
        bed.stop().await?;
    }
    table.print();
    Ok(())
}

async fn book(bed: &Bed, data: Data, count: u64) -> Result<Taken, BenchError> {
    // The first request opens connections.
    Bed::book_now(&bed.externals(), 1).await?;
    let (bytes, memory) = (bed.database.bytes().await?, bed.servers.own.memory().await?);
    let from = seed::now();
    let make: MakeRequest =
        Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, data.text(number).as_deref()));
    Bed::book(&bed.externals(), count, make, Arc::new(|_, _| ())).await?;
    let each = |after: f64, before: f64| (after - before).max(0.0) / count as f64;
    Ok(Taken {
        database: each(bed.database.bytes().await?, bytes),
        redis: each(bed.servers.own.memory().await?, memory),
    })
}

/// JSON with one member of letters and digits.
fn random(bytes: usize, number: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes + 16);
    text.push_str(r#"{"text":""#);
    let mut seed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() + 2 < bytes {
        // Xorshift: its upper bits are random enough that nothing compresses them.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let letter = usize::try_from(seed >> 58).ok().and_then(|index| LETTERS.get(index)).copied().unwrap_or(b'A');
        text.push(char::from(letter));
    }
    text.push_str("\"}");
    text
}
