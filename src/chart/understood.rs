//! Reads what was collected: what each resource says as a fact, what is in doubt, and what could not be used.

use std::collections::BTreeMap;

use super::{
    Examined, Gap, allergies,
    collect::{Answers, Collected, Resource, collect},
    facts::{self, Doubts, Found, Source, Stated},
    films::Known,
    named::Named,
    values,
};
use crate::{
    egress::Base,
    error::{Error, Result},
    fhir::lenient,
};

/// What the resources of one request say.
pub struct Understood {
    pub patient: lenient::Patient,
    pub known: Known,
    pub named: BTreeMap<String, Named>,
    pub stated: Vec<Stated>,
    pub examined: Vec<Examined>,
    pub gaps: Vec<Gap>,
}

/// Reads all answers. `for_rules`: what the resources name is kept, too.
pub fn understood(answers: Answers, patient_id: &str, base: &Base, for_rules: bool) -> Result<Understood> {
    let Collected { mut resources, mut examined, mut gaps } = collect(answers, patient_id, base)?;
    let patient = resources.iter().find(|r| r.head.resource_type == "Patient");
    let patient: lenient::Patient = match patient {
        Some(resource) => lenient::read(&resource.raw)
            .map_err(|why| Error::missing_data(format!("patient: {why}")).at("prefetch.patient"))?,
        // The EHR answered that it has nothing to send: whose the rest is, is known all the same.
        None => lenient::Patient::default(),
    };
    resources.retain(|r| r.head.resource_type != "Patient");
    gaps.extend(facts::patient(&patient).into_iter().map(|why| Gap { what: "patient".into(), why: why.into() }));

    let (mut known, mut named) = (Known::default(), for_rules.then(BTreeMap::new));
    let mut stated: Vec<Stated> = Vec::new();
    let (mut measured, mut allergies) = (Vec::new(), Vec::new());
    for resource in &resources {
        let mut doubts = Doubts::new();
        let understood = understand(resource, base, &mut known, named.as_mut(), &mut doubts);
        gaps.extend(doubts.into_iter().map(|why| gap(resource, why)));
        let (usable, told) = match understood {
            Ok(Found::Stated(fact)) => {
                stated.push(*fact);
                continue;
            }
            Ok(Found::Value(value)) => {
                measured.push(value);
                continue;
            }
            Ok(Found::Allergy(allergy)) => {
                allergies.push(*allergy);
                continue;
            }
            Ok(Found::Nothing) => (true, None),
            Ok(Found::LeftOut(why)) => (true, Some(why.to_owned())),
            Ok(Found::Unusable(why)) => (false, Some(why.to_owned())),
            Err(why) => (false, Some(why)),
        };
        for at in &resource.asked {
            let counts = &mut examined[*at];
            *if usable { &mut counts.left_out } else { &mut counts.unusable } += 1;
        }
        gaps.extend(told.map(|why| gap(resource, &why)));
    }
    stated.extend(values::last_values(measured));
    let (allergies, contradictions) = allergies::consistent(allergies);
    stated.extend(allergies);
    gaps.extend(contradictions);
    let named = named.unwrap_or_default();
    Ok(Understood { patient, known, named, stated, examined, gaps })
}

fn understand(
    resource: &Resource,
    base: &Base,
    known: &mut Known,
    named: Option<&mut BTreeMap<String, Named>>,
    doubts: &mut Doubts,
) -> std::result::Result<Found, String> {
    let source = Source { reference: resource.reference(base), origin: resource.origin };
    let keep = |names: &dyn Fn() -> Named| {
        if let Some(named) = named {
            named.insert(source.reference.clone(), names());
        }
    };
    Ok(match resource.head.resource_type.as_str() {
        "Condition" => {
            let condition: lenient::Condition = lenient::read(&resource.raw)?;
            withdrawn(None, &condition.verification_status, &condition.clinical_status)
                .unwrap_or_else(|| facts::condition(&condition, source, doubts))
        }
        "MedicationRequest" => {
            let medication: lenient::MedicationRequest = lenient::read(&resource.raw)?;
            withdrawn(medication.status.as_deref(), &None, &None)
                .unwrap_or_else(|| facts::medication(&medication, source, doubts))
        }
        "AllergyIntolerance" => {
            let allergy: lenient::AllergyIntolerance = lenient::read(&resource.raw)?;
            keep(&|| Named::allergy(&allergy));
            withdrawn(None, &allergy.verification_status, &allergy.clinical_status)
                .unwrap_or_else(|| allergies::allergy(&allergy, source, doubts))
        }
        "Observation" => {
            let observation: lenient::Observation = lenient::read(&resource.raw)?;
            withdrawn(observation.status.as_deref(), &None, &None)
                .unwrap_or_else(|| values::observation(&observation, source, doubts))
        }
        "DiagnosticReport" => {
            let report: lenient::DiagnosticReport = lenient::read(&resource.raw)?;
            known.report(&report, base);
            withdrawn(report.status.as_deref(), &None, &None)
                .unwrap_or_else(|| facts::report(&report, &resource.head, source, doubts))
        }
        "ImagingStudy" => {
            let study: lenient::ImagingStudy = lenient::read(&resource.raw)?;
            keep(&|| Named::study(&study));
            let found = withdrawn(study.status.as_deref(), &None, &None)
                .unwrap_or_else(|| facts::study(&study, source.clone(), doubts));
            if matches!(found, Found::Stated(_)) {
                known.studies.push((source.reference, study));
            }
            found
        }
        "ServiceRequest" => {
            let order: lenient::ServiceRequest = lenient::read(&resource.raw)?;
            keep(&|| Named::order(&order));
            withdrawn(order.status.as_deref(), &None, &None).unwrap_or_else(|| facts::order(&order, source, doubts))
        }
        "Endpoint" => {
            known.endpoints.push(lenient::read(&resource.raw)?);
            Found::Nothing
        }
        _ => Found::Nothing,
    })
}

fn withdrawn(
    status: Option<&str>,
    verification: &Option<lenient::Concept>,
    clinical: &Option<lenient::Concept>,
) -> Option<Found> {
    const CURRENT: [&str; 3] = ["active", "recurrence", "relapse"];
    const PAST: [&str; 3] = ["inactive", "remission", "resolved"];
    const HELD: [&str; 5] = ["confirmed", "unconfirmed", "provisional", "differential", "presumed"];
    const DROPPED: [&str; 2] = ["refuted", "entered-in-error"];
    let says = |concept: &Option<lenient::Concept>, words: &[&str]| {
        concept.as_ref().is_some_and(|concept| words.iter().any(|word| concept.code(word)))
    };
    // INVARIANT: a_status_at_odds_with_itself_is_no_absence
    if (says(clinical, &CURRENT) && says(clinical, &PAST))
        || (says(verification, &HELD) && says(verification, &DROPPED))
    {
        return Some(Found::Unusable("it gives two statuses that contradict each other, so it was not used"));
    }
    let withdrawn = status == Some("entered-in-error") || says(verification, &["entered-in-error"]);
    withdrawn.then_some(Found::LeftOut("it was entered in error, so it was not used"))
}

fn gap(resource: &Resource, why: &str) -> Gap {
    Gap { what: format!("{}/{}", resource.head.resource_type, resource.id), why: why.to_owned() }
}
