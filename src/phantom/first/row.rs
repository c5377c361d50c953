//! One row of a film being drawn: where its pixels are in the body, and what is on them so far.

use std::ops::Range;

use super::{
    super::{
        Canvas,
        shape::{bump, mix, nearest},
    },
    noise::Fields,
    pose::Pose,
};

/// A stretch of something thin, its width and grey falling off to the sides.
pub(super) struct Stroke {
    pub from: (f32, f32),
    pub to: (f32, f32),
    /// At both ends.
    pub width: (f32, f32),
    pub grey: f32,
}

/// The row. All arrays have one value a pixel.
pub(super) struct Row {
    pub y: f32,
    pub x: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
    pub grey: Vec<f32>,
    /// How much of each pixel is lung: of the whole outline, and above the diaphragm.
    outline: Vec<f32>,
    lung: Vec<f32>,
    /// Room for the mask of what is drawn last.
    pub mask: Vec<f32>,
    low: Vec<f32>,
    middle: Vec<f32>,
    fine: Vec<f32>,
    pub grain: Vec<f32>,
    lattice: Vec<f32>,
    /// Lowest and highest v.
    heights: (f32, f32),
    /// Columns from a u: the column of u = 0, and columns per unit.
    columns: (f32, f32),
    centre: f32,
    unit: f32,
    ys: Vec<f32>,
}

/// One pixel of the row as a painter sees it.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub x: f32,
    pub u: f32,
    pub v: f32,
    pub grey: f32,
    pub outline: f32,
    pub lung: f32,
    pub mask: f32,
    pub low: f32,
    pub middle: f32,
    pub fine: f32,
}

/// How far noise can move a pixel: 3.5 deviations.
const WARP: f32 = 0.012;
const REACH: f32 = 3.5 * WARP;

impl Row {
    pub fn new(canvas: &Canvas) -> Row {
        let zeros = || vec![0.0; canvas.width];
        Row {
            y: 0.0,
            x: (0..canvas.width).map(|column| canvas.x(column)).collect(),
            u: zeros(),
            v: zeros(),
            grey: zeros(),
            outline: zeros(),
            lung: zeros(),
            mask: zeros(),
            low: zeros(),
            middle: zeros(),
            fine: zeros(),
            grain: zeros(),
            lattice: Vec::new(),
            heights: (0.0, 0.0),
            columns: (0.0, 0.0),
            centre: canvas.width as f32 / 2.0,
            unit: canvas.unit(),
            ys: (0..canvas.height).map(|line| canvas.y(line)).collect(),
        }
    }

    /// Goes to a line of the film; everything of the one before is gone.
    pub fn begin(&mut self, line: usize, pose: &Pose, fields: &Fields) {
        self.y = self.ys[line];
        let lattice = &mut self.lattice;
        fields.warp[0].row(line, lattice, &mut self.u);
        fields.warp[1].row(line, lattice, &mut self.v);
        if let Some(low) = &fields.low {
            low.row(line, lattice, &mut self.low);
        }
        fields.middle.row(line, lattice, &mut self.middle);
        fields.fine.row(line, lattice, &mut self.fine);
        fields.grain.row(line, lattice, &mut self.grain);
        let y = self.y;
        let mut heights = (f32::MAX, f32::MIN);
        for ((u, v), x) in self.u.iter_mut().zip(&mut self.v).zip(&self.x) {
            let at = pose.body(*x, y);
            (*u, *v) = (at.0 + WARP * *u, at.1 + WARP * *v);
            heights = (heights.0.min(*v), heights.1.max(*v));
        }
        self.heights = heights;
        let (start, end) = (pose.body(0.0, y).0, pose.body(1.0, y).0);
        let per_u = self.unit / (end - start);
        self.columns = (self.centre - start * per_u, per_u);
        self.outline.fill(0.0);
        self.lung.fill(0.0);
    }

    /// Whether any pixel can lie between the two heights.
    pub fn crosses(&self, v: Range<f32>) -> bool {
        self.heights.1 >= v.start && self.heights.0 <= v.end
    }

    /// The columns whose u can lie in the range.
    pub fn columns(&self, u: Range<f32>) -> Range<usize> {
        let column = |u: f32| ((self.columns.0 + u * self.columns.1).max(0.0) as usize).min(self.x.len());
        let (from, to) = (column(u.start - REACH), column(u.end + REACH + 2.0 / self.columns.1));
        from..to.max(from)
    }

    pub fn all(&self) -> Range<usize> {
        0..self.x.len()
    }

    pub fn fill(&mut self, grey: f32) {
        self.grey.fill(grey);
    }

    /// Gives each pixel of the columns the grey that `painter` finds for it.
    #[inline(always)]
    pub fn paint(&mut self, columns: Range<usize>, painter: impl Fn(Spot) -> f32) {
        let n = columns.len();
        let (x, u, v) = (&self.x[columns.clone()][..n], &self.u[columns.clone()][..n], &self.v[columns.clone()][..n]);
        let (outline, lung) = (&self.outline[columns.clone()][..n], &self.lung[columns.clone()][..n]);
        let (mask, low) = (&self.mask[columns.clone()][..n], &self.low[columns.clone()][..n]);
        let (middle, fine) = (&self.middle[columns.clone()][..n], &self.fine[columns.clone()][..n]);
        let grey = &mut self.grey[columns][..n];
        for i in 0..n {
            grey[i] = painter(Spot {
                x: x[i],
                u: u[i],
                v: v[i],
                grey: grey[i],
                outline: outline[i],
                lung: lung[i],
                mask: mask[i],
                low: low[i],
                middle: middle[i],
                fine: fine[i],
            });
        }
    }

    /// Sets the mask of the columns.
    #[inline(always)]
    pub fn cover(&mut self, columns: Range<usize>, mask: impl Fn(Spot) -> f32) {
        std::mem::swap(&mut self.grey, &mut self.mask);
        // While the two are swapped a spot's grey is the mask and its mask the grey.
        self.paint(columns, mask);
        std::mem::swap(&mut self.grey, &mut self.mask);
    }

    /// Sets how much of each pixel of the columns is lung: by its outline, and above the diaphragm.
    #[inline(always)]
    pub fn open(&mut self, columns: Range<usize>, lung: impl Fn(f32, f32) -> (f32, f32)) {
        let n = columns.len();
        let (u, v) = (&self.u[columns.clone()][..n], &self.v[columns.clone()][..n]);
        let (outline, inside) = (&mut self.outline[columns.clone()][..n], &mut self.lung[columns][..n]);
        for i in 0..n {
            (outline[i], inside[i]) = lung(u[i], v[i]);
        }
    }

    /// Brings the columns as near to a grey as the mask says, times `share`.
    pub fn blend(&mut self, columns: Range<usize>, grey: f32, share: f32) {
        self.paint(columns, |spot| mix(spot.grey, grey, spot.mask * share));
    }

    /// Adds a stroke, in the lungs alone or everywhere.
    pub fn stroke(&mut self, stroke: &Stroke, in_lungs: bool) {
        let Stroke { from, to, width, grey } = *stroke;
        let reach = 2.0 * width.0.max(width.1);
        if !self.crosses(from.1.min(to.1) - reach..from.1.max(to.1) + reach) {
            return;
        }
        let columns = self.columns(from.0.min(to.0) - reach..from.0.max(to.0) + reach);
        let everywhere = if in_lungs { 0.0 } else { 1.0 };
        self.paint(columns, |spot| {
            let (square, along) = nearest((spot.u, spot.v), from, to);
            let wide = mix(width.0, width.1, along);
            spot.grey + grey * bump(square / (wide * wide)) * spot.lung.max(everywhere)
        });
    }
}
