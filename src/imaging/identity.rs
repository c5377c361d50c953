//! Whose film it is: the patient's record against what the file says.

use serde::{Deserialize, Serialize};

use super::{Failure, Labelled, header::is_code};
use crate::fhir::{
    Date,
    lenient::{Identifier, Patient},
};

/// What a patient's record gives a film to be compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    identifiers: Vec<Known>,
    birth_date: Option<Date>,
    gender: Option<String>,
}

/// One identifier of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    value: String,
    /// Whether its system is one that films' numbers are of.
    counts: bool,
    /// Whether the patient still has it.
    current: bool,
    /// Its system, and its assigner's name: what a film may call the issuer.
    issuers: Vec<String>,
}

/// Whose film a file says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    /// PatientID (0010,0020).
    id: Option<PatientId>,
    /// Other Patient IDs Sequence (0010,1002).
    others: Vec<PatientId>,
    birth_date: Option<Date>,
    sex: Option<String>,
}

/// A number of the patient, and who gave it where the file says so: Issuer of Patient ID (0010,0021).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatientId {
    pub value: String,
    pub issuer: Option<String>,
}

/// More or longer ones are not compared.
const MAX_IDS: usize = 64;
const MAX_TEXT: usize = 256;

pub(super) const OTHER_ISSUER: &str = "the file names an issuer of the patient's number that the record does not know, so the numbers alone were compared";
pub(super) const OTHER_BIRTH_DATE: &str = "the file states another birth date than the record";
pub(super) const OTHER_SEX: &str = "the file states another sex than the record";

/// Whether what has to be said of a film is that it names somebody whom the patient cannot be.
pub(super) fn disagrees(doubts: &[&'static str]) -> bool {
    doubts.iter().any(|doubt| [OTHER_BIRTH_DATE, OTHER_SEX].contains(doubt))
}

impl Subject {
    pub fn new(
        id: Option<PatientId>,
        others: impl Iterator<Item = PatientId>,
        birth_date: Option<Date>,
        sex: Option<String>,
    ) -> Subject {
        let others = others.filter(PatientId::is_short).take(MAX_IDS).collect();
        Subject { id: id.filter(PatientId::is_short), others, birth_date, sex }
    }

    /// Whom it names, without number, name or day of birth.
    pub fn labelled(&self, taken: Option<&Date>) -> Labelled {
        let sex = match self.sex.as_deref() {
            Some("M") => Some("male"),
            Some("F") => Some("female"),
            Some("O") => Some("other"),
            _ => None,
        };
        let age_band = self.birth_date.as_ref().and_then(|born| born.age_band(taken?));
        Labelled { sex: sex.map(str::to_owned), age_band, disagrees: false }
    }

    pub fn is_sound(&self) -> bool {
        self.others.len() <= MAX_IDS
            && self.id.iter().chain(&self.others).all(PatientId::is_short)
            && self.sex.as_deref().is_none_or(is_code)
    }
}

impl PatientId {
    fn is_short(&self) -> bool {
        self.value.len() <= MAX_TEXT && self.issuer.as_ref().is_none_or(|issuer| issuer.len() <= MAX_TEXT)
    }
}

/// How a film's number stands to the record, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    None,
    /// The patient had that number once: it may have been given to somebody else since.
    Former,
    /// The record has that number, and another one of the issuer the film names.
    OfAnotherIssuer,
    OfUnknownIssuer,
    Full,
}

impl Identity {
    /// Of the patient's identifiers those count whose system is one of `systems` and that are in use at `now`.
    pub fn of(patient: &Patient, systems: &[String], now: &Date) -> Identity {
        let identifiers = patient.identifier.iter().filter_map(|identifier| {
            let value = identifier.value.as_deref().map(str::trim).filter(|value| !value.is_empty())?;
            let assigner = identifier.assigner.as_ref().and_then(|assigner| assigner.display.as_deref());
            Some(Known {
                value: value.to_owned(),
                counts: identifier.system.as_ref().is_some_and(|system| systems.contains(system)),
                current: in_use(identifier, now),
                issuers: identifier.system.as_deref().into_iter().chain(assigner).map(issuer).collect(),
            })
        });
        Identity {
            identifiers: identifiers.collect(),
            birth_date: patient.birth_date.as_deref().and_then(Date::parse),
            gender: patient.gender.clone(),
        }
    }

    /// No film can be tied to the patient, and none is used.
    pub fn is_empty(&self) -> bool {
        !self.identifiers.iter().any(|known| known.counts && known.current)
    }

    /// Whether the film is the patient's, and what has to be said where it is.
    pub(super) fn check(&self, film: &Subject) -> Result<Vec<&'static str>, Failure> {
        let id = film.id.as_ref().ok_or(Failure::Unowned)?;
        let best = film.others.iter().map(|other| self.matches(other)).fold(self.matches(id), Match::max);
        let mut doubts = Vec::new();
        // INVARIANT: pixels_of_another_patient_are_dropped_and_named
        match best {
            Match::None => return Err(Failure::AnotherPatient),
            Match::Former => return Err(Failure::FormerNumber),
            Match::OfAnotherIssuer => return Err(Failure::AnotherIssuer),
            Match::OfUnknownIssuer => doubts.push(OTHER_ISSUER),
            Match::Full => {}
        }
        if let (Some(film), Some(record)) = (&film.birth_date, &self.birth_date) {
            // A record may know the year alone.
            let known = film.day().len().min(record.day().len());
            if film.day().get(..known) != record.day().get(..known) {
                doubts.push(OTHER_BIRTH_DATE);
            }
        }
        let gender = self.gender.as_deref();
        if matches!((film.sex.as_deref(), gender), (Some("M"), Some("female")) | (Some("F"), Some("male"))) {
            doubts.push(OTHER_SEX);
        }
        Ok(doubts)
    }

    fn matches(&self, film: &PatientId) -> Match {
        let of_that_number = self.identifiers.iter().filter(|known| known.counts && known.value == film.value);
        let (current, former): (Vec<_>, Vec<_>) = of_that_number.partition(|known| known.current);
        let mut same = current.into_iter().peekable();
        // INVARIANT: a_number_that_is_no_longer_in_use_joins_no_film
        if same.peek().is_none() {
            return if former.is_empty() { Match::None } else { Match::Former };
        }
        let Some(named) = film.issuer.as_deref().map(issuer) else { return Match::Full };
        if same.any(|known| known.issuers.contains(&named)) {
            Match::Full
        } else if self.identifiers.iter().any(|known| known.issuers.contains(&named)) {
            Match::OfAnotherIssuer
        } else {
            Match::OfUnknownIssuer
        }
    }
}

/// Whether an identifier is neither marked as old nor outside its period. A period that cannot be read has ended.
fn in_use(identifier: &Identifier, now: &Date) -> bool {
    let bound = |text: &Option<String>, holds: fn(&Date, &Date) -> bool| {
        text.as_deref().is_none_or(|text| Date::parse(text).is_some_and(|date| holds(&date, now)))
    };
    identifier.purpose.as_deref() != Some("old")
        && identifier.period.as_ref().is_none_or(|period| {
            bound(&period.start, |start, now| start.instant() <= now.instant())
                && bound(&period.end, |end, now| end.latest() >= now.instant())
        })
}

/// An issuer as it is compared: FHIR writes object identifiers as URIs, DICOM does not.
fn issuer(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix("urn:oid:").unwrap_or(text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(patient: &str, systems: &[&str]) -> Identity {
        let systems: Vec<String> = systems.iter().map(|s| s.to_string()).collect();
        let now = Date::parse("2025-11-20T12:00:00Z").unwrap();
        Identity::of(&serde_json::from_str(patient).unwrap(), &systems, &now)
    }

    fn id(value: &str, issuer: &str) -> PatientId {
        PatientId { value: value.into(), issuer: (!issuer.is_empty()).then(|| issuer.into()) }
    }

    fn film(id: PatientId) -> Subject {
        Subject { id: Some(id), ..Subject::default() }
    }

    const TWO: &str = r#"{"identifier":[{"system":"urn:oid:1.2.3","value":"77","assigner":{"display":"General Hospital"}},
        {"system":"urn:clinic","value":"88","assigner":{"display":"The Clinic"}}],"birthDate":"1950-03","gender":"male"}"#;

    #[test]
    fn only_identifiers_of_configured_systems_count() {
        let patient = r#"{"identifier":[{"system":"urn:mrn","value":" 9RG1 "},{"system":"urn:insurance","value":"77"},{"value":"88"},
            {"system":"urn:mrn","value":" "},{"system":"urn:mrn"}]}"#;
        let configured = identity(patient, &["urn:mrn"]);
        assert_eq!(configured.check(&film(id("9RG1", ""))), Ok(vec![]));
        for other in ["77", "88", "", " "] {
            assert_eq!(configured.check(&film(id(other, ""))), Err(Failure::AnotherPatient));
        }
        assert!(identity(patient, &[]).is_empty() && !configured.is_empty());
    }

    #[test]
    fn pixels_of_another_patient_are_dropped_and_named() {
        let identity = identity(r#"{"identifier":[{"system":"s","value":"9RG1"}]}"#, &["s"]);
        let with = |own: Option<&str>, other: &str| Subject {
            id: own.map(|own| id(own, "")),
            others: vec![id(other, "")],
            ..Subject::default()
        };
        assert_eq!(identity.check(&with(Some("9RG1"), "x")), Ok(vec![]));
        assert_eq!(identity.check(&with(Some("OLD"), "9RG1")), Ok(vec![]));
        assert_eq!(identity.check(&with(Some("9RG10"), "9rg1")), Err(Failure::AnotherPatient));
        assert_eq!(identity.check(&with(None, "9RG1")), Err(Failure::Unowned));
        assert!(Identity::default().check(&with(Some(""), "")).is_err());
    }

    #[test]
    fn a_number_of_another_issuer_is_not_the_patients() {
        let identity = identity(TWO, &["urn:oid:1.2.3", "urn:clinic"]);
        for issuer in ["", "1.2.3", "urn:oid:1.2.3", "GENERAL HOSPITAL "] {
            assert_eq!(identity.check(&film(id("77", issuer))), Ok(vec![]), "{issuer}");
        }
        for issuer in ["urn:clinic", "The Clinic"] {
            assert_eq!(identity.check(&film(id("77", issuer))), Err(Failure::AnotherIssuer), "{issuer}");
        }
        assert_eq!(identity.check(&film(id("77", "Elsewhere"))), Ok(vec![OTHER_ISSUER]));
        assert_eq!(identity.check(&film(id("99", "1.2.3"))), Err(Failure::AnotherPatient));
        let both = Subject { others: vec![id("88", "the clinic")], ..film(id("77", "the clinic")) };
        assert_eq!(identity.check(&both), Ok(vec![]));
    }

    #[test]
    fn a_number_that_is_no_longer_in_use_joins_no_film() {
        let judged = |more: &str| {
            let record = format!(r#"{{"identifier":[{{"system":"s","value":"9RG1"{more}}}]}}"#);
            let identity = identity(&record, &["s"]);
            let check = identity.check(&film(id("9RG1", "")));
            assert_eq!(identity.is_empty(), check.is_err(), "{more}");
            check
        };
        for more in [
            "",
            r#","use":"usual","period":{"start":"2020","end":"2025-11-20"}"#,
            r#","use":"official","period":{}"#,
            r#","period":{"start":"2025-11-20","end":null}"#,
            r#","period":{"end":"2025"}"#,
        ] {
            assert_eq!(judged(more), Ok(vec![]), "{more}");
        }
        for more in [
            r#","use":"old""#,
            r#","period":{"end":"2025-11-19"}"#,
            r#","period":{"end":"2024"}"#,
            r#","period":{"start":"2025-12"}"#,
            r#","period":{"end":"2026-02-30"}"#,
        ] {
            assert_eq!(judged(more), Err(Failure::FormerNumber), "{more}");
        }
        let both = r#"{"identifier":[{"system":"s","value":"1","use":"old"},{"system":"s","value":"2"}]}"#;
        let identity = identity(both, &["s"]);
        assert_eq!(identity.check(&film(id("2", ""))), Ok(vec![]));
        assert_eq!(identity.check(&film(id("1", ""))), Err(Failure::FormerNumber));
        let with_the_other = Subject { others: vec![id("2", "")], ..film(id("1", "")) };
        assert_eq!(identity.check(&with_the_other), Ok(vec![]));
    }

    #[test]
    fn a_film_names_its_patient_by_sex_and_decade_only() {
        let labelled = |sex: &str, born: &str, taken: &str| {
            let subject = Subject { sex: Some(sex.into()), birth_date: Date::from_dicom(born), ..film(id("77", "")) };
            let Labelled { sex, age_band, .. } = subject.labelled(Date::parse(taken).as_ref());
            [sex, age_band].map(Option::unwrap_or_default)
        };
        assert_eq!(labelled("M", "19591121", "2025-11-20"), ["male", "60-69"]);
        assert_eq!(labelled("F", "19591121", "2025-11-21"), ["female", "60-69"]);
        assert_eq!(labelled("F", "19551121", "2025-11-20"), ["female", "60-69"]);
        assert_eq!(labelled("O", "19551120", "2025-11-20"), ["other", "70-79"]);
        assert_eq!(labelled("X", "20301120", "2025-11-20"), ["", ""]);
        assert_eq!(labelled("", "19551120", ""), ["", ""]);
    }

    #[test]
    fn another_birth_date_or_sex_is_told() {
        let identity = identity(TWO, &["urn:oid:1.2.3"]);
        let told = |date: &str, sex: &str| {
            let birth_date = Date::from_dicom(date);
            identity.check(&Subject { birth_date, sex: Some(sex.into()), ..film(id("77", "")) }).unwrap()
        };
        assert!(told("19500301", "M").is_empty() && told("", "O").is_empty() && told("19500331", "").is_empty());
        assert_eq!(told("19500401", "F"), [OTHER_BIRTH_DATE, OTHER_SEX]);
        assert_eq!(told("19510301", "M"), [OTHER_BIRTH_DATE]);
    }
}
