//! Bilinear resizing of a picture in the middle of a black square, without building the square.
//!
//! Bit for bit what `image` makes of the built one: its triangle filter, rows first, sums in the same order, and black adds
//! nothing to a sum.

use image::{ImageBuffer, Pixel, RgbImage};

/// What one pixel of the result takes from one axis: consecutive pixels of the picture, and how much each counts.
struct Share {
    first: usize,
    weights: Vec<f32>,
}

/// Pixels left of and above a picture in the middle of its square: the odd one goes to the right or the bottom.
pub(super) fn margins<P: Pixel>(picture: &ImageBuffer<P, Vec<P::Subpixel>>) -> (u32, u32) {
    let (width, height) = picture.dimensions();
    let square = width.max(height);
    ((square - width) / 2, (square - height) / 2)
}

/// The square around the picture as one of that side, RGB8; black where there is no picture.
pub(super) fn resize<P: Pixel<Subpixel = u8>>(picture: &ImageBuffer<P, Vec<u8>>, side: u32) -> RgbImage {
    let channels = usize::from(P::CHANNEL_COUNT);
    let (width, height) = picture.dimensions();
    if picture.is_empty() {
        return RgbImage::new(side, side);
    }
    let (square, (left, top)) = (width.max(height), margins(picture));
    let (columns, rows) = (shares(square, left, width, side), shares(square, top, height, side));
    let length = width as usize * channels;
    let mut sums = vec![0.0; length];
    let mut resized = RgbImage::new(side, side);
    for (share, row) in rows.iter().zip(resized.rows_mut()) {
        sums.fill(0.0);
        for (weight, source) in share.weights.iter().zip(picture.chunks_exact(length).skip(share.first)) {
            sums.iter_mut().zip(source).for_each(|(sum, sample)| *sum += f32::from(*sample) * weight);
        }
        for (share, pixel) in columns.iter().zip(row) {
            let mut sum = [0.0; 4];
            for (weight, source) in share.weights.iter().zip(sums.chunks_exact(channels).skip(share.first)) {
                sum.iter_mut().zip(source).for_each(|(sum, sample)| *sum += sample * weight);
            }
            let samples = sum.map(|sum: f32| sum.clamp(0.0, 255.0).round() as u8);
            *pixel = P::from_slice(&samples[..channels]).to_rgb();
        }
    }
    resized
}

/// For each of `to` pixels its share of `length` pixels behind `margin` black ones, of a side of `from`.
fn shares(from: u32, margin: u32, length: u32, to: u32) -> Vec<Share> {
    let ratio = from as f32 / to as f32;
    let reach = ratio.max(1.0);
    let share = |at| {
        let center = (at as f32 + 0.5) * ratio;
        let start = ((center - reach).floor() as i64).clamp(0, i64::from(from) - 1) as u32;
        let end = ((center + reach).ceil() as i64).clamp(i64::from(start) + 1, i64::from(from)) as u32;
        let weight = |source: u32| (1.0 - ((source as f32 - (center - 0.5)) / reach).abs()).max(0.0);
        // Of black ones too: they count, and add nothing.
        let sum: f32 = (start..end).map(weight).sum();
        let picture = start.max(margin)..end.min(margin + length);
        Share {
            first: picture.start.saturating_sub(margin) as usize,
            weights: picture.map(|source| weight(source) / sum).collect(),
        }
    };
    (0..to).map(share).collect()
}

#[cfg(test)]
mod tests {
    use image::{
        GrayImage, Luma, Rgb,
        imageops::{self, FilterType},
    };

    use super::*;

    /// Larger and smaller than the square, upright and lying, one pixel wide, with odd and even margins.
    const SIZES: [(u32, u32); 10] =
        [(1, 1), (1, 90), (90, 1), (40, 40), (41, 64), (64, 41), (203, 250), (250, 203), (512, 131), (7, 8)];

    /// Hard edges and every grey.
    fn sample(x: u32, y: u32, channel: u32) -> u8 {
        let value = (x * 31 + y * 17 + channel * 101) ^ (x * y);
        if (x / 5 + y / 3).is_multiple_of(4) { 255 } else { value as u8 }
    }

    fn built<P: Pixel<Subpixel = u8> + 'static>(picture: &ImageBuffer<P, Vec<u8>>, side: u32) -> RgbImage {
        let square = picture.width().max(picture.height());
        let (left, top) = margins(picture);
        let mut padded = ImageBuffer::new(square, square);
        imageops::replace(&mut padded, picture, i64::from(left), i64::from(top));
        let resized = imageops::resize(&padded, side, side, FilterType::Triangle);
        RgbImage::from_fn(side, side, |x, y| resized.get_pixel(x, y).to_rgb())
    }

    #[test]
    fn the_built_square_gives_the_same_bits() {
        for (width, height) in SIZES {
            let grey = GrayImage::from_fn(width, height, |x, y| Luma([sample(x, y, 0)]));
            let colour = RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| sample(x, y, c))));
            for side in [1, 13, 40, 64, 89, 300] {
                assert!(resize(&grey, side) == built(&grey, side), "grey, {width} x {height} to {side}");
                assert!(resize(&colour, side) == built(&colour, side), "RGB, {width} x {height} to {side}");
            }
        }
    }

    #[test]
    fn a_square_of_no_side_is_empty_and_one_of_no_picture_is_black() {
        assert_eq!(resize(&GrayImage::new(3, 2), 0).dimensions(), (0, 0));
        for (width, height) in [(0, 0), (0, 3), (3, 0)] {
            assert!(resize(&GrayImage::new(width, height), 4).iter().all(|value| *value == 0));
        }
    }
}
