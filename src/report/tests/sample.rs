//! A chart that holds one of everything, and what a model said of it.

use serde_json::json;

use crate::{
    chart::{Examined, Gap, NotShown, Origin},
    grounding::{Finding, Ledger, Rejected, Section, Urgency},
    report::*,
};

/// Planted in every text of the chart.
pub const MARKER: &str = "<script>alert('zq')</script>\u{202e}";
pub const BASE: &str = "https://ehr.example/fhir";

pub struct Sample {
    pub language: Language,
    pub service: Service,
    pub chart: Chart,
    pub assessment: Assessment,
    pub model: ModelInfo,
    pub options: Options,
}

impl Sample {
    fn made(&self) -> Made<'_> {
        Made {
            language: self.language,
            service: &self.service,
            chart: &self.chart,
            assessment: &self.assessment,
            model: &self.model,
            prompt: PromptUsed { version: "contract 2", sha256: "aa11" },
            intended_use: "research",
            options: &self.options,
            report_id: Uuid::from_u128(7),
            issued: DateTime::from_timestamp(2_039_000_000, 0).unwrap(),
        }
    }

    pub fn draft(&self) -> Draft {
        draft(&self.made())
    }
}

fn image(role: Role, number: u32, date: &str) -> Fact {
    let image = json!({
        "source": { "dicom": { "study_uid": format!("1.2.{number}"), "series_uid": format!("1.2.{number}.1"),
            "instance_uid": format!("1.2.{number}.1.1"), "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
            "transfer_syntax": "1.2.840.10008.1.2.1", "window": "2048/4096" } },
        "modality": "DX", "body_part": "CHEST", "view": "PA", "laterality": null, "manufacturer": MARKER, "date": date, "rows": 2048,
        "columns": 2500, "lossy": false, "retrieved": "instance, as stored", "burned_in": "NO", "sha256": format!("{number}").repeat(64),
    });
    let mut image: Box<crate::imaging::Image> = serde_json::from_value(image).unwrap();
    image.png = Arc::new(vec![number as u8]);
    Fact::Image { role, image }
}

pub fn sample() -> Sample {
    let service = json!({
        "id": "imaging-draft-report", "hook": "order-sign", "title": "Draft report", "description": "d", "prefetch": [],
        "publishes": "DiagnosticReport", "deadline_ms": 1, "max_calls": 1, "source_label": "s", "topic": { "system": "s", "code": "c" },
    });
    let measurement = json!({
        "text": format!("CRP {MARKER}"), "loinc": ["1988-5"], "vital": false, "value": "136", "unit": "mg/L", "flag": "H",
    });
    let text = || MARKER.to_owned();
    let facts = [
        ("urn:oid:1.2.3.1.1", image(Role::Current, 3, "2034-08-15")),
        ("urn:oid:1.2.2.1.1", image(Role::Prior, 2, "2032-01-10")),
        ("Observation/o1", Fact::Measurement(serde_json::from_value(measurement).unwrap())),
        ("Condition/c1", Fact::Problem { text: text(), status: "active".into(), unconfirmed: None }),
        ("MedicationRequest/m1", Fact::Medication { text: text(), dosage: Some(text()) }),
        (
            "AllergyIntolerance/a1",
            Fact::Allergy {
                text: text(),
                criticality: Some("high".into()),
                reactions: vec![text()],
                none_known: false,
                unconfirmed: None,
            },
        ),
        ("DiagnosticReport/r1", Fact::Report { text: text(), status: "final".into(), conclusion: Some(text()) }),
        ("Observation/o2", Fact::Note { text: text(), preliminary: false }),
    ];
    let evidence = facts.into_iter().zip(1..).map(|((reference, fact), number)| Evidence {
        id: EvidenceId(number),
        reference: if reference.starts_with("urn:") { reference.into() } else { format!("{BASE}/{reference}") },
        date: Date::parse("2034-08-14"),
        misdated: false,
        fact,
        origin: Origin::Prefetch,
    });
    let study = |id: &str, number: u32, date: &str| json!({ "reference": format!("{BASE}/ImagingStudy/{id}"), "study_uid": format!("1.2.{number}"), "date": date, "description": MARKER, "choice": "newest" });
    let reading = json!({
        "order": { "text": MARKER, "code": null, "identifier": null, "authored_on": null, "modality": null, "body_part": null, "names": [] },
        "other_orders": 0, "study": study("s3", 3, "2034-08-15"), "prior": study("s2", 2, "2032-01-10"), "no_film": null,
    });
    let chart = Chart {
        source_base: BASE.into(),
        subject: crate::chart::Subject {
            reference: format!("{BASE}/Patient/12"),
            sex: Some("female".into()),
            age_band: Some("60-69".into()),
        },
        requester: Some(format!("{BASE}/Practitioner/9")),
        encounter: Some(format!("{BASE}/Encounter/5")),
        evidence: evidence.collect(),
        gaps: vec![Gap { what: "allergies".into(), why: "the search failed".into() }],
        examined: vec![],
        reading: serde_json::from_value(reading).unwrap(),
        named: Default::default(),
    };
    let finding: Finding = serde_json::from_value(
        json!({ "kind": "effusion", "side": "left", "region": "lower", "severity": "large", "change": "same" }),
    )
    .unwrap();
    let statement = |text: &str, finding, evidence: &[u32]| Statement {
        text: text.into(),
        finding,
        evidence: evidence.iter().map(|n| EvidenceId(*n)).collect(),
    };
    let statements = vec![
        statement(
            "Large pleural effusion, left, lower (unchanged from the prior film)",
            Some(finding),
            &[1, 2, 3, 4, 5],
        ),
        statement(MARKER, None, &[1, 7]),
    ];
    let assessment = Assessment {
        sections: vec![Section { key: "findings".into(), title: "Findings".into(), statements }],
        urgency: Some(Urgency::Urgent),
        abstained: None,
        ledger: Ledger {
            examined: vec![Examined {
                what: "conditions".into(),
                resources: 1,
                unusable: 0,
                left_out: 0,
                origin: Origin::Fetched,
                complete: true,
            }],
            shown: (1..=7).map(EvidenceId).collect(),
            not_shown: vec![NotShown { evidence: EvidenceId(8), why: "over the line budget".into() }],
            failed: vec![Gap { what: "allergies".into(), why: "the search failed".into() }],
        },
        rejected: vec![Rejected { what: MARKER.into(), why: "a citation is repeated".into() }],
    };
    let model = ModelInfo {
        name: "small".into(),
        revision: "bb22".into(),
        weights_sha256: "cc33".into(),
        runtime: "mistralrs 0.8.1".into(),
        dtype: "f32".into(),
        context: 2048,
        image_size: 224,
        tokens_per_image: 64,
        max_images: 2,
        scope: None,
    };
    let service = serde_json::from_value(service).unwrap();
    Sample { language: Language::English, service, chart, assessment, model, options: Options::default() }
}

/// The same chart with the current picture in a Media, and nothing compared.
pub fn attached() -> Sample {
    let mut sample = sample();
    let reference = format!("{BASE}/Media/m7");
    if let Fact::Image { image, .. } = &mut sample.chart.evidence[0].fact {
        let media_type = "image/png".to_owned();
        image.source = crate::imaging::Source::Attachment { reference: reference.clone(), media_type };
    }
    sample.chart.evidence[0].reference = reference.clone();
    sample.assessment.ledger.shown.retain(|id| *id != EvidenceId(2));
    sample.assessment.sections[0].statements[0].evidence.retain(|id| *id != EvidenceId(2));
    let reading = sample.chart.reading.as_mut().unwrap();
    reading.prior = None;
    let picture = reading.study.as_mut().unwrap();
    (picture.reference, picture.study_uid) = (reference, None);
    sample
}

/// A chart of which nothing but the patient is known.
pub fn bare() -> Sample {
    let mut sample = sample();
    sample.assessment = Assessment::default();
    sample.chart =
        Chart { requester: None, encounter: None, evidence: vec![], gaps: vec![], reading: None, ..sample.chart };
    sample.model =
        ModelInfo { weights_sha256: String::new(), runtime: String::new(), dtype: String::new(), ..sample.model };
    sample
}
