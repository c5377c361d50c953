//! Where each finding is: a grid over the square picture, one bit a cell.

use std::ops::Range;

use crate::finding::{Finding, FindingKind, Region, Severity, Side};

/// Cells on a side of the grid.
pub const CELLS: usize = 8;

/// What is told apart, in the order of the maps.
pub const CHANNELS: [&str; 13] =
    ["ptxR", "ptxL", "opR0", "opR1", "opR2", "opL0", "opL1", "opL2", "effR", "effL", "cardio", "lineR", "lineL"];

/// For each of [`CHANNELS`] the cells in which the drawing is more than half the finding: bit `y * 8 + x`.
///
/// The grid is that of the film padded with black to a square, as a model sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Maps(pub [u64; CHANNELS.len()]);

impl Maps {
    /// Marks the cells of one row of the square picture of `side` pixels where `mask`, from column `from` on, is > 0.5.
    pub(super) fn mark(&mut self, channel: usize, side: usize, row: usize, from: usize, mask: &[f32]) {
        let cell = |at: usize| (at * CELLS / side.max(1)).min(CELLS - 1);
        let columns = |cell: usize| -> Range<usize> {
            let clip = |column: usize| column.saturating_sub(from).min(mask.len());
            clip((cell * side).div_ceil(CELLS))..clip(((cell + 1) * side).div_ceil(CELLS))
        };
        for x in 0..CELLS {
            if mask[columns(x)].iter().any(|share| *share > 0.5) {
                self.0[channel] |= 1 << (cell(row) * CELLS + x);
            }
        }
    }
}

/// Which of [`CHANNELS`] a finding is of.
pub fn channel(finding: &Finding) -> usize {
    let left = usize::from(finding.side == Side::Left);
    match finding.kind {
        FindingKind::Pneumothorax => left,
        FindingKind::Opacity => 2 + 3 * left + third(finding.region),
        FindingKind::Effusion => 8 + left,
        FindingKind::Cardiomegaly => 10,
        FindingKind::Line => 11 + left,
    }
}

/// Small, moderate, large as 0, 1, 2; of a line, where its tip is: upper, mediastinum, lower.
pub fn grade(finding: &Finding) -> usize {
    match (finding.kind, finding.severity) {
        (FindingKind::Line, _) => third(finding.region),
        (_, Severity::Large) => 2,
        (_, Severity::Moderate) => 1,
        _ => 0,
    }
}

/// Upper, middle (for a line the mediastinum), lower.
pub(super) fn third(region: Region) -> usize {
    match region {
        Region::Upper => 0,
        Region::Lower => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_marked_where_more_than_half_is_there() {
        let mut maps = Maps::default();
        let mut mask = [0.5; 40];
        mask[39] = 0.51;
        maps.mark(4, 224, 28, 100, &mask);
        assert_eq!(maps.0[4], 1 << (8 + 4), "column 139 is in the fifth cell of the second row");
        let mut all = Maps::default();
        (0..13).for_each(|row| all.mark(0, 13, row, 0, &[1.0; 13]));
        assert_eq!(all.0[0], u64::MAX, "cells of unequal size leave no gap");
    }
}
