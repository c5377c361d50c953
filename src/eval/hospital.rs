//! A made-up hospital: the records, orders and films of cases, served as an EHR and its archive would serve them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use image::GrayImage;
use serde_json::{Value, json};
use url::Url;

use super::{
    Case, Maker, Shot, Shown,
    export::{asked, size, stream},
};
use crate::{
    demo::{self, Contents, Demo, Film, Folder},
    engine::{Part, Prompt},
    error::{Error, Result},
    imaging,
    phantom::{
        self, Style,
        dicom::{self, Storage, View},
    },
};

/// A case that training never sees, as it is served.
pub struct Drawn {
    /// Which of its seed's.
    pub number: u64,
    pub case: Case,
    /// The prompt the server should write, and its answer.
    pub shown: Shown,
    /// Of each of the case's films, width and height.
    sizes: Vec<(u32, u32)>,
}

/// How films are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looks {
    pub style: Style,
    /// What the contrast of findings is multiplied by: 1 is as usual, 0 invisible.
    pub visible: f32,
}

impl Default for Looks {
    fn default() -> Looks {
        Looks { style: Style::First, visible: 1.0 }
    }
}

/// A case of the seed: the one that `cases --held-out` writes under the same number, with evidence numbered as the server
/// numbers it. `room` is what the model has for a prompt, as contract 2 counts it.
pub fn draw(maker: &Maker, seed: u64, number: u64, room: usize) -> Result<Drawn> {
    let mut random = stream(seed, number, true);
    let (case, shown) = asked(maker, &mut random, room, false)?;
    let mut sizes = vec![None; case.films.len()];
    for at in &shown.pictures {
        sizes[*at] = Some(size(&mut random));
    }
    let sizes = sizes.into_iter().map(|drawn| drawn.unwrap_or_else(|| size(&mut random))).collect();
    Ok(Drawn { number, case, shown, sizes })
}

/// Serves the cases on free ports; a case's patient has a folder of the patient's id. Films are drawn when asked for.
pub async fn open(cases: Arc<Vec<Drawn>>, looks: Looks) -> Result<Demo> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let folders = move |fhir: &Url, dicomweb: &Url| {
        (0..cases.len()).map(|at| folder(&cases, at, looks, fhir, dicomweb)).collect::<Result<Vec<_>>>()
    };
    demo::serve(folders, any, any).await
}

fn folder(cases: &Arc<Vec<Drawn>>, at: usize, looks: Looks, fhir: &Url, dicomweb: &Url) -> Result<Folder> {
    let case = &cases[at].case;
    let films = case.films.iter().enumerate().map(|(film, shot)| {
        let cases = cases.clone();
        let make = move || cases[at].file(film, looks);
        Film {
            study_uid: shot.study_uid.clone(),
            series_uid: shot.series_uid.clone(),
            instance_uid: shot.instance_uid.clone(),
            transfer_syntax: dicom::EXPLICIT_LITTLE_ENDIAN.into(),
            contents: Contents::Made(Arc::new(make)),
        }
    });
    Ok(Folder {
        name: case.record.patient_id.clone(),
        resources: case.resources(dicomweb.as_str()),
        request: Some(case.request(fhir)),
        films: films.collect(),
    })
}

impl Drawn {
    /// The prompt with its pictures, as a model is asked that takes squares of `side`.
    pub fn prompt(&self, looks: Looks, side: u32) -> Result<Prompt> {
        let mut prompt = self.shown.prompt.clone();
        let mut pictures = self.shown.pictures.iter();
        for part in &mut prompt.parts {
            if let Part::Image(picture) = part {
                let film = self.film(pictures.next().copied().unwrap_or(usize::MAX), looks)?;
                let grey = GrayImage::from_raw(film.width, film.height, phantom::grey(&film));
                let grey = grey.ok_or_else(|| Error::fault("a film is not of its size"))?;
                *picture = Arc::new(imaging::fit(grey, side));
            }
        }
        Ok(prompt)
    }

    fn film(&self, film: usize, looks: Looks) -> Result<phantom::Film> {
        let shot = self.case.films.get(film).zip(self.sizes.get(film));
        let (shot, size) = shot.ok_or_else(|| Error::fault("a case has no such film"))?;
        Ok(shot.draw_faint(looks.style, *size, looks.visible))
    }

    /// The DICOM file of one of its films, stored in one of the ways a film may be stored.
    fn file(&self, film: usize, looks: Looks) -> Result<Vec<u8>> {
        let shot = self.case.films.get(film).ok_or_else(|| Error::fault("a case has no such film"))?;
        let storage = Storage::ALL[(self.number as usize + film) % Storage::ALL.len()];
        dicom::write(&self.film(film, looks)?, &self.case.label(shot, storage))
    }
}

impl Case {
    /// What the EHR sends when the order is signed, or the chart opened.
    fn request(&self, fhir: &Url) -> Value {
        let mut context = json!({ "userId": "Practitioner/made-up", "patientId": self.record.patient_id });
        if let Some(order) = &self.order {
            context["draftOrders"] =
                json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": order }] });
        }
        let hook = if self.order.is_some() { "order-sign" } else { "patient-view" };
        // Whoever sends it gives it an instance of its own.
        json!({ "hook": hook, "hookInstance": uuid::Uuid::nil(), "fhirServer": fhir.as_str(), "context": context })
    }

    /// The film of somebody else lies under this patient's number, too: what gives it away is what else the file says.
    fn label(&self, shot: &Shot, storage: Storage) -> dicom::Label {
        dicom::Label {
            patient_id: self.record.number(),
            issuer: None,
            name: "Phantom^Made up".into(),
            sex: shot.label.sex.map(str::to_owned),
            birth_date: shot.label.born.clone(),
            study_date: shot.date.clone(),
            view: if shot.view == "PA" { View::Pa } else { View::Ap },
            study_uid: shot.study_uid.clone(),
            series_uid: shot.series_uid.clone(),
            instance_uid: shot.instance_uid.clone(),
            number: 1,
            storage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_case_is_served_whole_and_to_its_own_token_alone() {
        let maker = Maker::new().unwrap();
        let cases: Arc<Vec<Drawn>> = Arc::new((0..8).map(|number| draw(&maker, 3, number, 1_600).unwrap()).collect());
        let hospital = open(cases.clone(), Looks::default()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut films = 0;
        for drawn in cases.iter() {
            let Case { record, order, films: shots, .. } = &drawn.case;
            let request = hospital.authorized_request(&record.patient_id).unwrap();
            assert_eq!(request["hook"], if order.is_some() { "order-sign" } else { "patient-view" });
            let token = request["fhirAuthorization"]["access_token"].as_str().unwrap();
            let patient = &record.patient_id;
            for kind in ["Patient", "Observation", "ImagingStudy", "Condition"] {
                let key = if kind == "Patient" { "_id" } else { "patient" };
                let url = format!("{}/{kind}?{key}={patient}&_count=200", hospital.fhir_base);
                let found: Value = client.get(&url).bearer_auth(token).send().await.unwrap().json().await.unwrap();
                let there = record.resources.iter().filter(|r| r["resourceType"] == kind).count();
                assert_eq!(found["total"], there, "{url}");
                assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 401);
            }
            for shot in shots {
                let url = format!("{}/studies/{}", hospital.dicomweb_base, shot.study_uid);
                let ask = || client.get(&url).header("accept", "multipart/related; type=\"application/dicom\"").send();
                let answer = ask().await.unwrap();
                assert_eq!(answer.status().as_u16(), 200);
                let body = answer.bytes().await.unwrap();
                let holds = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(holds("DICM") && holds(&record.number()) && holds(&shot.instance_uid));
                films += 1;
            }
        }
        assert!(films > 3);
        hospital.shutdown().await;
    }
}
