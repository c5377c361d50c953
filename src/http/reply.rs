//! How an answer leaves: errors as OperationOutcome, and the one table from [`Kind`] to HTTP status.
//! <https://hl7.org/fhir/R4/http.html#Status-Codes>

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    error::{Error, Kind},
    fhir,
};

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// One status for each kind.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Kind::EditConflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::VersionMismatch | Kind::MissingData => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Quota => StatusCode::TOO_MANY_REQUESTS,
        Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::Fault => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status that a result is answered with, for the audit trail.
pub fn outcome<T>(result: &Result<T, Error>) -> u16 {
    result.as_ref().map_or_else(|error| status(error.kind), |_| StatusCode::OK).as_u16()
}

/// A FHIR resource as the body. Nothing between us and the caller may keep it.
pub fn fhir_json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, FHIR_JSON);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The one place where an error is logged: its kind and message, which hold no data of a patient.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = status(self.kind);
        match status.is_server_error() {
            true => tracing::error!(
                kind = ?self.kind,
                status = status.as_u16(),
                error = %self.message,
                source = sources(&self),
                "request failed"
            ),
            false => tracing::info!(kind = ?self.kind, status = status.as_u16(), "request refused"),
        }
        let mut response = fhir_json(status, fhir::outcome(&self).to_string());
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Whole seconds, and never "at once".
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).clamp(1, 3600) as u64));
        } else if matches!(self.kind, Kind::Busy | Kind::Quota) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The errors of ours behind an error, outermost first. A library's own may quote its input, so it ends the list unsaid.
fn sources(error: &Error) -> String {
    let ours = std::iter::successors(Some(error), |error| error.source.as_ref()?.downcast_ref::<Error>());
    let said = ours.skip(1).map(|error| match &error.expression {
        Some(place) => format!("{} ({place})", error.message),
        None => error.message.clone(),
    });
    said.collect::<Vec<_>>().join("; ")
}

/// Whether the client takes JSON: `_format` beats `Accept`; `fhirVersion` may be given and must be 4.0.
pub fn takes_json(headers: &HeaderMap, query: &str) -> Result<(), Error> {
    let format =
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "_format").map(|(_, format)| format);
    let taken = match format {
        // A plus sign that was not percent-encoded arrives as a space.
        Some(format) => format == "json" || takes(&format.replace(' ', "+")),
        None => {
            let mut ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
            ranges.peek().is_none() || ranges.flat_map(|value| value.split(',')).any(takes)
        }
    };
    if taken {
        Ok(())
    } else {
        Err(Error::new(Kind::NotAcceptable, "This server answers in application/fhir+json, FHIR version 4.0."))
    }
}

fn takes(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    ["application/fhir+json", "application/json", "text/json", "application/*", "*/*"].contains(&name.as_str())
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("q") => value.parse::<f32>().is_ok_and(|q| q > 0.0),
            Some((name, value)) if name.eq_ignore_ascii_case("fhirVersion") => {
                ["4.0", "4.0.1"].contains(&value.trim_matches('"'))
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::http::log::tests::Lines;

    #[test]
    fn every_kind_is_answered_with_its_status_and_an_outcome() {
        for kind in Kind::ALL {
            let response = Error::new(kind, "message").into_response();
            assert!(response.status().is_client_error() || response.status().is_server_error(), "{kind:?}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], FHIR_JSON);
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                matches!(kind, Kind::Busy | Kind::Quota),
                "{kind:?}"
            );
        }
        assert_eq!(Error::not_found("").into_response().status(), 404);
        assert_eq!(Error::missing_data("").into_response().status(), 412);
    }

    #[test]
    fn a_failure_is_logged_with_its_causes_of_ours_and_no_member_twice() {
        let lines = Lines::default();
        let guard = lines.capture();
        let quoting = "Jane Doe".parse::<u32>().unwrap_err();
        let code = Error::fault("SQLite result code 13").at("a.place").because(quoting);
        let _ = Error::busy("outer", Duration::from_secs(1)).because(code).into_response();
        let _ = Error::fault("bare").because("Jane Doe").into_response();
        drop(guard);
        for line in lines.text().lines() {
            assert_eq!(line.matches("\"message\":").count(), 1, "{line}");
        }
        let logged: Vec<serde_json::Value> = lines.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(logged[0]["message"], "request failed");
        assert_eq!(
            (&logged[0]["error"], &logged[0]["source"]),
            (&"outer".into(), &"SQLite result code 13 (a.place)".into())
        );
        assert_eq!((&logged[1]["error"], &logged[1]["source"]), (&"bare".into(), &"".into()));
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_at_once() {
        for (wait, seconds) in [(0, "1"), (1, "1"), (1001, "2"), (u64::MAX, "3600")] {
            let response = Error::busy("", Duration::from_millis(wait)).into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds, "{wait}");
        }
    }

    #[test]
    fn json_is_answered_and_nothing_else() {
        let ask = |accept: &str, query| {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            }
            takes_json(&headers, query).is_ok()
        };
        for (accept, query, taken) in [
            ("", "", true),
            ("*/*", "", true),
            ("application/fhir+json; fhirVersion=4.0", "", true),
            ("application/fhir+json; fhirVersion=5.0", "", false),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", "", true),
            ("application/fhir+xml", "", false),
            ("application/fhir+xml, application/fhir+json;q=0", "", false),
            ("application/fhir+xml", "_format=json", true),
            ("application/fhir+xml", "_format=application/fhir+json", true),
            ("*/*", "_format=application/fhir%2Bxml", false),
            ("*/*", "_format=", false),
            (";;;,,,q=", "", false),
        ] {
            assert_eq!(ask(accept, query), taken, "{accept} {query}");
        }
    }

    proptest! {
        #[test]
        fn any_list_of_media_types_is_read(accept in "[ -~]{0,60}|([a-z*]{1,12}/[a-z*+]{1,12}(;[a-z]=[0-9.a-z\"]{0,5}){0,3},?){0,4}", query in "\\PC{0,40}|_format=[a-z%/+2Bb]{0,30}") {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let wanted = takes_json(&headers, &query).is_ok();
            // What is taken without a format, is taken with one that says nothing else.
            if !query.contains("_format") {
                prop_assert_eq!(wanted, takes_json(&headers, "").is_ok());
            }
            prop_assert!(takes_json(&headers, "_format=json").is_ok());
        }
    }
}
