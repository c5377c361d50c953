//! What the server and the process that decodes say to each other.
//!
//! To the process: a length, a [`Job`] of that length, the file. From it: [`Message`]s in the same form and, after
//! `Picture`, RGB8 of exactly the size that was asked for. Lengths are 32 bits, little endian.

use std::io::{self, Read};

use image::RgbImage;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::{Failure, header::Facts};

/// What a process is to do.
#[derive(Serialize, Deserialize)]
pub struct Job {
    pub task: Task,
    /// Length of the file that follows.
    pub bytes: usize,
    /// Of processor time.
    pub seconds: u64,
    /// Of address space, in bytes.
    pub memory: u64,
}

/// What a file becomes: a square of that side.
#[derive(Serialize, Deserialize)]
pub enum Task {
    /// `Facts`, then `Picture`.
    Film { side: u32 },
    /// `Picture` at once.
    Picture { declared: String, side: u32 },
}

#[derive(Serialize, Deserialize)]
pub enum Message {
    Facts(Box<Facts>),
    /// The pixels follow.
    Picture,
    /// The last word.
    Failed(Failure),
}

/// Room for the longest facts.
const MAX_MESSAGE: u32 = 256 << 10;

/// With its length in front.
pub fn framed(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::other("the message is too long"))?;
    Ok([&length.to_le_bytes(), text.as_slice()].concat())
}

/// The process's side of [`framed`].
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let mut text = vec![0; u32::from_le_bytes(length).min(MAX_MESSAGE) as usize];
    input.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// What a process says, as far as it makes sense. Anything else is [`Failure::BrokeOff`].
pub struct Said(Box<dyn AsyncRead + Send + Unpin>);

impl Said {
    pub fn new(output: impl AsyncRead + Send + Unpin + 'static) -> Said {
        Said(Box::new(output))
    }

    /// The facts of a film, each of the form its attribute has.
    pub async fn facts(&mut self) -> Result<Facts, Failure> {
        match self.message().await? {
            // INVARIANT: what_a_decoder_says_is_not_believed
            Message::Facts(facts) if facts.are_sound() => Ok(*facts),
            Message::Failed(failure) => Err(failure),
            _ => Err(Failure::BrokeOff),
        }
    }

    /// The picture; nothing behind it is read.
    pub async fn pixels(&mut self, side: u32) -> Result<RgbImage, Failure> {
        match self.message().await? {
            Message::Picture => {}
            Message::Failed(failure) => return Err(failure),
            Message::Facts(_) => return Err(Failure::BrokeOff),
        }
        let mut pixels = RgbImage::new(side, side);
        self.0.read_exact(&mut pixels).await.map_err(|_| Failure::BrokeOff)?;
        Ok(pixels)
    }

    async fn message(&mut self) -> Result<Message, Failure> {
        let length = self.0.read_u32_le().await.map_err(|_| Failure::BrokeOff)?;
        if length > MAX_MESSAGE {
            return Err(Failure::BrokeOff);
        }
        let mut text = vec![0; length as usize];
        self.0.read_exact(&mut text).await.map_err(|_| Failure::BrokeOff)?;
        serde_json::from_slice(&text).map_err(|_| Failure::BrokeOff)
    }
}
