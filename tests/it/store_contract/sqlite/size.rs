//! What a callback takes of the file.

use super::*;

/// Bytes of the database per callback, after `count` bookings made by `booking`.
async fn bytes_per_callback(count: u32, booking: impl Fn(u32) -> Booking) -> u64 {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), serve()).unwrap());
    let empty =
        number(&mut connect(folder.path()), "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..count {
        let (store, booking) = (store.clone(), booking(n));
        tasks.spawn(async move { store.book(booking).await });
        if n % 1_000 == 999 {
            while let Some(booked) = tasks.join_next().await {
                assert_eq!(booked.unwrap(), Ok(Booked::New));
            }
        }
    }
    while let Some(booked) = tasks.join_next().await {
        assert_eq!(booked.unwrap(), Ok(Booked::New));
    }
    assert_eq!(number(&mut connect(folder.path()), "SELECT count(*) FROM callbacks"), u64::from(count));
    drop(store);
    (fs::metadata(folder.path().join(DATABASE_FILE)).unwrap().len() - empty) / u64::from(count)
}

/// Wanted at a random-looking second of the next 14 days.
fn spread(n: u32) -> domain::callback::Callback {
    let seconds = i64::from(n.wrapping_mul(2_654_435_761) % 1_209_600);
    scheduled_with_lead(noon() + Duration::seconds(seconds), Duration::seconds(120))
}

#[tokio::test]
async fn a_scheduled_callback_costs_little() {
    assert_eq!(Mode::Serve, serve().mode);
    let bare = bytes_per_callback(10_000, |n| booking(spread(n))).await;
    let with_ten_kilobytes = bytes_per_callback(1_000, |n| {
        let visits: Vec<String> = (0..48)
            .map(|i| {
                format!(
                    r#"{{"orderNumber":"WEB-{:06}","placedOn":"2026-{:02}-{:02}T10:{:02}:00Z","amount":{}.{:02},"mail":"customer{}@mail.example","articleCode":"{}","remark":"pressure drops again, please before noon {}","pieces":{}}}"#,
                    n.wrapping_mul(31).wrapping_add(i * 7_919) % 1_000_000, i % 12 + 1, (n + i) % 28 + 1, (n * i) % 60,
                    (n + 17 * i) % 500, (n ^ i) % 100, n, random_text((n * 64 + i).into(), 12).replace(['"', '\\'], "-"), i, i % 5
                )
            })
            .collect();
        let user_data = format!(r#"{{"customerId":"{n}","visits":[{}]}}"#, visits.join(","));
        assert!((9_000..11_000).contains(&user_data.len()), "{}", user_data.len());
        Booking { user_data: Some(user_data), ..booking(spread(n)) }
    })
    .await;
    println!("bytes per scheduled callback: {bare}, with 10 kB of user data: {with_ten_kilobytes}");
    assert!(bare <= 600, "{bare}");
    assert!(with_ten_kilobytes <= 4_000, "{with_ten_kilobytes}");
}
