//! From an ImagingStudy, or a picture attached to a record, to the pixels a model sees, each tied to who, what and when.

mod attachment;
mod codestream;
mod decode;
mod encapsulated;
mod endpoint;
mod entropy;
mod failure;
mod film;
mod geometry;
mod header;
mod identity;
mod multipart;
mod outline;
mod picture;
mod resize;
mod run_length;
mod selection;
mod study;
mod uid;
mod wado;
mod windowing;

pub use attachment::{Attached, Described, read_attachment};
pub use decode::{DECODE, Decoder, Film, Wanted, decode_child, this_program};
pub use failure::Failure;
pub use geometry::fit;
pub use identity::Identity;
pub use study::{Access, Doubted, Dropped, Limits, Study, read_study, study_uid};

use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::fhir::Date;

/// One picture as it is shown to the model, with what its file or record says of it.
///
/// What a DICOM file says in attributes, a Media says in elements; the attributes are named here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    pub source: Source,
    /// Modality (0008,0060). A DICOM film always states it.
    pub modality: Option<String>,
    /// Body Part Examined (0018,0015).
    pub body_part: Option<String>,
    /// View Position (0018,5101).
    pub view: Option<String>,
    /// Image Laterality (0020,0062).
    pub laterality: Option<String>,
    /// Manufacturer (0008,0070): what made the picture.
    pub manufacturer: Option<String>,
    /// Whose picture the file says it is.
    #[serde(default)]
    pub labelled: Labelled,
    /// Study Date (0008,0020).
    pub date: Option<Date>,
    /// As stored.
    pub rows: u32,
    pub columns: u32,
    pub lossy: bool,
    /// How it was had, such as the step of the retrieval ladder.
    pub retrieved: String,
    /// Burned In Annotation (0028,0301), `not stated` where absent.
    pub burned_in: String,
    /// SHA-256 of `png`, hex: the picture's name in the store.
    pub sha256: String,
    /// RGB8, square, the size the model wants. Not serialised: stored once, by content.
    #[serde(skip)]
    pub pixels: Arc<RgbImage>,
    /// The same pixels as PNG.
    #[serde(skip)]
    pub png: Arc<Vec<u8>>,
}

/// The person a DICOM file names, as a prompt may know them. A picture that is no DICOM file names nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// Patient's Sex (0010,0040) in FHIR's words.
    pub sex: Option<String>,
    /// From Patient's Birth Date (0010,0030), at the Study Date, such as `60-69`.
    pub age_band: Option<String>,
    /// Whether the record of the patient has another sex or day of birth.
    #[serde(default)]
    pub disagrees: bool,
}

/// What a picture was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Dicom {
        study_uid: String,
        series_uid: String,
        instance_uid: String,
        sop_class_uid: String,
        transfer_syntax: String,
        /// `center/width` as applied; absent where the file has no usable window.
        window: Option<String>,
    },
    /// A picture in, or named by, a Media or DocumentReference.
    Attachment {
        /// Absolute reference of that resource.
        reference: String,
        /// `image/png` or `image/jpeg`.
        media_type: String,
    },
}

impl Image {
    /// What states the picture: `urn:oid:` and the SOP Instance UID, or the absolute reference of its resource.
    pub fn reference(&self) -> String {
        match &self.source {
            Source::Dicom { instance_uid, .. } => format!("urn:oid:{instance_uid}"),
            Source::Attachment { reference, .. } => reference.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
