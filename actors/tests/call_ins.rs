//! Call-ins and what a flow engine asks, over the tree with fakes of the ports.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use actors::testing::{Fault, Op, QUEUE, TENANT, World, booking, queue_name, tenant_id};
use actors::{Tree, TreeSettings};
use chrono::TimeDelta;
use domain::call_in::{CallInGroup, Criteria, Criterion, Presented, State};
use domain::callback::{Idempotency, Options};
use domain::event::Event;
use domain::ids::{CallInGroupName, CallInId, CallbackId, TenantId};
use domain::numbers::{PhoneNumber, Region};
use domain::ports::{
    CallInCancelError, CallInDesk, CallInError, CallInListError, CallInOrder, CallInQuery, Desk, FlowDesk,
    IncomingCall, MatchError, Matched, NewCallIn, Unserved, UserDataError, WatermarkError,
};
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use domain::user_data::{AttachError, MAX_BYTES};

struct Service {
    world: World,
    desk: Arc<dyn Desk>,
    call_ins: Arc<dyn CallInDesk>,
    flow: Arc<dyn FlowDesk>,
    _tree: Tree,
}

/// A tenant with a group of one number and codes, one without codes, and one whose callers are in Germany.
async fn start() -> Service {
    let world = World::new();
    let group = |number: &str, access_codes, default_region: &str| CallInGroup {
        numbers: vec![number.into()],
        access_codes,
        default_region: default_region.parse::<Region>().unwrap(),
        ..CallInGroup::default()
    };
    let groups = [
        ("mobile", group("+18005550199", true, "US")),
        ("plain", group("+18005550198", false, "US")),
        ("germany", group("+498001234567", true, "DE")),
    ];
    let groups = groups.map(|(name, group)| (CallInGroupName::new(name).unwrap(), group));
    let aliased = QueueSettings { aliases: vec!["help".parse().unwrap()], ..QueueSettings::unlimited() };
    let document = TenantDocument {
        call_in_groups: groups.into(),
        ..TenantDocument::with_queues(TENANT, [(queue_name(), aliased)])
    };
    world.settings.put(document.resolve(tenant_id()).unwrap());
    let settings = TreeSettings { node_name: "test".into(), version: "0".into(), session_limit: 100 };
    let tree = Tree::start(world.ports(), settings).await.expect("the tree starts");
    Service { desk: tree.desk(), call_ins: tree.call_in_desk(), flow: tree.flow_desk(), world, _tree: tree }
}

fn new(group: &str) -> NewCallIn {
    NewCallIn { group_name: group.into(), from_phone_number: None, user_data: None, callback: None, idempotency: None }
}

fn from(group: &str, number: &str) -> NewCallIn {
    NewCallIn { from_phone_number: Some(number.into()), ..new(group) }
}

fn key(key: u8) -> Option<Idempotency> {
    Some(Idempotency { key: [key; 16], body: [0; 16] })
}

impl Service {
    async fn open(&self, new: NewCallIn) -> Result<domain::call_in::CallIn, CallInError> {
        self.call_ins.open_call_in(tenant_id(), new).await
    }

    async fn call(&self, call: IncomingCall) -> Result<Matched, MatchError> {
        self.call_ins.match_call_in(tenant_id(), call).await
    }

    fn heard(&self, event: &Event) -> usize {
        self.world.recorder.count(|it| it == event)
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_judged_by_its_group() {
    let service = start().await;
    let kept = service.open(from("mobile", "(416) 555-0101")).await.unwrap();
    assert_eq!(kept.number.e164(), "+18005550199");
    assert_eq!(kept.caller.map(PhoneNumber::e164).as_deref(), Some("+14165550101"));
    assert_eq!(kept.expires_at - kept.created_at, TimeDelta::seconds(300));
    let german = service.open(from("germany", "030 123456")).await.unwrap();
    assert_eq!(german.caller.map(PhoneNumber::e164).as_deref(), Some("+4930123456"), "in the region of the group");
    for (asked, refusal) in [
        (new("nobody"), CallInError::UnknownGroup),
        (from("mobile", "call me"), CallInError::NotANumber),
        (from("mobile", "+1"), CallInError::ImpossibleNumber),
        (
            NewCallIn { callback: Some(CallbackId::generate(service.world.clock.time())), ..new("mobile") },
            CallInError::UnknownCallback,
        ),
    ] {
        assert_eq!(service.open(asked.clone()).await, Err(refusal), "{asked:?}");
    }
    let callback = service.desk.submit(tenant_id(), booking(None)).await.unwrap().id;
    let tied = service.open(NewCallIn { callback: Some(callback), ..new("mobile") }).await.unwrap();
    assert_eq!(tied.callback, Some(callback));

    service.open(new("plain")).await.unwrap();
    assert_eq!(service.open(new("plain")).await, Err(CallInError::NothingFree));
    let tenant: Arc<str> = TENANT.into();
    assert_eq!(service.heard(&Event::CallInOpened { tenant: tenant.clone() }), 4);
    assert_eq!(service.heard(&Event::CallInNothingFree { tenant }), 1);
    let stranger = service.call_ins.open_call_in(TenantId::from_name("nobody"), new("mobile")).await;
    assert_eq!(stranger, Err(CallInError::Unserved(Unserved::Busy)));
}

#[tokio::test(start_paused = true)]
async fn a_repetition_is_answered_as_the_first_time() {
    let service = start().await;
    let asked = NewCallIn { idempotency: key(1), ..new("mobile") };
    let first = service.open(asked.clone()).await.unwrap();
    assert_eq!(service.open(asked.clone()).await.unwrap(), first);
    let other = NewCallIn { idempotency: Some(Idempotency { key: [1; 16], body: [9; 16] }), ..new("mobile") };
    assert_eq!(service.open(other).await, Err(CallInError::KeyReused));
    assert_eq!(service.heard(&Event::CallInOpened { tenant: TENANT.into() }), 1, "a repetition opens nothing");
    service.world.call_ins.erase();
    assert_eq!(service.open(asked).await, Err(CallInError::Unserved(Unserved::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_cannot_say_is_told_as_it_is() {
    let service = start().await;
    for (fault, expected) in [
        (Fault::NotDone, Unserved::Busy),
        (Fault::PerhapsNot, Unserved::Perhaps),
        (Fault::PerhapsDone, Unserved::Perhaps),
        (Fault::Unreadable, Unserved::Busy),
        (Fault::Slow(Duration::from_secs(60)), Unserved::Perhaps),
        (Fault::Panic, Unserved::Perhaps),
    ] {
        for op in [Op::OpenCallIn, Op::MatchCallIn, Op::CancelCallIn] {
            service.world.faults.next(op, fault, 1);
        }
        assert_eq!(service.open(new("mobile")).await, Err(expected.clone().into()), "{fault:?}");
        let call = IncomingCall { access_code: Presented::Value(123_456), ..IncomingCall::default() };
        assert_eq!(service.call(call).await, Err(expected.clone().into()), "{fault:?}");
        let id = CallInId::generate(service.world.clock.time());
        let cancelled = service.call_ins.cancel_call_in(tenant_id(), id).await;
        assert_eq!(cancelled, Err(expected.into()), "{fault:?}");
    }
    // A failed read has changed nothing.
    let query =
        CallInQuery { state: None, group: None, caller: None, order: CallInOrder::NewestFirst, after: None, limit: 10 };
    for fault in [Fault::NotDone, Fault::PerhapsNot, Fault::Slow(Duration::from_secs(60))] {
        service.world.faults.next(Op::ListCallIns, fault, 1);
        let listed = service.call_ins.call_ins(tenant_id(), None, query.clone()).await;
        assert_eq!(listed, Err(CallInListError::Unserved(Unserved::Busy)), "{fault:?}");
    }
    let odd = service.call_ins.call_ins(tenant_id(), Some("anonymous".into()), query.clone()).await;
    assert_eq!(odd, Err(CallInListError::NotANumber));
    service.open(from("mobile", "4165550101")).await.unwrap();
    let of_group = CallInQuery { group: Some(CallInGroupName::new("mobile").unwrap()), ..query.clone() };
    for (ani, query) in [("416-555-0101", of_group), ("+1 416 555 0101", query)] {
        let listed = service.call_ins.call_ins(tenant_id(), Some(ani.into()), query).await.unwrap();
        assert_eq!(listed.call_ins.len(), 1, "{ani}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_read_in_the_region_it_may_be_from() {
    let service = start().await;
    let german = service.open(from("germany", "+49 30 123456")).await.unwrap();
    let american = service.open(from("mobile", "+1 416 555 0101")).await.unwrap();
    let call = |group: Option<&str>, ani: &str, dnis: &str| IncomingCall {
        group_name: group.map(Into::into),
        ani: Some(ani.into()),
        dnis: Some(dnis.into()),
        ..IncomingCall::default()
    };
    assert_eq!(service.call(call(Some("nobody"), "1", "2")).await, Err(MatchError::UnknownGroup));
    // Withheld numbers are nobody's and no mistake; the number dialled is proof of nothing then.
    let nobody = |criteria: &[Criterion]| Ok(Matched::Nobody(criteria.iter().copied().collect::<Criteria>()));
    assert_eq!(service.call(call(None, "anonymous", "+18005550199")).await, nobody(&[Criterion::Dnis]));
    assert_eq!(service.call(call(None, "anonymous", "+18005550111")).await, nobody(&[]));
    let Ok(Matched::Won(won)) = service.call(call(None, "030123456", "0800 1234567")).await else {
        panic!("it is the German caller");
    };
    assert_eq!((won.call_in.id, won.call_in.criteria.count()), (german.id, 2));
    let Ok(Matched::Won(won)) = service.call(call(None, "14165550101", "800-555-0199")).await else {
        panic!("it is the American caller");
    };
    assert_eq!((won.call_in.id, won.call_in.state), (american.id, State::Matched));
    let tenant: Arc<str> = TENANT.into();
    assert_eq!(service.heard(&Event::CallInMatched { tenant: tenant.clone() }), 2);
    assert_eq!(service.heard(&Event::CallInMissed { tenant }), 2);
    let late = service.call_ins.cancel_call_in(tenant_id(), german.id).await;
    assert_eq!(late, Err(CallInCancelError::NotWaiting(State::Matched)));
}

#[tokio::test(start_paused = true)]
async fn user_data_is_laid_over_what_is_there() {
    let service = start().await;
    let asked = domain::callback::NewCallback {
        user_data: Some(r#"{"a":1,"b":2}"#.into()),
        options: Options { language: Some("de-DE".into()), ..Options::default() },
        ..booking(Some(service.world.clock.time() + TimeDelta::hours(1)))
    };
    let id = service.desk.submit(tenant_id(), asked).await.unwrap().id;
    let attach = |data: &str| service.flow.attach(tenant_id(), id, data.to_owned());
    attach(r#"{"b":"","c":3}"#).await.unwrap();
    let view = service.flow.callback(tenant_id(), id).await.unwrap();
    assert_eq!(view.details.user_data.as_deref(), Some(r#"{"a":1,"c":3}"#));
    assert_eq!((view.callback.id, view.details.options.language.as_deref()), (id, Some("de-DE")));
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_BYTES));
    assert_eq!(attach(&long).await, Err(UserDataError::Attach(AttachError::TooLong)));

    let unknown = CallbackId::generate(service.world.clock.time());
    let nowhere = service.flow.attach(tenant_id(), unknown, "{}".into()).await;
    assert_eq!(nowhere, Err(UserDataError::Unserved(Unserved::NotFound)));
    assert_eq!(service.flow.callback(tenant_id(), unknown).await, Err(Unserved::NotFound));
    let stranger = service.flow.callback(TenantId::from_name("nobody"), id).await;
    assert_eq!(stranger, Err(Unserved::NotFound));
    for (op, fault, expected) in [
        (Op::UserData, Fault::PerhapsNot, Unserved::Busy),
        (Op::ReplaceUserData, Fault::NotDone, Unserved::Busy),
        (Op::ReplaceUserData, Fault::PerhapsDone, Unserved::Perhaps),
        (Op::UserData, Fault::Slow(Duration::from_secs(60)), Unserved::Perhaps),
    ] {
        service.world.faults.next(op, fault, 1);
        assert_eq!(attach(r#"{"d":4}"#).await, Err(UserDataError::Unserved(expected)), "{op:?} {fault:?}");
    }
    // Many at once: nobody's member is lost, and who is told to come again has lost nothing.
    let tasks = (0..6).map(|n| {
        let flow = service.flow.clone();
        tokio::spawn(async move { flow.attach(tenant_id(), id, format!(r#"{{"m{n}":{n}}}"#)).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    let data = service.flow.callback(tenant_id(), id).await.unwrap().details.user_data.unwrap();
    assert!((0..6).all(|n| data.contains(&format!(r#""m{n}":{n}"#))), "{data}");
}

#[tokio::test(start_paused = true)]
async fn a_watermark_is_of_a_queue_under_any_of_its_names() {
    let service = start().await;
    for _ in 0..3 {
        service.desk.submit(tenant_id(), booking(None)).await.unwrap();
    }
    let in_an_hour = service.world.clock.time() + TimeDelta::hours(1);
    service.desk.submit(tenant_id(), booking(Some(in_an_hour))).await.unwrap();
    for name in [QUEUE, "help"] {
        let watermark = service.flow.watermark(tenant_id(), name).await.unwrap();
        assert_eq!((watermark.queue.as_str(), watermark.active.waiting), (QUEUE, 3), "{name}");
    }
    assert_eq!(service.flow.watermark(tenant_id(), "nobody").await, Err(WatermarkError::UnknownQueue));
    service.world.faults.next(Op::CountActive, Fault::NotDone, 1);
    let failed = service.flow.watermark(tenant_id(), QUEUE).await;
    assert_eq!(failed, Err(WatermarkError::Unserved(Unserved::Busy)));
}
