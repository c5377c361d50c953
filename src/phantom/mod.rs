//! Made-up chest films with known truth: for training, evaluation and demonstration, never of a real person.
//!
//! Everything is drawn from seeds and comes out the same on every machine: no function of a platform's own mathematics
//! library is used. A [`Patient`] is an anatomy, [`Content`] what the film shows of it, a [`Style`] how it is drawn.

mod canvas;
pub mod dicom;
mod first;
mod maps;
mod png;
mod random;
mod sample;
mod second;
mod shape;
mod stamp;
#[cfg(test)]
mod tests;

pub use canvas::Film;
pub use maps::{CELLS, CHANNELS, Maps, channel, grade};
pub use png::png;
pub use random::Random;
pub use sample::{change, findings, prior};

use self::canvas::Canvas;
use crate::finding::Finding;

/// What the files name as their maker.
pub const MANUFACTURER: &str = "curbside phantom";

/// What every film says of itself.
pub const MADE_UP: &str = "made up, not a film of a person";

/// A way of drawing: anatomy, pictures of other things and exposure.
///
/// A style is one module with a `draw` and one arm in [`Patient::faint_film`]. It takes the patient's seed, the
/// content, how visible findings are, a [`Random`] for all that differs between two films of one patient, and a
/// [`Canvas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    First,
    Second,
}

/// What a film shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A frontal chest. A finding with a side or a severity that its kind does not have is not drawn.
    Chest(Vec<Finding>),
    /// One grey, whatever was before the detector.
    Blank,
    /// Something that is no chest.
    Other,
    /// A kind of other picture that [`Content::Other`] never is: to ask a model what it never saw.
    HeldOut,
}

/// A made-up patient: every film of one shows the same anatomy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Patient {
    seed: u64,
}

impl Patient {
    pub fn new(random: &mut Random) -> Patient {
        Patient { seed: random.number() }
    }

    /// A film of `size` = (width, height) in pixels. Pose, exposure and what distracts differ from film to film.
    ///
    /// A finding changes nothing but itself: the same `random` gives the same film with it and without.
    pub fn film(&self, random: &mut Random, content: &Content, style: Style, size: (u32, u32)) -> Film {
        self.faint_film(random, content, style, size, 1.0)
    }

    /// As [`Patient::film`], with the contrast of findings times `visible`: 1 is as usual, 0 invisible. Maps stay.
    pub fn faint_film(
        &self,
        random: &mut Random,
        content: &Content,
        style: Style,
        size: (u32, u32),
        visible: f32,
    ) -> Film {
        let mut canvas = Canvas::new(size);
        let mut random = random.fork();
        match style {
            Style::First => first::draw(self.seed, content, visible, &mut random, &mut canvas),
            Style::Second => second::draw(self.seed, content, visible, &mut random, &mut canvas),
        }
        canvas.film()
    }
}

/// The film as the server shows it to a model, before it is fitted to a square: one byte a pixel, row by row, 0 black.
pub fn grey(film: &Film) -> Vec<u8> {
    film.values.iter().map(|value| ((value + 8) >> 4) as u8).collect()
}
