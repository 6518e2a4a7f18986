//! A situation for each refusal that a booking can meet.

use super::*;

/// A situation in which a booking is refused.
pub(super) struct Situation {
    /// Settings of the queue `support`.
    pub(super) queue: Value,
    /// Members of the tenant's document beside its queues.
    pub(super) rest: Value,
    /// What is booked before, each to be kept.
    pub(super) before: Vec<NewCallback>,
    /// For when a place is held that the booking brings.
    pub(super) held: Option<DateTime<Utc>>,
    pub(super) new: NewCallback,
    /// What else there has to be.
    pub(super) outside: fn(&Service),
}

impl Situation {
    pub(super) fn of(queue: Value, new: NewCallback) -> Self {
        Self { queue, rest: json!({}), before: Vec::new(), held: None, new, outside: |_| {} }
    }

    /// The booking, with the hold that it is to bring.
    pub(super) async fn booking(&self, service: &Service) -> NewCallback {
        let Some(desired_time) = self.held else { return self.new.clone() };
        let service_name = self.new.service_name.clone();
        let new = NewHold { service_name, desired_time, phone_number: None, idempotency: None };
        let hold = service.tree.moves_desk().hold(tenant_id(), new).await.unwrap();
        NewCallback { hold: Some(hold.id), ..self.new.clone() }
    }

    pub(super) async fn service(&self) -> Service {
        let mut queue = json!({"executionBufferSeconds": 0, "duplicatePolicy": "allow", "throttleParameters": []});
        merge(&mut queue, &self.queue);
        let mut document = json!({"tenant": TENANT, "queues": {queue_name().as_str(): queue}});
        merge(&mut document, &self.rest);
        let document: TenantDocument = serde_json::from_value(document).unwrap();
        let world = World::new();
        world.settings.put(document.resolve(tenant_id()).unwrap());
        let service = Service::start(world).await;
        (self.outside)(&service);
        for new in &self.before {
            service.desk.submit(tenant_id(), new.clone()).await.unwrap();
        }
        service
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

/// The clock of every world begins at half past this minute.
pub(super) fn later(minutes: i64) -> NewCallback {
    booking(Some(at("2026-11-23T10:00:00Z") + TimeDelta::minutes(minutes)))
}

fn number(text: &str) -> NewCallback {
    NewCallback { phone_number: text.to_owned(), ..booking(None) }
}

pub(super) fn keyed(body: u8) -> NewCallback {
    NewCallback { idempotency: Some(Idempotency { key: [7; 16], body: [body; 16] }), ..booking(None) }
}

fn token(text: &str, new: NewCallback) -> NewCallback {
    let hash = [text.as_bytes()[0]; 16];
    NewCallback { captcha: Some(CaptchaToken { text: Secret::new(text), hash }), ..new }
}

fn with_captcha() -> Value {
    let keys = json!({"provider": "turnstile", "siteKey": "site", "secretKey": {"env": "SECRET"}, "whenUnavailable": "refuse"});
    json!({"captcha": {"required": "shop", "keys": {"shop": keys}}})
}

fn north_america() -> Value {
    json!({"numberRules": {"north": {"countries": {"CA": ["416"], "US": []}}}})
}

fn nobody_there(service: &Service) {
    let report = QueueReport {
        agents: Some(0),
        free_agents: 0,
        waiting: 0,
        on_hold: 0,
        served: 0,
        served_over_seconds: 0.0,
        mean_busy_seconds: None,
        expected_wait_seconds: None,
    };
    service.world.routing.set_report(&queue_name(), report);
}

pub(super) const CASES: usize = 29;

/// The place of a refusal among all that there are. A new one does not compile here before it has a situation below.
pub(super) fn case(refused: &SubmitError) -> usize {
    match refused {
        SubmitError::UnknownQueue => 0,
        SubmitError::CaptchaMissing => 1,
        SubmitError::CaptchaRefused(TokenRefusal::Used) => 2,
        SubmitError::CaptchaRefused(
            TokenRefusal::Rejected | TokenRefusal::LowScore | TokenRefusal::WrongAction | TokenRefusal::WrongHost,
        ) => 3,
        SubmitError::CaptchaUnavailable => 4,
        SubmitError::Paused => 5,
        SubmitError::ImmediateDisabled => 6,
        SubmitError::ScheduledDisabled => 7,
        SubmitError::PushTargetsRequired => 8,
        SubmitError::UnknownPushEndpoint => 9,
        SubmitError::NotANumber => 10,
        SubmitError::ImpossibleNumber => 11,
        SubmitError::NumberNotAllowed { rule } => match rule {
            NumberRefusal::Premium => 12,
            NumberRefusal::CountryNotPermitted { .. } => 13,
            NumberRefusal::Blocked { .. } => 14,
            NumberRefusal::CountryUnknown => 15,
            NumberRefusal::NotANumber | NumberRefusal::Impossible => panic!("these have refusals of their own"),
        },
        SubmitError::TooSoon { .. } => 16,
        SubmitError::TooFarAhead { .. } => 17,
        SubmitError::ClosesSoon { .. } => 18,
        SubmitError::Closed { .. } => 19,
        SubmitError::SlotUnlikely { .. } => 20,
        SubmitError::NoAgents => 21,
        SubmitError::SlotFull { .. } => 22,
        SubmitError::Limited(reached) => match reached.rule {
            LimitRule::Duplicates => 23,
            LimitRule::Day { .. } => 24,
            LimitRule::Window { .. } => 25,
            LimitRule::Depth => 26,
        },
        SubmitError::HoldGone => 27,
        SubmitError::HoldElsewhere => 28,
        SubmitError::KeyReused => CASES,
        SubmitError::Unserved(_) => panic!("{refused}: nothing was judged"),
    }
}

pub(super) fn situations() -> Vec<Situation> {
    let day = json!([{"from": "09:00", "to": "17:00"}]);
    let office = json!({"zone": "UTC", "weekly": {"mon": day}});
    let ruled = |text: &str| Situation {
        rest: north_america(),
        ..Situation::of(json!({"numberRule": "north", "refuseImpossibleNumbers": false}), number(text))
    };
    let asked = |new: NewCallback, outside: fn(&Service)| Situation {
        rest: with_captcha(),
        outside,
        ..Situation::of(json!({}), new)
    };
    let target = |channel: &str, target: &str| {
        let mut new = booking(None);
        new.options.push_targets =
            vec![domain::callback::PushTarget { channel: channel.to_owned(), target: target.to_owned() }];
        new
    };
    let twice = |queue: Value| Situation { before: vec![booking(None)], ..Situation::of(queue, booking(None)) };
    let strict = NewCallback { always_check_capacity: true, ..later(20) };
    vec![
        Situation::of(json!({}), NewCallback { service_name: "other".into(), ..booking(None) }),
        asked(booking(None), |_| {}),
        Situation {
            rest: with_captcha(),
            before: vec![token("good", booking(None))],
            outside: |service| service.world.captcha.say("good", good()),
            ..Situation::of(json!({}), token("good", booking(None)))
        },
        asked(token("bad", booking(None)), |service| service.world.captcha.say("bad", Ok(Verdict::default()))),
        asked(token("any", booking(None)), |service| service.world.faults.set(Op::Captcha, Fault::NotDone)),
        Situation::of(json!({"paused": true}), booking(None)),
        Situation::of(json!({"immediateEnabled": false}), booking(None)),
        Situation::of(json!({"scheduledEnabled": false}), later(60)),
        Situation::of(json!({"callDirection": "user-originated"}), booking(None)),
        Situation::of(json!({}), target("HTTP", "nowhere")),
        Situation::of(json!({}), number("call me")),
        Situation::of(json!({}), number("555")),
        Situation::of(json!({}), number("+1 900 555 0100")),
        ruled("+44 20 7946 0018"),
        ruled("+1 416 555 0101"),
        ruled("+999 12345"),
        Situation::of(json!({"minLeadSeconds": 900}), later(10)),
        Situation::of(json!({"maxAheadDays": 3}), later(4 * 24 * 60)),
        Situation::of(json!({"hours": office, "immediateBlackoutSeconds": 36_000}), booking(None)),
        Situation::of(json!({"hours": office}), later(10 * 60)),
        Situation {
            outside: |service| service.world.routing.set_wait(&queue_name(), 3_600),
            ..Situation::of(json!({"slotMinutes": 30}), strict)
        },
        Situation { outside: nobody_there, ..Situation::of(json!({"loggedInCheck": true}), booking(None)) },
        Situation { before: vec![later(65)], ..Situation::of(json!({"slotCapacity": 1}), later(66)) },
        twice(json!({"duplicatePolicy": "refuse", "duplicateLimit": 1})),
        twice(json!({"throttleParameters": ["phoneNumber"], "throttleDailyLimit": 1})),
        twice(json!({"throttleWindows": [{"limit": 1, "seconds": 60}]})),
        twice(json!({"maxQueued": 1})),
        Situation::of(json!({}), NewCallback { hold: Some(HoldId::generate(at("2026-11-23T10:00:00Z"))), ..later(60) }),
        Situation { held: later(90).desired_time, ..Situation::of(json!({}), later(60)) },
        Situation { before: vec![keyed(1)], ..Situation::of(json!({}), keyed(2)) },
    ]
}

fn good() -> Result<Verdict, NoVerdict> {
    Ok(Verdict { success: true, score: None, action: None, hostname: None })
}
