use super::*;

fn entry(n: u128, attempt: u32, event: JournalEvent, at: i64) -> JournalEntry {
    JournalEntry {
        at,
        event,
        tenant: TenantId::from_name("demo"),
        callback: CallbackId::from_uuid(uuid::Uuid::from_u128(n)),
        attempt,
        session: None,
        reason: None,
        invited: None,
    }
}

fn written(path: &Path, entries: &[JournalEntry]) {
    let mut journal = Journal::open(path, 0, |_| {}).unwrap();
    let mut lines = Vec::new();
    entries.iter().for_each(|entry| encode(&mut lines, entry));
    journal.append(&lines).unwrap();
}

#[test]
fn lines_are_read_back_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    assert_eq!(Journal::read(&path).unwrap(), []);
    let invited = Invited {
        queue: QueueName::new("a \"queue\"").unwrap(),
        desired: 5,
        not_after: 6,
        outcome: Outcome::AnsweringMachine,
        dials: 5,
        calls_in: true,
    };
    let entries = [
        JournalEntry { invited: Some(invited), ..entry(1, 1, JournalEvent::Entered, 1) },
        JournalEntry { session: Some(SessionId::new("s").unwrap()), ..entry(1, 1, JournalEvent::Accepted, 2) },
        JournalEntry { reason: Some("LOST".into()), ..entry(1, 1, JournalEvent::Ended, 3) },
    ];
    written(&path, &entries);
    assert_eq!(Journal::read(&path).unwrap(), entries);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(r#"{"at":1,"event":"entered","tenant":""#), "{text}");
}

#[test]
fn a_torn_line_is_left_out_and_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let entries = [entry(1, 1, JournalEvent::Entered, 1), entry(2, 1, JournalEvent::Entered, 2)];
    written(&path, &entries);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), entries[..1], "cut at {cut}");
        let mut seen = Vec::new();
        let mut journal = Journal::open(&path, 0, |entry| seen.push(entry)).unwrap();
        assert_eq!(seen, entries[..1]);
        let mut line = Vec::new();
        encode(&mut line, &entries[1]);
        journal.append(&line).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_an_error_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    for damage in ["not json\n{\"at\":1", "{}\n", "\0\0\0\n"] {
        std::fs::write(&path, damage).unwrap();
        assert!(matches!(Journal::open(&path, 0, |_| {}), Err(JournalError::Unreadable { line: 1, .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damage);
    }
}

#[test]
fn compaction_keeps_what_is_unfinished_and_the_highest_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let now = FORGET_AFTER_MS * 3;
    let entries = [
        entry(1, 1, JournalEvent::Entered, 10),
        entry(1, 1, JournalEvent::Ended, 20),
        entry(2, 1, JournalEvent::Entered, 30),
        entry(2, 1, JournalEvent::Accepted, 31),
        entry(3, 1, JournalEvent::Entered, now - 60),
        entry(3, 1, JournalEvent::Ended, now - 50),
        entry(3, 2, JournalEvent::Entered, now - 40),
        entry(3, 2, JournalEvent::Ended, now - 30),
        entry(4, 0, JournalEvent::Closed, now - 20),
        entry(5, 1, JournalEvent::Processing, now - 10),
        entry(5, 1, JournalEvent::Closed, now - 9),
    ];
    written(&path, &entries);
    let mut seen = 0;
    let mut journal = Journal::open_above(&path, 100, now, |_| seen += 1).unwrap();
    assert_eq!(seen, entries.len());
    let kept: Vec<_> = [2, 3, 7, 8, 9, 10].map(|n: usize| entries[n].clone()).into();
    assert_eq!(Journal::read(&path).unwrap(), kept);
    assert_eq!(Journal::read(&path.with_added_extension("1")).unwrap(), entries);
    let mut line = Vec::new();
    encode(&mut line, &entry(6, 1, JournalEvent::Entered, now));
    journal.append(&line).unwrap();
    assert_eq!(Journal::read(&path).unwrap().len(), 7);
}
