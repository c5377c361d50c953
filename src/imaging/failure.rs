//! Why a file gives no picture: a closed set, so that a process that decodes can name one and cannot write a sentence.

use serde::{Deserialize, Serialize};

/// Why a file gives no picture. Never a word from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    NotDicom,
    UnreadEncoding,
    Malformed,
    Undecodable,
    Disagree,
    DisagreeOnSign,
    Offsets,
    Incomplete,
    TooSlow,
    TooMuchMemory,
    Ended,
    BrokeOff,
    NoDecoder,
    Late,
    AnotherStudy,
    AnotherSeries,
    AnotherInstance,
    NoStudy,
    NoSeries,
    NoInstance,
    Unowned,
    AnotherPatient,
    FormerNumber,
    AnotherIssuer,
    NoPicture,
    NotAFilm,
    RawData,
    Split,
    Frames,
    Size,
    BurnedIn,
    Recognisable,
    Palette,
    NotGrey,
    Bits,
    BitsStored,
    Sign,
    ModalityLut,
    Rescale,
    Turned,
    Blank,
    NotAPicture,
    UnreadType,
    CutOff,
    PictureSize,
    Animated,
    Scans,
    Colours,
    Transparent,
}

impl Failure {
    /// One clause a clinician understands.
    pub fn reason(self) -> &'static str {
        match self {
            Failure::NotDicom => "the file is not readable DICOM",
            Failure::UnreadEncoding => "the film is stored in an encoding that is not read here",
            Failure::Malformed => "the file is damaged or not built as a film is",
            Failure::Undecodable => "the file could not be decoded",
            Failure::Disagree => "the compressed picture and the header disagree",
            Failure::DisagreeOnSign => "the compressed picture and the header disagree on signed values",
            Failure::Offsets => "the file's table of frames is not that of one picture",
            Failure::Incomplete => "the compressed picture is incomplete",
            Failure::Turned => {
                "the film says that it is stored mirrored or turned, and sides would be taken for one another"
            }
            Failure::TooSlow => "the file took too long to decode",
            Failure::TooMuchMemory => "the file needed too much memory to decode",
            Failure::Ended => {
                "the process that decodes pictures was ended from outside, as happens where the machine has no memory left"
            }
            Failure::BrokeOff => "the file is damaged in a way that broke its decoder",
            Failure::NoDecoder => "the process that decodes pictures could not be started",
            Failure::Late => "there was no time left to read it",
            Failure::AnotherStudy => "the archive sent a film of another study",
            Failure::AnotherSeries => "the archive sent a film of another series",
            Failure::AnotherInstance => "the archive sent another film",
            Failure::NoStudy => "the film does not name its study",
            Failure::NoSeries => "the film does not name its series",
            Failure::NoInstance => "the film has no identifier of its own",
            Failure::Unowned => "the film does not say whose it is",
            Failure::AnotherPatient => "the film belongs to another patient",
            Failure::FormerNumber => "the film's patient number is one that the patient no longer has",
            Failure::AnotherIssuer => "the film's patient number is that of another issuer",
            Failure::NoPicture => "the file has no picture in it",
            Failure::NotAFilm => "the file is not a CR or DX film",
            Failure::RawData => "the film is raw data for processing",
            Failure::Split => "the file is one piece of a split object",
            Failure::Frames => "the file has more than one frame",
            Failure::Size => "the film's rows or columns are out of range",
            Failure::BurnedIn => "the film has text burned into it",
            Failure::Recognisable => "the film is marked as showing features a person can be recognised by",
            Failure::Palette => "the film is in palette colours",
            Failure::NotGrey => "the film is not in greys",
            Failure::Bits => "the film's samples are not of 8 or 16 bits",
            Failure::BitsStored => "the film's bits stored contradict its bits allocated",
            Failure::Sign => "the film does not say whether its values are signed",
            Failure::ModalityLut => "the film's modality lookup table is not readable",
            Failure::Rescale => "the film's rescale slope or intercept is missing or not readable",
            Failure::Blank => "the film is blank",
            Failure::NotAPicture => "its bytes are not of the type it is declared to be",
            Failure::UnreadType => "only PNG and JPEG pictures are read",
            Failure::CutOff => "the picture is damaged or cut off",
            Failure::PictureSize => "the picture is empty or larger than is read here",
            Failure::Animated => "the picture is an animation",
            Failure::Scans => "the picture is stored in too many passes",
            Failure::Colours => "the picture is neither in greys nor in RGB",
            Failure::Transparent => "parts of the picture are transparent, and what lies behind them is not known",
        }
    }

    /// Whether the same film in another encoding may be readable. The others are what the file says of itself, and what is
    /// not worth the risk of a second time.
    pub fn is_of_the_encoding(self) -> bool {
        matches!(
            self,
            Failure::NotDicom
                | Failure::UnreadEncoding
                | Failure::Malformed
                | Failure::Undecodable
                | Failure::Disagree
                | Failure::DisagreeOnSign
                | Failure::Offsets
                | Failure::Incomplete
        )
    }
}
