//! Who asks, and which upstream bases may be contacted for them. Level 0: every module may know its caller.

use crate::egress::Base;

/// The party a request is answered for. Every handler and every query takes one.
///
/// Until client trust exists there is one caller, `local`, and the server binds loopback only.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pub tenant: String,
    pub client: String,
    /// The EHRs this caller may name as `fhirServer`. Nothing else is ever contacted.
    pub allowed_bases: Vec<AllowedBase>,
}

/// One EHR: its FHIR base and the DICOMweb bases its `Endpoint.address` may point to.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowedBase {
    /// FHIR base, named as the EHR names itself in `fhirServer`; with and without trailing slash are the same.
    pub fhir: Base,
    /// DICOMweb bases. An `Endpoint.address` elsewhere is not contacted and the card says so.
    pub dicomweb: Vec<Base>,
    /// `Patient.identifier.system` values under which a film's PatientID is looked up. Without any, no film can be
    /// tied to a patient and none is used.
    pub patient_id_systems: Vec<String>,
    /// Send the EHR's access token to the DICOMweb bases too, where the Endpoint does not say whether to.
    pub dicomweb_takes_token: bool,
    /// Its clients can carry out what a card suggests, such as to remove an order. If not, no card suggests anything.
    pub suggestions: bool,
}
