use serde_json::json;

use super::*;

fn page() -> Value {
    json!({
        "language": "en", "banner": "b", "intended_use": "research", "service": "Draft report", "status": "partial", "status_words": "A machine's draft.",
        "organization": "o", "patient": { "reference": "https://ehr.example/fhir/Patient/1", "sex": "female", "age_band": "60-69" },
        "order": "Chest X-ray", "other_orders": null, "study": "Study read: 2034-08-15.", "prior": "2032-01-10",
        "looked_for": "l", "urgency": "urgent", "urgency_words": "urgent",
        "sections": [{ "title": "Findings", "statements": [{ "number": "1", "text": "Large effusion", "evidence": ["E2"] }] }],
        "rejected": [{ "what": "Opacity", "why": "cites nothing" }],
        "pictures": [{
            "evidence": "E2", "role": "current", "sha256": "a".repeat(64), "view": "PA", "laterality": null, "date": "2034-08-15",
            "modality": "DX", "body_part": "CHEST", "manufacturer": "m", "window": null, "size": "s", "retrieved": "r", "transfer_syntax": "t",
            "instance_uid": "1.2", "record": null, "media_type": null, "burned_in": "NO", "lossy": false,
        }],
        "evidence": [{ "id": "E2", "kind": "picture", "text": "film", "date": "2034-08-15", "reference": "urn:oid:1.2", "origin": "fetched",
            "shown": true, "why_not": null, "cited_by": ["1"] }],
        "examined": [{ "what": "conditions", "resources": "2", "origin": "fetched", "complete": true }],
        "failed": [{ "what": "allergies", "why": "the search failed" }],
        "model": { "name": "m", "revision": "r", "weights_sha256": "w", "runtime": "x", "dtype": "f32", "context": "2048", "scope": "s" },
        "prompt": { "sha256": "p", "version": "v" }, "product": "curbside 0", "report_id": "id", "issued": "now",
    })
}

fn recent(text: &str) -> Recent {
    Recent { report_id: text.into(), service: text.into(), issued: text.into() }
}

/// Puts a text in the place of every string.
fn filled(value: &Value, text: &str) -> Value {
    match value {
        Value::String(_) => json!(text),
        Value::Array(items) => items.iter().map(|item| filled(item, text)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), filled(member, text))).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_value_a_template_prints_is_escaped() {
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onclick='x",
        "</bdi><a href='javascript:x'>",
        "<!--",
    ] {
        let html = report_page(&filled(&page(), text).to_string()).unwrap();
        assert!(!html.contains(text), "{text}");
        let start = Start { version: text.into(), intended_use: Some(text.into()), reports: vec![recent(text)] };
        assert!(!start_page(&start).unwrap().contains(text), "{text}");
    }
    let plain = report_page(&page().to_string()).unwrap();
    let hostile = report_page(&filled(&page(), "<b onload=x>").to_string()).unwrap();
    let tags = |html: &str| html.matches('<').count();
    assert_eq!(tags(&plain), tags(&hostile), "text adds no tag");
}

#[test]
fn no_text_becomes_an_address() {
    let html = report_page(&filled(&page(), "javascript:alert(1)").to_string()).unwrap();
    for part in html.split("href=\"").skip(1).chain(html.split("src=\"").skip(1)) {
        assert!(part.starts_with(['#', '/']), "{}", &part[..20]);
    }
}

#[test]
fn text_that_turns_the_writing_direction_is_isolated() {
    let turned = "\u{202e}evil";
    let mut page = page();
    page["sections"][0]["statements"][0]["text"] = json!(turned);
    assert!(report_page(&page.to_string()).unwrap().contains(&format!("<bdi>{turned}</bdi>")));
}

#[test]
fn the_page_says_what_it_is_and_links_each_statement_to_its_evidence() {
    let html = report_page(&page().to_string()).unwrap();
    assert!(html.contains("AI-generated draft, review before signing") && html.contains("Not a medical device"));
    assert!(
        html.contains("href=\"#E2\"")
            && html.contains("id=\"E2\"")
            && html.contains("href=\"#S1\"")
            && html.contains("id=\"S1\"")
    );
    assert!(
        html.contains(&format!("src=\"/pictures/{}\"", "a".repeat(64)))
            && html.contains("alt=\"Current film, PA view, 2034-08-15")
    );
    assert!(html.contains("the search failed") && html.contains("cites nothing"));
}

#[test]
fn pages_run_nothing_and_load_nothing_from_elsewhere() {
    let pages = [report_page(&page().to_string()).unwrap(), start_page(&Start::default()).unwrap()];
    for html in pages {
        for banned in ["<script", "style=\"", "<style", " onclick", "http://", "<form", "<iframe"] {
            assert!(!html.contains(banned), "{banned}");
        }
        assert!(
            html.contains(&format!("href=\"{STYLE_PATH}\""))
                && html.contains("<html lang=\"en\">")
                && html.contains("<main")
        );
    }
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none'") && !CONTENT_SECURITY_POLICY.contains("unsafe"));
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn the_template_asks_for_nothing_the_page_lacks() {
    for language in [Language::English, Language::Korean] {
        let mut page = page();
        page["language"] = serde_json::json!(language);
        let data = report_data(&page.to_string()).unwrap();
        render("report.html", &data, UndefinedBehavior::Strict).unwrap();
    }
    render("start.html", &Start { reports: vec![recent("r")], ..Start::default() }, UndefinedBehavior::Strict).unwrap();
}

#[test]
fn a_page_that_is_no_json_is_a_fault_that_quotes_nothing() {
    let error = report_page("Jane Doe").unwrap_err();
    assert_eq!(error.kind, crate::error::Kind::Fault);
    assert!(!error.to_string().contains("Jane"));
}

#[test]
fn the_start_page_lists_drafts_by_their_id() {
    let report_id = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea";
    let recent = Recent { report_id: report_id.into(), service: "Draft <report>".into(), issued: "2034-08-15".into() };
    let html = start_page(&Start { reports: vec![recent], ..Start::default() }).unwrap();
    assert!(html.contains(&format!("href=\"/reports/{report_id}\"")) && html.contains("Draft &lt;report&gt;"));
    assert!(
        html.contains("/cds-services")
            && html.contains("/fhir/metadata")
            && html.contains("/openapi.json")
            && html.contains("Not a medical device")
    );
}

/// The page with every value in Hangul: what Latin letters are left is markup and names that are the same in both.
#[test]
fn no_english_word_of_ours_stands_on_a_korean_page() {
    let mut korean = filled(&page(), "값");
    (korean["language"], korean["pictures"][0]["role"]) = (json!("ko"), json!("current"));
    let mut empty = korean.clone();
    for list in ["sections", "pictures", "evidence", "examined", "failed", "rejected"] {
        empty[list] = json!([]);
    }
    (korean["examined"][0]["complete"], korean["evidence"][0]["shown"]) = (json!(false), json!(false));
    korean["pictures"][0]["date"] = Value::Null;
    for page in [korean, empty] {
        let html = report_page(&page.to_string()).unwrap();
        assert!(
            html.contains("<html lang=\"ko\">")
                && html.contains("서명 전 검토 필요")
                && html.contains("의료기기가 아님")
        );
        let body = html.split_once("<title>").unwrap().1;
        let texts = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        let labels =
            body.split("alt=\"").chain(body.split("label=\"")).skip(1).map(|rest| rest.split('"').next().unwrap());
        let known = ["AI", "SHA", "SOP", "Instance", "UID", "curbside"];
        for text in texts.chain(labels.filter(|label| !label.contains('<'))) {
            let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
            let ours: Vec<&str> = words.filter(|word| !known.contains(word)).collect();
            assert!(ours.is_empty(), "{ours:?} in {text}");
        }
    }
}

#[test]
fn a_page_of_an_unknown_language_is_shown_in_english() {
    for language in [Value::Null, json!("fr"), json!(3)] {
        let mut page = page();
        page["language"] = language;
        let html = report_page(&page.to_string()).unwrap();
        assert!(html.contains("<html lang=\"en\">") && html.contains("What is stated"));
    }
}
