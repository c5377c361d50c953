//! Where a study's films are, and whether the EHR's token may go there: SMART Imaging Access.
//!
//! <https://github.com/argonautproject/smart-imaging>

use url::Url;

use super::{study::Access, uid, wado};
use crate::{
    egress::{self, AccessToken},
    fhir::{
        Reference,
        lenient::{Endpoint, ImagingStudy, Ref, Series},
    },
};

const REQUIRES_TOKEN: &str = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/requires-access-token";

/// The study's URL, its UID and the token to send: from the first usable Endpoint, the series' own before the study's.
pub(super) fn route<'a>(
    access: &'a Access<'a>,
    study: &'a ImagingStudy,
    series: &'a Series,
    endpoints: &'a [Endpoint],
    study_uid: Option<&'a str>,
) -> Result<(Url, &'a str, Option<&'a AccessToken>), &'static str> {
    let study_uid = study_uid.ok_or("the study has no valid DICOM identifier")?;
    let mut unusable = "the study names no archive";
    for reference in series.endpoint.iter().chain(study.endpoint.iter()) {
        let Some(endpoint) = resolve(access, study, endpoints, reference) else {
            unusable = "the archive's Endpoint was not found";
            continue;
        };
        match address(access, endpoint, study_uid) {
            Ok(url) => return Ok((url, study_uid, token(access, endpoint))),
            Err(reason) => unusable = reason,
        }
    }
    Err(unusable)
}

fn resolve<'a>(
    access: &Access<'_>,
    study: &'a ImagingStudy,
    endpoints: &'a [Endpoint],
    reference: &Ref,
) -> Option<&'a Endpoint> {
    let text = reference.reference.as_deref()?;
    if let Some(id) = text.strip_prefix('#') {
        let is = |e: &&Endpoint| e.resource_type.as_deref() == Some("Endpoint") && e.id.as_deref() == Some(id);
        return study.contained.iter().find(is);
    }
    let reference = Reference::parse(text)?;
    endpoints.iter().find(|e| e.id.as_deref().is_some_and(|id| reference.is(&access.base.fhir, "Endpoint", id)))
}

/// The study's URL at this endpoint. The address is the EHR's data: it is compared with what the site allows.
fn address(access: &Access<'_>, endpoint: &Endpoint, study_uid: &str) -> Result<Url, &'static str> {
    if endpoint.status.as_deref() != Some("active") {
        return Err("the archive's Endpoint is not active");
    }
    if endpoint.connection_type.as_ref().and_then(|c| c.code.as_deref()) != Some("dicom-wado-rs") {
        return Err("the archive's Endpoint is not DICOMweb retrieval");
    }
    const ELSEWHERE: &str = "the archive's address is not one this server may contact";
    let text = endpoint.address.as_deref().filter(|text| Url::parse(text).is_ok());
    let address = egress::address(text.ok_or("the archive's address is not a URL")?).ok_or(ELSEWHERE)?;
    let url = study_url(&address, study_uid).ok_or("the archive's address is that of another study")?;
    // INVARIANT: another_host_gets_no_request
    if egress::permitted(&url, &access.base.dicomweb) { Ok(url) } else { Err(ELSEWHERE) }
}

/// IHE's examples put the study into the address, as `studies/{uid}` or `study/{uid}`.
fn study_url(address: &Url, study_uid: &str) -> Option<Url> {
    let mut url = address.clone();
    let segments: Vec<&str> = address.path_segments()?.collect();
    let named =
        segments.windows(2).position(|pair| matches!(pair[0], "studies" | "study") && uid::parse(pair[1]).is_some());
    if let Some(at) = named {
        url.set_path(&segments[..at + 2].join("/"));
        return (segments[at + 1] == study_uid).then_some(url);
    }
    wado::below(&url, &["studies", study_uid])
}

/// Whether this address may see the EHR's token: where it says no, its URL is the credential.
fn token<'a>(access: &Access<'a>, endpoint: &Endpoint) -> Option<&'a AccessToken> {
    let rules = endpoint.extension.iter().filter(|e| e.url.as_deref() == Some(REQUIRES_TOKEN));
    // INVARIANT: a_token_goes_only_where_it_is_asked_for
    // The Endpoint asks for it, or the site names the archive. A "no" beats a "yes".
    let wanted =
        rules.filter_map(|e| e.value_boolean).reduce(|a, b| a && b).unwrap_or(access.base.dicomweb_takes_token);
    access.token.filter(|_| wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_studys_url_stays_on_its_host_and_names_that_study_only(
            address in "\\PC{0,40}|https?://[a-z]{1,5}(:[0-9]{1,5})?(/(studies|study|[a-z.%]{0,5}|[0-9.]{0,9})){0,5}/?(\\?[a-z=]{0,4})?",
            study in "[1-9](\\.[1-9][0-9]{0,3}){1,5}"
        ) {
            let Ok(address) = Url::parse(&address) else { return Ok(()) };
            let Some(url) = study_url(&address, &study) else { return Ok(()) };
            // Not `origin`: that of a scheme other than the web's equals nothing, not even itself.
            let host = |url: &Url| (url.scheme().to_owned(), url.host().map(|h| h.to_owned()), url.port());
            prop_assert_eq!(host(&url), host(&address));
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.last(), Some(&study.as_str()), "{}", url);
        }
    }
}
