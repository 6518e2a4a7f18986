use proptest::prelude::*;

use super::*;

const OFFICE: &str = r#"
format: 1
tenant: acme
queues:
  support: {hours: office, slotCapacity: 5}
businessHours:
  office: {zone: Europe/Oslo, weekly: {mon: [{from: "09:00", to: "17:00"}]}}
"#;

#[tokio::test]
async fn a_document_is_told_applied_and_written_back() {
    let office = Office::new();
    let plan = office.plan(OFFICE).await.unwrap();
    assert_eq!((plan.name.as_str(), plan.revision), ("acme", None));
    let told: Vec<_> = plan.differences.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"+ tenant: \"acme\"".to_owned()), "{told:?}");
    assert_eq!(office.apply(OFFICE).await, Applied { revision: 1, changed: true });
    assert_eq!(office.apply(OFFICE).await, Applied { revision: 1, changed: false });
    insta::assert_snapshot!(office.exported("acme").await, @r#"
    format: 1
    tenant: acme
    queues:
      support:
        hours: office
        slotCapacity: 5
    businessHours:
      office:
        zone: Europe/Oslo
        weekly:
          mon:
          - from: 09:00
            to: "17:00"
    "#);
}

#[tokio::test]
async fn what_changes_is_told_value_by_value() {
    let office = Office::new();
    office.apply(OFFICE).await;
    let changed = OFFICE
        .replace("slotCapacity: 5", "slotCapacity: 6, target: \"?:Skill=5\"")
        .replace("queues:", "queues:\n  sales: {}")
        .replace("17:00", "18:00");
    let plan = office.plan(&changed).await.unwrap();
    let told: Vec<_> = plan.differences.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    + queues.sales: {…}
    ~ queues.support.slotCapacity: 5 → 6
    + queues.support.target: "?:Skill=5"
    ~ businessHours.office.weekly.mon: [{"from":"09:00","to":"17:00"}] → [{"from":"09:00","to":"18:00"}]
    "#);
    let without = OFFICE.replace("support: {hours: office, slotCapacity: 5}", "{}");
    let plan = office.plan(&without.replace("queues:\n  {}", "queues: {}")).await.unwrap();
    let told: Vec<_> = plan.differences.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["- queues.support: {…}"]);
}

#[tokio::test]
async fn a_plan_that_is_out_of_date_is_refused() {
    let office = Office::new();
    let (mine, theirs) = (office.plan(OFFICE).await.unwrap(), office.plan(OFFICE).await.unwrap());
    office.provisioning.apply(vec![theirs]).await.unwrap();
    let refused = office.provisioning.apply(vec![mine]).await;
    assert!(matches!(refused, Err(ApplyError::Conflict { found: Some(1), .. })), "{refused:?}");
}

#[tokio::test]
async fn older_revisions_can_be_had_and_applied_again() {
    let office = Office::new();
    office.apply(OFFICE).await;
    let first = office.exported("acme").await;
    office.apply(&OFFICE.replace("slotCapacity: 5", "slotCapacity: 6")).await;
    let id = TenantId::from_name("acme");
    let old = yaml(&office.provisioning.export_revision(id, 1).await.unwrap()).unwrap();
    assert_eq!(old, first);
    assert_eq!(office.apply(&old).await, Applied { revision: 3, changed: true });
    let history = office.provisioning.revisions(id, 10).await.unwrap();
    assert_eq!(
        history.iter().map(|entry| (entry.revision, entry.actor.as_str())).collect::<Vec<_>>(),
        [(3, "test"), (2, "test"), (1, "test")]
    );
}

/// Members of a document with values that each of them may have.
const MEMBERS: &[(&str, &[&str])] = &[
    ("queues.a", &["{}", r#"{"ttlSeconds": 60}"#]),
    (
        "queues.b.hours",
        &[r#""always""#, r#""office""#, r#"{"zone": "UTC", "weekly": {"sun": [{"from": "22:00", "to": "06:00"}]}}"#],
    ),
    ("queues.b.slotMinutes", &["5", "60"]),
    (
        "queues.b.target",
        &[r#""?:Skill=5""#, r#""true""#, r#""8001""#, r#""- x: y""#, r##""# no comment""##, r#""a\\b \"c\"""#],
    ),
    ("queues.b.aliases", &["[]", r#"["x", "y: z"]"#]),
    ("queues.b.defaultRegion", &[r#""NO""#, r#""US""#]),
    ("queues.b.throttleWindows", &["[]", r#"[{"limit": 1, "seconds": 1}]"#]),
    ("queues.b.overridable", &["[]", r#"["surveyRP"]"#]),
    ("queues.b.routingOptions", &["{}", r#"{"_agent_preview": "true", "_agent_preview_data": " x "}"#]),
    ("queues.b.regionRule", &[r#""eu""#]),
    ("queues.007", &[r#"{"paused": true, "priority": -5}"#]),
    ("queues.true", &[r#"{"displayNumber": "+1"}"#]),
    ("callInGroups.mobile", &[r#"{"numbers": ["+14165550100", "+18005550199"]}"#]),
    ("contactCenterId", &[r#""9350e2fc-a1dd-4c65-8d40-1f75a2e080dd""#]),
    ("corsOrigins", &["[]", r#"["https://example.com"]"#]),
    ("limits", &["{}", r#"{"burst": 7}"#]),
];

fn any_document() -> impl Strategy<Value = Node> {
    let choices: Vec<_> = MEMBERS.iter().map(|(_, values)| prop::option::of(0..values.len())).collect();
    choices.prop_map(|choices| {
        let base = r#"{"tenant": "acme", "businessHours": {"office": {"zone": "UTC", "weekly": {}}}, "regionRules": {"eu": ["EU"]}}"#;
        let mut root: Node = serde_json::from_str(base).unwrap();
        for ((path, values), choice) in MEMBERS.iter().zip(choices) {
            if let Some(choice) = choice {
                put(&mut root, path.split('.'), serde_json::from_str(values[choice]).unwrap());
            }
        }
        root
    })
}

fn put<'a>(node: &mut Node, mut path: impl Iterator<Item = &'a str>, value: Node) {
    match path.next() {
        None => *node = value,
        Some(key) => {
            if node.get(key).is_none() {
                node.put(key, Node::empty());
            }
            put(node.get_mut(key).unwrap(), path, value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn apply_export_apply_is_a_fixed_point(root in any_document()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let office = Office::new();
            let plan = office.provisioning.plan(root, &office.order()).await.unwrap();
            office.provisioning.apply(vec![plan]).await.unwrap();
            let exported = office.exported("acme").await;
            let again = office.plan(&exported).await.unwrap();
            assert_eq!(again.differences, [], "{exported}");
            assert_eq!(office.provisioning.apply(vec![again]).await.unwrap(), [Applied { revision: 1, changed: false }]);
            assert_eq!(office.exported("acme").await, exported);
        });
    }
}
