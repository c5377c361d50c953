//! A fact of the chart as a reader is told it. The text within is the EHR's and stays as it is.

use super::words::Words;
use crate::{
    chart::{Before, Fact, Measurement, Role, Trend, flag, joined, plain},
    task::Language,
};

/// What kind of evidence it is, and what it says, without its date.
pub fn described(fact: &Fact, language: Language) -> (&'static str, String) {
    let words = Words::of(language);
    let own = &words.facts;
    let coded = |word: &String| words.coded(word).to_owned();
    let preliminary = |is: bool| is.then(|| own.preliminary.to_owned());
    let (kind, text) = match fact {
        Fact::Image { role, image } => {
            let role = if *role == Role::Current { own.current } else { own.prior };
            let part = image.body_part.as_deref().map(|part| format!(" {}", body_part(part, language)));
            let (part, view) = (part.unwrap_or_default(), image.view.as_deref().unwrap_or(own.no_view));
            let text = match &image.modality {
                Some(modality) => format!("{role} {}: {modality}{part}, {view}", own.film),
                None => format!("{role} {}{part}, {view}", own.unknown_picture),
            };
            (own.picture, text)
        }
        Fact::Measurement(m) => (if m.vital { own.vital } else { own.measurement }, measured(m, words)),
        Fact::Note { text, preliminary: is } => (own.note, joined(text, [preliminary(*is)])),
        Fact::Medication { text, dosage, .. } => (own.medication, joined(text, [dosage.clone()])),
        Fact::Problem { text, status, unconfirmed, .. } => {
            (own.problem, joined(text, [Some(coded(status)), unconfirmed.as_ref().map(coded)]))
        }
        Fact::Allergy { text, criticality, reactions, unconfirmed, .. } => {
            let criticality = criticality.as_ref().map(|c| format!("{} {}", own.criticality, words.coded(c)));
            let reactions = (!reactions.is_empty()).then(|| reactions.join(own.and));
            (own.allergy, joined(text, [unconfirmed.as_ref().map(coded), criticality, reactions]))
        }
        Fact::Study { text, modality } => (own.study, joined(words.coded(text), [modality.clone()])),
        Fact::Order { text, status } => (own.order, joined(text, [Some(coded(status))])),
        Fact::Report { text, status, conclusion } => {
            (own.report, joined(words.coded(text), [Some(coded(status)), conclusion.clone()]))
        }
    };
    (kind, plain(&text, 600))
}

/// DICOM's word for it, which reads as one in English.
fn body_part(code: &str, language: Language) -> String {
    match language {
        Language::English => code.to_lowercase(),
        Language::Korean => code.to_owned(),
    }
}

fn measured(m: &Measurement, words: &Words) -> String {
    let value = format!("{}: {} {}", m.text, m.value, m.unit.as_deref().unwrap_or(""));
    let preliminary = m.preliminary.then(|| words.facts.preliminary.to_owned());
    let flag = m.flag.as_deref().map(|code| words.coded(flag(code)).to_owned());
    joined(value.trim_end(), [preliminary, flag, m.before.as_ref().map(|before| earlier(before, words))])
}

fn earlier(before: &Before, words: &Words) -> String {
    let [up, down, unchanged, other] = words.facts.trends;
    let trend = match before.trend {
        Some(Trend::Up) => up,
        Some(Trend::Down) => down,
        Some(Trend::Unchanged) => unchanged,
        None => other,
    };
    let day = before.date.as_ref().map_or("", |date| date.day());
    let preliminary = if before.preliminary { words.facts.preliminary } else { "" };
    (words.facts.before)([trend, &before.value, day, preliminary])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chart::sample, fhir::Date};

    #[test]
    fn a_measurement_reads_the_same_in_both_languages() {
        let before = |trend, preliminary| Before {
            value: "4.40".into(),
            date: Date::parse("2025-10-01T08:00:00Z"),
            preliminary,
            trend,
        };
        for (flag, before, english, korean) in [
            (
                Some("H"),
                Some(before(Some(Trend::Up), false)),
                "K: 5.70 mmol/L, high, up from 4.40 on 2025-10-01",
                "K: 5.70 mmol/L, 높음, 상승(이전 값 4.40, 2025-10-01)",
            ),
            (
                Some("LL"),
                Some(before(Some(Trend::Down), true)),
                "K: 5.70 mmol/L, critically low, down from 4.40 on 2025-10-01 (preliminary)",
                "K: 5.70 mmol/L, 위험 수준으로 낮음, 감소(이전 값 4.40, 2025-10-01, 예비 결과)",
            ),
            (
                Some("positive"),
                Some(Before { date: None, ..before(None, false) }),
                "K: 5.70 mmol/L, positive, before: 4.40",
                "K: 5.70 mmol/L, positive, 직접 비교 불가(이전 값 4.40)",
            ),
            (None, None, "K: 5.70 mmol/L", "K: 5.70 mmol/L"),
        ] {
            let (flag, before) = (flag.map(Into::into), before.map(Box::new));
            let fact = Fact::Measurement(Measurement { flag, before, ..sample::measurement("K", "5.70", "mmol/L") });
            assert_eq!(described(&fact, Language::English), ("measurement", english.to_owned()));
            assert_eq!(described(&fact, Language::Korean), ("검사값", korean.to_owned()));
        }
    }

    #[test]
    fn a_film_is_named_in_both_languages() {
        let fact = Fact::Image { role: Role::Prior, image: sample::film("AP", "2025-06-02") };
        assert_eq!(described(&fact, Language::English).1, "prior film: DX chest, AP");
        assert_eq!(described(&fact, Language::Korean).1, "이전 영상: DX CHEST, AP");
    }
}
