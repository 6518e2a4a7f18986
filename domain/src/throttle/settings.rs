//! Whether the settings of the counted rules can be used.

use crate::queue::QueueSettings;
use crate::setting::Checks;

/// Notes every rule that a queue's document breaks in what it says about counted rules.
pub fn check(queue: &QueueSettings, checks: &mut Checks) {
    checks.within("duplicateLimit", queue.duplicate_limit, 1..=100);
    checks.within("throttleDailyLimit", queue.throttle_daily_limit, 0..=1_000_000);
    checks.within("throttleParameters", queue.throttle_parameters.len(), 0..=QueueSettings::MAX_THROTTLE_PARAMETERS);
    checks.at("throttleParameters", |checks| {
        for (position, parameter) in queue.throttle_parameters.iter().enumerate() {
            checks.line(&position.to_string(), Some(parameter));
            if queue.throttle_parameters.iter().take(position).any(|earlier| earlier == parameter) {
                checks.broken(&position.to_string(), Some(parameter), "has to be there once");
            }
        }
    });
    checks.within("throttleWindows", queue.throttle_windows.len(), 0..=QueueSettings::MAX_THROTTLE_WINDOWS);
    checks.at("throttleWindows", |checks| {
        for (position, window) in queue.throttle_windows.iter().enumerate() {
            checks.at(position.to_string(), |checks| {
                checks.within("limit", window.limit, 0..=1_000_000);
                checks.within("seconds", window.seconds, 1..=86_400);
                // Bookings are counted by the length of their window.
                if queue.throttle_windows.iter().take(position).any(|earlier| earlier.seconds == window.seconds) {
                    checks.broken("seconds", Some(&window.seconds), "has to differ from every other window's");
                }
            });
        }
    });
    checks.within("maxQueued", queue.max_queued, 0..=QueueSettings::MAX_QUEUED);
}
