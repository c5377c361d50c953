//! What was measured, for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::machine::Machine;

/// All samples of one contender.
pub struct Row {
    what: String,
    who: String,
    unit: String,
    /// In order of size, never empty.
    samples: Vec<f64>,
}

impl Row {
    pub fn new(what: &str, who: &str, unit: &str, mut samples: Vec<f64>) -> Row {
        samples.sort_by(f64::total_cmp);
        Row { what: what.into(), who: who.into(), unit: unit.into(), samples }
    }

    /// The smallest sample that so many hundredths of all are not above.
    fn percentile(&self, hundredths: usize) -> f64 {
        self.samples[(self.samples.len() * hundredths).div_ceil(100).max(1) - 1]
    }

    /// Smallest, median, 95th percentile, largest.
    fn spread(&self) -> [f64; 4] {
        [self.samples[0], self.percentile(50), self.percentile(95), self.percentile(100)]
    }
}

/// What a median should reach.
pub struct Target {
    what: &'static str,
    who: &'static str,
    unit: &'static str,
    goal: Goal,
}

enum Goal {
    Below(f64),
    /// So many times the median of another.
    Times(f64, &'static str),
}

impl Target {
    pub fn below(what: &'static str, who: &'static str, unit: &'static str, limit: f64) -> Target {
        Target { what, who, unit, goal: Goal::Below(limit) }
    }

    pub fn times(what: &'static str, who: &'static str, other: &'static str, unit: &'static str, least: f64) -> Target {
        Target { what, who, unit, goal: Goal::Times(least, other) }
    }
}

#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    targets: Vec<Target>,
}

impl Table {
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn target(&mut self, target: Target) {
        self.targets.push(target);
    }

    pub fn json(&self, machine: &Machine) -> Value {
        let row = |row: &Row| {
            let [min, p50, p95, max] = row.spread();
            json!({"what": row.what, "who": row.who, "unit": row.unit, "n": row.samples.len(),
                   "min": min, "p50": p50, "p95": p95, "max": max})
        };
        let target = |target: &Target| {
            let (words, met) = self.judged(target);
            json!({"target": words, "met": met})
        };
        json!({
            "machine": machine.json(), "versions": {"curbside": env!("CARGO_PKG_VERSION"), "peers": PEERS.trim()},
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "targets": self.targets.iter().map(target).collect::<Vec<_>>(),
        })
    }

    fn median(&self, what: &str, who: &str, unit: &str) -> f64 {
        let found = self.rows.iter().find(|row| row.what == what && row.who == who && row.unit == unit);
        found.map_or(f64::NAN, |row| row.percentile(50))
    }

    /// The target in words with what was found, and whether it is met.
    fn judged(&self, target: &Target) -> (String, bool) {
        let Target { what, who, unit, goal } = target;
        let found = self.median(what, who, unit);
        match goal {
            Goal::Below(limit) => {
                (format!("{what}: {who} below {limit} {unit}, p50 is {}", figure(found)), found < *limit)
            }
            Goal::Times(least, other) => {
                let times = found / self.median(what, other, unit);
                (format!("{what}: {who} at least {least} times {other}, {unit}, is {}", figure(times)), times >= *least)
            }
        }
    }
}

/// The pinned versions of the peers.
const PEERS: &str = include_str!("requirements.txt");

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for row in &self.rows {
            if row.what != before {
                writeln!(f, "\n{:59}{:>6}{:>10}{:>10}{:>10}{:>10}", row.what, "n", "min", "p50", "p95", "max")?;
                before = &row.what;
            }
            write!(f, "  {:31} {:25}{:>6}", row.who, row.unit, row.samples.len())?;
            row.spread().iter().try_for_each(|value| write!(f, "{:>10}", figure(*value)))?;
            writeln!(f)?;
        }
        for target in &self.targets {
            let (words, met) = self.judged(target);
            write!(f, "\n{}: {words}", if met { "met" } else { "MISSED" })?;
        }
        writeln!(f)
    }
}

/// Three digits, or all before the point.
fn figure(value: f64) -> String {
    match value.abs() {
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
