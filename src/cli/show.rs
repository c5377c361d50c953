//! What the demonstration prints: a card, a report and a page as plain text. Pure.
//!
//! Text of a model or a chart reaches a terminal here, so control characters are dropped.

use std::fmt::Write;

use serde_json::Value;

/// Summary, indicator, detail as the Markdown it is, links.
pub fn card(card: &Value) -> String {
    let mut out = String::new();
    let text = |pointer: &str| clean(card.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    writeln!(out, "[{}] {}", text("/indicator"), text("/summary")).ok();
    writeln!(out, "source: {}", text("/source/label")).ok();
    if !text("/detail").is_empty() {
        writeln!(out, "\n{}", text("/detail").trim_end()).ok();
    }
    for link in list(card, "links") {
        let text = |name: &str| clean(link[name].as_str().unwrap_or_default());
        writeln!(out, "\n{}: {}", text("label"), text("url")).ok();
    }
    out
}

/// Status, conclusion, results and how much stands behind them.
pub fn report(report: &Value, results: &[Value], provenances: &[Value]) -> String {
    let mut out = String::new();
    let text = |value: &Value, pointer: &str| clean(value.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    writeln!(out, "DiagnosticReport/{}", text(report, "/id")).ok();
    for (name, value) in [
        ("status", text(report, "/status")),
        ("examination", concept(&report["code"])),
        ("issued", text(report, "/issued")),
    ] {
        writeln!(out, "  {name:<12} {value}").ok();
    }
    writeln!(out, "  {:<12} {}", "conclusion", text(report, "/conclusion").replace('\n', "\n               ")).ok();
    writeln!(out, "  {:<12} {}", "results", results.len()).ok();
    for result in results {
        let value = match result.get("valueString").and_then(Value::as_str) {
            Some(value) => clean(value),
            None => concept(&result["valueCodeableConcept"]),
        };
        writeln!(out, "    - {}: {}", concept(&result["code"]), if value.is_empty() { "no value" } else { &value })
            .ok();
    }
    let entities: Vec<&Value> = provenances.iter().flat_map(|p| list(p, "entity")).collect();
    let pictures =
        entities.iter().filter(|e| e.pointer("/what/identifier/system").is_some_and(|s| s == "urn:dicom:uid")).count();
    let resources = entities.iter().filter(|e| e.pointer("/what/reference").is_some()).count();
    let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let (records, pictures) = (
        count(provenances.len(), "record", "records"),
        count(pictures, "reference to a picture", "references to pictures"),
    );
    let resources = count(resources, "reference to a resource of the EHR", "references to resources of the EHR");
    writeln!(out, "  {:<12} {records}, with {pictures} and {resources}", "provenance").ok();
    out
}

/// The words of an HTML page, a line for each block, without its head, scripts and styles.
pub fn page(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&spaced(&rest[..open]));
        let Some(close) = rest[open..].find('>') else {
            rest = "";
            break;
        };
        let tag = rest[open + 1..open + close].to_ascii_lowercase();
        rest = &rest[open + close + 1..];
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        match name.as_str() {
            "head" | "script" | "style" | "svg" if !tag.starts_with('/') && !tag.ends_with('/') => {
                let end = format!("</{name}");
                let skip = rest.to_ascii_lowercase().find(&end).unwrap_or(rest.len());
                rest = &rest[skip..];
            }
            "li" if !tag.starts_with('/') => out.push_str("\n- "),
            "td" | "th" if tag.starts_with('/') => out.push_str("  "),
            "a" | "b" | "i" | "em" | "strong" | "span" | "code" | "small" | "td" | "th" | "time" | "abbr" | "mark" => {}
            _ => out.push('\n'),
        }
    }
    out.push_str(&spaced(rest));
    let lines = out.lines().map(|line| clean(&entities(line.trim())));
    let kept: Vec<String> = lines.filter(|line| !line.is_empty() && line != "-").collect();
    kept.join("\n") + "\n"
}

/// The first `lines` of a text; what is left out is counted.
pub fn beginning(text: &str, lines: usize) -> String {
    let left = text.lines().count().saturating_sub(lines);
    if left == 0 {
        return text.to_owned();
    }
    let kept: Vec<&str> = text.lines().take(lines).collect();
    format!("{}\n… and {left} more lines on the page\n", kept.join("\n"))
}

/// White space as a browser shows it.
fn spaced(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !words.is_empty() {
        if text.starts_with(char::is_whitespace) {
            words.insert(0, ' ');
        }
        if text.ends_with(char::is_whitespace) {
            words.push(' ');
        }
    }
    words
}

fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end <= 10);
        let decoded = end.and_then(|end| Some((end, character(&rest[1..end])?)));
        let (length, character) = decoded.map_or((1, '&'), |(end, character)| (end + 1, character));
        out.push(character);
        rest = &rest[length..];
    }
    out + rest
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

fn concept(concept: &Value) -> String {
    let text = |pointer: &str| concept.pointer(pointer).and_then(Value::as_str);
    clean(text("/text").or(text("/coding/0/display")).or(text("/coding/0/code")).unwrap_or_default())
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// INVARIANT: no_control_character_reaches_the_terminal
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let shown = card(
            &json!({"summary": "a\u{1b}[2Jb", "indicator": "info", "source": {"label": "x"}, "detail": "c\u{7}\r\nd"}),
        );
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(page("<p>a&#27;[2Jb</p>").contains("a[2Jb"));
    }

    #[test]
    fn a_card_reads_from_the_top() {
        let shown = card(&json!({
            "summary": "Moderate opacity", "indicator": "warning", "source": {"label": "curbside"}, "detail": "**New**",
            "links": [{"label": "Report", "url": "http://x/reports/1", "type": "absolute"}],
        }));
        assert_eq!(shown, "[warning] Moderate opacity\nsource: curbside\n\n**New**\n\nReport: http://x/reports/1\n");
    }

    #[test]
    fn a_report_tells_its_results_and_sources() {
        let entity =
            json!({"role": "source", "what": {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2"}}});
        let shown = report(
            &json!({"id": "r1", "status": "partial", "conclusion": "Two findings.", "code": {"text": "Chest X-ray"}}),
            &[
                json!({"code": {"text": "Finding"}, "valueString": "effusion"}),
                json!({"code": {"coding": [{"code": "1-8"}]}}),
            ],
            &[json!({"entity": [entity, {"what": {"reference": "http://x/fhir/Observation/1"}}]})],
        );
        for part in ["status       partial", "Chest X-ray", "Two findings.", "Finding: effusion", "1-8: no value"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
        assert!(
            shown.contains("1 record, with 1 reference to a picture and 1 reference to a resource of the EHR"),
            "{shown}"
        );
    }

    #[test]
    fn a_page_becomes_its_words() {
        let html = "<!doctype html><html><head><title>t</title><style>p{}</style></head><body><h1>Draft  report</h1>\n\
                    <p>Left &lt; right &amp; <b>both</b> sides.</p><script>let x = '<p>no</p>';</script><ul><li>one</li><li>two</li></ul>";
        assert_eq!(page(html), "Draft report\nLeft < right & both sides.\n- one\n- two\n");
        assert_eq!(page("<p>cut off <b"), "cut off\n");
    }
}
