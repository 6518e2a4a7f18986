use super::*;

const BASE: &str = r#"
tenant: acme
queues:
  support: {hours: office, routingOptions: {_agent_preview: "true"}, displayNumber: "+14165550100", priority: -5}
  "=cmd|' /C calc'!A0": {target: "=1+1", aliases: ["a", "b;c"], slotMinutes: 30}
businessHours: {office: {zone: UTC, weekly: {}}}
"#;

async fn office() -> (Office, TenantId) {
    let office = Office::new();
    office.apply(BASE).await;
    (office, TenantId::from_name("acme"))
}

async fn wrong(office: &Office, table: &str) -> Vec<String> {
    match office.provisioning.plan_csv(TenantId::from_name("acme"), table, &office.order()).await {
        Err(ProvisioningError::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_table_that_was_written_changes_nothing() {
    let (office, id) = office().await;
    let (_, table) = office.provisioning.export_csv(id, |_| true).await.unwrap();
    let plan = office.provisioning.plan_csv(id, &table, &office.order()).await.unwrap();
    assert_eq!(plan.differences, [], "{table}");
    // Everything that a spreadsheet would take for a formula is a text, and a plain number is left a number.
    let cells: Vec<_> = table.lines().skip(1).flat_map(|line| line.split(',')).collect();
    assert!(cells.iter().all(|cell| !cell.trim_matches('"').starts_with(['=', '+', '@'])), "{table}");
    assert!(cells.contains(&"-5") && cells.contains(&"'=1+1") && cells.contains(&"'+14165550100"), "{table}");
    assert!(table.starts_with("queue,virtualQueue,aliases,"), "{table}");
    assert!(table.lines().next().unwrap().ends_with(",_agent_preview"), "{table}");
}

#[tokio::test]
async fn a_table_changes_what_it_has_and_nothing_else() {
    let (office, id) = office().await;
    let table = "\u{feff}Virtual Queue;_ttl;Push Notification Threshold (minutes);_call_direction;_agent_preview;_reject_future_desired_time;displayNumber\r\n\
                 support;3600;5;USERORIGINATED;false;3D;\r\n\
                 new;;;;;;'+49\r\n";
    let plan = office.provisioning.plan_csv(id, table, &office.order()).await.unwrap();
    let told: Vec<_> = plan.differences.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    + queues.new: {…}
    ~ queues.support.maxAheadDays: 14 → 3
    ~ queues.support.ttlSeconds: 86400 → 3600
    ~ queues.support.callDirection: "user-terminated" → "user-originated"
    ~ queues.support.pushThresholdMinutes: 0 → 5
    ~ queues.support.routingOptions._agent_preview: "true" → "false"
    - queues.support.displayNumber: "+14165550100"
    "#);
    office.provisioning.apply(vec![plan]).await.unwrap();
    let exported = office.exported("acme").await;
    assert_eq!(text_at(&exported, "queues.new.displayNumber"), "+49");
    assert_eq!(text_at(&exported, "queues.support.hours"), "office");
    let (_, written) = office.provisioning.export_csv(id, |_| true).await.unwrap();
    let mut lines = written.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let column = lines.next().unwrap().iter().position(|title| *title == "maxAheadDays").unwrap();
    let support = lines.find(|cells| cells[0] == "support").unwrap();
    assert_eq!(support[column], "3", "{written}");
    let again = office.provisioning.plan_csv(id, &written, &office.order()).await.unwrap();
    assert_eq!(again.differences, [], "{written}");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_with_row_and_column() {
    let (office, _) = office().await;
    let table = "queue,ttlSeconds,maxAheadDays,_request_time_bucket,hours,callDirection,paused,throttleWindows,_agent_preview\n\
                 support,5,15,7,nowhere,sideways,perhaps,\"[{\"\"limit\"\":1}]\",x\n\
                 sales,many,,30,,,,nonsense,\n";
    assert_eq!(
        wrong(&office, table).await,
        [
            "row 2, column ttlSeconds: has to be 60 to 1209600, not 5",
            "row 2, column maxAheadDays: has to be 1 to 14, not 15",
            "row 2, column _request_time_bucket: a slot has 5, 10, 15, 20, 30, 60 or 120 minutes, not 7",
            "row 2, column hours: has to be a name of businessHours, not nowhere",
            "row 2, column callDirection: has to be one of user-terminated, user-originated, not \"sideways\"",
            "row 2, column paused: has to be true or false, not \"perhaps\"",
            "row 2, column throttleWindows: is missing",
            "row 3, column ttlSeconds: has to be a whole number from 0 to 4294967295, not \"many\"",
            "row 3, column throttleWindows: has to be a list, not \"nonsense\"",
        ]
    );
}

#[tokio::test]
async fn a_table_of_another_form_is_told_so() {
    let (office, _) = office().await;
    for (table, expected) in [
        ("", vec!["row 1: has to have a column queue"]),
        ("ttlSeconds\n5\n", vec!["row 1: has to have a column queue"]),
        (
            "queue,ttlSecond,_ttl,ttlSeconds\nsupport,1,2,3\n",
            vec![
                "row 1, column ttlSecond: is not a known setting; did you mean ttlSeconds?",
                "row 1, column ttlSeconds: says the same as _ttl, which stands there too",
            ],
        ),
        (
            "queue,ttlSeconds\n,60\nsupport,60\nsupport,70\nsales,60,70\n",
            vec![
                "row 2, column queue: has to be the name of a queue",
                "row 4, column queue: there is another row of \"support\"",
                "row 5: has 3 cells and 2 titles",
            ],
        ),
    ] {
        assert_eq!(wrong(&office, table).await, expected, "{table}");
    }
    let unknown = office.provisioning.plan_csv(TenantId::from_name("other"), "queue\n", &office.order()).await;
    assert!(matches!(unknown, Err(ProvisioningError::UnknownTenant)));
}
