//! Bookings, holds, moves and other grids as they come.

use super::*;

/// Whatever comes in whatever order: the places of each slot are the bookings and holds that are in it, never more than
/// it has.
pub(crate) async fn keep_every_place_in_random_changes(start: &Start) {
    let mut random = StdRng::seed_from_u64(23);
    for _ in 0..6 {
        let store = start(Limits { batch_commands: 12, ..Limits::default() });
        let (mut by, mut now) = (grid(30), 0);
        let mut callbacks: Vec<Callback> = Vec::new();
        let mut holds: BTreeMap<HoldId, Hold> = BTreeMap::new();
        for _ in 0..150 {
            now += random.random_range(0..40);
            let wanted = noon() + minutes(random.random_range(60..240));
            let claim = |by: Grid| SlotClaim { start: by.slot_start(wanted), capacity: 3, grid: by };
            // What is over counts until somebody wants its place, or tidies up.
            let in_slot_of = |callbacks: &[Callback], holds: &BTreeMap<HoldId, Hold>, slot| {
                let living = holds.values().filter(|hold| hold.expires_at > at(now));
                living.filter(|hold| hold.slot == slot).count()
                    + callbacks.iter().filter(|it| it.slot == Some(slot)).count()
            };
            let full = in_slot_of(&callbacks, &holds, claim(by).start) >= 3;
            match random.random_range(0..12) {
                0 => {
                    by = grid([5, 10, 15, 20, 30, 60][random.random_range(0..6)]);
                    let grids = BTreeMap::from([(queue(), by)]);
                    assert!(store.callbacks.recount(tenant(), &grids, noon()).await.is_ok());
                    for callback in &mut callbacks {
                        *callback = store.load(callback.id).await;
                    }
                    holds.values_mut().for_each(|hold| hold.slot = by.slot_start(hold.desired_time));
                }
                1 => {
                    let over = holds.values().filter(|hold| hold.expires_at <= at(now)).count() as u64;
                    let expired = store.holds.expire_holds(at(now), 1_000).await.unwrap();
                    assert!(expired <= over, "those that stood in somebody's way were ended before");
                    holds.retain(|_, hold| hold.expires_at > at(now));
                }
                2..=4 => {
                    let Holding { id, desired_time, expires_at, .. } = holding(wanted, 3);
                    let expires_at = expires_at + Duration::seconds(now);
                    let hold = Hold { id, desired_time, slot: claim(by).start, expires_at };
                    let asked = Holding { id, slot: claim(by), at: at(now), expires_at, ..holding(wanted, 3) };
                    let outcome = store.holds.hold(asked).await;
                    assert_eq!(outcome, Ok(if full { Held::SlotFull } else { Held::New }));
                    if !full {
                        holds.insert(id, hold);
                    }
                }
                5 | 6 if !holds.is_empty() => {
                    let hold = *holds.values().nth(random.random_range(0..holds.len())).unwrap();
                    let mut callback = in_slot(hold.desired_time);
                    callback.slot = Some(hold.slot);
                    let booking = Booking { grid: by, booked_at: at(now), ..with_hold(hold.id, hold.slot) };
                    let booking = Booking { callback: callback.clone(), ..booking };
                    let alive = hold.expires_at > at(now);
                    let outcome = store.callbacks.book(booking).await;
                    assert_eq!(outcome, Ok(if alive { Booked::New } else { Booked::HoldGone }));
                    if alive {
                        holds.remove(&hold.id);
                        callbacks.push(callback);
                    }
                }
                7 if !holds.is_empty() => {
                    let hold = *holds.values().nth(random.random_range(0..holds.len())).unwrap();
                    let alive = hold.expires_at > at(now);
                    assert_eq!(store.holds.release(tenant(), hold.id, at(now)).await, Ok(alive));
                    if alive {
                        holds.remove(&hold.id);
                    }
                }
                8 | 9 if !callbacks.is_empty() => {
                    let index = random.random_range(0..callbacks.len());
                    let before = callbacks[index].clone();
                    let slot = claim(by).start;
                    let mut step = change(&before, |it| (it.desired_time, it.slot) = (wanted, Some(slot)));
                    step.saving = saving(Cause::Rescheduled);
                    if before.slot != Some(slot) {
                        step.saving = Saving { give_back: before.slot, take: Some(slot), ..step.saving };
                    }
                    let step = Change { grid: by, slot_capacity: 3, at: at(now), ..step };
                    let stays = before.slot == Some(slot);
                    let outcome = store.callbacks.save(step.clone()).await;
                    assert_eq!(outcome, if full && !stays { Err(SaveError::SlotFull) } else { Ok(()) });
                    if outcome.is_ok() {
                        callbacks[index] = step.callback;
                    }
                }
                _ => {
                    let mut callback = in_slot(wanted);
                    callback.slot = Some(claim(by).start);
                    let booking =
                        Booking { slot_capacity: 3, grid: by, booked_at: at(now), ..booking(callback.clone()) };
                    let outcome = store.callbacks.book(booking).await;
                    assert_eq!(outcome, Ok(if full { Booked::SlotFull } else { Booked::New }));
                    if !full {
                        callbacks.push(callback);
                    }
                }
            }
            // Tidied up, so that both sides speak of the same.
            store.holds.expire_holds(at(now), 1_000).await.unwrap();
            holds.retain(|_, hold| hold.expires_at > at(now));
            let mut held: BTreeMap<i64, u32> = BTreeMap::new();
            let slots = callbacks.iter().filter_map(|it| it.slot).chain(holds.values().map(|hold| hold.slot));
            for slot in slots {
                *held.entry((slot - noon()).num_minutes()).or_default() += 1;
            }
            assert_eq!(taken(&store).await, held.into_iter().collect::<Vec<_>>());
            assert_eq!(store.injector.rows().holds, holds.len() as u64);
        }
    }
}
