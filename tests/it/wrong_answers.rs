//! Tables of what is wrong with an EHR or an archive. One row is one kind: to add one is to write one line.

use curbside::demo::Fault;
use serde_json::{Value, json};

use crate::{
    harness::{patient, read_json},
    relay::Raw,
};

const FHIR: &str = "application/fhir+json";

#[derive(Clone)]
pub enum Wrong {
    Http(Fault),
    Tcp(Raw),
}
use Wrong::{Http, Tcp};

/// One way in which a server is wrong: its name, what it does, the words that tell of it, the most calls it may cost.
pub type Row = (String, Wrong, &'static str, usize);

fn row(name: impl Into<String>, wrong: Wrong, words: &'static str, calls: usize) -> Row {
    (name.into(), wrong, words, calls)
}

fn answer(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Wrong {
    Http(Fault::Answer(status, vec![("content-type", content_type.to_owned())], body.into()))
}

fn pausing(status: u16, pause: &str) -> Wrong {
    let headers = vec![("date", "Fri, 31 Dec 1999 23:59:59 GMT".to_owned()), ("retry-after", pause.to_owned())];
    Http(Fault::Answer(status, headers, vec![]))
}

/// A body of 64 MiB, packed into a few bytes as gzip writes it. No server has to unpack it to be fooled.
fn bomb(content_type: &str) -> Wrong {
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].to_vec();
    let headers = vec![("content-type", content_type.to_owned()), ("content-encoding", "gzip".to_owned())];
    Http(Fault::Answer(200, headers, [head, vec![0xec; 4096]].concat()))
}

/// What may be wrong with any server that speaks HTTP. `cut` tells of a connection that broke.
fn any_server(
    late: &'static str,
    cut: &'static str,
    large: &'static str,
    compressed: &'static str,
    retried: usize,
) -> Vec<Row> {
    vec![
        row("hangs", Http(Fault::Hang), late, 1),
        row("stops within the head", Tcp(Raw::HalfHead), late, 1),
        row("one byte a second", Http(Fault::Drip), late, 1),
        row("closes", Tcp(Raw::Close), cut, retried),
        row("resets", Tcp(Raw::Reset), cut, retried),
        row("no HTTP", Tcp(Raw::Garbage), cut, retried),
        row("a head without end", Tcp(Raw::EndlessHead), cut, retried),
        row("truncated", Http(Fault::Truncate), cut, retried),
        row("a body without end", Http(Fault::Endless), large, 1),
        row("a gzip bomb", bomb(FHIR), compressed, retried),
    ]
}

fn bundle(entry: Value) -> Wrong {
    answer(200, FHIR, json!({"resourceType": "Bundle", "type": "searchset", "entry": entry}).to_string())
}

fn linked(url: &str) -> Wrong {
    let links = json!([{"relation": "next", "url": url}]);
    answer(200, FHIR, json!({"resourceType": "Bundle", "type": "searchset", "link": links}).to_string())
}

fn allergy(id: &str, words: &str, of: &str) -> Value {
    json!({"resource": {"resourceType": "AllergyIntolerance", "id": id, "code": {"text": words}, "patient": {"reference": of}}})
}

/// What is wrong with a FHIR server whatever it is asked.
pub fn fhir_servers() -> Vec<Row> {
    let no_fhir = "the answer is not FHIR JSON";
    let mut rows = any_server(
        "no answer before the deadline",
        "the connection broke before the answer was complete",
        "the EHR's answer is larger than the limit",
        "the answer is compressed though that was declined",
        2,
    );
    rows.push(row(
        "more than the limit",
        answer(200, FHIR, vec![b' '; 9 << 20]),
        "the EHR's answer is larger than the limit",
        1,
    ));
    rows.push(row("one request, two answers", Tcp(Raw::Twice), no_fhir, 1));
    for (status, words, calls) in [
        (201, "the EHR answered with status 201", 1),
        (204, "the EHR answered with status 204", 1),
        (206, "the EHR answered with status 206", 1),
        (400, "the EHR answered with status 400", 1),
        (401, "the EHR refused access", 1),
        (403, "the EHR refused access", 1),
        (404, "the EHR does not have the resource", 1),
        (406, "does not have it in a form that is read here (406)", 1),
        (410, "the EHR does not have the resource", 1),
        (429, "the EHR answered with status 429", 2),
        (500, "the EHR answered with status 500", 2),
        (501, "the EHR answered with status 501", 1),
        (502, "the EHR answered with status 502", 2),
        (503, "the EHR answered with status 503", 2),
        (504, "the EHR answered with status 504", 2),
        (599, "the EHR answered with status 599", 2),
    ] {
        rows.push(row(format!("status {status}"), Http(Fault::Status(status)), words, calls));
    }
    for status in [301, 302, 303, 307, 308] {
        let to = vec![("location", "http://127.0.0.1:9/fhir/elsewhere".to_owned())];
        let words = "the EHR answered with a redirect, which is not followed";
        rows.push(row(format!("redirect {status}"), Http(Fault::Answer(status, to, vec![])), words, 1));
    }
    for (status, words) in [(429, "the EHR answered with status 429"), (503, "the EHR answered with status 503")] {
        rows.push(row(format!("{status}, retry at once"), pausing(status, "0"), words, 2));
        rows.push(row(
            format!("{status}, retry after a date that has passed"),
            pausing(status, "Fri, 31 Dec 1999 23:00:00 GMT"),
            words,
            2,
        ));
        rows.push(row(format!("{status}, retry in an hour"), pausing(status, "3600"), words, 1));
        rows.push(row(
            format!("{status}, retry at a date past the deadline"),
            pausing(status, "Sat, 01 Jan 2000 23:59:59 GMT"),
            words,
            1,
        ));
        rows.push(row(format!("{status}, retry at no time"), pausing(status, "soon"), words, 2));
    }
    let deep = format!(r#"{{"resourceType":"Bundle","entry":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (name, content_type, body) in [
        ("HTML", "text/html", b"<html>log in</html>".to_vec()),
        ("HTML under the wrong name", FHIR, b"<html>log in</html>".to_vec()),
        ("XML", "application/fhir+xml", b"<Bundle/>".to_vec()),
        ("JSON under the wrong name", "text/plain", br#"{"resourceType":"Bundle"}"#.to_vec()),
        ("nothing", FHIR, vec![]),
        ("blanks", FHIR, b"   ".to_vec()),
        ("cut JSON", FHIR, br#"{"resourceType":"Bundle","entry":[{"resource":{"#.to_vec()),
        ("two values", FHIR, br#"{"resourceType":"Bundle"}{"resourceType":"Bundle"}"#.to_vec()),
        ("an array", FHIR, br#"[{"resourceType":"Bundle"}]"#.to_vec()),
        ("null", FHIR, b"null".to_vec()),
        ("a text", FHIR, b"\"Bundle\"".to_vec()),
        ("no resource", FHIR, b"{}".to_vec()),
        ("a type that is a number", FHIR, br#"{"resourceType":7}"#.to_vec()),
        ("a depth of 100,000", FHIR, [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
        ("bytes that are no UTF-8", FHIR, b"{\"resourceType\":\"Bundle\",\"x\":\"\xff\xfe\"}".to_vec()),
        ("UTF-16", FHIR, "{\"resourceType\":\"Bundle\"}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("gzip without saying so", FHIR, vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xec]),
        ("NUL", FHIR, vec![0; 100]),
    ] {
        rows.push(row(name, answer(200, content_type, body), no_fhir, 1));
    }
    rows.push(row("depth within a Bundle", answer(200, FHIR, deep), "", 1));
    rows
}

/// What is wrong with the answer to a search alone.
pub fn searches() -> Vec<Row> {
    let outcome = |severity: &str| json!({"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "processing", "diagnostics": "Jane Doe"}]});
    let twice =
        json!([allergy("twice", "latex", "Patient/no-imaging"), allergy("twice", "gold", "Patient/no-imaging")]);
    let other = json!([{"resource": {"resourceType": "Basic", "id": "b"}}]);
    let unread = "of the Bundle's entries could not be read";
    vec![
        row(
            "an outcome for a Bundle",
            answer(200, FHIR, outcome("error").to_string()),
            "- allergies: the server reported an error (processing)",
            1,
        ),
        row(
            "a warning for a Bundle",
            answer(200, FHIR, outcome("warning").to_string()),
            "- allergies: the server reported an error (unknown)",
            1,
        ),
        row(
            "an outcome within the Bundle",
            bundle(json!([{"search": {"mode": "outcome"}, "resource": outcome("fatal")}])),
            "- allergies: the server reported an error (processing)",
            1,
        ),
        row(
            "a resource for a Bundle",
            answer(200, FHIR, allergy("a", "latex", "Patient/no-imaging")["resource"].to_string()),
            "- allergies: the answer to a search is not a Bundle",
            1,
        ),
        row("another type", bundle(other), "- allergies: it was answered with resources of another kind", 1),
        row(
            "another patient",
            bundle(json!([allergy("a", "latex", "Patient/somebody-else")])),
            "- allergies: 1 resource(s) of another patient were received and not used",
            1,
        ),
        row(
            "another server's patient",
            bundle(json!([allergy("a", "latex", "https://other.example/fhir/Patient/no-imaging")])),
            "- allergies: 1 resource(s) of another patient",
            1,
        ),
        row(
            "nobody's",
            bundle(json!([{"resource": {"resourceType": "AllergyIntolerance", "id": "a"}}])),
            "one does not say whose it is",
            1,
        ),
        row("one id twice", bundle(twice), "AllergyIntolerance/twice: it came twice with different contents", 1),
        row(
            "an id that is a path",
            bundle(json!([allergy("../a", "latex", "Patient/no-imaging")])),
            "one has no usable id",
            1,
        ),
        row("entries that are texts", bundle(json!(["latex", "gold"])), unread, 1),
        row("resources that are texts", bundle(json!([{"resource": "latex"}])), unread, 1),
        row("pages without end", Tcp(Raw::EndlessPages), "- allergies: a search has more than 10 pages", 10),
        row(
            "pages in a circle",
            linked("AllergyIntolerance?patient=no-imaging"),
            "- allergies: the pages of a search repeat",
            1,
        ),
        row(
            "a page elsewhere",
            linked("http://127.0.0.1:9/fhir/AllergyIntolerance"),
            "- allergies: the next page of a search lies outside the EHR's base",
            1,
        ),
        row(
            "a page that fails",
            linked("/fhir/Nonsense?page=2"),
            "- allergies: a further page of a search could not be had: the EHR does not have",
            1,
        ),
    ]
}

/// What is wrong with the answer to a read alone.
pub fn reads() -> Vec<Row> {
    let other = "another resource than the one asked for";
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]});
    let patient = |id: Value| json!({"resourceType": "Patient", "id": id});
    [
        ("another id", patient(json!("somebody-else")), other),
        ("no id", json!({"resourceType": "Patient"}), other),
        ("an empty id", patient(json!("")), other),
        ("another type", json!({"resourceType": "Person", "id": "no-imaging"}), other),
        ("a Bundle", json!({"resourceType": "Bundle", "entry": [{"resource": patient(json!("no-imaging"))}]}), other),
        ("an outcome", outcome, "an OperationOutcome in place of the resource"),
        ("an id that is a number", patient(json!(7)), "the answer is not FHIR JSON"),
    ]
    .into_iter()
    .map(|(name, body, words)| row(name, answer(200, FHIR, body.to_string()), words, 1))
    .collect()
}

/// The demonstration's current film, with every occurrence of one text exchanged for another of its length.
fn film(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut film = std::fs::read(patient("demo").join("images/current.dcm")).unwrap();
    let found: Vec<usize> = (0..film.len()).filter(|at| film[*at..].starts_with(from.as_bytes())).collect();
    assert!(!found.is_empty(), "{from} is not in the film");
    for at in found {
        film[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    film
}

/// An archive's answer of one part, as it was meant to be; `edit` spoils it.
fn multipart(content_type: &str, head: &[u8], film: &[u8], tail: &[u8]) -> Wrong {
    answer(200, content_type, [head, film, tail].concat())
}

pub fn archives() -> Vec<Row> {
    const RELATED: &str = "multipart/related; type=\"application/dicom\"; boundary=b";
    const HEAD: &[u8] = b"--b\r\nContent-Type: application/dicom\r\n\r\n";
    const TAIL: &[u8] = b"\r\n--b--\r\n";
    let study = read_json(&patient("demo").join("fhir.json"));
    let study =
        study["entry"].as_array().unwrap().iter().find(|e| e["resource"]["id"] == "demo-current").unwrap()["resource"]
            .clone();
    let (study_uid, instance_uid) =
        (study["identifier"][0]["value"].as_str().unwrap(), study["series"][0]["instance"][0]["uid"].as_str().unwrap());
    let study_uid = study_uid.trim_start_matches("urn:oid:");
    let changed = |uid: &str| {
        let last = uid.chars().last().unwrap();
        film(uid, &format!("{}{}", &uid[..uid.len() - 1], if last == '1' { '2' } else { '1' }))
    };
    let whole = film("MRN-demo", "MRN-demo");
    let broken = "the archive's answer is broken";
    let unreadable = "not readable DICOM";
    let mut rows = any_server(
        "the archive did not answer in time",
        "the archive could not be read: the connection broke",
        "it is larger than the limit",
        "the archive could not be read: the answer is compressed",
        1,
    );
    for (status, words, calls) in [
        (201, "the archive failed (201)", 1),
        (204, "the archive failed (204)", 1),
        (206, "the archive failed (206)", 1),
        (400, "does not offer it in a form that is read here (400)", 3),
        (401, "the archive refused access (401)", 1),
        (403, "the archive refused access (403)", 1),
        (404, "the archive did not find it (404)", 2),
        (406, "does not offer it in a form that is read here (406)", 3),
        (410, "the archive no longer has it (410)", 1),
        (415, "does not offer it in a form that is read here (415)", 3),
        (429, "the archive is busy (429)", 1),
        (500, "the archive failed (500)", 2),
        (501, "does not offer it in a form that is read here (501)", 3),
        (502, "the archive failed (502)", 1),
        (503, "the archive is busy (503)", 1),
        (504, "the archive failed (504)", 1),
    ] {
        rows.push(row(format!("status {status}"), Http(Fault::Status(status)), words, calls));
    }
    for status in [301, 302, 303, 307, 308] {
        let to = vec![("location", "http://127.0.0.1:9/dicomweb".to_owned())];
        rows.push(row(
            format!("redirect {status}"),
            Http(Fault::Answer(status, to, vec![])),
            "a redirect, which is not followed",
            1,
        ));
    }
    for (pause, words, calls) in [
        ("0", "the archive is busy (503)", 2),
        ("Fri, 31 Dec 1999 23:00:00 GMT", "the archive is busy (503)", 2),
        ("3600", "the archive needs more time than there is (503)", 1),
        ("Sat, 01 Jan 2000 23:59:59 GMT", "the archive needs more time than there is (503)", 1),
        ("soon", "the archive is busy (503)", 1),
    ] {
        rows.push(row(format!("503, retry after {pause}"), pausing(503, pause), words, calls));
    }
    let long = format!("multipart/related; boundary={}", "b".repeat(71));
    for (name, content_type, head, film, tail, words, calls) in [
        ("HTML", "text/html", &b"<html>"[..], &b"log in"[..], &b"</html>"[..], unreadable, 2),
        ("JSON", "application/json", b"{", b"", b"}", unreadable, 2),
        ("nothing", "application/dicom", b"", b"", b"", unreadable, 2),
        ("no boundary", "multipart/related", HEAD, &whole, TAIL, broken, 3),
        ("an empty boundary", "multipart/related; boundary=\"\"", HEAD, &whole, TAIL, broken, 3),
        ("a boundary too long", &long, HEAD, &whole, TAIL, broken, 3),
        ("another boundary", "multipart/related; boundary=c", HEAD, &whole, TAIL, broken, 3),
        ("no boundary line", RELATED, b"", &whole, TAIL, "the archive sent nothing", 3),
        ("no last boundary line", RELATED, HEAD, &whole, b"", broken, 3),
        ("a last boundary line that is cut", RELATED, HEAD, &whole, b"\r\n--b", broken, 3),
        ("headers without end", RELATED, b"--b\r\nContent-Type: application/dicom\r\n", b"", b"--b--", broken, 3),
        ("an empty body", RELATED, b"", b"", b"", broken, 3),
        ("no part", RELATED, b"--b--", b"", b"", "the archive sent nothing", 3),
        ("an empty part", RELATED, HEAD, b"", TAIL, unreadable, 2),
        ("no film in the part", RELATED, HEAD, b"<html>log in</html>", TAIL, unreadable, 2),
        ("an error in the part", RELATED, HEAD, br#"{"resourceType":"OperationOutcome"}"#, TAIL, unreadable, 2),
        ("a film cut within its header", RELATED, HEAD, &whole[..400], TAIL, "", 2),
        ("a film cut within its pixels", RELATED, HEAD, &whole[..whole.len() / 2], TAIL, "", 2),
        ("a preamble and nothing", RELATED, HEAD, &whole[..132], TAIL, "", 2),
        ("another study's film", RELATED, HEAD, &changed(study_uid), TAIL, "a film of another study", 1),
        ("another film of the study", RELATED, HEAD, &changed(instance_uid), TAIL, "the archive sent another film", 1),
        (
            "another patient's film",
            RELATED,
            HEAD,
            &film("MRN-demo", "MRN-evil"),
            TAIL,
            "the film belongs to another patient",
            1,
        ),
        ("nobody's film", RELATED, HEAD, &film("MRN-demo", "        "), TAIL, "", 1),
    ] {
        rows.push(row(name, multipart(content_type, head, film, tail), words, calls));
    }
    rows
}
