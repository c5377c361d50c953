//! From the model's answer to an Assessment in which every statement rests on evidence. Pure: the safety core.

mod claim;
pub mod contract;
mod facts;
mod sentence;
mod summary;
mod words;

pub use crate::finding::{Change, Finding, FindingKind, Region, Severity, Side};
pub use facts::described;
pub use sentence::{looked_for, sentence};
pub use summary::summarise;
pub use words::Words;

use serde::{Deserialize, Serialize};

use crate::{
    chart::{Chart, EvidenceId, Examined, Gap, NotShown},
    finding::words,
};

/// What the product says, whatever service says it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Assessment {
    pub sections: Vec<Section>,
    pub urgency: Option<Urgency>,
    /// Why nothing is said; then `sections` is empty.
    pub abstained: Option<Abstention>,
    pub ledger: Ledger,
    /// Statements that were not kept, and why.
    pub rejected: Vec<Rejected>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Section {
    pub key: String,
    pub title: String,
    pub statements: Vec<Statement>,
}

/// One sentence of ours, and what it rests on. `evidence` is never empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Statement {
    pub text: String,
    pub finding: Option<Finding>,
    pub evidence: Vec<EvidenceId>,
}

words!(
    /// Which of them a model may say is its contract's.
    Urgency { Routine = "routine", Soon = "soon", Urgent = "urgent", Critical = "critical", CannotDetermine = "cannot_determine" }
);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abstention {
    /// One sentence for the reader.
    pub reason: String,
    pub evidence: Vec<EvidenceId>,
    /// False: the model was not asked at all.
    pub model_asked: bool,
}

/// What was looked at, what was kept from the model and why, what failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    pub examined: Vec<Examined>,
    pub shown: Vec<EvidenceId>,
    pub not_shown: Vec<NotShown>,
    pub failed: Vec<Gap>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub what: String,
    pub why: String,
}

/// The assessment where the model is not asked at all: nothing is said but why.
pub fn not_asked(chart: &Chart, reason: String) -> Assessment {
    let why = "the model was not asked";
    let not_shown = chart.evidence.iter().map(|e| NotShown { evidence: e.id, why: why.into() }).collect();
    let ledger =
        Ledger { examined: chart.examined.clone(), not_shown, failed: chart.gaps.clone(), ..Ledger::default() };
    Assessment {
        abstained: Some(Abstention { reason, evidence: Vec::new(), model_asked: false }),
        ledger,
        ..Assessment::default()
    }
}
