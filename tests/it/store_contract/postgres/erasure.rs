//! What is left of somebody in a server of our own: nothing in a table at once, and nothing in a byte of its files once the
//! tables were written anew and the log has gone on.

use std::sync::Arc;

use domain::ports::{Booked, Booking, CallInStore as _, CallbackStore as _, Opened, PersonalStore as _};
use ges::stores::combiner::Limits;
use ges::stores::postgres::PostgresStore;

use super::super::erasure::{COUNTED_AS, TEXTS, call_in_with, customer, erasing, plain_text, planted};
use super::super::harness::*;
use super::super::work::settled;
use super::open;
use crate::harness::postgres::{Server, query};
use crate::harness::postgres_search::{in_files, in_statistics, in_values, needles, stored_forms};

/// Callbacks of others; every tenth is followed by one of the customer.
const CROWD: u64 = 300;

/// Books a crowd with the customer in it; everything has ended.
async fn fill(store: &Arc<PostgresStore>) {
    let mut bookings = Vec::new();
    for number in 0..CROWD {
        let data = format!(r#"{{"n":"{}"}}"#, plain_text(number, 200));
        let theirs = with_phone(immediate(ME, noon()), phone(1_000 + number));
        bookings.push(Booking { user_data: Some(data), ..booking(theirs) });
        if number % 10 == 0 {
            bookings.push(planted(immediate(ME, noon()), u8::try_from(number / 10).unwrap()));
        }
    }
    let ended = bookings.into_iter().map(|booking| {
        let (store, change) = (store.clone(), settled(&booking.callback));
        tokio::spawn(async move {
            assert_eq!(store.book(booking).await, Ok(Booked::New));
            store.save(change).await.unwrap();
        })
    });
    join(ended.collect()).await;
    let opened = store.open_call_in(call_in_with(TEXTS[2], Some(77), 200)).await;
    assert!(matches!(opened, Ok(Opened::New(_))), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_in_a_byte_of_the_server() {
    // Segments of the log that are used again keep what they held until they are written over.
    let server = Server::start(&["wal_recycle=off"]);
    let address = server.address("postgres");
    let store = Arc::new(open(&address, Limits::default()).await);
    fill(&store).await;
    let digits = customer().digits();
    let forms = stored_forms(&address, digits);
    assert_eq!(forms.len(), 61, "options and user data of thirty callbacks, and of a call-in");
    let mut needles = needles(digits, &TEXTS, &forms);
    needles.push(COUNTED_AS.to_vec());

    query(&address, "ANALYZE");
    let noted = query(&address, "SELECT attname FROM pg_stats WHERE tablename = 'callbacks' AND attname = 'version'");
    assert_eq!(noted, ["version"], "the planner has noted what it needs");
    assert_eq!(in_statistics(&address, digits, &forms), Vec::<String>::new(), "and nothing of anybody");
    query(&address, "CHECKPOINT");
    assert!(!in_values(&address, digits, &TEXTS, &forms).is_empty());
    assert!(!in_files(&server.folder(), &needles).is_empty());

    let receipt = store.erase(erasing(noon())).await.unwrap();
    assert_eq!((receipt.counts.callbacks, receipt.counts.call_ins, receipt.counts.details), (30, 1, 31));
    assert_eq!((receipt.search.found, receipt.search.rewritten), (0, false));
    assert!(receipt.search.bytes > 0);
    assert_eq!(in_values(&address, digits, &TEXTS, &forms), Vec::<String>::new());
    let left = in_files(&server.folder(), &needles).len();
    assert!(left > 0, "the receipt names files for a reason");

    for step in ["VACUUM FULL", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"] {
        query(&address, step);
    }
    assert_eq!(in_files(&server.folder(), &needles), Vec::<String>::new());
    println!("{left} places of the files held one of {} traces before the tables were written anew", needles.len());
    assert_eq!(query(&address, "SELECT count(*) FROM callbacks"), [CROWD.to_string()], "the others are all there");
}
