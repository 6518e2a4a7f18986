//! What the outside is owed: one notice per happening and receiver, written with the step that causes it, and
//! delivered afterwards by whoever works on it.
//!
//! ```text
//!            claim                    done, given up, perhaps (push), stale
//!   owed ───────────▶ being sent ───────────────────────────────────────────▶ settled
//!    ▲  ▲                 │
//!    │  └── later ◀───────┘ surely not done, or a webhook that failed
//!    │
//!  waiting: an earlier notice about the same callback is owed to the same endpoint
//! ```
//!
//! A message of a webhook is repeated until it was taken, so it may come twice, under the same id. A notification
//! to a customer is repeated only if it surely was not sent, so nobody is told twice.

mod audience;

use chrono::{DateTime, Duration, Utc};

use crate::happening::Happening;
use crate::ids::TenantId;
use crate::push::PushResult;
use crate::webhooks::LADDER;
pub use audience::Audience;

/// A number that a store gives to a [`Lane`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub i64);

/// What notices are queued up in: each webhook endpoint of a tenant has a lane, and its notifications have one, so
/// that a receiver that is slow or dead holds up nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lane {
    /// Notifications of a tenant.
    Push,
    /// Messages to an endpoint of a tenant.
    Webhook {
        /// Its name in the settings.
        endpoint: String,
    },
}

impl Lane {
    /// The label in metrics.
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Push => Channel::Push,
            Self::Webhook { .. } => Channel::Webhook,
        }
    }
}

/// The two ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// To customers.
    Push,
    /// To the tenant.
    Webhook,
}

impl Channel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Push, Self::Webhook];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Webhook => "webhook",
        }
    }
}

/// Names one notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeKey {
    /// Where it is queued up.
    pub lane: LaneId,
    /// The place of its happening in the tenant's feed.
    pub seq: u64,
    /// Which device of the booking, from 0; 0 for webhooks.
    pub target: u8,
}

/// A notice that somebody has taken on: until its lease ends nobody else touches it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Which.
    pub key: NoticeKey,
    /// Where it is queued up.
    pub lane: Lane,
    /// Whose it is.
    pub tenant: TenantId,
    /// Number of this try, from 1.
    pub attempt: u32,
    /// The try before was begun, and nobody knows how it ended: whoever made it has died.
    pub interrupted: bool,
    /// The endpoint was switched off, because it failed for too long.
    pub lane_disabled: bool,
    /// After this instant it is not worth sending.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it tells.
    pub happening: Happening,
}

/// What became of one try to send something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How it ended.
    pub outcome: Outcome,
    /// What can be said of it.
    pub detail: Detail,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The receiver's own name for what it took.
    pub receipt: Option<String>,
}

impl Sent {
    /// An ending with nothing more to be said.
    pub const fn new(outcome: Outcome, detail: Detail) -> Self {
        Self { outcome, detail, retry_after: None, receipt: None }
    }
}

/// How an outward call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Done,
    /// It was not taken, and never will be.
    Refused,
    /// It surely was not taken.
    NotDone,
    /// It may have been taken.
    Perhaps,
}

/// What can be said of one try. Numbers for storage: an HTTP status, or a small one of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// It was answered with this HTTP status.
    Status(u16),
    /// Nobody could be reached.
    NotReached,
    /// There was no answer, or half of one.
    NoAnswer,
    /// The address leads to a place that we do not call.
    NotAllowed,
    /// A secret or credential is missing, cannot be opened, or has the wrong form.
    NoCredentials,
    /// The device or endpoint that it was for is not known.
    NoTarget,
    /// It was not sent: what it would have said no longer holds.
    NotSent,
    /// The receiver failed too often lately and is left alone for a moment.
    Resting,
}

impl Detail {
    const OWN: [Self; 7] = [
        Self::NotReached,
        Self::NoAnswer,
        Self::NotAllowed,
        Self::NoCredentials,
        Self::NoTarget,
        Self::NotSent,
        Self::Resting,
    ];

    /// The number in storage.
    pub const fn code(self) -> u16 {
        match self {
            Self::NotReached => 1,
            Self::NoAnswer => 2,
            Self::NotAllowed => 3,
            Self::NoCredentials => 4,
            Self::NoTarget => 5,
            Self::NotSent => 6,
            Self::Resting => 7,
            Self::Status(status) => status,
        }
    }

    /// What a number stands for.
    pub fn from_code(code: u16) -> Self {
        Self::OWN.into_iter().find(|detail| detail.code() == code).unwrap_or(Self::Status(code))
    }

    /// In words, for people.
    pub fn words(self) -> String {
        match self {
            Self::Status(status) => format!("answered {status}"),
            Self::NotReached => "not reached".to_owned(),
            Self::NoAnswer => "no answer".to_owned(),
            Self::NotAllowed => "address not allowed".to_owned(),
            Self::NoCredentials => "no usable secret or credential".to_owned(),
            Self::NoTarget => "no such device or endpoint".to_owned(),
            Self::NotSent => "not sent".to_owned(),
            Self::Resting => "left alone for a moment".to_owned(),
        }
    }
}

/// How a notice ended. The numbers are stored and never change their meaning; 0 is one that is still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Ending {
    /// It was taken.
    Delivered = 1,
    /// It may have been taken.
    Perhaps = 2,
    /// It was not taken.
    Failed = 3,
    /// It was not worth sending any more: the callback has moved on, a newer notice says more, or the receiver is
    /// gone.
    Dropped = 4,
    /// It could not be sent while it was worth it.
    Expired = 5,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Perhaps, Self::Failed, Self::Dropped, Self::Expired];

    /// The number in storage.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The ending with that number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.code() == code)
    }

    /// The word in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Perhaps => "perhaps",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Expired => "expired",
        }
    }

    /// What a notification that ended so is reported as; none if it was never meant to be sent any more.
    pub const fn push_result(self) -> Option<PushResult> {
        match self {
            Self::Delivered => Some(PushResult::Confirmed),
            Self::Perhaps => Some(PushResult::NotConfirmed),
            Self::Failed | Self::Expired => Some(PushResult::SendError),
            Self::Dropped => None,
        }
    }
}

/// What follows a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// That was all.
    Settled(Ending),
    /// It is owed still: not before this instant.
    Again(DateTime<Utc>),
    /// It was not even tried, and is owed as before: not before this instant.
    Later(DateTime<Utc>),
}

/// When something is looked at again that could not be tried for a reason of our own.
pub const LATER: Duration = Duration::seconds(5);
/// The longest that a receiver may ask to be left alone.
const MAX_RETRY_AFTER: Duration = Duration::hours(1);
/// The first and the longest pause between two tries of a notification.
const PUSH_PAUSE: Duration = Duration::seconds(1);
const PUSH_PAUSE_MAX: Duration = Duration::seconds(60);

/// Judges the `attempt`-th try of a message, made by `now`. Whatever was not taken is tried again along the ladder.
pub fn judge_webhook(attempt: u32, sent: &Sent, now: DateTime<Utc>) -> Verdict {
    match (sent.outcome, sent.detail) {
        (Outcome::Done, _) => return Verdict::Settled(Ending::Delivered),
        (_, Detail::Resting) => return Verdict::Later(now + LATER),
        (Outcome::Refused | Outcome::NotDone | Outcome::Perhaps, _) => {}
    }
    let rung = usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1);
    match LADDER.get(rung) {
        Some(pause) => Verdict::Again(now + sent.pause(*pause)),
        None => Verdict::Settled(Ending::Failed),
    }
}

/// Judges the `attempt`-th try of a notification, made by `now`. It is tried again only if it surely was not sent.
pub fn judge_push(attempt: u32, sent: &Sent, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Verdict {
    let again = match sent.outcome {
        Outcome::Done => return Verdict::Settled(Ending::Delivered),
        Outcome::Refused => return Verdict::Settled(Ending::Failed),
        Outcome::Perhaps => return Verdict::Settled(Ending::Perhaps),
        Outcome::NotDone => now + sent.pause((PUSH_PAUSE * (1 << attempt.clamp(1, 7)) / 2).min(PUSH_PAUSE_MAX)),
    };
    if expires_at.is_some_and(|expires_at| again >= expires_at) {
        return Verdict::Settled(Ending::Expired);
    }
    if sent.detail == Detail::Resting { Verdict::Later(again) } else { Verdict::Again(again) }
}

impl Sent {
    fn pause(&self, usual: Duration) -> Duration {
        usual.max(self.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    fn noon() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2030, 3, 4, 12, 0, 0).unwrap()
    }

    fn sent(outcome: Outcome) -> Sent {
        Sent::new(outcome, Detail::NoAnswer)
    }

    #[test]
    fn a_message_goes_down_the_ladder_and_is_given_up() {
        for outcome in [Outcome::Perhaps, Outcome::NotDone, Outcome::Refused] {
            let pauses: Vec<_> = (1..=8)
                .map(|attempt| match judge_webhook(attempt, &sent(outcome), noon()) {
                    Verdict::Again(at) => (at - noon()).num_seconds(),
                    Verdict::Settled(ending) => -i64::from(ending.code()),
                    Verdict::Later(_) => 0,
                })
                .collect();
            assert_eq!(pauses, [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, -3]);
        }
        assert_eq!(judge_webhook(3, &sent(Outcome::Done), noon()), Verdict::Settled(Ending::Delivered));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_but_not_for_days() {
        let asked = |seconds| Sent { retry_after: Some(Duration::seconds(seconds)), ..sent(Outcome::NotDone) };
        for (attempt, seconds, expected) in [(1, 20, 20), (1, 1, 5), (1, 90_000, 3_600), (2, 20, 300)] {
            let again = Verdict::Again(noon() + Duration::seconds(expected));
            assert_eq!(judge_webhook(attempt, &asked(seconds), noon()), again, "{attempt} {seconds}");
        }
    }

    #[test]
    fn what_was_not_tried_uses_no_rung_up() {
        let resting = Sent::new(Outcome::NotDone, Detail::Resting);
        assert_eq!(judge_webhook(8, &resting, noon()), Verdict::Later(noon() + LATER));
        let expires_at = Some(noon() + Duration::seconds(60));
        assert_eq!(judge_push(1, &resting, expires_at, noon()), Verdict::Later(noon() + PUSH_PAUSE));
        assert_eq!(judge_push(7, &resting, expires_at, noon()), Verdict::Settled(Ending::Expired));
    }

    #[test]
    fn a_notification_is_repeated_only_if_it_surely_was_not_sent() {
        let judge = |attempt, outcome, left: i64| {
            judge_push(attempt, &sent(outcome), Some(noon() + Duration::seconds(left)), noon())
        };
        assert_eq!(judge(1, Outcome::Done, 600), Verdict::Settled(Ending::Delivered));
        assert_eq!(judge(1, Outcome::Perhaps, 600), Verdict::Settled(Ending::Perhaps));
        assert_eq!(judge(1, Outcome::Refused, 600), Verdict::Settled(Ending::Failed));
        let pauses = [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (100, 60)];
        for (attempt, seconds) in pauses {
            let again = Verdict::Again(noon() + Duration::seconds(seconds));
            assert_eq!(judge(attempt, Outcome::NotDone, 600), again, "{attempt}");
        }
        assert_eq!(judge(3, Outcome::NotDone, 4), Verdict::Settled(Ending::Expired));
    }

    #[test]
    fn numbers_in_storage_are_read_back() {
        for ending in Ending::ALL {
            assert_eq!(Ending::from_code(ending.code()), Some(ending));
        }
        for detail in Detail::OWN.into_iter().chain([Detail::Status(100), Detail::Status(599)]) {
            assert_eq!(Detail::from_code(detail.code()), detail);
        }
    }
}
