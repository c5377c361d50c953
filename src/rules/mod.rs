//! Order checks: alerts about draft orders that rules make from the chart, without a model. Rules are data.
//!
//! `cds-hooks/rules/*.json` hold them, each with its source, its codes and names, and cases that a test runs.
//! What cannot be evaluated is told: that nothing is said must never look like safety.

mod allergy;
mod check;
mod drafts;
mod duplicate;
mod given;
mod load;
mod ordinary;
mod terms;
#[cfg(test)]
mod tests;
mod words;

pub use check::{Against, Alert, Checked, Relation, check, needed};
pub use drafts::{DraftOrders, Order, read};
pub use load::load;
pub use terms::{MatchedBy, Term};

use serde::{Deserialize, Serialize};

use self::terms::{TermId, Terms};
use crate::service::Check;

/// One rule as its file gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: String,
    /// Of the rule's content, such as `1.0.0`; printed with it.
    pub version: String,
    pub title: String,
    pub source: Source,
    /// What the reader is told beside the fact that it applies.
    pub explanation: String,
    /// Who looked it over for use with patients, or that nobody did, and what of it is not confirmed; printed with it.
    pub review: String,
    #[serde(default)]
    pub terms: Vec<Term>,
    pub when: RuleCondition,
    /// What a test runs; at least one that the rule finds and one that it does not.
    pub cases: Vec<Case>,
}

/// Where the facts of a rule come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub citation: String,
    pub url: String,
    /// Of the text cited; the facts taken from it are nobody's.
    pub licence: String,
}

/// What a rule looks for; terms by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleCondition {
    /// An allergy to a substance that the order holds.
    SameSubstance {},
    /// An allergy to the one, and an order for the other.
    Allergy(AllergyRule),
    /// An examination of the same kind, done or ordered.
    DuplicateImaging(Examinations),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllergyRule {
    pub allergen: Vec<String>,
    pub ordered: Vec<String>,
    pub relation: Relation,
    /// What the rule cannot decide; told as not evaluated.
    #[serde(default)]
    pub unclear: Vec<Unclear>,
}

/// An allergy to the one and an order for the other, of which a rule does not know whether they go together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unclear {
    pub allergen: Vec<String>,
    pub ordered: Vec<String>,
    /// One clause.
    pub why: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examinations {
    /// The term that says that an order is one of imaging at all.
    pub imaging: String,
    pub of: Vec<Examination>,
    /// Words by which what no rule knows is still known to be none of these, such as other parts of the body.
    #[serde(default)]
    pub elsewhere: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examination {
    pub term: String,
    /// Words by which what no rule knows may be this one, whatever other parts of the body stand beside them.
    #[serde(default)]
    pub here: Vec<String>,
    /// How many days before an order an examination of the same kind is recent.
    pub days: i64,
}

/// A case of a rule: resources in short, and whether the rule finds something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub says: String,
    /// Members of the draft order beside those every order has.
    pub order: serde_json::Value,
    /// Members of records beside those every record has.
    #[serde(default)]
    pub records: Vec<serde_json::Value>,
    pub found: bool,
    /// Another rule that finds something where this one does not.
    #[serde(default)]
    pub found_by: Option<String>,
    /// Something could not be evaluated.
    #[serde(default)]
    pub not_evaluated: bool,
}

/// What an alert says of the rule it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cited {
    pub id: String,
    pub version: String,
    pub title: String,
    pub explanation: String,
    pub review: String,
    pub source: Source,
}

/// All rules, ready to be applied.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<LoadedRule>,
    terms: Terms,
}

/// A rule whose terms were found.
#[derive(Debug)]
struct LoadedRule {
    cited: Cited,
    when: Condition,
}

/// What a loaded rule looks for.
#[derive(Debug)]
enum Condition {
    SameSubstance,
    Allergy { pair: TermPair, relation: Relation, unclear: Vec<(TermPair, String)> },
    DuplicateImaging { imaging: TermId, examinations: Vec<Examined>, elsewhere: Vec<Vec<String>> },
}

/// A kind of examination, for how many days one of it is recent, and words by which a record may be one.
#[derive(Debug)]
struct Examined {
    term: TermId,
    days: i64,
    here: Vec<Vec<String>>,
}

/// Terms of allergies and of orders; what belongs to one of them counts.
#[derive(Debug)]
struct TermPair {
    allergen: Vec<TermId>,
    ordered: Vec<TermId>,
}

impl Condition {
    fn check(&self) -> Check {
        match self {
            Condition::SameSubstance | Condition::Allergy { .. } => Check::Allergy,
            Condition::DuplicateImaging { .. } => Check::DuplicateImaging,
        }
    }
}
