//! Captchas: asked about last, used up once, repeated without harm, and never let through by an outage.

use actors::testing::{Fault, Op, World, booking, queue_name, tenant_id, until};
use domain::callback::{Idempotency, NewCallback};
use domain::captcha::{CaptchaToken, TokenRefusal, Verdict};
use domain::event::{CaptchaEnd, Event};
use domain::ids::CallbackId;
use domain::ports::{NoVerdict, SubmitError, Unserved, VerifyError};
use domain::secret::Secret;
use domain::tenant::TenantDocument;

use super::support::{SOON, Service, seconds};

/// A world whose queue needs a captcha; `when` says what an outage of the provider does.
fn world(when: &str) -> World {
    world_with(when, serde_json::json!({ "executionBufferSeconds": 0 }))
}

fn world_with(when: &str, queue: serde_json::Value) -> World {
    let document: TenantDocument = serde_json::from_value(serde_json::json!({
        "tenant": actors::testing::TENANT,
        "queues": { queue_name().as_str(): queue, "free": { "captcha": "none" } },
        "captcha": {
            "required": "shop",
            "keys": { "shop": {
                "provider": "recaptcha-v3", "siteKey": "site", "secretKey": { "env": "SECRET" },
                "action": "book", "whenUnavailable": when,
            } },
        },
    }))
    .unwrap();
    let world = World::new();
    world.settings.put(document.resolve(tenant_id()).unwrap());
    world
}

fn good() -> Result<Verdict, NoVerdict> {
    Ok(Verdict { success: true, score: Some(0.9), action: Some("book".to_owned()), hostname: None })
}

fn with_token(token: &str) -> NewCallback {
    let mut hash = [0; 16];
    hash[..token.len()].copy_from_slice(token.as_bytes());
    NewCallback { captcha: Some(CaptchaToken { text: Secret::new(token), hash }), ..booking(None) }
}

fn keyed(token: &str, body: u8) -> NewCallback {
    NewCallback { idempotency: Some(Idempotency { key: [1; 16], body: [body; 16] }), ..with_token(token) }
}

async fn submit(service: &Service, new: NewCallback) -> Result<CallbackId, SubmitError> {
    service.desk.submit(tenant_id(), new).await.map(|submitted| submitted.id)
}

fn ends(service: &Service) -> Vec<CaptchaEnd> {
    let ends = service.world.recorder.events().into_iter().filter_map(|event| match event {
        Event::CaptchaAsked { end, .. } => Some(end),
        _ => None,
    });
    ends.collect()
}

const USED: Result<CallbackId, SubmitError> = Err(SubmitError::CaptchaRefused(TokenRefusal::Used));

#[tokio::test(start_paused = true)]
async fn a_token_is_judged_after_every_other_rule_and_counts_once() {
    let service = Service::start(world("refuse")).await;
    let captcha = &service.world.captcha;
    captcha.say("good", good());
    assert_eq!(submit(&service, booking(None)).await, Err(SubmitError::CaptchaMissing));
    let odd = NewCallback { phone_number: "555".to_owned(), ..with_token("good") };
    assert_eq!(submit(&service, odd).await, Err(SubmitError::ImpossibleNumber));
    assert_eq!(captcha.asked(), Vec::<String>::new(), "a refused booking uses no token up");
    submit(&service, with_token("good")).await.unwrap();
    assert_eq!(submit(&service, with_token("good")).await, USED);
    for (token, verdict, refusal) in [
        ("bad", Ok(Verdict::default()), TokenRefusal::Rejected),
        ("low", good().map(|it| Verdict { score: Some(0.1), ..it }), TokenRefusal::LowScore),
        ("other", good().map(|it| Verdict { action: None, ..it }), TokenRefusal::WrongAction),
    ] {
        captcha.say(token, verdict);
        assert_eq!(submit(&service, with_token(token)).await, Err(SubmitError::CaptchaRefused(refusal)));
        assert_eq!(submit(&service, with_token(token)).await, USED);
    }
    assert_eq!(captcha.asked(), ["good", "bad", "low", "other"], "each was asked about once");
    let free = NewCallback { service_name: "free".to_owned(), ..booking(None) };
    submit(&service, free).await.unwrap();
    assert_eq!(service.world.store.rows().len(), 2);
    assert_eq!(ends(&service), [CaptchaEnd::Passed, CaptchaEnd::Refused, CaptchaEnd::Refused, CaptchaEnd::Refused]);
}

#[tokio::test(start_paused = true)]
async fn equal_requests_at_once_ask_once_and_share_the_booking() {
    let service = Service::start(world("refuse")).await;
    service.world.captcha.say("good", good());
    service.world.faults.set(Op::Captcha, Fault::Slow(seconds(1)));
    service.world.faults.set(Op::Book, Fault::Slow(seconds(1)));
    let (one, two) = tokio::join!(submit(&service, keyed("good", 1)), submit(&service, keyed("good", 1)));
    let id = one.unwrap();
    assert_eq!(two, Ok(id));
    assert_eq!(submit(&service, keyed("good", 1)).await, Ok(id), "repeated later");
    assert_eq!(submit(&service, keyed("good", 2)).await, Err(SubmitError::KeyReused));
    assert_eq!(service.world.captcha.asked().len(), 1);
    service.world.captcha.say("twice", good());
    let (one, two) = tokio::join!(submit(&service, with_token("twice")), submit(&service, with_token("twice")));
    assert!([one.is_ok(), two.is_ok()] == [true, false] && two == USED, "{two:?}");
    assert_eq!(service.world.captcha.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_was_not_decided_may_be_tried_again_with_its_token() {
    let service = Service::start(world("refuse")).await;
    let (captcha, faults) = (&service.world.captcha, &service.world.faults);
    captcha.say("good", good());
    for fault in [Fault::NotDone, Fault::PerhapsNot] {
        faults.heal();
        faults.set(Op::Book, fault);
        let refused = submit(&service, with_token("good")).await;
        assert!(matches!(refused, Err(SubmitError::Unserved(Unserved::Busy | Unserved::Perhaps))), "{refused:?}");
    }
    faults.heal();
    faults.set(Op::Book, Fault::PerhapsDone);
    assert_eq!(submit(&service, keyed("good", 1)).await, Err(Unserved::Perhaps.into()));
    faults.heal();
    assert!(
        submit(&service, keyed("good", 1)).await.is_ok(),
        "what was perhaps done was done, and is found by its key"
    );
    assert_eq!(submit(&service, with_token("good")).await, USED, "the store knows the token of the kept booking");
    assert_eq!(captcha.asked(), ["good"]);
    assert_eq!(service.world.store.rows().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_store_uses_the_token_up() {
    let service = Service::start(world_with("refuse", serde_json::json!({ "slotCapacity": 0 }))).await;
    service.world.captcha.say("good", good());
    let later = NewCallback { desired_time: Some(service.now() + chrono::TimeDelta::hours(1)), ..with_token("good") };
    let refused = submit(&service, later.clone()).await;
    assert!(matches!(refused, Err(SubmitError::SlotFull { .. })), "{refused:?}");
    assert_eq!(submit(&service, later).await, USED);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_provider_refuses_unless_the_tenant_wants_otherwise() {
    let service = Service::start(world("refuse")).await;
    service.world.captcha.say("good", good());
    service.world.faults.set(Op::Captcha, Fault::NotDone);
    assert_eq!(submit(&service, with_token("good")).await, Err(SubmitError::CaptchaUnavailable));
    service.world.faults.heal();
    service.world.faults.set(Op::Captcha, Fault::Slow(seconds(60)));
    let began = tokio::time::Instant::now();
    assert_eq!(submit(&service, with_token("good")).await, Err(Unserved::Busy.into()));
    assert!(began.elapsed() < seconds(5), "an adapter that keeps no deadline is cut off");
    service.world.faults.heal();
    assert!(submit(&service, with_token("good")).await.is_ok(), "the token was not used up");

    let open = Service::start(world("accept")).await;
    open.world.faults.set(Op::Captcha, Fault::NotDone);
    assert!(submit(&open, with_token("a")).await.is_ok());
    assert_eq!(submit(&open, with_token("a")).await, USED, "it counts once all the same");
    open.world.faults.heal();
    open.world.captcha.say("b", Err(NoVerdict::Misconfigured("wrong key".to_owned())));
    assert_eq!(submit(&open, with_token("b")).await, Err(SubmitError::CaptchaUnavailable), "a wrong key is no outage");
    open.world.captcha.say("c", Ok(Verdict::default()));
    assert!(matches!(submit(&open, with_token("c")).await, Err(SubmitError::CaptchaRefused(_))));
    assert_eq!(ends(&open), [CaptchaEnd::Unverified, CaptchaEnd::Unavailable, CaptchaEnd::Refused]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_tokens_takes_no_place_in_the_hand_off() {
    let service = Service::start(world_with("refuse", serde_json::json!({ "handOffLimit": 1 }))).await;
    service.world.captcha.say("good", good());
    service.world.faults.set(Op::Captcha, Fault::Slow(seconds(2)));
    let desk = service.desk.clone();
    let flood: Vec<_> = (0..50)
        .map(|number| {
            let desk = desk.clone();
            let new = with_token(&format!("bad-{number}"));
            tokio::spawn(async move { desk.submit(tenant_id(), new).await })
        })
        .collect();
    until("all are asked about", SOON, || service.world.captcha.asked().len() == 50).await;
    submit(&service, with_token("good")).await.unwrap();
    service.until_entered(1).await;
    for refused in flood {
        assert!(matches!(refused.await.unwrap(), Err(SubmitError::CaptchaRefused(_))));
    }
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn operators_verify_tokens_by_site_key() {
    let service = Service::start(world("refuse")).await;
    let desk = service.tree.captcha_desk();
    service.world.captcha.say("good", good());
    let verify = |site: &'static str, token: &'static str| {
        let desk = desk.clone();
        async move { desk.verify_token(tenant_id(), site, &Secret::new(token)).await }
    };
    assert_eq!(verify("site", "good").await, Ok(()));
    assert_eq!(verify("elsewhere", "good").await, Err(VerifyError::UnknownSiteKey));
    assert_eq!(verify("site", "unscored").await, Err(VerifyError::Refused(TokenRefusal::LowScore)));
    service.world.faults.set(Op::Captcha, Fault::NotDone);
    assert!(matches!(verify("site", "good").await, Err(VerifyError::NoVerdict(NoVerdict::Unavailable(_)))));
    let shop = desk.key_set(tenant_id(), "shop").unwrap();
    assert_eq!(shop.site_key, "site");
    assert!(desk.key_set(tenant_id(), "other").is_none());
}
