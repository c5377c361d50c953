//! The one order in which evidence is numbered: pictures, then what bears on the question, then the rest.

use compact_str::CompactString as Text;

use super::{Fact, Role, facts::Stated};
use crate::{fhir::Date, service::Service};

/// Sorts facts by relevance to the service's question at `moment`; equal ones newest first, then by reference.
pub fn sort(facts: &mut [Stated], service: &Service, moment: &Date) {
    facts.sort_by(|a, b| {
        rank(a, service, moment)
            .cmp(&rank(b, service, moment))
            .then_with(|| b.when.date.cmp(&a.when.date))
            .then_with(|| a.source.reference.cmp(&b.source.reference))
    });
}

fn rank(stated: &Stated, service: &Service, moment: &Date) -> (u8, usize) {
    let fresh = stated.when.date.as_ref().is_some_and(|date| date.is_within(super::FRESH_DAYS, moment));
    match &stated.fact {
        Fact::Image { role: Role::Current, .. } => (0, 0),
        Fact::Image { role: Role::Prior, .. } => (0, 1),
        Fact::Note { .. } if fresh => (1, 0),
        Fact::Measurement(m) if fresh && wanted(&m.loinc, service).is_some() => {
            (2, wanted(&m.loinc, service).unwrap_or(0))
        }
        Fact::Problem { .. } => (3, 0),
        Fact::Medication { .. } => (4, 0),
        Fact::Allergy { .. } => (5, 0),
        Fact::Measurement(_) | Fact::Note { .. } => (6, 0),
        Fact::Study { .. } => (7, 0),
        Fact::Report { .. } => (8, 0),
        Fact::Order { .. } => (9, 0),
    }
}

fn wanted(loinc: &[Text], service: &Service) -> Option<usize> {
    service.relevant.iter().position(|code| loinc.iter().any(|given| given == code))
}
