//! What a style draws on, and the film it becomes.

use super::maps::Maps;

/// A film with its truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Film {
    /// In pixels, as `height`.
    pub width: u32,
    pub height: u32,
    /// Row by row, 0 black to 4080 white. None is half way between two of 256 greys: no window can round it two ways.
    pub values: Vec<u16>,
    pub maps: Maps,
}

/// White, and the width of the window that shows it all.
pub(super) const WHITE: u16 = 4080;

/// A picture in the making. Places are relative to the shorter side, which runs from -1 to 1 around the centre, y
/// downwards: so a picture is the same whatever its size.
pub(super) struct Canvas {
    pub width: usize,
    pub height: usize,
    /// Row by row, 0 black to 1 white; what is beyond is cut off at the end.
    pub grey: Vec<f32>,
    pub maps: Maps,
}

impl Canvas {
    /// Black. At least one pixel wide and high.
    pub fn new((width, height): (u32, u32)) -> Canvas {
        let (width, height) = (width.max(1) as usize, height.max(1) as usize);
        Canvas { width, height, grey: vec![0.0; width * height], maps: Maps::default() }
    }

    /// Pixels from the centre to the nearer sides: the unit of places.
    pub fn unit(&self) -> f32 {
        self.width.min(self.height) as f32 / 2.0
    }

    /// The x of a column's middle.
    pub fn x(&self, column: usize) -> f32 {
        (column as f32 + 0.5 - self.width as f32 / 2.0) / self.unit()
    }

    /// The y of a row's middle.
    pub fn y(&self, row: usize) -> f32 {
        (row as f32 + 0.5 - self.height as f32 / 2.0) / self.unit()
    }

    /// Marks in one row of the picture where `mask`, from column `from` on, is over a half.
    pub fn mark(&mut self, channel: usize, row: usize, from: usize, mask: &[f32]) {
        let side = self.width.max(self.height);
        let (left, above) = ((side - self.width) / 2, (side - self.height) / 2);
        self.maps.mark(channel, side, row + above, from + left, mask);
    }

    pub fn film(self) -> Film {
        let values = self.grey.iter().map(|grey| {
            let value = (grey.clamp(0.0, 1.0) * f32::from(WHITE) + 0.5) as u16;
            value + u16::from(value % 16 == 8)
        });
        Film { width: self.width as u32, height: self.height as u32, values: values.collect(), maps: self.maps }
    }
}
