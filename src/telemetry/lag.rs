//! How late the runtime wakes a task: what Node.js calls the lag of its event loop. Whatever is ready waits as long.

use std::sync::Arc;
use std::time::Duration;

use domain::event::Event;
use domain::ports::Observer;
use tokio::time::{Instant, sleep_until};

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Asks to be woken each second and tells how late that was, for as long as it is run. The timer counts in milliseconds
/// and rounds up, so one of them is no lag.
pub async fn watch(observer: Arc<dyn Observer>) {
    loop {
        let due = Instant::now() + EVERY;
        sleep_until(due).await;
        observer.note(Event::Woken { late: due.elapsed() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Duration>>);

    impl Observer for Heard {
        fn note(&self, event: Event) {
            if let Event::Woken { late } = event {
                self.0.lock().unwrap().push(late);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_the_thread_up_is_told() {
        let heard = Arc::new(Heard::default());
        let watching = tokio::spawn(watch(heard.clone()));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        // The next look was due half a second from now; the thread is held up for two.
        tokio::time::advance(Duration::from_millis(2_500)).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        watching.abort();
        let late = heard.0.lock().unwrap().clone();
        assert!(late.len() >= 3 && late[0] < Duration::from_millis(5), "{late:?}");
        assert!(late[1] >= Duration::from_millis(1_900) && late[2] < Duration::from_millis(5), "{late:?}");
    }
}
