//! Rules of the JSON form and the data types, the same for every resource. <https://hl7.org/fhir/R4/datatypes.html>

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Verdict, ensure, narrative};
use crate::fhir::Date;

const DATE_TIMES: [&str; 14] = [
    "start",
    "end",
    "time",
    "creation",
    "date",
    "birthDate",
    "manufactureDate",
    "expirationDate",
    "recordedDate",
    "authoredOn",
    "valueDate",
    "onsetDate",
    "approvalDate",
    "created",
];
const INSTANTS: [&str; 5] = ["issued", "recorded", "lastUpdated", "when", "timestamp"];

pub fn check(resource: &Value) -> Verdict {
    let name = resource["resourceType"].as_str().unwrap_or_default();
    walk(name, "", resource)
}

fn walk(place: &str, name: &str, value: &Value) -> Verdict {
    match value {
        Value::Null => Err((place.to_owned(), "null stands for no value and is left out")),
        Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) => primitive(place, name, text),
        Value::Array(items) => {
            ensure(!items.is_empty(), place, "an array is never empty")?;
            ensure(items.iter().any(|item| !item.is_null()), place, "an array is never empty")?;
            let mut present = items.iter().enumerate().filter(|(_, item)| !item.is_null());
            present.try_for_each(|(i, item)| walk(&format!("{place}[{i}]"), name, item))
        }
        Value::Object(members) => {
            ensure(!members.is_empty(), place, "an object is never empty")?;
            element(place, name, members)?;
            members
                .iter()
                .try_for_each(|(name, value)| walk(&format!("{place}.{}", name.trim_start_matches('_')), name, value))
        }
    }
}

fn element(place: &str, name: &str, members: &Map<String, Value>) -> Verdict {
    if matches!(name, "extension" | "modifierExtension") {
        ensure(members.get("url").is_some_and(Value::is_string), place, "an extension has a url")?;
        let values = members.keys().filter(|key| key.trim_start_matches('_').starts_with("value")).count();
        let nested = members.contains_key("extension");
        ensure((values > 0) != nested, place, "an extension has either a value or extensions (ext-1)")?;
    }
    if let (1, Some(kind)) = (members.len(), members.get("resourceType")) {
        // fhirbolt judges a type by its elements, and here are none.
        ensure(kind == "Parameters", place, "the resource holds nothing but its type")?;
    }
    if members.contains_key("resourceType") && members.contains_key("id") {
        let id = members["id"].as_str().unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        ensure(
            (1..=64).contains(&id.len()) && id.chars().all(legal),
            format!("{place}.id"),
            "not the syntax of an id",
        )?;
    }
    // SampledData has `data` too, and there it is a series of numbers.
    if !members.contains_key("origin") {
        attachment(place, members)?;
    }
    Ok(())
}

fn attachment(place: &str, members: &Map<String, Value>) -> Verdict {
    let bytes = |name: &str| members.get(name).and_then(Value::as_str).map(|text| STANDARD.decode(text));
    let data = bytes("data").transpose().map_err(|_| (format!("{place}.data"), "not base64"))?;
    if members.contains_key("contentType") {
        let hash = bytes("hash").transpose().map_err(|_| (format!("{place}.hash"), "not base64"))?;
        ensure(hash.is_none_or(|hash| hash.len() == 20), format!("{place}.hash"), "not the 20 bytes of a SHA-1")?;
        if let (Some(data), Some(size)) = (data, members.get("size").and_then(Value::as_u64)) {
            ensure(data.len() as u64 == size, format!("{place}.size"), "not the number of bytes in data")?;
        }
    }
    Ok(())
}

fn primitive(place: &str, name: &str, text: &str) -> Verdict {
    ensure(!text.trim().is_empty(), place, "a string is never empty")?;
    let kept = match name {
        "div" => return narrative::check(text).map_err(|message| (place.to_owned(), message)),
        "valueBase64Binary" => STANDARD.decode(text).is_ok(),
        "valueTime" => is_time(text),
        "url" | "system" | "reference" | "profile" | "fullUrl" => !text.contains(char::is_whitespace),
        _ if INSTANTS.contains(&name) || name.ends_with("Instant") => is_instant(text),
        _ if DATE_TIMES.contains(&name) || name.ends_with("DateTime") => is_date_time(text),
        _ => true,
    };
    ensure(kept, place, "not the syntax of its data type, or no such day")
}

/// `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or an instant, and a day that exists.
fn is_date_time(text: &str) -> bool {
    let day = ["0000", "0000-00", "0000-00-00"].into_iter().any(|pattern| matches(text, pattern));
    if day { Date::parse(text).is_some() && !text.starts_with("0000") } else { is_instant(text) }
}

/// `YYYY-MM-DDThh:mm:ss[.fff](Z|±hh:mm)`, and a moment that exists.
fn is_instant(text: &str) -> bool {
    let Some((day, rest)) = text.split_once('T') else { return false };
    let zoned = rest.rfind(['Z', '+', '-']).map(|at| rest.split_at(at));
    let legal = |(time, zone): (&str, &str)| {
        let offset = zone.get(1..).unwrap_or_default();
        is_time(time) && (zone == "Z" || matches(offset, "00:00") && offset <= "14:00" && &offset[3..] < "60")
    };
    matches(day, "0000-00-00") && !day.starts_with("0000") && zoned.is_some_and(legal) && Date::parse(text).is_some()
}

/// Whether a digit stands for every 0 of the pattern, and everything else is the same.
fn matches(text: &str, pattern: &str) -> bool {
    let fits = |(c, p): (u8, u8)| if p == b'0' { c.is_ascii_digit() } else { c == p };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

/// `hh:mm:ss[.fff]`; second 60 is the standard's leap second.
fn is_time(text: &str) -> bool {
    let (time, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|c| c.is_ascii_digit());
    digits && matches(time, "00:00:00") && &time[..2] < "24" && &time[3..5] < "60" && &time[6..] <= "60"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_standard_to_the_letter() {
        for text in [
            "2025",
            "2025-06",
            "2024-02-29",
            "2025-06-02T08:00:00Z",
            "2025-06-02T08:00:00.123+09:00",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(is_date_time(text), "{text}");
        }
        for text in [
            "0000",
            "25",
            "2025-6-02",
            "2025-13",
            "1970-13-45",
            "2025-02-30",
            "2025-06-02T08:00:00",
            "2025-06-02T08:00Z",
            "2025-06-02 08:00:00Z",
            "2025-06-02t08:00:00z",
            "2025-06-02T24:00:00Z",
            "2025-06-02T08:60:00Z",
            "2025-06-02T08:00:00.Z",
            "2025-06-02T08:00:00+15:00",
            "2025-06-02T08:00:00+0900",
            "2025-06-02T",
            "2025-06-02T08:00:00Zé",
            "+2025-6-02",
            "２０２５",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
        assert!(is_instant("2025-06-02T08:00:00Z") && !is_instant("2025-06-02"));
    }
}
