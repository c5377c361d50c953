//! Files that are full, damaged, cut or somebody else's.

use super::*;

const LIMIT: i64 = 1_073_741_823;

impl Store {
    /// Lets the file grow no further, as a full disk does, or lets it grow again.
    pub(crate) async fn full_disk(&self, full: bool) {
        let pages = if full { 1 } else { LIMIT };
        let statement = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(statement).execute(&self.writer).await.unwrap();
    }
}

fn large(hook_instance: &str, id: &str) -> Commit {
    let mut large = commit(hook_instance, id);
    large.report.as_mut().unwrap().pictures = vec![(format!("{id:0>64}"), Arc::new(vec![0; 300 << 10]))];
    large
}

/// A database with so many reports, closed; every page of it is in the one file.
async fn written(reports: usize) -> (TempDir, Config) {
    let (folder, store) = store().await;
    for n in 0..reports {
        let id = n.to_string();
        let mut small = commit(&format!("h{n}"), &id);
        small.report.as_mut().unwrap().pictures = vec![(format!("{id:0>64}"), Arc::new(vec![0; 8 << 10]))];
        store.commit(&caller("a"), small).await.unwrap();
    }
    store.close().await;
    let config = config(folder.path());
    (folder, config)
}

/// INVARIANT: a_full_disk_is_not_ready_until_there_is_room_again
#[tokio::test]
async fn a_full_disk_is_not_ready_until_there_is_room_again() {
    let (folder, store) = store().await;
    let caller = caller("a");
    store.commit(&caller, large("h", "1")).await.unwrap();
    assert_eq!(store.check().await, Ok(()));
    // Pages that are free in the file itself: enough for a little.
    let freed = "CREATE TABLE filler AS SELECT zeroblob(150000) AS b; DROP TABLE filler";
    sqlx::raw_sql(freed).execute(&store.writer).await.unwrap();
    store.full_disk(true).await;
    assert_eq!(store.check().await, Ok(()));
    let error = store.commit(&caller, large("i", "2")).await.unwrap_err();
    assert!(error.kind == Kind::Busy && error.retry_after.is_some(), "{error}");
    // A few pages would still fit: what does not is a report.
    for n in 0..3 {
        store
            .audit(&caller, Event::hook("small", "https://ehr.example/fhir", "Patient/1", &n.to_string()))
            .await
            .unwrap();
        assert!(store.check().await.unwrap_err().contains("full"));
    }
    assert_eq!(store.read(&caller, "DiagnosticReport", "1").await.unwrap().id, "1", "reading goes on");
    store.full_disk(false).await;
    assert_eq!(store.check().await, Ok(()));
    assert_eq!(store.commit(&caller, large("i", "2")).await.unwrap(), "answer 2");
    store.close().await;
    let store = Store::open(&config(folder.path())).await.unwrap();
    for id in ["1", "2"] {
        assert_eq!(store.page(&caller, id).await.unwrap().patient, patient());
    }
    assert_eq!(rows(&store, "audit").await, 5, "what was refused left nothing");
}

#[tokio::test]
async fn who_asks_at_once_is_told_what_one_write_found_out() {
    let (_folder, store) = store().await;
    let written =
        async || sqlx::query_scalar::<_, i64>("SELECT total_changes()").fetch_one(&store.writer).await.unwrap();
    let before = written().await;
    let all = futures::future::join_all((0..50).map(|_| store.check())).await;
    assert_eq!((all, written().await - before), (vec![Ok(()); 50], 1));
    // What failed since is found out at once, and so is that it works again.
    store.full_disk(true).await;
    store.commit(&caller("a"), large("h", "1")).await.unwrap_err();
    for told in futures::future::join_all((0..50).map(|_| store.check())).await {
        assert!(told.unwrap_err().contains("full"));
    }
    store.full_disk(false).await;
    assert_eq!(store.check().await, Ok(()));
}

/// INVARIANT: a_call_that_is_left_leaves_no_transaction_open
#[tokio::test]
async fn a_call_that_is_left_leaves_no_transaction_open() {
    let (_folder, store) = store().await;
    let caller = caller("a");
    let mut left = 0;
    for n in 0..200 {
        let id = n.to_string();
        let mut call = Box::pin(store.commit(&caller, commit(&id, &id)));
        // So many times it is looked at, and then given up.
        for _ in 0..n % 40 {
            if futures::poll!(&mut call).is_ready() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        drop(call);
        left += usize::from(store.page(&caller, &id).await.is_err());
    }
    assert!(left > 0, "no call was left before its end");
    assert_eq!(store.commit(&caller, commit("last", "last")).await.unwrap(), "answer last");
    assert_eq!(store.check().await, Ok(()));
    assert_eq!(rows(&store, "report_page").await, rows(&store, "audit").await, "each is whole or absent");
}

/// What was answered with success is there afterwards, whenever in between the disk was full.
#[tokio::test]
async fn nothing_acknowledged_is_lost_on_a_disk_that_fills_and_empties() {
    let (folder, store) = store().await;
    let caller = caller("a");
    let mut kept = Vec::new();
    for n in 0..60 {
        store.full_disk(n % 7 >= 4).await;
        let id = n.to_string();
        let commit = if n % 2 == 0 { large(&id, &id) } else { commit(&id, &id) };
        match store.commit(&caller, commit).await {
            Ok(answer) => kept.push((id, answer)),
            Err(error) => assert_eq!(error.kind, Kind::Busy, "{n}: {error:?}"),
        }
    }
    assert!((20..60).contains(&kept.len()), "{}", kept.len());
    drop(store);
    let store = Store::open(&config(folder.path())).await.unwrap();
    for (id, answer) in &kept {
        assert_eq!(store.answered(&caller, &key(id)).await.unwrap().as_ref(), Some(answer));
        store.read(&caller, "DiagnosticReport", id).await.unwrap();
    }
    assert_eq!(rows(&store, "report_page").await, kept.len() as i64);
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&store.writer).await.unwrap();
    assert_eq!(sound, "ok");
}

/// INVARIANT: a_file_too_short_for_a_database_is_left_as_it_is
#[tokio::test]
async fn a_file_too_short_for_a_database_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for length in [1, 15, 100, 511] {
        let config = Config { path: folder.path().join(length.to_string()) };
        fs::write(&config.path, "x".repeat(length)).unwrap();
        let error = Store::open(&config).await.unwrap_err();
        assert!(error.message.contains("is damaged or not an SQLite database"), "{length}: {error}");
        assert_eq!(fs::read(&config.path).unwrap().len(), length);
    }
    // One that is empty is where a database may be made.
    let config = Config { path: folder.path().join("empty") };
    fs::write(&config.path, "").unwrap();
    Store::open(&config).await.unwrap().close().await;
}

/// INVARIANT: another_programs_database_is_refused_and_left_as_it_is
#[tokio::test]
async fn another_programs_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, statements, words) in [
        ("tables", "CREATE TABLE bookmarks (url TEXT)", "another program"),
        ("a mark", "PRAGMA application_id = 252006673", "another program"),
        ("its own migrations", "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY)", "another program"),
        ("a write-ahead log", "PRAGMA journal_mode = wal; CREATE TABLE x (y)", "another program"),
        ("a later schema", "PRAGMA application_id = 1129665090; PRAGMA user_version = 99", "newer version"),
    ] {
        let config = Config { path: folder.path().join(name) };
        let options = SqliteConnectOptions::new().filename(&config.path).create_if_missing(true);
        let other = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        sqlx::raw_sql(statements).execute(&other).await.unwrap();
        other.close().await;
        let before = fs::read(&config.path).unwrap();
        let error = Store::open(&config).await.unwrap_err();
        assert!(error.message.contains(words) && error.message.contains("name"), "{name}: {error}");
        assert_eq!(fs::read(&config.path).unwrap(), before, "{name}");
    }
}

#[tokio::test]
async fn a_database_of_the_first_version_is_taken_over_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fs::create_dir(folder.path().join("data")).unwrap();
    let options = SqliteConnectOptions::new().filename(&config.path).create_if_missing(true);
    let old = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let mut first = migrator();
    first.migrations = first.migrations.iter().take(1).cloned().collect::<Vec<_>>().into();
    first.run(&old).await.unwrap();
    sqlx::query("PRAGMA user_version = 1").execute(&old).await.unwrap();
    old.close().await;
    let store = Store::open(&config).await.unwrap();
    store.commit(&caller("a"), commit("h", "1")).await.unwrap();
    for (pragma, value) in [("PRAGMA application_id", 0x4355_5242), ("PRAGMA user_version", NEWEST)] {
        assert_eq!(sqlx::query_scalar::<_, i64>(pragma).fetch_one(&store.writer).await.unwrap(), value, "{pragma}");
    }
    store.close().await;
    Store::open(&config).await.unwrap();
}

/// Every way to touch what is kept; how often each went well.
async fn everything(store: &Store) -> usize {
    let caller = caller("a");
    let mut well = 0;
    let mut note = |failed: Option<Error>| match failed {
        None => well += 1,
        Some(error) => assert!(matches!(error.kind, Kind::Busy | Kind::NotFound), "{:?}: {error}", error.kind),
    };
    for n in 0..6 {
        let id = n.to_string();
        note(store.page(&caller, &id).await.err());
        note(store.read(&caller, "DiagnosticReport", &id).await.err());
        note(store.answered(&caller, &key(&format!("h{n}"))).await.err());
    }
    note(store.picture(&caller, &sha()).await.err());
    note(store.recent(&caller, 10).await.err());
    let search = Search {
        resource_type: "DiagnosticReport",
        filters: vec![search::Filter::Status(vec!["registered".into()])],
        count: 50,
        after: None,
    };
    note(store.search(&caller, &search).await.err());
    note(store.audit(&caller, event()).await.err());
    note(store.commit(&caller, large("new", "new")).await.err());
    well
}

/// What may become of the bytes of a file.
fn damages(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let page = 4096;
    let pages = whole.len() / page;
    let garbage = |from: usize, length: usize| {
        let mut bytes = whole.to_vec();
        let end = (from + length).min(bytes.len());
        for (n, byte) in bytes[from..end].iter_mut().enumerate() {
            *byte = (n * 37 + 11) as u8;
        }
        bytes
    };
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("the first bytes".into(), garbage(0, 16)),
        ("the header".into(), garbage(16, 84)),
        ("the schema".into(), garbage(100, page - 100)),
        ("all".into(), garbage(0, whole.len())),
        ("zeros".into(), vec![0; whole.len()]),
    ];
    for n in 0..24 {
        let at = 1 + n * (pages - 2) / 24;
        cases.push((format!("page {at}"), garbage(at * page, page)));
        cases.push((format!("the head of page {at}"), garbage(at * page, 12)));
    }
    for n in 1..8 {
        cases.push((format!("cut to {n}/8"), whole[..whole.len() * n / 8].to_vec()));
    }
    cases.push(("cut in the header".into(), whole[..50].to_vec()));
    cases.push(("cut within a page".into(), whole[..page + 7].to_vec()));
    cases
}

/// INVARIANT: a_damaged_file_is_refused_at_start
#[tokio::test]
async fn a_damaged_file_is_refused_at_start() {
    let (_folder, config) = written(6).await;
    let cases = damages(&fs::read(&config.path).unwrap());
    for (what, bytes) in &cases {
        fs::write(&config.path, bytes).unwrap();
        let error = Store::open(&config).await.err().unwrap_or_else(|| panic!("{what}"));
        assert!(error.message.starts_with("The database ") && error.message.contains("name"), "{what}: {error}");
        assert_eq!(&fs::read(&config.path).unwrap(), bytes, "{what}: it is left as it was");
    }
    assert!(cases.len() > 60);
}

#[tokio::test]
async fn a_file_too_large_to_be_read_in_time_is_opened() {
    let (_folder, config) = written(60).await;
    let options = SqliteConnectOptions::new().filename(&config.path);
    assert!(inspect::is_whole(&options, Duration::ZERO).await.unwrap());
    assert!(inspect::is_whole(&options, Duration::from_secs(600)).await.unwrap());
    let mut bytes = fs::read(&config.path).unwrap();
    let at = bytes.len() / 4096 * 3 / 4 * 4096;
    bytes[at..at + 4096].fill(0x5a);
    fs::write(&config.path, bytes).unwrap();
    assert!(!inspect::is_whole(&options, Duration::from_secs(600)).await.unwrap_or(false));
    assert!(inspect::is_whole(&options, Duration::ZERO).await.unwrap(), "it was not read to its end");
}

#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_open_answers_busy_and_is_not_ready() {
    let (_folder, config) = written(6).await;
    let whole = fs::read(&config.path).unwrap();
    let mut unready = 0;
    for (what, bytes) in damages(&whole) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { path: folder.path().join("curbside.db") };
        fs::write(&config.path, &whole).unwrap();
        let store = Store::open(&config).await.unwrap();
        fs::write(&config.path, bytes).unwrap();
        let well = everything(&store).await;
        let damaged = store.check().await == Err(failure::Cause::Damaged.clause());
        unready += usize::from(damaged);
        assert!(well > 0 || damaged, "{what}");
        store.close().await;
    }
    assert!(unready >= 30, "{unready}");
}

#[tokio::test]
async fn a_log_of_garbage_costs_nothing_that_was_moved_into_the_file() {
    let (_folder, config) = written(2).await;
    for garbage in [vec![0; 32], vec![0xff; 100_000], b"\x37\x7f\x06\x82\x00\x2d\xe2\x18".repeat(5000), vec![]] {
        let folder = tempfile::tempdir().unwrap();
        let copy = Config { path: folder.path().join("curbside.db") };
        fs::copy(&config.path, &copy.path).unwrap();
        fs::write(folder.path().join("curbside.db-wal"), &garbage).unwrap();
        fs::write(folder.path().join("curbside.db-shm"), &garbage).unwrap();
        let store = Store::open(&copy).await.unwrap();
        assert_eq!(store.page(&caller("a"), "1").await.unwrap().patient, patient());
        store.commit(&caller("a"), commit("new", "new")).await.unwrap();
        assert_eq!(store.check().await, Ok(()));
    }
}
