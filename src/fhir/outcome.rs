//! What the caller of a FHIR interaction is told of an error. <https://hl7.org/fhir/R4/operationoutcome.html>

use serde_json::{Value, json};

use crate::error::{Error, Kind};

/// The system of `issue.details.coding`, whose codes are the kinds of [`Kind`].
pub const SYSTEM: &str = "urn:curbside:error-kind";

/// `OperationOutcome.issue.code` of a kind.
pub fn issue_code(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Unauthenticated => "login",
        Kind::Forbidden => "forbidden",
        Kind::NotFound => "not-found",
        Kind::MethodNotAllowed | Kind::NotAcceptable | Kind::UnsupportedMedia => "not-supported",
        Kind::EditConflict | Kind::VersionMismatch => "conflict",
        Kind::Gone => "deleted",
        Kind::TooLarge => "too-long",
        Kind::Unprocessable => "business-rule",
        Kind::Quota | Kind::Busy => "throttled",
        Kind::Upstream => "transient",
        Kind::Timeout => "timeout",
        Kind::Fault => "exception",
        Kind::MissingData => "processing",
    }
}

/// The OperationOutcome that answers `error`. A fault's own message stays inside.
pub fn outcome(error: &Error) -> Value {
    let diagnostics = match error.kind {
        Kind::Fault => "The server failed on its own account. The failure has been logged.",
        _ => &error.message,
    };
    let mut issue = json!({
        "severity": "error",
        "code": issue_code(error.kind),
        "details": { "coding": [{ "system": SYSTEM, "code": code(error.kind) }] },
        "diagnostics": diagnostics,
    });
    if let Some(expression) = &error.expression {
        issue["expression"] = json!([expression]);
    }
    json!({ "resourceType": "OperationOutcome", "issue": [issue] })
}

fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Unauthenticated => "unauthenticated",
        Kind::Forbidden => "forbidden",
        Kind::NotFound => "not-found",
        Kind::MethodNotAllowed => "method-not-allowed",
        Kind::NotAcceptable => "not-acceptable",
        Kind::EditConflict => "edit-conflict",
        Kind::Gone => "gone",
        Kind::VersionMismatch => "version-mismatch",
        Kind::TooLarge => "too-large",
        Kind::UnsupportedMedia => "unsupported-media",
        Kind::Unprocessable => "unprocessable",
        Kind::Quota => "quota",
        Kind::Busy => "busy",
        Kind::Upstream => "upstream",
        Kind::Timeout => "timeout",
        Kind::Fault => "fault",
        Kind::MissingData => "missing-data",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The codes of <https://hl7.org/fhir/R4/valueset-issue-type.html> that the table uses.
    const ISSUE_TYPES: [&str; 14] = [
        "invalid",
        "login",
        "forbidden",
        "not-found",
        "not-supported",
        "conflict",
        "deleted",
        "too-long",
        "business-rule",
        "throttled",
        "transient",
        "timeout",
        "exception",
        "processing",
    ];

    #[test]
    fn every_kind_has_an_issue_code_of_r4_and_a_code_of_its_own() {
        let codes: HashSet<_> = Kind::ALL.into_iter().map(code).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(ISSUE_TYPES.contains(&issue_code(kind)), "{kind:?}");
            super::super::check(&outcome(&Error::new(kind, "a sentence").at("context.draftOrders"))).unwrap();
        }
    }

    #[test]
    fn a_fault_keeps_its_message_inside() {
        let text = outcome(&Error::fault("row 17 of table jobs")).to_string();
        assert!(!text.contains("row 17") && text.contains("exception"), "{text}");
        let told = outcome(&Error::invalid("no patient").at("context.patientId"));
        assert_eq!(told["issue"][0]["diagnostics"], "no patient");
        assert_eq!(told["issue"][0]["expression"][0], "context.patientId");
    }
}
