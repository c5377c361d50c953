//! What an answer tells: its card, and the report behind it, read as anybody would read them.

use serde_json::Value;

use super::answer::Stated;
use crate::{
    chart::EvidenceId,
    finding::{Change, Severity},
};

/// One answer to a hook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Why there is no card.
    pub failed: Option<String>,
    /// Without what differs each time it is drafted: the card's uuid, and the address of its report.
    pub card: Value,
    /// Whether a report was stored.
    pub drafted: bool,
    /// Of the report's Observations.
    pub findings: Vec<Stated>,
    pub urgency: Option<String>,
}

/// A sentence of the card, and what it rests on.
pub type Line = (String, Vec<EvidenceId>);

impl Told {
    pub fn failed(why: String) -> Told {
        Told { failed: Some(why), ..Told::default() }
    }

    /// Of the answer's body, and the Observations of its report.
    pub fn read(answer: &Value, observations: &[Value]) -> Told {
        let [card] = answer["cards"].as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Told::failed("the answer holds not one card".into());
        };
        let mut card = card.clone();
        let drafted = report(&card).is_some();
        if let Some(members) = card.as_object_mut() {
            members.remove("uuid");
        }
        for link in card["links"].as_array_mut().into_iter().flatten() {
            link["url"] = Value::Null;
        }
        let urgency = observations.iter().find_map(|observation| component(observation, "suggested urgency"));
        Told {
            failed: None,
            card,
            drafted,
            findings: observations.iter().filter_map(stated).collect(),
            urgency: urgency.map(str::to_owned),
        }
    }

    pub fn summary(&self) -> &str {
        self.card["summary"].as_str().unwrap_or_default()
    }

    /// What the card states: each line of a list that ends with the evidence it rests on.
    pub fn lines(&self) -> Vec<Line> {
        self.listed().filter_map(line).collect()
    }

    /// Lines of lists that rest on nothing: what was not kept, and what failed.
    pub fn others(&self) -> Vec<&str> {
        let is_evidence = |text: &str| text.split_once(':').is_some_and(|(id, _)| id_of(id).is_some());
        self.listed().filter(|text| line(text).is_none() && !is_evidence(text)).collect()
    }

    fn listed(&self) -> impl Iterator<Item = &str> {
        self.card["detail"].as_str().unwrap_or_default().lines().filter_map(|line| line.strip_prefix("- "))
    }
}

/// Address of the report a card links to.
pub fn report(card: &Value) -> Option<&str> {
    card["links"].as_array()?.first()?["url"].as_str()
}

/// `text (E1, E2)`.
fn line(text: &str) -> Option<Line> {
    let (text, ids) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let ids: Option<Vec<EvidenceId>> = ids.split(", ").map(id_of).collect();
    Some((text.to_owned(), ids?))
}

fn id_of(text: &str) -> Option<EvidenceId> {
    EvidenceId::try_from(text.to_owned()).ok()
}

/// A finding by its coded parts; none of what is no finding.
fn stated(observation: &Value) -> Option<Stated> {
    let word = |name: &str| component(observation, name).map(|word| Value::String(word.to_owned()));
    Some(Stated {
        kind: serde_json::from_value(word("finding")?).ok()?,
        side: serde_json::from_value(word("side of the patient")?).ok()?,
        region: serde_json::from_value(word("region")?).ok()?,
        severity: word("severity").map_or(Some(Severity::None), |word| serde_json::from_value(word).ok())?,
        change: word("change against the prior film")
            .map_or(Some(Change::Unknown), |word| serde_json::from_value(word).ok())?,
        evidence: ids(observation["text"]["div"].as_str().unwrap_or_default()),
    })
}

fn component<'a>(observation: &'a Value, name: &str) -> Option<&'a str> {
    let mut parts = observation["component"].as_array()?.iter();
    parts.find(|part| part["code"]["text"] == name)?["valueCodeableConcept"]["text"].as_str()
}

/// Evidence ids among other words.
fn ids(text: &str) -> Vec<EvidenceId> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(id_of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::{FindingKind, Region, Side};

    #[test]
    fn a_card_is_read_by_its_lists() {
        let detail = "**AI.**\n\n- Large (very) opacity (E1, E12)\n- something (kept not): it repeats\n\n**Evidence**\n\n- E1: film (DX)\n- E12: Temperature (38 to 39) (Observation/E3)\n";
        let answer = json!({ "cards": [{ "uuid": "u", "summary": "s", "detail": detail, "links": [{ "url": "http://x/reports/7", "label": "l" }] }] });
        let told = Told::read(&answer, &[]);
        assert_eq!(told.lines(), [("Large (very) opacity".to_owned(), vec![EvidenceId(1), EvidenceId(12)])]);
        assert_eq!(told.others(), ["something (kept not): it repeats"]);
        assert!(told.drafted && told.summary() == "s");
        let mut again = answer.clone();
        again["cards"][0]["uuid"] = "v".into();
        again["cards"][0]["links"][0]["url"] = "http://x/reports/8".into();
        assert_eq!(Told::read(&again, &[]), told);
        again["cards"][0]["summary"] = "t".into();
        assert_ne!(Told::read(&again, &[]), told);
        assert!(Told::read(&json!({ "cards": [] }), &[]).failed.is_some());
    }

    #[test]
    fn a_finding_is_read_by_its_components() {
        let part =
            |code: &str, word: &str| json!({ "code": { "text": code }, "valueCodeableConcept": { "text": word } });
        let finding = json!({ "text": { "div": "<div>AI-generated draft. <p>Opacity.</p><p>Rests on E1, E3.</p></div>" },
            "component": [part("finding", "opacity"), part("side of the patient", "left"), part("region", "upper"), part("severity", "large")] });
        let impression = json!({ "component": [part("suggested urgency", "soon")] });
        let answer = json!({ "cards": [{}] });
        let told = Told::read(&answer, &[finding, impression]);
        assert_eq!(told.urgency.as_deref(), Some("soon"));
        let [only] = told.findings.as_slice() else { panic!("{told:?}") };
        assert_eq!((only.kind, only.side, only.region), (FindingKind::Opacity, Side::Left, Region::Upper));
        assert_eq!((only.severity, only.change), (Severity::Large, Change::Unknown));
        assert_eq!(only.evidence, [EvidenceId(1), EvidenceId(3)]);
    }
}
