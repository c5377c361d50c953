//! FHIR `date`, `dateTime` and `instant`, kept as text and comparable. <https://hl7.org/fhir/R4/datatypes.html#dateTime>

use std::cmp::Ordering;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A point in time as precise as its text; a missing month, day or time counts as the earliest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    text: String,
    instant: NaiveDateTime,
}

impl Date {
    /// `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or a date with time and zone; anything else is `None`.
    pub fn parse(text: &str) -> Option<Date> {
        // chrono also takes signs, spaces and single digits.
        let shaped = |text: &str| {
            text.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
        };
        let day = |text: &str| shaped(text).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten();
        let digits = |n: usize| {
            text.len() == n && text.chars().enumerate().all(|(i, c)| if i == 4 { c == '-' } else { c.is_ascii_digit() })
        };
        let instant = if digits(4) {
            day(&format!("{text}-01-01"))?.and_time(NaiveTime::MIN)
        } else if digits(7) {
            day(&format!("{text}-01"))?.and_time(NaiveTime::MIN)
        } else if text.len() == 10 {
            day(text)?.and_time(NaiveTime::MIN)
        } else {
            DateTime::parse_from_rfc3339(text).ok()?.naive_utc()
        };
        Some(Date { text: text.to_owned(), instant })
    }

    /// DICOM DA, `YYYYMMDD`.
    pub fn from_dicom(text: &str) -> Option<Date> {
        let day = NaiveDate::parse_from_str(text.trim(), "%Y%m%d").ok()?;
        Date::parse(&day.format("%Y-%m-%d").to_string())
    }

    /// The text as it was received.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The calendar day, or less where the text says less.
    pub fn day(&self) -> &str {
        self.text.get(..10).unwrap_or(&self.text)
    }

    /// The last moment its text can mean: the end of the day, month or year where no time is stated.
    pub fn latest(&self) -> NaiveDateTime {
        let next = match self.text.len() {
            4 => self.instant.checked_add_months(Months::new(12)),
            7 => self.instant.checked_add_months(Months::new(1)),
            10 => self.instant.checked_add_days(Days::new(1)),
            _ => return self.instant,
        };
        next.map_or(self.instant, |next| next - TimeDelta::nanoseconds(1))
    }

    /// Whether the two lie at most so many days apart.
    pub fn is_within(&self, days: i64, other: &Date) -> bool {
        (self.instant - other.instant).abs() <= TimeDelta::days(days)
    }

    pub fn instant(&self) -> NaiveDateTime {
        self.instant
    }

    /// Decade of age at `then` of somebody born on this day, such as `60-69`; `90+` above: no prompt and no page needs more.
    pub fn age_band(&self, then: &Date) -> Option<String> {
        let (born, then) = (self.instant, then.instant);
        let before_birthday = (then.month(), then.day()) < (born.month(), born.day());
        match then.year() - born.year() - i32::from(before_birthday) {
            ..0 => None,
            90.. => Some("90+".into()),
            age => Some(format!("{}-{}", age / 10 * 10, age / 10 * 10 + 9)),
        }
    }
}

impl From<DateTime<Utc>> for Date {
    fn from(at: DateTime<Utc>) -> Self {
        Date { text: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), instant: at.naive_utc() }
    }
}

impl PartialOrd for Date {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Date {
    fn cmp(&self, other: &Self) -> Ordering {
        self.instant.cmp(&other.instant).then_with(|| self.text.cmp(&other.text))
    }
}

impl TryFrom<String> for Date {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Date::parse(&text).ok_or("not a FHIR date")
    }
}

impl From<Date> for String {
    fn from(date: Date) -> String {
        date.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn partial_dates_compare_as_their_earliest_moment() {
        let at = |t| Date::parse(t).unwrap();
        assert!(at("2025") <= at("2025-01"));
        assert!(at("2025-06-02") < at("2025-06-02T08:00:00+02:00"));
        assert!(at("2025-06-02T08:00:00+02:00") < at("2025-06-02T08:00:00Z"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2025-13",
            "2025-02-30",
            "20250602",
            "yesterday",
            "2025-06-02T08:00:00",
            "٢٠٢٥",
            "+2025-6-02",
            "2025-06- 2",
        ] {
            assert!(Date::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_date_without_a_time_lasts_to_its_end() {
        let latest = |t| Date::parse(t).unwrap().latest().to_string();
        assert!(latest("2025").starts_with("2025-12-31 23:59:59"));
        assert!(latest("2024-02").starts_with("2024-02-29 23:59:59"));
        assert!(latest("2025-06-02").starts_with("2025-06-02 23:59:59"));
        assert!(latest("2025-06-02T08:00:00Z").starts_with("2025-06-02 08:00:00"));
    }

    #[test]
    fn dicom_dates_become_fhir_dates() {
        assert_eq!(Date::from_dicom("20250602").unwrap().text(), "2025-06-02");
        assert!(Date::from_dicom("2025-06-02").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_a_date_or_none_and_a_date_is_its_text(text in "\\PC{0,30}|[0-9TZ:.+\\-]{0,35}|[0-9]{4}(-(0[1-9]|1[0-2])(-[0-2][0-9](T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?(Z|[+-]0[0-9]:[0-5]0))?)?)?") {
            if let Some(date) = Date::parse(&text) {
                prop_assert_eq!(date.text(), &text);
                prop_assert_eq!(Date::parse(date.text()), Some(date.clone()));
                prop_assert!(date.latest() >= date.instant());
                prop_assert!(date.is_within(0, &date) && text.starts_with(date.day()));
            }
            if let Some(date) = Date::from_dicom(&text) {
                prop_assert_eq!(date.text().len(), 10);
            }
        }
    }
}
