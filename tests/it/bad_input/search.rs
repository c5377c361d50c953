//! Reads and searches of our own FHIR API: every parameter wrong in every way, and never a 5xx.

use url::form_urlencoded;

use super::{
    Log, MARKER, refused,
    requests::{ORDER_SIGN, hospital, order_sign},
};
use crate::{
    harness::{Answer, Hospital},
    random::Random,
};

const TYPES: [(&str, &[&str]); 4] = [
    ("DiagnosticReport", &["_id", "patient", "subject", "status", "date"]),
    ("Observation", &["_id", "patient", "subject", "status", "date"]),
    ("Provenance", &["_id", "patient", "target"]),
    ("Device", &["_id", "status"]),
];

/// Values no parameter means anything by, or too much.
const VALUES: [&str; 34] = [
    "",
    ",",
    "x",
    " ",
    "%",
    "%00",
    "\0",
    "../..",
    "Patient/..",
    "Patient/",
    "/",
    "//",
    "http://",
    "https://evil.example/fhir/Patient/1",
    "javascript:alert(1)/Patient/1",
    "urn:uuid:x",
    "#x",
    "2025-13",
    "2025-02-30",
    "ge",
    "zz2025",
    "ap2025",
    "9999999",
    "0000",
    "9999-12-31T23:59:60.999999999Z",
    "-1",
    "1e400",
    "|",
    "||x",
    "a|b|c",
    "' OR 1=1 --",
    "\u{202e}\u{feff}zzPLANTEDzz",
    "*",
    "null",
];

async fn ask(hospital: &Hospital, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = hospital.client.get(hospital.url.join(path).unwrap());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// One of the statuses, and if it is an error, a clean one; the place it names.
#[track_caller]
fn one_of(answer: &Answer, statuses: &[u16], what: &str) -> String {
    assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
    if answer.status >= 400 {
        return refused(answer, what);
    }
    String::new()
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn with_a_report() -> Hospital {
    let hospital = hospital().await;
    let request = order_sign(&hospital);
    assert_eq!(hospital.post(ORDER_SIGN, request.to_string()).await.status, 200);
    assert_eq!(hospital.reports().await, 1);
    hospital
}

#[tokio::test]
async fn every_parameter_in_every_wrong_form() {
    let (log, _guard) = Log::capture();
    let hospital = with_a_report().await;
    for (kind, parameters) in TYPES {
        for name in parameters {
            for value in VALUES {
                let path = format!("/fhir/{kind}?{}", query(&[(name, value)]));
                let at = one_of(&ask(&hospital, &path, &[]).await, &[200, 400], &path);
                assert!(at.is_empty() || at == *name, "{path}: {at}");
                assert!(!log.take().contains(MARKER), "{path}");
            }
            for modifier in [":exact", ":missing", ":not", ":in", ":Patient", ".name", ":", "[0]"] {
                let path = format!("/fhir/{kind}?{}", query(&[(&format!("{name}{modifier}"), "x")]));
                one_of(&ask(&hospital, &path, &[]).await, &[400], &path);
            }
        }
        for name in [
            "code",
            "_sort",
            "_include",
            "_summary",
            "_elements",
            "_has:Observation:patient:code",
            "",
            "zzPLANTEDzz",
            "\0",
        ] {
            let path = format!("/fhir/{kind}?{}", query(&[(name, "x")]));
            let answer = ask(&hospital, &path, &[]).await;
            one_of(&answer, &[400], &path);
            let answer = ask(&hospital, &path, &[("prefer", "handling=lenient")]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(
                answer.text.contains("were ignored: 1") && !answer.text.contains(MARKER),
                "{path}: {}",
                answer.text
            );
        }
    }
    hospital.close().await;
}

#[tokio::test]
async fn pages_counts_and_sizes_have_their_limits() {
    let hospital = with_a_report().await;
    let report = |pairs: &[(&str, &str)]| format!("/fhir/DiagnosticReport?{}", query(pairs));
    for (count, entries) in [("0", 0), ("1", 1), ("200", 1), ("201", 1), ("4294967296", 1), (&"9".repeat(4000), 1)] {
        let answer = ask(&hospital, &report(&[("_count", count)]), &[]).await;
        assert_eq!(answer.status, 200, "{count}: {}", answer.text);
        assert_eq!(answer.json()["entry"].as_array().map_or(0, Vec::len), entries, "{count}");
    }
    for count in ["", "-1", "+1", "1.0", "1e2", "0x1", "one", " 1", "\u{661}", "1,2", "NaN"] {
        let at = one_of(&ask(&hospital, &report(&[("_count", count)]), &[]).await, &[400], count);
        assert_eq!(at, "_count", "{count}");
    }
    // Of `9.x`, `x`, nothing, a time beyond the calendar, and what is no base64 at all.
    for page in ["", "x", "%%%", "OS54", "eA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5Lng", "AAAA", "////", &"A".repeat(4000)] {
        let answer = ask(&hospital, &report(&[("_page", page)]), &[]).await;
        let at = one_of(&answer, &[200, 400], page);
        assert!(at.is_empty() || at == "_page", "{page}: {at}");
    }
    // A page that was made up shows no more than a page that was linked to.
    let forged = ask(&hospital, &report(&[("_page", "OTIyMzM3MjAzNjg1NDc3NTgwNy5-fn4")]), &[]).await;
    assert_eq!(forged.json()["total"], 1, "{}", forged.text);
    let long = "x,".repeat(150) + "x";
    assert_eq!(ask(&hospital, &report(&[("_id", &long)]), &[]).await.status, 200);
    let many = "x,".repeat(200) + "x";
    one_of(&ask(&hospital, &report(&[("_id", &many)]), &[]).await, &[400], "201 values");
    let dates = vec!["ge2025"; 200].join(",");
    assert_eq!(ask(&hospital, &report(&[("date", &dates)]), &[]).await.status, 200);
    let filters = vec![("date", "ge2025"); 200];
    assert_eq!(ask(&hospital, &report(&filters), &[]).await.status, 200);
    one_of(&ask(&hospital, &report(&[("_id", &"x".repeat(9000))]), &[]).await, &[400], "a long query");
    hospital.close().await;
}

#[tokio::test]
async fn reads_and_headers_in_every_wrong_form() {
    let hospital = with_a_report().await;
    let found = hospital.get("/fhir/DiagnosticReport").await.json();
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let long = "x".repeat(8 << 10);
    for other in [
        id.to_uppercase(),
        format!("{id}x"),
        id[1..].to_owned(),
        "..".into(),
        "%00".into(),
        "%20".into(),
        "*".into(),
        "%25".into(),
        "'".into(),
        long,
    ] {
        let path = format!("/fhir/DiagnosticReport/{other}");
        one_of(&ask(&hospital, &path, &[]).await, &[404], &path);
    }
    for kind in ["diagnosticreport", "Patient", "Binary", "AuditEvent", "metadata", "x", "%00"] {
        let path = format!("/fhir/{kind}/{id}");
        one_of(&ask(&hospital, &path, &[]).await, &[404], &path);
    }
    let path = format!("/fhir/DiagnosticReport/{id}");
    for odd in
        ["x=1", "_format=xml", "_format=", "_format=%ff", "_summary=true", "&&&", "=", "_format=json&_format=xml"]
    {
        one_of(&ask(&hospital, &format!("{path}?{odd}"), &[]).await, &[200, 400, 406], odd);
    }
    for (name, value, statuses) in [
        ("accept", "application/fhir+xml", vec![406]),
        ("accept", "", vec![406]),
        ("accept", ";;;,,,q=", vec![406]),
        ("accept", "*/*;q=NaN", vec![406]),
        ("accept", "application/fhir+json;q=1e400", vec![200]),
        ("accept", "application/fhir+json;fhirVersion=5.0", vec![406]),
        ("if-none-match", "W/\"1\"", vec![304]),
        ("if-none-match", "*", vec![304]),
        ("if-none-match", "\"2\", W/\"1", vec![200]),
        ("if-none-match", "", vec![200]),
        ("if-none-match", ",,,,", vec![200]),
        ("prefer", "handling=;;;", vec![200]),
        ("content-type", "application/xml", vec![200]),
        ("range", "bytes=0-1", vec![200]),
    ] {
        let answer = ask(&hospital, &path, &[(name, value)]).await;
        one_of(&answer, &statuses, &format!("{name}: {value}"));
    }
    hospital.close().await;
}

/// INVARIANT: no_query_is_answered_with_a_server_error
#[tokio::test]
async fn no_query_is_answered_with_a_server_error() {
    let hospital = with_a_report().await;
    let mut random = Random(7);
    for n in 0..400 {
        let (kind, parameters) = *random.pick(&TYPES);
        let mut pairs = Vec::new();
        for _ in 0..random.below(5) {
            let names = [parameters, &["_count", "_page", "_format", "code"]].concat();
            let value: String = match random.below(3) {
                0 => random.pick(&VALUES).to_string(),
                1 => format!(
                    "{}{}",
                    random.pick(&["ge", "lt", "eq", "", "sa"]),
                    random.pick(&["2025", "2025-11-20", "x"])
                ),
                _ => (0..random.below(20)).filter_map(|_| char::from_u32(random.below(0x3000) as u32)).collect(),
            };
            pairs.push((random.pick(&names).to_string(), value));
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let path = format!("/fhir/{kind}?{query}");
        one_of(&ask(&hospital, &path, &[]).await, &[200, 400, 406], &format!("{n}: {path}"));
    }
    hospital.close().await;
}
