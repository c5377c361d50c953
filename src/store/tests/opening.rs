//! What is opened, what is not, and who else can read it.

use super::*;

#[tokio::test]
async fn a_database_that_cannot_be_used_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| Config { path: folder.path().join(name) };

    fs::write(of("text").path, "This is a letter and no database. ".repeat(100)).unwrap();
    fs::create_dir(of("folder").path).unwrap();
    let newer = Store::open(&of("newer")).await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'later', 1, x'00', 0)")
        .execute(&newer.writer)
        .await
        .unwrap();
    newer.close().await;
    let altered = Store::open(&of("altered")).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'").execute(&altered.writer).await.unwrap();
    altered.close().await;

    // A file as a parent is refused to root as well, unlike a folder without rights.
    for (name, words) in [
        ("text", "not an SQLite database"),
        ("text/curbside.db", "write access"),
        ("folder", "write access"),
        ("newer", "newer version of curbside"),
        ("altered", "did not make"),
    ] {
        let error = Store::open(&of(name)).await.unwrap_err();
        assert!(error.message.contains(words), "{name}: {error}");
        assert!(error.message.starts_with("The database ") && error.message.contains("name another file"), "{error}");
    }
    assert!(fs::read_to_string(of("text").path).unwrap().starts_with("This is a letter"));
}

/// INVARIANT: a_database_that_lost_a_part_of_its_schema_is_not_opened
#[tokio::test]
async fn a_database_that_lost_a_part_of_its_schema_is_not_opened() {
    let of_audit = "CREATE TRIGGER later AFTER INSERT ON AUDIT BEGIN SELECT 1; END";
    let changed = "DROP TRIGGER audit_is_never_deleted;
        CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit WHEN FALSE BEGIN SELECT 1; END";
    for (change, words) in [
        ("DROP TABLE audit", "lacks the table audit"),
        ("DROP TABLE probe", "lacks the table probe"),
        ("DROP TABLE report_page; CREATE VIEW report_page AS SELECT 1", "lacks the table report_page"),
        ("DROP TABLE _sqlx_migrations", "schema"),
        ("DROP TRIGGER audit_is_never_changed", "lacks the trigger audit_is_never_changed"),
        ("DROP TRIGGER audit_is_never_replaced", "lacks the trigger audit_is_never_replaced"),
        ("DROP INDEX resource_newest", "lacks the index resource_newest"),
        (changed, "another trigger audit_is_never_deleted"),
        ("ALTER TABLE picture ADD COLUMN note TEXT", "another table picture"),
        (of_audit, "the trigger later"),
        ("CREATE TRIGGER later BEFORE INSERT ON _sqlx_migrations BEGIN SELECT 1; END", "the trigger later"),
        ("CREATE UNIQUE INDEX \"a\nb\" ON answer (service)", "the index a\\nb"),
    ] {
        let (folder, store) = store().await;
        store.commit(&caller("a"), commit("h", "1")).await.unwrap();
        sqlx::raw_sql(change).execute(&store.writer).await.unwrap();
        store.close().await;
        let error = Store::open(&config(folder.path())).await.err().unwrap_or_else(|| panic!("{change}"));
        assert!(error.message.contains(words) && error.message.contains("restore it"), "{change}: {error}");
        assert!(error.message.starts_with("The database ") && error.message.contains("name another file"), "{error}");
    }
    // What touches none of ours, as a backup tool keeps it, and what SQLite keeps for itself.
    for change in
        ["CREATE TABLE _backup (id INTEGER PRIMARY KEY); CREATE INDEX _newest ON _backup (id)", "ANALYZE; VACUUM"]
    {
        let (folder, store) = store().await;
        store.commit(&caller("a"), commit("h", "1")).await.unwrap();
        sqlx::raw_sql(change).execute(&store.writer).await.unwrap();
        store.close().await;
        Store::open(&config(folder.path())).await.unwrap_or_else(|e| panic!("{change}: {e}"));
    }
}

/// SQLite opens a file it may not write for reading only, and would fail at the first hook.
#[cfg(unix)]
#[tokio::test]
async fn a_read_only_folder_or_file_is_refused_at_start() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let rights = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    rights(0o500);
    let bound_by_rights = fs::write(folder.path().join("probe"), "").is_err();
    let path = match bound_by_rights {
        true => folder.path().join("curbside.db"),
        // Root ignores rights, except where the kernel itself refuses.
        false => "/proc/curbside.db".into(),
    };
    let error = Store::open(&Config { path }).await.unwrap_err();
    rights(0o700);
    assert!(error.message.contains("write access"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, store) = store().await;
    store.commit(&caller("a"), commit("h", "1")).await.unwrap();
    let data = folder.path().join("data");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o077, 0);
    for file in fs::read_dir(data).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}

/// Who leaves within a write costs the writer its connection; the log stays the one that was opened.
#[tokio::test]
async fn a_write_given_up_is_not_taken_for_files_that_were_lost() {
    let (_folder, store) = store().await;
    for n in ["1", "2", "3"] {
        drop(Transaction::begin(&store.writer).await.unwrap());
        store.commit(&caller("a"), commit(n, n)).await.unwrap();
        store.check().await.unwrap();
    }
}

#[test]
fn a_path_must_name_a_file() {
    for path in ["", "/", "..", ":memory:", "file:curbside.db?mode=memory"] {
        assert!(Config { path: path.into() }.check().is_err(), "{path}");
    }
    Config::default().check().unwrap();
}
