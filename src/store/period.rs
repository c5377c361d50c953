//! The span of time a FHIR date covers, and the prefixes that compare two spans. <https://hl7.org/fhir/R4/search.html#prefix>

use chrono::{Duration, Months, NaiveDateTime};
use serde_json::Value;

use crate::fhir::Date;

/// From `from` (inclusive) to `until` (exclusive), in milliseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub from: i64,
    pub until: i64,
}

/// How the date of a resource relates to the one searched for. `ap` is not offered: it has no defined width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    StartsAfter,
    EndsBefore,
}

impl Period {
    /// A date is as wide as its text is imprecise: `2025` is a year, `2025-06-02` a day. Seconds and zone may be left
    /// out of a time, as searches do; without a zone it is UTC.
    pub fn parse(text: &str) -> Option<Period> {
        let (date, precise_to_second) = match text.split_once('T') {
            None => (Date::parse(text)?, false),
            Some((day, time)) => {
                let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
                let (clock, zone) = time.split_at_checked(zone_at)?;
                let zone = if zone.is_empty() { "Z" } else { zone };
                let seconds = if clock.len() == 5 { ":00" } else { "" };
                (Date::parse(&format!("{day}T{clock}{seconds}{zone}"))?, clock.len() > 5)
            }
        };
        let from = date.instant();
        let until = match text.len() {
            4 => from.checked_add_months(Months::new(12)),
            7 => from.checked_add_months(Months::new(1)),
            10 => from.checked_add_signed(Duration::days(1)),
            _ if !precise_to_second => from.checked_add_signed(Duration::minutes(1)),
            _ if text.contains('.') => from.checked_add_signed(Duration::milliseconds(1)),
            _ => from.checked_add_signed(Duration::seconds(1)),
        }?;
        let milliseconds = |at: NaiveDateTime| at.and_utc().timestamp_millis();
        Some(Period { from: milliseconds(from), until: milliseconds(until) })
    }

    /// When the thing reported took place: `effective[x]` of a DiagnosticReport or Observation.
    pub fn effective(resource: &Value) -> Option<Period> {
        let text = |value: &Value| value.as_str().and_then(Period::parse);
        if let Some(moment) = ["effectiveDateTime", "effectiveInstant"].iter().find_map(|key| text(&resource[key])) {
            return Some(moment);
        }
        let (start, end) = (text(&resource["effectivePeriod"]["start"]), text(&resource["effectivePeriod"]["end"]));
        (start.is_some() || end.is_some())
            .then(|| Period { from: start.map_or(i64::MIN, |p| p.from), until: end.map_or(i64::MAX, |p| p.until) })
    }
}

impl Prefix {
    /// Takes the prefix off a search value; none means equal.
    pub fn split(value: &str) -> (Prefix, &str) {
        let prefix = match value.get(..2) {
            Some("eq") => Prefix::Equal,
            Some("ne") => Prefix::NotEqual,
            Some("gt") => Prefix::Greater,
            Some("lt") => Prefix::Less,
            Some("ge") => Prefix::GreaterOrEqual,
            Some("le") => Prefix::LessOrEqual,
            Some("sa") => Prefix::StartsAfter,
            Some("eb") => Prefix::EndsBefore,
            _ => return (Prefix::Equal, value),
        };
        (prefix, &value[2..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_as_wide_as_its_text_is_imprecise() {
        let width = |text| Period::parse(text).map(|p| (p.until - p.from) / 1000);
        for (text, seconds) in [
            ("2024", 366 * 86_400),
            ("2025-02", 28 * 86_400),
            ("2025-06-02", 86_400),
            ("2025-06-02T08:00Z", 60),
            ("2025-06-02T08:00", 60),
            ("2025-06-02T08:00:30+02:00", 1),
        ] {
            assert_eq!(width(text), Some(seconds), "{text}");
        }
        assert_eq!(Period::parse("2025-06-02T08:00:30.123Z").map(|p| p.until - p.from), Some(1));
        assert_eq!(Period::parse("2025-06-02T10:00+02:00"), Period::parse("2025-06-02T08:00Z"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "20250602",
            "2025-06-02T",
            "2025-06-02T8",
            "2025-06-02T25:00",
            "T",
            "2025-13",
            "99999",
            "٢٠٢٥-06-02T08:00",
        ] {
            assert!(Period::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_taken_off_and_only_a_prefix() {
        assert_eq!(Prefix::split("ge2025"), (Prefix::GreaterOrEqual, "2025"));
        assert_eq!(Prefix::split("2025"), (Prefix::Equal, "2025"));
        assert_eq!(Prefix::split("ap2025"), (Prefix::Equal, "ap2025"));
        assert_eq!(Prefix::split("é"), (Prefix::Equal, "é"));
    }

    #[test]
    fn an_open_period_has_no_end() {
        let effective = |value| Period::effective(&value);
        let open = effective(serde_json::json!({"effectivePeriod": {"start": "2025"}}));
        assert_eq!(open.map(|p| p.until), Some(i64::MAX));
        assert_eq!(effective(serde_json::json!({"effectivePeriod": {}})), None);
        assert_eq!(effective(serde_json::json!({"effectiveDateTime": "2025"})), Period::parse("2025"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_span_with_a_length_or_none(text in "\\PC{0,30}|[0-9TZ:.+\\-]{0,35}|(ge|sa|ap)?[0-9]{4}(-(0[1-9]|1[0-2])(-[0-2][0-9](T[01][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,12})?)?(Z|[+-]0[0-9]:[0-5]0)?)?)?)?") {
            let (prefix, rest) = Prefix::split(&text);
            prop_assert!(text.ends_with(rest) && (text == rest || text.len() == rest.len() + 2));
            prop_assert!(text == rest || prefix != Prefix::Equal || text.starts_with("eq"));
            if let Some(period) = Period::parse(rest) {
                prop_assert!(period.from < period.until, "{}", rest);
            }
            let resource = serde_json::json!({"effectiveDateTime": text, "effectivePeriod": {"start": rest, "end": text}});
            prop_assert_eq!(Period::effective(&resource).is_some(), Period::parse(&text).or(Period::parse(rest)).is_some());
        }
    }
}
