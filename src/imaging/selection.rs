//! Which instances of a study are films worth asking the archive for.

use crate::fhir::lenient::{ImagingStudy, Instance, Series};

use super::{Dropped, uid};

/// One instance to retrieve.
pub(super) struct Candidate<'a> {
    /// Place of the series in the study.
    pub series: usize,
    pub series_uid: &'a str,
    pub instance_uid: &'a str,
    pub number: Option<i64>,
}

/// The first `max_films` CR and DX instances in the study's own order (series, then instance number); all others by name.
pub(super) fn candidates(study: &ImagingStudy, max_films: usize) -> (Vec<Candidate<'_>>, Vec<Dropped>) {
    let (mut chosen, mut dropped) = (Vec::<Candidate>::new(), Vec::new());
    for (index, series) in study.series.iter().enumerate() {
        let mut films = Vec::new();
        for instance in series.instance.iter() {
            match candidate(index, series, instance) {
                Ok(film) => films.push(film),
                Err(reason) => dropped.push(Dropped::new(instance.uid.as_deref().and_then(uid::parse), reason)),
            }
        }
        if series.instance.is_empty() {
            dropped.push(Dropped::new(None, "a series of the study lists no pictures"));
        }
        films.sort_by_key(|film| film.number.unwrap_or(i64::MAX));
        for film in films {
            if chosen.iter().any(|other| other.instance_uid == film.instance_uid) {
                continue;
            } else if chosen.len() < max_films {
                chosen.push(film);
            } else {
                dropped
                    .push(Dropped::new(Some(film.instance_uid), format!("only {max_films} films of a study are read")));
            }
        }
    }
    if study.series.is_empty() {
        dropped.push(Dropped::new(None, "the study lists no pictures"));
    }
    (chosen, dropped)
}

fn candidate<'a>(index: usize, series: &'a Series, instance: &'a Instance) -> Result<Candidate<'a>, &'static str> {
    match series.modality.as_ref().and_then(|modality| modality.code.as_deref()) {
        Some("CR" | "DX") => {}
        Some(_) => return Err("only CR and DX films are read"),
        None => return Err("the study does not say what kind of picture it is"),
    }
    let uid = |text: &'a Option<String>| text.as_deref().and_then(uid::parse);
    let series_uid = uid(&series.uid).ok_or("its series has no valid DICOM identifier")?;
    let instance_uid = uid(&instance.uid).ok_or("it has no valid DICOM identifier")?;
    let number = instance.number.as_ref().and_then(|number| number.as_i64());
    Ok(Candidate { series: index, series_uid, instance_uid, number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_is_a_candidate_or_named() {
        let study: ImagingStudy = serde_json::from_str(
            r#"{"series":[
                {"uid":"1.1","modality":{"code":"CT"},"instance":[{"uid":"1.1.1"}]},
                {"uid":"1.2","modality":{"code":"DX"},"instance":[{"uid":"1.2.3","number":3},{"uid":"urn:oid:1.2.1","number":1},
                    {"uid":"1.2.1","number":1},{"uid":"../x"},{"uid":"1.2.2","number":2}]},
                {"uid":"1.3","instance":[{"uid":"1.3.1"}]},
                {"uid":"1.4","modality":{"code":"CR"}}]}"#,
        )
        .unwrap();
        let (chosen, dropped) = candidates(&study, 2);
        let chosen: Vec<_> = chosen.iter().map(|c| (c.series, c.instance_uid)).collect();
        assert_eq!(chosen, [(1, "1.2.1"), (1, "1.2.2")]);
        let dropped: Vec<_> = dropped.iter().map(|d| (d.instance_uid.as_deref(), d.reason.as_str())).collect();
        let expected = [
            (Some("1.1.1"), "only CR and DX films are read"),
            (None, "it has no valid DICOM identifier"),
            (Some("1.2.3"), "only 2 films of a study are read"),
            (Some("1.3.1"), "the study does not say what kind of picture it is"),
            (None, "a series of the study lists no pictures"),
        ];
        assert_eq!(dropped, expected);
        assert_eq!(candidates(&ImagingStudy::default(), 4).1.len(), 1);
    }
}
