//! Explanations: a booking judged by what judges bookings, up to the write, and a callback with what it waits for.
//! Nothing is kept, no place is taken, no captcha provider is asked, and no metric counts it.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::booking::{Plan, judge};
use domain::callback::NewCallback;
use domain::explain::{Explanation, Place, Planned, Rule, Tally, WouldBe, why};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Booked, ExplainDesk, Explained, How, Preview, Story, SubmitError, Submitted, Unserved};
use domain::tenant::Tenant;

use super::Desk;
use crate::tenant::{TenantMsg, draft};

/// What a booking comes to, with what was counted for it and what could not be judged.
struct Judged {
    verdict: Result<WouldBe, SubmitError>,
    tallies: Vec<Tally>,
    unjudged: Option<Rule>,
}

impl From<SubmitError> for Judged {
    fn from(refused: SubmitError) -> Self {
        Self { verdict: Err(refused), tallies: Vec::new(), unjudged: None }
    }
}

#[async_trait]
impl ExplainDesk for Desk {
    async fn explain(&self, tenant: TenantId, new: NewCallback) -> Result<Explained, Unserved> {
        let tenant = self.settings(tenant)?;
        let at = self.node.now();
        let Judged { verdict, tallies, unjudged } = self.judged(&tenant, new.clone(), at).await?;
        // What is no rule's says nothing about the booking.
        if let Err(SubmitError::Unserved(unserved)) = verdict {
            return Err(unserved);
        }
        let queue = tenant.queue(&new.service_name).map(|(_, queue)| queue.as_ref());
        let refused = verdict.as_ref().err();
        Ok(Explained {
            next: refused.map(|refused| refused.next(&new, queue, at)).unwrap_or_default(),
            measure: refused.and_then(|refused| refused.measure(&new, at)),
            explanation: Explanation::new(verdict, tallies, unjudged),
            at,
        })
    }

    async fn story(&self, tenant: TenantId, id: CallbackId) -> Result<Story, Unserved> {
        let callback = self.load(tenant, id).await?;
        let ports = &self.node.ports;
        let history =
            self.read("the steps of a callback", ports.callbacks.history(tenant, id, Story::MAX_STEPS)).await?;
        let parked = self.read("why a callback is parked", ports.explain.why_parked(tenant, id)).await?;
        let queue = callback.queue.clone();
        let asked = self.ask(tenant, |reply| TenantMsg::Locate { id, queue, reply }).await;
        let whereabouts = asked.map_err(|_: Unserved| ()).ok();
        let at = self.node.now();
        let place = whereabouts.map_or(Place::None, |it| it.place);
        Ok(Story {
            waiting: why(&callback, parked.is_some(), place, at),
            is_ours: callback.owner == Some(self.node.me),
            live: callback.state.is_active().then(|| self.live(&callback)),
            whereabouts,
            parked,
            history,
            callback,
            at,
        })
    }
}

impl Desk {
    /// Judges as a booking is judged: its key first, then the rules in memory, then what the store decides.
    async fn judged(&self, tenant: &Arc<Tenant>, new: NewCallback, at: DateTime<Utc>) -> Result<Judged, Unserved> {
        if let Some(key) = new.idempotency {
            let known = self.read("a key", self.node.ports.callbacks.known(tenant.id, key, at)).await?;
            match known {
                Some(Booked::Existing(id)) => {
                    let verdict = Ok(WouldBe::there(id, How::Replayed));
                    return Ok(Judged { verdict, tallies: Vec::new(), unjudged: None });
                }
                Some(Booked::KeyReused) => return Ok(SubmitError::KeyReused.into()),
                _ => {}
            }
        }
        let outlook = draft::outlook(&self.node, tenant, &new.service_name);
        match judge(tenant, &new, outlook, at) {
            Ok(plan) => self.previewed(tenant, new, plan, at).await,
            Err(refused) => Ok(draft::with_proposals(&self.node, tenant, &new.service_name, at, refused).await.into()),
        }
    }

    async fn previewed(
        &self,
        tenant: &Arc<Tenant>,
        new: NewCallback,
        plan: Plan,
        at: DateTime<Utc>,
    ) -> Result<Judged, Unserved> {
        let needs_captcha = tenant.queues.get(&plan.terms.queue).and_then(|it| tenant.captcha.needed_by(it)).is_some();
        let captcha = new.captcha.as_ref().filter(|_| needs_captcha).map(|token| token.hash);
        let limits = draft::limits(&self.node, tenant, &plan, &new, at);
        let callback = draft::callback(CallbackId::generate(at), &plan, &new, self.node.me, None, at);
        let planned = Planned {
            state: callback.state,
            desired_time: callback.desired_time,
            start_at: callback.start_at,
            slot: callback.slot,
        };
        let (id, queue) = (callback.id, callback.queue.clone());
        let booking = draft::booking(tenant, &plan, new, callback, limits, captcha, at);
        let Preview { booked, tallies } = self.read("a booking", self.node.ports.explain.preview(booking)).await?;
        let verdict = match booked.told(id) {
            Ok(Submitted { how: how @ (How::Existing | How::Replayed), id }) => Ok(WouldBe::there(id, how)),
            Ok(Submitted { how, .. }) => {
                let ends = if let Booked::Replaced { id, .. } = booked { Some(id) } else { None };
                Ok(WouldBe { how, id: None, ends, booked: Some(planned) })
            }
            Err(refused) => {
                Err(draft::with_proposals(&self.node, tenant, queue.as_str(), planned.desired_time, refused).await)
            }
        };
        Ok(Judged { verdict, tallies, unjudged: needs_captcha.then_some(Rule::Captcha) })
    }
}
