//! A made-up record as FHIR resources, and what in it speaks for which finding.

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::texts::{Lies, Pair, TestText, Texts, one};
use crate::{finding::FindingKind, phantom::Random, task::Substance};

pub(super) const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem";

/// Resources of one patient, `Patient` first.
pub struct Record {
    pub patient_id: String,
    pub resources: Vec<Value>,
    /// Findings a note speaks for, by the id of its Observation.
    pub told: HashMap<String, FindingKind>,
    /// Whether the record's own texts are Korean.
    korean: bool,
    /// No fact is later.
    today: NaiveDate,
}

/// A person as the record knows them.
#[derive(Clone, Debug)]
pub struct Person {
    pub gender: Option<&'static str>,
    pub born: Option<NaiveDate>,
}

impl Record {
    pub fn new(patient_id: String, person: &Person, korean: bool, today: NaiveDate) -> Record {
        let mut patient = json!({
            "resourceType": "Patient", "id": patient_id, "active": true,
            "identifier": [{ "system": "urn:curbside:fixture:mrn", "value": number(&patient_id) }],
        });
        if let Some(gender) = person.gender {
            patient["gender"] = gender.into();
        }
        if let Some(born) = person.born {
            patient["birthDate"] = born.to_string().into();
        }
        Record { patient_id, resources: vec![patient], told: HashMap::new(), korean, today }
    }

    /// The patient's number in the hospital, which films go by.
    pub fn number(&self) -> String {
        number(&self.patient_id)
    }

    /// A resource of that type with its id and whose it is.
    fn add(&mut self, kind: &str, mut resource: Value) -> String {
        let id = format!("{}-{}", self.patient_id, self.resources.len());
        let whose = if kind == "AllergyIntolerance" { "patient" } else { "subject" };
        resource["resourceType"] = kind.into();
        resource["id"] = id.clone().into();
        resource[whose] = json!({ "reference": format!("Patient/{}", self.patient_id) });
        self.resources.push(resource);
        id
    }

    pub fn words<'a>(&self, pair: &'a Pair) -> &'a str {
        &pair[usize::from(self.korean)]
    }

    fn back(&self, days: usize) -> String {
        self.today.checked_sub_days(Days::new(days as u64)).unwrap_or(self.today).to_string()
    }

    /// A day within the week, seldom one of another year; of `None` it is not stated.
    fn day(&self, random: &mut Random) -> Option<String> {
        let [this_week, earlier] = [random.below(7), 366 + random.below(1_200)];
        match random.weighted(&[85, 12, 3]) {
            0 => Some(self.back(this_week)),
            1 => Some(self.back(earlier)),
            _ => None,
        }
    }

    fn moment(&self, random: &mut Random) -> Option<String> {
        let (day, hour, minute) = (self.day(random)?, random.below(9), random.below(60));
        Some(if random.chance(0.6) { format!("{day}T0{hour}:{minute:02}:00Z") } else { day })
    }

    /// One Observation with a value. Its range and flag are stated, or one of them, or neither.
    pub fn measure(&mut self, test: &TestText, lies: Lies, random: &mut Random) {
        let Some(name) = one(&test.names, random) else { return };
        let lies = if test.can_lie(lies) { lies } else { Lies::Within };
        let unit = match random.weighted(&[80, 20]) {
            0 => json!({ "unit": test.unit, "system": "http://unitsofmeasure.org", "code": test.ucum }),
            _ => json!({ "unit": test.unit }),
        };
        let mut quantity = unit.clone();
        quantity["value"] = exact(&test.value(lies, random));
        let mut observation = observation(if test.vital { "vital-signs" } else { "laboratory" }, random);
        observation["code"] =
            json!({ "coding": [{ "system": "http://loinc.org", "code": test.loinc }], "text": self.words(name) });
        observation["valueQuantity"] = quantity;
        if test.ranged && random.chance(0.75) {
            let mut range = json!({});
            for (bound, value) in ["low", "high"].into_iter().zip(&test.range) {
                if let Some(value) = value {
                    range[bound] = unit.clone();
                    range[bound]["value"] = value.clone().into();
                }
            }
            observation["referenceRange"] = json!([range]);
        }
        let code = match (lies, random.weighted(&[50, 10, 4, 36])) {
            (Lies::Below, 0) => "L",
            (Lies::Below, 1) => "LL",
            (Lies::Above, 0) => "H",
            (Lies::Above, 1) => "HH",
            (Lies::Below | Lies::Above, 2) => "A",
            (Lies::Within, 1 | 2) => "N",
            _ => "",
        };
        if test.ranged && !code.is_empty() {
            let system = format!("{TERMINOLOGY}/v3-ObservationInterpretation");
            observation["interpretation"] = json!([{ "coding": [{ "system": system, "code": code }] }]);
        }
        if let Some(moment) = self.moment(random) {
            observation["effectiveDateTime"] = moment.into();
        }
        self.add("Observation", observation);
    }

    pub fn blood_pressure(&mut self, random: &mut Random) {
        let part = |code: &str, value: usize| {
            json!({ "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
                "valueQuantity": { "value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]" } })
        };
        let mut pressure = observation("vital-signs", random);
        let name = ["Blood pressure panel", "혈압"][usize::from(self.korean)];
        pressure["code"] = json!({ "coding": [{ "system": "http://loinc.org", "code": "85354-9" }], "text": name });
        pressure["component"] = json!([part("8480-6", 92 + random.below(90)), part("8462-4", 50 + random.below(50))]);
        if let Some(moment) = self.moment(random) {
            pressure["effectiveDateTime"] = moment.into();
        }
        self.add("Observation", pressure);
    }

    /// A note of an examination; `tells` is the finding it speaks for.
    pub fn note(&mut self, text: &Pair, tells: Option<FindingKind>, random: &mut Random) {
        let mut note = observation("exam", random);
        note["code"] =
            json!({ "coding": [{ "system": "http://loinc.org", "code": "29545-1" }], "text": "Examination note" });
        note["valueString"] = self.words(text).into();
        if let Some(moment) = self.moment(random) {
            note["effectiveDateTime"] = moment.into();
        }
        let id = self.add("Observation", note);
        self.told.extend(tells.map(|kind| (id, kind)));
    }

    pub fn problem(&mut self, text: &Pair, random: &mut Random) {
        let mut problem = json!({ "code": { "text": self.words(text) } });
        let status = ["active", "recurrence", "resolved", ""][random.weighted(&[86, 4, 5, 5])];
        if !status.is_empty() {
            problem["clinicalStatus"] =
                json!({ "coding": [{ "system": format!("{TERMINOLOGY}/condition-clinical"), "code": status }] });
        }
        let held = ["", "confirmed", "provisional", "unconfirmed", "differential"][random.weighted(&[40, 50, 5, 3, 2])];
        if !held.is_empty() {
            problem["verificationStatus"] =
                json!({ "coding": [{ "system": format!("{TERMINOLOGY}/condition-ver-status"), "code": held }] });
        }
        let since = self.back(60 + random.below(6_000));
        let known = [10, 7, 4][random.weighted(&[60, 20, 20])];
        if let Some(since) = since.get(..known).filter(|_| random.chance(0.9)) {
            problem["onsetDateTime"] = since.into();
        }
        self.add("Condition", problem);
    }

    pub fn medicine(&mut self, text: &Pair, dosage: Option<&Pair>, random: &mut Random) {
        let status = ["active", "stopped"][random.weighted(&[93, 7])];
        let mut medicine = json!({ "status": status, "intent": "order", "authoredOn": self.back(1 + random.below(900)),
            "medicationCodeableConcept": { "text": self.words(text) } });
        if let Some(dosage) = dosage {
            medicine["dosageInstruction"] = json!([{ "text": self.words(dosage) }]);
        }
        self.add("MedicationRequest", medicine);
    }

    pub fn allergy(&mut self, texts: &Texts, to: Option<Substance>, random: &mut Random) {
        let Some(name) = one(texts.allergens(to), random) else { return };
        let active =
            json!({ "coding": [{ "system": format!("{TERMINOLOGY}/allergyintolerance-clinical"), "code": "active" }] });
        let mut allergy = json!({ "clinicalStatus": active, "code": { "text": self.words(name) } });
        let criticality = ["high", "low", ""][random.weighted(&[30, 25, 45])];
        if !criticality.is_empty() {
            allergy["criticality"] = criticality.into();
        }
        if random.chance(0.08) {
            let system = format!("{TERMINOLOGY}/allergyintolerance-verification");
            allergy["verificationStatus"] = json!({ "coding": [{ "system": system, "code": "unconfirmed" }] });
        }
        let shown: Vec<Value> = (0..random.weighted(&[40, 45, 15]))
            .filter_map(|_| one(&texts.reactions, random))
            .map(|reaction| json!({ "text": self.words(reaction) }))
            .collect();
        if !shown.is_empty() {
            allergy["reaction"] = json!([{ "manifestation": shown }]);
        }
        if random.chance(0.9) {
            allergy["recordedDate"] = self.back(30 + random.below(5_000)).into();
        }
        self.add("AllergyIntolerance", allergy);
    }

    pub fn no_known_allergy(&mut self, text: &Pair, random: &mut Random) {
        let recorded = self.back(30 + random.below(2_000));
        self.add("AllergyIntolerance", json!({ "code": { "text": self.words(text) }, "recordedDate": recorded }));
    }

    pub fn report(&mut self, [name, korean, conclusion, in_korean]: &[String; 4], random: &mut Random) {
        let (name, conclusion) = if self.korean { (korean, in_korean) } else { (name, conclusion) };
        let status = ["final", "amended", "preliminary"][random.weighted(&[84, 8, 8])];
        let mut report = json!({ "status": status, "code": { "text": name },
            "effectiveDateTime": self.back(10 + random.below(1_500)) });
        if !conclusion.is_empty() {
            report["conclusion"] = conclusion.as_str().into();
        }
        self.add("DiagnosticReport", report);
    }

    /// An ImagingStudy of one film. `archive` is the id of the Endpoint its file is read from.
    pub fn study(&mut self, shot: &super::Shot, name: &Pair, archive: &str) -> String {
        let chest = json!({ "system": "http://snomed.info/sct", "code": "51185008", "display": "Chest" });
        let modality = json!({ "system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX" });
        let sop_class = json!({ "system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.1.1" });
        let study = json!({
            "identifier": [{ "system": "urn:dicom:uid", "value": format!("urn:oid:{}", shot.study_uid) }],
            "status": "available", "modality": [modality], "started": format!("{}T05:30:00Z", shot.date.day()),
            "endpoint": [{ "reference": format!("Endpoint/{archive}") }], "numberOfSeries": 1, "numberOfInstances": 1,
            "description": self.words(name),
            "series": [{ "uid": shot.series_uid, "number": 1, "modality": modality, "numberOfInstances": 1, "bodySite": chest,
                "instance": [{ "uid": shot.instance_uid, "number": 1, "sopClass": sop_class }] }],
        });
        self.add("ImagingStudy", study)
    }

    /// The order a film is read for, which is no resource of the record yet.
    pub fn order(&self, days_after: usize, reason: Option<&Pair>, random: &mut Random) -> Value {
        let day = self.today.checked_add_days(Days::new(days_after as u64)).unwrap_or(self.today);
        let codes = [
            ("36643-5", "XR Chest 2 Views"),
            ("36554-4", "XR Chest Single view"),
            ("30746-2", "Portable XR Chest Views"),
            ("30745-4", "XR Chest Views"),
        ];
        let (code, display) = codes[random.below(codes.len())];
        let mut order = json!({
            "resourceType": "ServiceRequest", "id": format!("{}-order", self.patient_id), "status": "draft", "intent": "order",
            "category": [{ "coding": [{ "system": "http://snomed.info/sct", "code": "363679005", "display": "Imaging" }] }],
            "code": { "coding": [{ "system": "http://loinc.org", "code": code, "display": display }] },
            "subject": { "reference": format!("Patient/{}", self.patient_id) }, "authoredOn": format!("{day}T10:00:00Z"),
        });
        if let Some(reason) = reason {
            order["reasonCode"] = json!([{ "text": self.words(reason) }]);
        }
        if random.chance(0.08) {
            let side = if random.chance(0.5) { "right" } else { "left" };
            order["bodySite"] = json!([{ "text": format!("{side} chest") }]);
        }
        order
    }
}

fn observation(category: &str, random: &mut Random) -> Value {
    let status = ["final", "preliminary", "amended"][random.weighted(&[91, 6, 3])];
    let system = format!("{TERMINOLOGY}/observation-category");
    json!({ "status": status, "category": [{ "coding": [{ "system": system, "code": category }] }] })
}

fn number(patient_id: &str) -> String {
    format!("MRN-{patient_id}")
}

/// With the text it has: 4.0 is not 4.
fn exact(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
