//! What can be searched for, and the reading of a query string. <https://hl7.org/fhir/R4/search.html>
//!
//! [`SERVED`] is the one table: it drives the reading of a query and the CapabilityStatement alike.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::{Url, form_urlencoded};

use super::{
    Patient,
    period::{Period, Prefix},
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    fhir::Reference,
};

/// A resource type that may be read and searched.
#[derive(Debug)]
pub struct Served {
    pub resource_type: &'static str,
    pub parameters: &'static [Parameter],
}

/// A search parameter: its name, what it looks at, and its definition where R4 has one that means the same.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub by: By,
    pub definition: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
pub enum By {
    Id,
    Patient,
    Target,
    /// The code system of the status, in which `system|code` may name it.
    Status(&'static str),
    Date,
}

const fn parameter(name: &'static str, by: By, definition: Option<&'static str>) -> Parameter {
    Parameter { name, by, definition }
}

const ID: Parameter = parameter("_id", By::Id, Some("http://hl7.org/fhir/SearchParameter/Resource-id"));
const PATIENT: Parameter =
    parameter("patient", By::Patient, Some("http://hl7.org/fhir/SearchParameter/clinical-patient"));
const DATE: Parameter = parameter("date", By::Date, Some("http://hl7.org/fhir/SearchParameter/clinical-date"));

pub const SERVED: &[Served] = &[
    Served {
        resource_type: "DiagnosticReport",
        parameters: &[
            ID,
            PATIENT,
            parameter("subject", By::Patient, Some("http://hl7.org/fhir/SearchParameter/DiagnosticReport-subject")),
            parameter(
                "status",
                By::Status("http://hl7.org/fhir/diagnostic-report-status"),
                Some("http://hl7.org/fhir/SearchParameter/DiagnosticReport-status"),
            ),
            DATE,
        ],
    },
    Served {
        resource_type: "Observation",
        parameters: &[
            ID,
            PATIENT,
            parameter("subject", By::Patient, Some("http://hl7.org/fhir/SearchParameter/Observation-subject")),
            parameter(
                "status",
                By::Status("http://hl7.org/fhir/observation-status"),
                Some("http://hl7.org/fhir/SearchParameter/Observation-status"),
            ),
            DATE,
        ],
    },
    Served {
        resource_type: "Provenance",
        parameters: &[
            ID,
            // R4's own `patient` finds only a Provenance whose target is the Patient; ours are about reports on one.
            parameter("patient", By::Patient, None),
            parameter("target", By::Target, Some("http://hl7.org/fhir/SearchParameter/Provenance-target")),
        ],
    },
    Served {
        resource_type: "Device",
        parameters: &[
            ID,
            parameter(
                "status",
                By::Status("http://hl7.org/fhir/device-status"),
                Some("http://hl7.org/fhir/SearchParameter/Device-status"),
            ),
        ],
    },
];

pub fn served(resource_type: &str) -> Result<&'static Served> {
    let found = SERVED.iter().find(|served| served.resource_type == resource_type);
    found.ok_or_else(|| Error::not_found("This server has no resources of that type."))
}

pub const DEFAULT_COUNT: u32 = 50;
pub const MAX_COUNT: u32 = 200;
const MAX_QUERY_BYTES: usize = 8192;
const MAX_VALUES: usize = 200;
const PAGE: &str = "_page";

/// A search, read and resolved: every filter must hold; within a filter any value will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    pub resource_type: &'static str,
    pub filters: Vec<Filter>,
    /// Resources on a page, 0 to 200; 0 asks for the total only.
    pub count: u32,
    pub after: Option<Position>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    Id(Vec<String>),
    Patient(Vec<Patient>),
    /// `Type/id` of a resource of ours.
    Target(Vec<String>),
    Status(Vec<String>),
    Date(Vec<(Prefix, Period)>),
}

/// The last resource of a page. It says where to go on, not what may be seen: that is the caller's tenant, always.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    pub last_updated: i64,
    pub id: String,
}

/// A query string as it was understood.
#[derive(Debug)]
pub struct Query {
    pub search: Search,
    /// What was applied, for the self link; without the page.
    pub applied: Vec<(String, String)>,
    /// How many unsupported parameters were left out because the client asked for leniency.
    pub ignored: usize,
}

impl Query {
    /// Reads a query string. `own_base` is the base of this server, under which our resources may be named in full.
    /// `lenient` ignores an unsupported parameter; otherwise it is `Invalid`, because a dropped filter widens the answer.
    pub fn read(served: &'static Served, caller: &Caller, own_base: &Url, query: &str, lenient: bool) -> Result<Query> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(Error::invalid(format!("A search may have at most {MAX_QUERY_BYTES} bytes.")));
        }
        let mut search =
            Search { resource_type: served.resource_type, filters: Vec::new(), count: DEFAULT_COUNT, after: None };
        let (mut applied, mut ignored, mut values) = (Vec::new(), 0, 0);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = served.parameters.iter().find(|parameter| parameter.name == name);
            let shown = match (&*name, parameter) {
                ("_format", _) => continue,
                (PAGE, _) => {
                    search.after = Some(Position::read(&value)?);
                    continue;
                }
                ("_count", _) => {
                    search.count = count(&value)?;
                    search.count.to_string()
                }
                (_, Some(parameter)) => {
                    values += value.split(',').count();
                    if values > MAX_VALUES {
                        return Err(Error::invalid(format!("A search may have at most {MAX_VALUES} values.")));
                    }
                    search.filters.push(filter(parameter, caller, own_base, &value)?);
                    value.into_owned()
                }
                (_, None) if lenient => {
                    ignored += 1;
                    continue;
                }
                (_, None) => {
                    let names = served.parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
                    return Err(Error::invalid(format!(
                        "A search parameter or modifier is not supported. {} may be searched by {names}, with _count.",
                        served.resource_type
                    )));
                }
            };
            applied.push((name.into_owned(), shown));
        }
        Ok(Query { search, applied, ignored })
    }

    /// The one patient asked about, if the search names exactly one.
    pub fn patient(&self) -> Option<&Patient> {
        let mut patients = self.search.filters.iter().filter_map(|filter| match filter {
            Filter::Patient(patients) => Some(patients),
            _ => None,
        });
        patients
            .next()
            .and_then(|patients| <&[Patient; 1]>::try_from(patients.as_slice()).ok())
            .map(|[patient]| patient)
    }

    /// The URL of this search under `own_base`, from `position` on.
    pub fn url(&self, own_base: &Url, position: Option<&Position>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.applied);
        if let Some(position) = position {
            query.append_pair(PAGE, &position.write());
        }
        let (base, query) = (own_base.as_str().trim_end_matches('/'), query.finish());
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{base}/{}{mark}{query}", self.search.resource_type)
    }
}

impl Position {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}", self.last_updated, self.id))
    }

    fn read(text: &str) -> Result<Position> {
        let position = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (last_updated, id) = text.split_once('.')?;
            Some(Position { last_updated: last_updated.parse().ok()?, id: id.to_owned() })
        };
        position().ok_or_else(|| {
            Error::invalid("The page is not one that this server linked to: start the search again.").at(PAGE)
        })
    }
}

fn count(text: &str) -> Result<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid("_count is a whole number from 0.").at("_count"));
    }
    // Digits that are too many for a number are still only "very many".
    Ok(text.parse().unwrap_or(u32::MAX).min(MAX_COUNT))
}

fn filter(parameter: &Parameter, caller: &Caller, own_base: &Url, text: &str) -> Result<Filter> {
    let invalid = |message: &str| Error::invalid(message).at(parameter.name);
    if text.split(',').any(|value| value.trim().is_empty()) {
        return Err(invalid("A search parameter has an empty value."));
    }
    let values = text.split(',').map(str::trim);
    Ok(match parameter.by {
        By::Id => Filter::Id(values.map(str::to_owned).collect()),
        By::Status(system) => Filter::Status(values.map(|value| token(value, system).to_owned()).collect()),
        By::Patient => Filter::Patient(
            values.map(|value| patient(caller, value).map_err(|e| e.at(parameter.name))).collect::<Result<_>>()?,
        ),
        By::Target => Filter::Target(
            values
                .map(|value| target(own_base, value).ok_or_else(|| invalid("A target is named as Type/id.")))
                .collect::<Result<_>>()?,
        ),
        By::Date => Filter::Date(
            values
                .map(|value| {
                    let (prefix, date) = Prefix::split(value);
                    // A plus sign that was not percent-encoded arrives as a space.
                    Some((prefix, Period::parse(&date.replace(' ', "+"))?))
                })
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    invalid(
                        "A date is YYYY, YYYY-MM, YYYY-MM-DD or a dateTime, after eq, ne, gt, lt, ge, le, sa or eb.",
                    )
                })?,
        ),
    })
}

/// `code`, `|code` or `system|code`; a code of another system stays as it is and matches nothing.
fn token<'a>(value: &'a str, system: &str) -> &'a str {
    value.strip_prefix(system).unwrap_or(value).strip_prefix('|').unwrap_or(value)
}

// INVARIANT: an_unqualified_patient_is_refused_where_there_are_several_bases
fn patient(caller: &Caller, value: &str) -> Result<Patient> {
    let named = if value.contains('/') { value.to_owned() } else { format!("Patient/{value}") };
    let reference = Reference::parse(&named)
        .filter(|reference| reference.resource_type == "Patient")
        .ok_or_else(|| Error::invalid("A patient is named as an id, Patient/id or an absolute URL."))?;
    let source_base = match (reference.base, caller.allowed_bases.as_slice()) {
        ("", [only]) => only.fhir.as_str(),
        ("", _) => {
            return Err(Error::invalid(
                "A patient id alone does not say of which FHIR server: give the absolute URL of the Patient.",
            ));
        }
        (base, _) => base,
    };
    let source_base = source_base.trim_end_matches('/').to_owned();
    Ok(Patient { reference: format!("{source_base}/Patient/{}", reference.id), source_base })
}

fn target(own_base: &Url, value: &str) -> Option<String> {
    let reference = Reference::parse(value)?;
    let local = reference.is(&own_base.clone().into(), reference.resource_type, reference.id);
    Some(if local { format!("{}/{}", reference.resource_type, reference.id) } else { value.to_owned() })
}
