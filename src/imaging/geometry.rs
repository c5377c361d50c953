//! From a film or picture of any shape to the square the model wants.

use image::{
    ExtendedColorType, ImageBuffer, ImageEncoder, Pixel, RgbImage,
    codecs::png::{CompressionType, FilterType as Filter, PngEncoder},
    imageops,
};

use super::resize::{margins, resize};

/// Zero-padded to a square, resized bilinearly to `side` where it is not that size already; a grey in R, G and B.
pub(super) fn fit<P: Pixel<Subpixel = u8> + 'static>(picture: ImageBuffer<P, Vec<u8>>, side: u32) -> RgbImage {
    if picture.width().max(picture.height()) != side {
        return resize(&picture, side);
    }
    let square = pad(picture);
    RgbImage::from_fn(side, side, |x, y| square.get_pixel(x, y).to_rgb())
}

/// As the training did: the odd column or row goes to the right or the bottom.
fn pad<P: Pixel<Subpixel = u8> + 'static>(picture: ImageBuffer<P, Vec<u8>>) -> ImageBuffer<P, Vec<u8>> {
    let (width, height) = picture.dimensions();
    if width == height {
        return picture;
    }
    let (side, (left, top)) = (width.max(height), margins(&picture));
    let mut square = ImageBuffer::new(side, side);
    imageops::replace(&mut square, &picture, i64::from(left), i64::from(top));
    square
}

/// The pixels as PNG, RGB8.
pub(super) fn png(pixels: &RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, Filter::Adaptive).write_image(
        pixels.as_raw(),
        pixels.width(),
        pixels.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    /// Columns, rows: left and top padding of a white film.
    fn padding(width: u32, height: u32) -> (u32, u32, u32, u32) {
        let square = pad(GrayImage::from_pixel(width, height, Luma([255])));
        assert_eq!(square.dimensions(), (width.max(height), width.max(height)));
        let row: Vec<u8> = square.rows().nth(height as usize / 2).unwrap().map(|p| p.0[0]).collect();
        let column: Vec<u8> = (0..square.height()).map(|y| square.get_pixel(width / 2, y).0[0]).collect();
        let zeros = |line: &[u8]| line.iter().take_while(|v| **v == 0).count() as u32;
        let reversed = |line: &[u8]| zeros(&line.iter().rev().copied().collect::<Vec<_>>());
        (zeros(&row), reversed(&row), zeros(&column), reversed(&column))
    }

    #[test]
    fn films_are_padded_to_a_square() {
        assert_eq!(padding(1841, 1955), (57, 57, 0, 0));
        assert_eq!(padding(1000, 1003), (1, 2, 0, 0));
        assert_eq!(padding(1003, 1000), (0, 0, 1, 2));
        assert_eq!(padding(7, 7), (0, 0, 0, 0));
    }

    #[test]
    fn a_film_of_the_right_size_is_left_alone() {
        let grey = GrayImage::from_fn(224, 224, |x, y| Luma([(x ^ (y * 7)) as u8]));
        let fitted = fit(grey.clone(), 224);
        assert!(grey.enumerate_pixels().all(|(x, y, p)| fitted.get_pixel(x, y).0 == [p.0[0]; 3]));
    }

    #[test]
    fn png_gives_back_the_pixels() {
        let fitted = fit(GrayImage::from_fn(50, 31, |x, y| Luma([(x * y) as u8])), 40);
        assert_eq!(fitted.dimensions(), (40, 40));
        let read = image::load_from_memory_with_format(&png(&fitted).unwrap(), image::ImageFormat::Png).unwrap();
        assert_eq!(read.as_rgb8(), Some(&fitted));
    }
}
