//! The one error of the product. It names neither HTTP nor FHIR: `http` and `fhir` each hold an exhaustive table over [`Kind`].

use std::{error::Error as StdError, fmt, time::Duration};

/// When to come again where what is lacking passes by itself.
pub const SOON: Duration = Duration::from_secs(1);

/// What went wrong, in the terms of whoever has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    EditConflict,
    Gone,
    VersionMismatch,
    TooLarge,
    UnsupportedMedia,
    Unprocessable,
    Quota,
    /// Refused before any work was done; the caller may try again.
    Busy,
    Upstream,
    Timeout,
    /// Our own fault. The message is for the log; the caller sees a fixed sentence.
    Fault,
    /// Required data could be had neither from the request nor from the caller's FHIR server.
    MissingData,
}

impl Kind {
    pub const ALL: [Kind; 18] = [
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::EditConflict,
        Kind::Gone,
        Kind::VersionMismatch,
        Kind::TooLarge,
        Kind::UnsupportedMedia,
        Kind::Unprocessable,
        Kind::Quota,
        Kind::Busy,
        Kind::Upstream,
        Kind::Timeout,
        Kind::Fault,
        Kind::MissingData,
    ];
}

/// An error with a kind, a sentence a person can act on, and the place in the input it speaks of.
///
/// The message never holds patient data, a token, or text echoed from a request.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    /// FHIRPath-like place in the caller's input, such as `context.draftOrders`.
    pub expression: Option<String>,
    pub retry_after: Option<Duration>,
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), expression: None, retry_after: None, source: None }
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::new(Kind::Upstream, message)
    }
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Kind::Timeout, message)
    }
    pub fn fault(message: impl Into<String>) -> Self {
        Self::new(Kind::Fault, message)
    }
    pub fn missing_data(message: impl Into<String>) -> Self {
        Self::new(Kind::MissingData, message)
    }
    pub fn busy(message: impl Into<String>, retry_after: Duration) -> Self {
        Error { retry_after: Some(retry_after), ..Self::new(Kind::Busy, message) }
    }
    /// Names the place in the caller's input.
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}
