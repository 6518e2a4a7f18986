//! Who may open a data folder, and what is refused untouched.

use super::*;

#[tokio::test]
async fn one_serves_and_commands_work_beside_it() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path(), serve()).unwrap();
    assert!(matches!(error(folder.path()), OpenError::InUse { .. }));
    let beside = SqliteStore::open(folder.path(), SqliteOptions::command()).unwrap();
    let document = domain::tenant::TenantDocument::with_queues("by command", []);
    beside.put_tenant(tenant(), document.clone()).await.unwrap();
    assert_eq!(store.tenants().await, Ok(vec![document.resolve(tenant()).unwrap()]));
    drop((store, beside));
    assert!(SqliteStore::open(folder.path(), serve()).is_ok(), "the lock goes with the store");
}

#[test]
fn a_command_may_come_first() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path(), SqliteOptions::command()).unwrap();
    assert_eq!(store.migrated().len(), migrations());
    assert!(SqliteStore::open(folder.path(), serve()).unwrap().migrated().is_empty());
}

#[test]
fn foreign_files_are_refused_untouched() {
    let text = vec![b'x'; 5_000];
    let foreign = {
        let folder = TempDir::new().unwrap();
        connect(folder.path()).batch_execute("CREATE TABLE theirs (id INTEGER)").unwrap();
        fs::read(folder.path().join(DATABASE_FILE)).unwrap()
    };
    for content in [b"short".to_vec(), text, foreign] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join(DATABASE_FILE);
        fs::write(&file, &content).unwrap();
        let error = error(folder.path());
        assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
        assert_eq!(fs::read(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn damaged_files_are_refused_untouched() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path(), serve()).unwrap();
    store.book(booking(scheduled(noon()))).await.unwrap();
    drop(store);
    let file = folder.path().join(DATABASE_FILE);
    let mut content = fs::read(&file).unwrap();
    // The header still names us, the schema behind it is gone.
    content[100..8_192].fill(0x5a);
    fs::write(&file, &content).unwrap();
    let error = error(folder.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), content);
}

#[test]
fn newer_databases_are_refused_untouched_unless_they_leave_room() {
    let folder = TempDir::new().unwrap();
    drop(SqliteStore::open(folder.path(), serve()).unwrap());
    let insert = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')";
    connect(folder.path()).batch_execute(insert).unwrap();
    assert_eq!(SqliteStore::open(folder.path(), serve()).map(|store| store.migrated().len()).ok(), Some(0));
    connect(folder.path()).batch_execute("UPDATE installation SET needs = '29991231000000'").unwrap();
    let file = folder.path().join(DATABASE_FILE);
    let content = fs::read(&file).unwrap();
    let error = error(folder.path());
    assert!(matches!(&error, OpenError::Newer { migration, .. } if migration == "29991231000000"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), content);
}

#[test]
fn folders_that_cannot_be_written_are_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = error(&path);
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    }
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write everywhere: only for others this shows something.
    if fs::write(closed.join("probe"), "x").is_err() {
        assert!(matches!(error(&closed), OpenError::NotWritable { .. }));
    }
}
