//! Whose film it is: the patient's identifiers against what the file says.

use crate::fhir::lenient::Patient;

/// The identifiers under which a film may name the patient. Empty: no film can be tied to them, and none is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub values: Vec<String>,
}

impl Identity {
    /// The patient's identifiers whose system is one of `systems`.
    pub fn of(patient: &Patient, systems: &[String]) -> Identity {
        let configured = |system: &Option<String>| system.as_ref().is_some_and(|s| systems.contains(s));
        let ours = patient.identifier.iter().filter(|i| configured(&i.system));
        let values = ours.filter_map(|i| i.value.as_deref()).map(str::trim).filter(|v| !v.is_empty());
        Identity { values: values.map(str::to_owned).collect() }
    }

    /// Whether a film with this PatientID (0010,0020) and these OtherPatientIDsSequence (0010,1002) entries is the patient's.
    pub(super) fn check(&self, patient_id: Option<&str>, others: &[String]) -> Result<(), &'static str> {
        let patient_id = patient_id.ok_or("the film does not say whose it is")?;
        let known = |id: &str| self.values.iter().any(|value| value == id);
        // INVARIANT: pixels_of_another_patient_are_dropped_and_named
        if known(patient_id) || others.iter().any(|id| known(id)) {
            Ok(())
        } else {
            Err("the film belongs to another patient")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identifiers_of_configured_systems_count() {
        let patient: Patient = serde_json::from_str(
            r#"{"identifier":[{"system":"urn:mrn","value":" 9RG1 "},{"system":"urn:insurance","value":"77"},{"value":"88"},
                {"system":"urn:mrn","value":" "},{"system":"urn:mrn"}]}"#,
        )
        .unwrap();
        assert_eq!(Identity::of(&patient, &["urn:mrn".into()]).values, ["9RG1"]);
        assert!(Identity::of(&patient, &[]).values.is_empty());
    }

    #[test]
    fn pixels_of_another_patient_are_dropped_and_named() {
        let identity = Identity { values: vec!["9RG1".into()] };
        assert_eq!(identity.check(Some("9RG1"), &[]), Ok(()));
        assert_eq!(identity.check(Some("OLD"), &["9RG1".into()]), Ok(()));
        assert_eq!(identity.check(Some("9RG10"), &["9rg1".into()]), Err("the film belongs to another patient"));
        assert_eq!(identity.check(None, &["9RG1".into()]), Err("the film does not say whose it is"));
        assert!(Identity::default().check(Some(""), &[]).is_err());
    }
}
