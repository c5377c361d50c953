//! From an ImagingStudy to the pixels a model sees, each picture tied to who, what and when.

mod codestream;
mod decode;
mod encapsulated;
mod endpoint;
mod failure;
mod film;
mod geometry;
mod header;
mod identity;
mod multipart;
mod outline;
mod picture;
mod run_length;
mod selection;
mod study;
mod uid;
mod wado;
mod windowing;

pub use decode::{DECODE, Decoder, Film, Wanted, decode_child, this_program};
pub use failure::Failure;
pub use identity::Identity;
pub use study::{Access, Doubted, Dropped, Limits, Study, read_study, study_uid};

use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::fhir::Date;

/// One picture as it is shown to the model, with what the file says of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub sop_class_uid: String,
    pub modality: String,
    /// Body Part Examined (0018,0015).
    pub body_part: Option<String>,
    /// View Position (0018,5101).
    pub view: Option<String>,
    /// Image Laterality (0020,0062).
    pub laterality: Option<String>,
    /// Manufacturer (0008,0070): what made the picture.
    pub manufacturer: Option<String>,
    /// Study Date (0008,0020).
    pub date: Option<Date>,
    pub rows: u32,
    pub columns: u32,
    /// `center/width` as applied; absent where the file has no usable window.
    pub window: Option<String>,
    pub transfer_syntax: String,
    pub lossy: bool,
    /// How it was had: which step of the retrieval ladder.
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

#[cfg(test)]
mod tests;
