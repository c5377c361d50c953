//! What is measured, how sure it is, and what it should reach.

use serde_json::{Value, json};

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub hits: usize,
    pub of: usize,
}

impl Share {
    pub fn of(hit: bool) -> Share {
        Share { hits: usize::from(hit), of: 1 }
    }

    pub fn sum(shares: impl Iterator<Item = Share>) -> Share {
        shares.fold(Share::default(), |sum, share| Share { hits: sum.hits + share.hits, of: sum.of + share.of })
    }

    /// In percent; of none it is 0.
    pub fn percent(self) -> f64 {
        if self.of == 0 { 0.0 } else { 100.0 * self.hits as f64 / self.of as f64 }
    }

    /// Wilson's interval at 95 %, in percent. <https://doi.org/10.1080/01621459.1927.10502953>
    pub fn interval(self) -> [f64; 2] {
        const Z: f64 = 1.959_964;
        let n = self.of as f64;
        if self.of == 0 {
            return [0.0, 100.0];
        }
        let p = self.hits as f64 / n;
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        [100.0 * (centre - half).max(0.0), 100.0 * (centre + half).min(1.0)]
    }
}

/// A share that is counted over all cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Exact,
    English,
    Korean,
    Drafts,
    Summaries,
    Questions,
    Found,
    There,
    SideErrors,
    Region,
    Severity,
    Change,
    Urgency,
    Precision,
    Recall,
    Blank,
    NoChest,
    Another,
    FalseAbstention,
    Statements,
    Complete,
    Answers,
    Answered,
    AsTaught,
}

use Figure::*;

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Target {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
            Target::Below(bound) => value < bound,
        }
    }

    fn words(self) -> String {
        match self {
            Target::AtLeast(least) => format!("at least {least}"),
            Target::AtMost(most) => format!("at most {most}"),
            Target::Below(bound) => format!("under {bound}"),
        }
    }
}

impl Figure {
    /// In the order of the table.
    pub const ALL: [Figure; 24] = [
        Exact,
        English,
        Korean,
        Drafts,
        Summaries,
        Questions,
        Found,
        There,
        SideErrors,
        Region,
        Severity,
        Change,
        Urgency,
        Precision,
        Recall,
        Blank,
        NoChest,
        Another,
        FalseAbstention,
        Statements,
        Complete,
        Answers,
        Answered,
        AsTaught,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Exact => "whole card exactly right",
            English => "- English",
            Korean => "- Korean",
            Drafts => "- imaging drafts",
            Summaries => "- flagged results",
            Questions => "- questions",
            Found => "findings found, kind and side",
            There => "findings stated that are there",
            SideErrors => "findings stated of the wrong side",
            Region => "region of a finding found",
            Severity => "severity",
            Change => "change against the prior film",
            Urgency => "urgency",
            Precision => "evidence cited that is right",
            Recall => "right evidence that is cited",
            Blank => "abstains: blank film",
            NoChest => "abstains: not a chest film",
            Another => "abstains: another patient's film",
            FalseAbstention => "abstains from a film that can be read",
            Statements => "statements that equal the cited line",
            Complete => "flagged results complete",
            Answers => "questions answered right",
            Answered => "calls answered",
            AsTaught => "prompt as taught, perfect answer kept",
        }
    }

    pub fn target(self) -> Option<Target> {
        match self {
            Exact | Blank | NoChest | Another | Statements => Some(Target::AtLeast(99.0)),
            SideErrors => Some(Target::Below(0.2)),
            Precision | Recall => Some(Target::AtLeast(99.5)),
            Answered | AsTaught => Some(Target::AtLeast(100.0)),
            _ => None,
        }
    }
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub value: Measure,
    pub target: Option<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    Share(Share),
    /// A number of that unit.
    Number(f64, &'static str),
}

impl Row {
    pub fn share(name: impl Into<String>, share: Share, target: Option<Target>) -> Row {
        Row { name: name.into(), value: Measure::Share(share), target }
    }

    pub fn number(name: &str, number: f64, unit: &'static str, target: Option<Target>) -> Row {
        Row { name: name.into(), value: Measure::Number(number, unit), target }
    }

    /// Whether the target is reached; none where there is none.
    pub fn met(&self) -> Option<bool> {
        let value = match self.value {
            Measure::Share(share) => share.percent(),
            Measure::Number(number, _) => number,
        };
        self.target.map(|target| target.is_met(value))
    }

    pub fn json(&self) -> Value {
        let mut row = match self.value {
            Measure::Share(share) => {
                let [low, high] = share.interval();
                json!({ "name": self.name, "hits": share.hits, "of": share.of, "percent": rounded(share.percent()),
                    "low": rounded(low), "high": rounded(high) })
            }
            Measure::Number(number, unit) => json!({ "name": self.name, "value": rounded(number), "unit": unit }),
        };
        if let Some(target) = self.target {
            row["target"] = target.words().into();
            row["met"] = self.met().into();
        }
        row
    }

    /// As it is printed.
    pub fn text(&self) -> String {
        let value = match self.value {
            Measure::Share(share) => {
                let [low, high] = share.interval();
                let counted = format!("{} / {}", share.hits, share.of);
                format!("{counted:>13}  {:>6.2} %  ({low:.2} to {high:.2})", share.percent())
            }
            Measure::Number(number, unit) => format!("{:>13}  {number:>6.2} {unit}", ""),
        };
        match (self.target, self.met()) {
            (Some(target), Some(met)) => {
                let outcome = if met { "met" } else { "MISSED" };
                format!("{:<38}{value:<46}  {}: {outcome}", self.name, target.words())
            }
            _ => format!("{:<38}{value}", self.name).trim_end().to_owned(),
        }
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the formula's published examples and its limits.
    #[test]
    fn intervals_are_wilsons() {
        for (hits, of, low, high) in
            [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (29, 29, 88.30, 100.0)]
        {
            let [below, above] = Share { hits, of }.interval();
            assert!((below - low).abs() < 0.01 && (above - high).abs() < 0.01, "{hits}/{of}: {below} {above}");
        }
        assert_eq!(Share::default().interval(), [0.0, 100.0]);
    }

    #[test]
    fn a_row_says_whether_its_target_is_met() {
        let row = |hits, target| Row::share("cards", Share { hits, of: 1000 }, Some(target));
        assert_eq!(row(990, Target::AtLeast(99.0)).met(), Some(true));
        assert_eq!(row(989, Target::AtLeast(99.0)).met(), Some(false));
        assert_eq!(row(2, Target::Below(0.2)).met(), Some(false));
        assert_eq!(row(1, Target::Below(0.2)).met(), Some(true));
        assert!(row(989, Target::AtLeast(99.0)).text().ends_with("at least 99: MISSED"));
        let json = row(1000, Target::AtLeast(99.0)).json();
        assert_eq!((&json["percent"], &json["high"], &json["met"]), (&json!(100.0), &json!(100.0), &json!(true)));
        assert_eq!(Row::number("load", 0.4, "s", None).json(), json!({ "name": "load", "value": 0.4, "unit": "s" }));
    }

    #[test]
    fn every_figure_is_in_the_table_once() {
        let mut names: Vec<&str> = Figure::ALL.iter().map(|figure| figure.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Figure::ALL.len());
    }
}
