//! From the bytes of one DICOM file to the picture the model sees, away from the server's own threads.

use std::{sync::Arc, thread};

use bytes::Bytes;
use dicom_object::{OpenFileOptions, Tag};
use dicom_pixeldata::PixelDecoder;
use image::GrayImage;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};

use super::{
    Identity, Image, Source, codestream, geometry,
    header::{Encoding, Failure, Header, PIXEL_DATA},
};

/// Which film a file has to be, and what it becomes.
#[derive(Clone)]
pub(super) struct Wanted {
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub patient: Identity,
    /// Side of the model's square picture in pixels.
    pub side: u32,
    /// Which step of the retrieval ladder gave the file.
    pub retrieved: &'static str,
}

/// A film, and its place in its series.
#[derive(Debug)]
pub(super) struct Film {
    pub image: Image,
    pub number: Option<i64>,
}

const UNDECODABLE: Failure = Failure::Decoding("the file could not be decoded");
const DISAGREE: Failure = Failure::Decoding("the compressed picture and the header disagree");
/// A decode may hold some 500 MiB for a film of the largest size.
pub(super) static DECODERS: Semaphore = Semaphore::const_new(2);
/// Sequences are read by recursion; pages of a stack cost nothing until they are used.
const STACK: usize = 256 << 20;

/// Checks and decodes one file, at most two at a time. A panic of a decoder is a file that could not be decoded.
pub(super) async fn decode(file: Bytes, wanted: Wanted) -> Result<Film, Failure> {
    let permit = DECODERS.acquire().await.map_err(|_| UNDECODABLE)?;
    let (sender, receiver) = oneshot::channel();
    // Not `spawn_blocking`: its stacks are small. The thread ends in a panic alone, and then `sender` is dropped unused.
    let work = move || {
        let _permit = permit;
        let _ = sender.send(film(&file, &wanted));
    };
    thread::Builder::new().name("decode".into()).stack_size(STACK).spawn(work).map_err(|_| UNDECODABLE)?;
    receiver.await.unwrap_or(Err(UNDECODABLE))
}

fn film(file: &[u8], wanted: &Wanted) -> Result<Film, Failure> {
    let header = Header::read(file)?;
    if header.study_uid != wanted.study_uid {
        return Err(Failure::Refused("the archive sent a film of another study"));
    }
    if header.instance_uid != wanted.instance_uid {
        return Err(Failure::Refused("the archive sent another film"));
    }
    wanted.patient.check(header.patient_id.as_deref(), &header.other_patient_ids).map_err(Failure::Refused)?;
    let grey = header.grey.render(&stored(file, &header)?).map_err(Failure::Refused)?;
    let grey = GrayImage::from_raw(header.columns, header.rows, grey).ok_or(UNDECODABLE)?;
    let pixels = geometry::fit(grey, wanted.side);
    let png = geometry::png(&pixels).map_err(|_| UNDECODABLE)?;
    let image = Image {
        source: Source::Dicom {
            study_uid: header.study_uid,
            series_uid: wanted.series_uid.clone(),
            instance_uid: header.instance_uid,
            sop_class_uid: header.sop_class_uid,
            transfer_syntax: header.transfer_syntax,
            window: header.grey.window.map(|window| format!("{}/{}", window.center, window.width)),
        },
        modality: Some(header.modality),
        body_part: header.body_part,
        view: header.view,
        laterality: header.laterality,
        manufacturer: header.manufacturer,
        date: header.date,
        rows: header.rows,
        columns: header.columns,
        lossy: header.lossy,
        retrieved: wanted.retrieved.to_owned(),
        burned_in: header.burned_in.to_owned(),
        sha256: format!("{:x}", Sha256::digest(&png)),
        pixels: Arc::new(pixels),
        png: Arc::new(png),
    };
    Ok(Film { image, number: header.number })
}

/// Attributes the decoder would interpret, or fail on, and we read ourselves.
const OURS: [Tag; 8] = [
    Tag(0x0028, 0x1050),
    Tag(0x0028, 0x1051),
    Tag(0x0028, 0x1052),
    Tag(0x0028, 0x1053),
    Tag(0x0028, 0x1055),
    Tag(0x0028, 0x1056),
    Tag(0x0028, 0x3000),
    Tag(0x0028, 0x3010),
];

/// The stored values, row by row, exactly rows x columns of them.
fn stored(file: &[u8], header: &Header) -> Result<Vec<u16>, Failure> {
    let mut object = OpenFileOptions::new().read_to(PIXEL_DATA).from_reader(file).map_err(|_| UNDECODABLE)?;
    for tag in OURS {
        object.remove_element(tag);
    }
    let pixels = object.get(PIXEL_DATA).ok_or(Failure::Refused("the file has no picture in it"))?;
    if header.encoding != Encoding::Native {
        let fragments = pixels.fragments().ok_or(UNDECODABLE)?;
        promised(fragments.first().ok_or(UNDECODABLE)?, header)?;
    }
    let frame = object.decode_pixel_data_frame(0).map_err(|_| UNDECODABLE)?;
    let bytes = frame.frame_data(0).map_err(|_| UNDECODABLE)?;
    let stored: Vec<u16> = match header.bits_allocated {
        8 => bytes.iter().map(|byte| u16::from(*byte)).collect(),
        _ => bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
    };
    if stored.len() as u64 != u64::from(header.rows) * u64::from(header.columns) {
        return Err(UNDECODABLE);
    }
    // In native data the bits above BitsStored may hold an overlay; out of a codec they would be part of the value.
    let spare = u32::MAX << header.grey.bits_stored;
    if header.encoding != Encoding::Native && !header.grey.signed && stored.iter().any(|v| u32::from(*v) & spare != 0) {
        return Err(DISAGREE);
    }
    Ok(stored)
}

/// Whether a compressed frame is what the header promises: buffers are sized by one and filled by the other.
fn promised(frame: &[u8], header: &Header) -> Result<(), Failure> {
    let frame = match header.encoding {
        Encoding::Jpeg2000 => codestream::jpeg2000(frame),
        Encoding::Jpeg => codestream::jpeg(frame),
        Encoding::Native | Encoding::Rle => return Ok(()),
    };
    let frame = frame.ok_or(UNDECODABLE)?;
    if header.encoding == Encoding::Jpeg2000 && frame.signed != header.grey.signed {
        return Err(Failure::Decoding("the compressed picture and the header disagree on signed values"));
    }
    let precision = if header.grey.signed { header.grey.bits_stored } else { header.bits_allocated };
    let size = (frame.width, frame.height, frame.components) == (header.columns, header.rows, 1);
    // A JPEG decoder writes one or two bytes by the stream's precision, not by the header's.
    let bytes = header.encoding != Encoding::Jpeg || (frame.precision > 8) == (header.bits_allocated == 16);
    if size && bytes && frame.precision <= precision { Ok(()) } else { Err(DISAGREE) }
}
