//! Slows down whoever guesses passwords.
//!
//! Each name, and each address, may fail a few times at once; then each failure doubles the pause until the next try. Names
//! that nobody has count like others, so that the pause tells nothing.

use std::collections::HashMap;
use std::hash::Hash;

use chrono::{DateTime, Duration, Utc};

/// The first pause; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::seconds(1);
/// How long after the last failure all of them are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::minutes(15);

/// Most names that are remembered. When so many are being guessed at once, those go that failed least and longest ago: so
/// nobody who guesses keeps others from logging in, and who guesses most is remembered longest.
pub const MAX_NAMES: usize = 10_000;

/// How many failures are borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Failures without a pause.
    pub free: u32,
    /// The longest pause.
    pub longest: Duration,
}

impl Patience {
    /// With a name.
    pub const NAME: Self = Self { free: 5, longest: FORGOTTEN_AFTER };
    /// With an address: a whole office may be behind one.
    pub const ADDRESS: Self = Self { free: 20, longest: Duration::minutes(1) };

    fn free_at(self, failed: Failed) -> DateTime<Utc> {
        let Some(doublings) = failed.times.checked_sub(self.free) else { return failed.last };
        let seconds =
            FIRST_PAUSE.num_seconds().saturating_mul(1_i64.checked_shl(doublings.min(32)).unwrap_or(i64::MAX));
        failed.last + Duration::seconds(seconds.min(self.longest.num_seconds()))
    }
}

/// Failures by name, or by address. A name is whatever tells two users apart; its hash will do.
#[derive(Debug, Clone)]
pub struct Guesses<N> {
    patience: Patience,
    failed: HashMap<N, Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    last: DateTime<Utc>,
}

impl<N> Guesses<N> {
    /// None so far.
    pub fn new(patience: Patience) -> Self {
        Self { patience, failed: HashMap::new() }
    }
}

impl<N: Eq + Hash + Clone> Guesses<N> {
    /// How long the next try has to wait; none if it has not.
    pub fn wait(&self, name: &N, now: DateTime<Utc>) -> Option<Duration> {
        let free_at = self.patience.free_at(*self.failed.get(name)?);
        (now < free_at).then(|| free_at - now)
    }

    /// Takes a try as failed until [`Self::passed`] says otherwise, so that tries side by side count one by one.
    ///
    /// # Errors
    /// How long to wait; the try did not count.
    pub fn attempt(&mut self, name: N, now: DateTime<Utc>) -> Result<(), Duration> {
        if let Some(wait) = self.wait(&name, now) {
            return Err(wait);
        }
        self.fail(name, now);
        Ok(())
    }

    /// A try has failed. Whether it is the one with which the pauses begin.
    pub fn fail(&mut self, name: N, now: DateTime<Utc>) -> bool {
        if !self.failed.contains_key(&name) {
            self.make_room(now);
        }
        let failed = self.failed.entry(name).or_insert(Failed { times: 0, last: now });
        if now - failed.last >= FORGOTTEN_AFTER {
            failed.times = 0;
        }
        *failed = Failed { times: failed.times.saturating_add(1), last: now };
        failed.times == self.patience.free
    }

    fn make_room(&mut self, now: DateTime<Utc>) {
        if self.failed.len() >= MAX_NAMES {
            self.failed.retain(|_, failed| now - failed.last < FORGOTTEN_AFTER);
        }
        if self.failed.len() >= MAX_NAMES {
            let least = self.failed.iter().min_by_key(|(_, failed)| (failed.times, failed.last));
            if let Some(name) = least.map(|(name, _)| name.clone()) {
                self.failed.remove(&name);
            }
        }
    }

    /// Nobody has judged the try: it was none.
    pub fn withdraw(&mut self, name: &N) {
        if let Some(failed) = self.failed.get_mut(name) {
            failed.times = failed.times.saturating_sub(1);
        }
    }

    /// Whether the last try of a name is the one with which its pauses begin.
    pub fn begins_to_wait(&self, name: &N) -> bool {
        self.failed.get(name).is_some_and(|failed| failed.times == self.patience.free)
    }

    /// The try was a right one.
    pub fn passed(&mut self, name: &N) {
        self.failed.remove(name);
    }

    /// Names that are remembered.
    pub fn len(&self) -> usize {
        self.failed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }
}
