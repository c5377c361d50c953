//! A picture that a Media or DocumentReference holds or names. <https://hl7.org/fhir/R4/datatypes.html#Attachment>
//!
//! Its bytes are inside the resource, or at an address under the EHR's own base, as they are or as a FHIR Binary.

use std::sync::Arc;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde_json::value::RawValue;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::time::timeout_at;
use url::Url;

use super::{
    Access, Failure, Image, Labelled, Source, geometry,
    picture::{inspect, media_type},
};
use crate::{
    egress::{Base, link},
    error::Kind,
    fhir::{Client, FHIR_JSON, Reference, essence, is_json, lenient},
};

/// A picture and what its record says of it.
pub struct Attached<'a> {
    /// Absolute reference of the Media or DocumentReference.
    pub reference: &'a str,
    pub content: &'a lenient::Attachment,
    pub described: Described,
}

/// What a record says of its picture, in the words a DICOM file would use. What is missing is not guessed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    pub modality: Option<String>,
    pub body_part: Option<String>,
    pub view: Option<String>,
    pub manufacturer: Option<String>,
    /// When the picture was taken.
    pub date: Option<crate::fhir::Date>,
}

/// Servers differ in whether they pad; lines are broken as in MIME.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Has the bytes of one picture, checks and decodes them. The error is a clause for a person.
///
/// `client` reads what an address names; without one only what is inside the resource can be had. The caller has checked
/// that the record is the patient's.
pub async fn read_attachment(
    access: &Access<'_>,
    client: Option<&Client>,
    patient_id: &str,
    attached: Attached<'_>,
    side: u32,
) -> Result<Image, String> {
    let content = attached.content;
    let declared = content.content_type.as_deref().ok_or("its record does not say of which type it is")?;
    let media_type = media_type(declared).ok_or(Failure::UnreadType.reason())?;
    let limit = access.limits.max_instance_bytes;
    let stated_size = content.size.as_ref().map(|size| size.as_u64().ok_or("its stated size is not a size"));
    let stated_size = stated_size.transpose()?;
    if stated_size.is_some_and(|size| size > limit as u64) {
        return Err(TOO_LARGE.into());
    }
    let (bytes, retrieved) = match (&content.data, &content.url) {
        (Some(data), _) => (decoded(data, limit)?, "the record itself"),
        (None, Some(url)) => {
            let client = client.ok_or("it is not in the record, and no FHIR server was named to fetch it from")?;
            fetched(client, url, attached.reference, patient_id, media_type, limit).await?
        }
        (None, None) => return Err("its record holds no picture and names none".into()),
    };
    // INVARIANT: bytes_other_than_the_record_states_are_not_shown
    if stated_size.is_some_and(|size| size != bytes.len() as u64) {
        return Err("it is not of the size its record states".into());
    }
    if let Some(stated) = &content.hash {
        let stated = decoded(stated, Sha1::output_size() + 3).ok().filter(|hash| hash.len() == Sha1::output_size());
        let stated = stated.ok_or("its stated hash is not a SHA-1")?;
        if stated[..] != Sha1::digest(&bytes)[..] {
            return Err("its SHA-1 is not the one its record states".into());
        }
    }
    let (columns, rows) = inspect(&bytes, media_type).map_err(Failure::reason)?;
    let pixels = timeout_at(access.deadline, access.decoder.picture(bytes, media_type, side)).await;
    let pixels = pixels.unwrap_or(Err(Failure::Late)).map_err(Failure::reason)?;
    let png = geometry::png(&pixels).map_err(|_| Failure::Undecodable.reason())?;
    let Described { modality, body_part, view, manufacturer, date } = attached.described;
    Ok(Image {
        source: Source::Attachment { reference: attached.reference.to_owned(), media_type: media_type.to_owned() },
        modality,
        body_part,
        view,
        laterality: None,
        manufacturer,
        labelled: Labelled::default(),
        date,
        rows,
        columns,
        lossy: media_type == "image/jpeg",
        retrieved: retrieved.to_owned(),
        burned_in: "not stated".to_owned(),
        sha256: format!("{:x}", Sha256::digest(&png)),
        pixels: Arc::new(pixels),
        png: Arc::new(png),
    })
}

const TOO_LARGE: &str = "it is larger than the limit";
const NO_ADDRESS: &str = "its address is no plain URL, or lies outside the allowed bases and was not contacted";

/// Bytes of base64 text, at most `limit` of them.
fn decoded(text: &str, limit: usize) -> Result<Bytes, &'static str> {
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if text.len() / 4 * 3 > limit {
        return Err(TOO_LARGE);
    }
    BASE64.decode(text).map(Bytes::from).map_err(|_| "its record is not readable as base64")
}

/// The bytes at an attachment's address, and how they came. The EHR's token goes there, so no other base is asked.
async fn fetched(
    client: &Client,
    address: &str,
    record: &str,
    patient_id: &str,
    declared: &str,
    limit: usize,
) -> Result<(Bytes, &'static str), String> {
    let mut base = client.base().named().clone();
    base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
    let url = link(&base, address).ok_or(NO_ADDRESS)?;
    let answer = match client.content(&url, declared, limit).await {
        Err(error) if error.kind == Kind::NotAcceptable => client.content(&url, FHIR_JSON, limit).await,
        answer => answer,
    };
    let (answered, body) = answer.map_err(|error| error.message)?;
    let answered = essence(&answered);
    if is_json(&answered) {
        return Ok((binary(client.base(), &url, &body, record, patient_id, declared, limit)?, "a FHIR Binary"));
    }
    agree(&answered, declared)?;
    Ok((body, "its address, as it is"))
}

/// The content of a Binary resource, if it is the one asked for and nothing speaks against its being the patient's.
fn binary(
    base: &Base,
    url: &Url,
    body: &[u8],
    record: &str,
    patient_id: &str,
    declared: &str,
    limit: usize,
) -> Result<Bytes, &'static str> {
    let unreadable = "the EHR's answer is not readable FHIR";
    let raw: &RawValue = serde_json::from_slice(body).map_err(|_| unreadable)?;
    lenient::sound(raw)?;
    let binary: lenient::Binary = lenient::read(raw).map_err(|_| unreadable)?;
    let asked = Reference::parse(url.as_str()).filter(|asked| asked.resource_type == "Binary");
    let same = asked.is_none_or(|asked| binary.id.as_deref() == Some(asked.id));
    if binary.resource_type.as_deref() != Some("Binary") || !same {
        return Err("the EHR answered with another resource than the one asked for");
    }
    // INVARIANT: a_binary_of_another_patient_is_dropped_and_named
    if let Some(context) = &binary.security_context {
        match context.reference.as_deref().and_then(Reference::parse) {
            Some(context) if context.is(base, "Patient", patient_id) || context.absolute(base) == record => {}
            Some(Reference { resource_type: "Patient", .. }) => return Err("the Binary it names is another patient's"),
            _ => return Err("the Binary it names is bound to something that is not known to be this patient's"),
        }
    }
    agree(&essence(binary.content_type.as_deref().unwrap_or_default()), declared)?;
    decoded(&binary.data.ok_or("the Binary it names is empty")?, limit)
}

/// Whether what a server calls the bytes can be what the record calls them. A server may know no better than "bytes".
fn agree(answered: &str, declared: &str) -> Result<(), &'static str> {
    let unknown = matches!(answered, "" | "application/octet-stream" | "binary/octet-stream");
    if unknown || media_type(answered) == Some(declared) {
        Ok(())
    } else {
        Err("the EHR calls it another type than its record does")
    }
}
