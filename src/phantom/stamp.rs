//! The words "MADE UP" in a corner of a film, for people who see the picture without its file.

use super::canvas::{Film, WHITE};

/// Letters of 3 x 5 dots.
const DOTS: [&[u8; 25]; 5] = [
    b"# #  #  ##  ###   # # ## ",
    b"### # # # # #     # # # #",
    b"### ### # # ##    # # ## ",
    b"# # # # # # #     # # #  ",
    b"# # # # ##  ###   ### #  ",
];

impl Film {
    /// Writes the words small into the top left corner, above the shoulder.
    pub fn stamp(&mut self) {
        let (width, height) = (self.width as usize, self.height as usize);
        let dot = (width.min(height) / 200).max(1);
        for (row, dots) in DOTS.iter().enumerate() {
            for (column, _) in dots.iter().enumerate().filter(|(_, ink)| **ink == b'#') {
                for (x, y) in (0..dot * dot).map(|i| ((column + 3) * dot + i % dot, (row + 3) * dot + i / dot)) {
                    if let Some(value) = (x < width).then(|| self.values.get_mut(y * width + x)).flatten() {
                        *value = WHITE;
                    }
                }
            }
        }
    }
}
