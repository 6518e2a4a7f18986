//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `look` finds something.
///
/// # Panics
/// If it has found nothing when `within` is over; `what` says what was waited for.
pub(crate) fn until<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    try_until(within, look).unwrap_or_else(|| panic!("waited {within:?} in vain for: {what}"))
}

/// Waits until `look` finds something, or `within` is over.
pub(crate) fn try_until<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(PAUSE);
    }
}
