//! Pages of patients: who is told of them, and which are listed.

use super::*;

#[tokio::test]
async fn no_page_of_a_patient_is_answered_that_the_audit_trail_does_not_hold() {
    let (app, folder) = app(None).await;
    let id = report(&app, "local", "1", 'a').await;
    // The same blank picture of two patients names neither.
    report(&app, "local", "1", 'b').await;
    report(&app, "local", "2", 'b').await;
    report(&app, "other", "2", 'a').await;
    let routes = router(app, &Config::default(), None);
    let outside = outside(&folder).await;
    let picture = |of| format!("/pictures/{}", named(of));
    let unknown = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea";
    let paths =
        [format!("/reports/{id}"), picture('a'), picture('b'), format!("/reports/{unknown}"), picture('c'), "/".into()];
    for (path, status) in paths.iter().zip([200, 200, 200, 404, 404, 200]) {
        let response = routes.clone().oneshot(ask(Method::GET, path)).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
    let patient = "https://ehr.example/fhir https://ehr.example/fhir/Patient/1";
    let binary = |of, rest: &str| format!("read Binary/{} {rest}", named(of));
    assert_eq!(
        trail(&outside).await,
        [
            format!("read DiagnosticReport/{id} 200 {patient}"),
            binary('a', &format!("200 {patient}")),
            binary('b', "200 -"),
            format!("read DiagnosticReport/{unknown} 404 -"),
            binary('c', "404 -"),
            "search DiagnosticReport 200 -".into(),
        ]
    );

    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'refused'); END";
    sqlx::query(refuse).execute(&outside).await.unwrap();
    for path in &paths {
        let response = routes.clone().oneshot(ask(Method::GET, path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        outcome(response).await;
    }
}

#[tokio::test]
async fn the_start_page_lists_the_newest_reports_of_the_callers_tenant() {
    let (app, _folder) = app(None).await;
    report(&app, "other", "1", 'a').await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(report(&app, "local", "1", 'a').await);
    }
    let response = router(app, &Config::default(), None).oneshot(ask(Method::GET, "/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let html = read(response).await;
    let links: Vec<&str> = html.split("href=\"/reports/").skip(1).map(|rest| &rest[..36]).collect();
    assert_eq!(links.len(), 10);
    assert!(links.iter().all(|link| ids.iter().any(|id| id == link)), "{html}");
    assert!(html.contains("Draft of local, 2034-08-15") && !html.contains("Draft of other"));
}

/// INVARIANT: a_picture_that_was_changed_is_not_shown
#[tokio::test]
async fn a_picture_that_was_changed_is_not_shown() {
    let (app, folder) = app(None).await;
    report(&app, "local", "1", 'a').await;
    report(&app, "local", "1", 'b').await;
    let routes = router(app, &Config::default(), None);
    let outside = outside(&folder).await;
    let get = async |of| routes.clone().oneshot(ask(Method::GET, &format!("/pictures/{}", named(of)))).await.unwrap();
    for change in ["x'00'", "x''", "CAST(CAST(png AS TEXT) || 'b' AS BLOB)"] {
        assert_eq!(get('b').await.status(), StatusCode::OK);
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE picture SET png = {change} WHERE sha256 = ?")))
            .bind(named('b'))
            .execute(&outside)
            .await
            .unwrap();
        let lines = Lines::default();
        let guard = lines.capture();
        let response = get('b').await;
        drop(guard);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{change}");
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        let told = outcome(response).await;
        assert!(told["issue"][0]["diagnostics"].as_str().unwrap().contains("not the one that was stored"), "{told}");
        let logged = lines.text();
        assert!(logged.contains("not the one that was stored") && !logged.contains("Patient/1"), "{logged}");
        assert_eq!(get('a').await.status(), StatusCode::OK, "the others are as they were");
        let back = "UPDATE picture SET png = CAST('b' AS BLOB) WHERE sha256 = ?";
        sqlx::query(back).bind(named('b')).execute(&outside).await.unwrap();
    }
    assert!(trail(&outside).await.iter().any(|line| line.starts_with(&format!("read Binary/{} 503", named('b')))));
}
