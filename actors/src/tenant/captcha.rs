//! Captcha tokens of bookings: judged last, because asking the provider uses a token up, and counted once.
//!
//! A token that was judged good holds for its booking until that is kept or refused for a reason of its own. A
//! booking that was not decided (the store was busy, the outcome is not known) may be tried again with the same
//! token on this node; everywhere the store keeps a second booking from bringing the same one. A repetition
//! under its `Idempotency-Key` is answered before anybody is asked, or nobody could repeat a lost answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::callback::NewCallback;
use domain::captcha::{CaptchaKeys, CaptchaToken, TokenRefusal, WhenUnavailable};
use domain::event::{CaptchaEnd, Event};
use domain::ids::CallbackId;
use domain::ports::{Booked, How, NoVerdict, SubmitError, Submitted, Unserved};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout};

use super::{State, SubmitReply, TenantFacts, TenantMsg};
use crate::mailbox::Gone;
use crate::node::Node;
use crate::session::unserved;
use crate::task;

/// From the booking's arrival to the verdict: the provider's 3 s, and some for an equal request before it.
const CHECK_DEADLINE: Duration = Duration::from_secs(4);
/// How long a token that was judged good may wait for its booking. Providers themselves give two minutes or five.
const TOKEN_LIFE: Duration = Duration::from_secs(120);
/// Tokens of one tenant that are remembered; with more under way at once, bookings are refused for the moment.
const MAX_TOKENS: usize = 10_000;

/// What is known of a token on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing yet.
    Fresh,
    /// It was judged good, or taken without a verdict; its booking is not decided yet.
    Good,
    /// It is used up.
    Used,
}

/// The tokens that came lately.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<[u8; 16], Slot>>);

struct Slot {
    known: Arc<tokio::sync::Mutex<Known>>,
    came_at: Instant,
}

impl Tokens {
    /// Where a token is remembered; none if there are too many. Who holds its lock decides about it.
    fn slot(&self, hash: [u8; 16]) -> Option<Arc<tokio::sync::Mutex<Known>>> {
        let now = Instant::now();
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_TOKENS {
            slots.retain(|_, slot| Arc::strong_count(&slot.known) > 1 || now - slot.came_at < TOKEN_LIFE);
        }
        if slots.len() >= MAX_TOKENS && !slots.contains_key(&hash) {
            return None;
        }
        let fresh = || Slot { known: Arc::new(tokio::sync::Mutex::new(Known::Fresh)), came_at: now };
        let slot = slots.entry(hash).or_insert_with(fresh);
        if now - slot.came_at >= TOKEN_LIFE && Arc::strong_count(&slot.known) == 1 {
            *slot = fresh();
        }
        Some(slot.known.clone())
    }
}

/// Lets one booking through. While it lives, other bookings with the same token wait.
pub(crate) struct Pass {
    token: OwnedMutexGuard<Known>,
    /// When the booking came.
    pub(super) began: Instant,
}

impl Pass {
    /// The booking is kept, or was refused for a reason of its own: the token is used up. What was not decided
    /// leaves it as it is.
    pub(super) fn settle(mut self, answer: &Result<Submitted, SubmitError>) {
        let undecided = matches!(answer, Err(SubmitError::Unserved(_)));
        if !undecided {
            *self.token = Known::Used;
        }
    }
}

/// What a check comes to.
enum Checked {
    /// The booking may go on.
    Passes(Pass),
    /// It had been kept before, under the same key.
    Known(CallbackId),
}

impl State {
    /// Asks about the token of a booking that passes every other rule. It comes back as [`TenantMsg::Checked`].
    pub(super) fn check_captcha(&self, new: NewCallback, keys: CaptchaKeys, reply: SubmitReply) {
        let (node, facts, me, tokens) = (self.node.clone(), self.facts.clone(), self.me.clone(), self.tokens.clone());
        let work = async move {
            let checked = timeout(CHECK_DEADLINE, check(&node, &facts, &tokens, &keys, &new)).await;
            match checked.unwrap_or(Err(Unserved::Busy.into())) {
                Ok(Checked::Passes(pass)) => {
                    let message = TenantMsg::Checked { new: Box::new(new), pass, reply };
                    if let Err(Gone(Some(TenantMsg::Checked { reply, .. }))) = me.send(message) {
                        drop(reply.send(Err(Unserved::Busy.into())));
                    }
                }
                Ok(Checked::Known(id)) => drop(reply.send(Ok(Submitted { id, how: How::Replayed }))),
                Err(refused) => drop(reply.send(Err(refused))),
            }
        };
        task::spawn(&self.node, "a captcha", work);
    }
}

async fn check(
    node: &Node,
    facts: &TenantFacts,
    tokens: &Tokens,
    keys: &CaptchaKeys,
    new: &NewCallback,
) -> Result<Checked, SubmitError> {
    let began = Instant::now();
    let token = new.captcha.as_ref().ok_or(SubmitError::CaptchaMissing)?;
    let slot = tokens.slot(token.hash).ok_or(Unserved::Busy)?;
    // An equal request that came first may be keeping the very booking that this one repeats.
    let mut held = slot.lock_owned().await;
    if let Some(idempotency) = new.idempotency {
        let found = node.ports.callbacks.known(facts.id, idempotency, node.now()).await;
        match found.map_err(|error| unserved(&error))? {
            Some(Booked::Existing(id)) => return Ok(Checked::Known(id)),
            Some(Booked::Gone) => return Err(Unserved::NotFound.into()),
            Some(Booked::KeyReused) => return Err(SubmitError::KeyReused),
            _ => {}
        }
    }
    match *held {
        Known::Used => return Err(SubmitError::CaptchaRefused(TokenRefusal::Used)),
        Known::Good => {}
        Known::Fresh => {
            let asked = ask(node, facts, keys, token).await;
            // A provider that had the token does not take it a second time.
            *held = if matches!(asked, Err(SubmitError::CaptchaRefused(_))) { Known::Used } else { *held };
            asked?;
            *held = Known::Good;
        }
    }
    Ok(Checked::Passes(Pass { token: held, began }))
}

/// Asks the provider, and judges what it says.
async fn ask(node: &Node, facts: &TenantFacts, keys: &CaptchaKeys, token: &CaptchaToken) -> Result<(), SubmitError> {
    let (end, result) = match node.ports.captcha.ask(facts.id, keys, &token.text).await {
        Ok(verdict) => match keys.judge(&verdict) {
            Ok(()) => (CaptchaEnd::Passed, Ok(())),
            Err(refusal) => {
                tracing::debug!(%refusal, "a captcha token was refused");
                (CaptchaEnd::Refused, Err(SubmitError::CaptchaRefused(refusal)))
            }
        },
        Err(NoVerdict::Unavailable(why)) => match keys.when_unavailable {
            WhenUnavailable::Refuse => {
                tracing::warn!(why, "a captcha provider cannot be asked; bookings that need it are refused");
                (CaptchaEnd::Unavailable, Err(SubmitError::CaptchaUnavailable))
            }
            WhenUnavailable::Accept => {
                tracing::warn!(why, "a captcha provider cannot be asked; a booking was taken without a verdict");
                (CaptchaEnd::Unverified, Ok(()))
            }
        },
        // Never taken for an outage: a wrong key would let everybody in for ever.
        Err(NoVerdict::Misconfigured(why)) => {
            tracing::error!(why, "a captcha key set cannot be used; bookings that need it are refused");
            (CaptchaEnd::Unavailable, Err(SubmitError::CaptchaUnavailable))
        }
    };
    node.note(Event::CaptchaAsked { tenant: facts.name.clone(), end });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_are_bounded_and_forgotten_in_time() {
        let tokens = Tokens::default();
        let hash = |number: usize| {
            let mut hash = [0; 16];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            hash
        };
        let held = tokens.slot(hash(0)).unwrap();
        *held.lock().await = Known::Used;
        for number in 1..MAX_TOKENS {
            assert!(tokens.slot(hash(number)).is_some());
        }
        assert!(tokens.slot(hash(MAX_TOKENS)).is_none(), "full");
        assert!(tokens.slot(hash(1)).is_some(), "what is remembered is found");
        tokio::time::advance(TOKEN_LIFE).await;
        assert!(tokens.slot(hash(MAX_TOKENS)).is_some());
        assert_eq!(tokens.0.lock().unwrap().len(), 2, "the held one stays");
        assert_eq!(*tokens.slot(hash(0)).unwrap().lock().await, Known::Used);
        drop(held);
        assert_eq!(*tokens.slot(hash(0)).unwrap().lock().await, Known::Fresh, "forgotten: the provider knows it");
    }
}
