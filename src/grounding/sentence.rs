//! Findings in our words, English and Korean; a model's own are never shown.

use super::{Change, Finding, FindingKind, Region, Severity, Side};
use crate::task::Language;

/// One finding as a sentence.
pub fn sentence(finding: Finding, language: Language) -> String {
    match language {
        Language::English => english(finding),
        Language::Korean => korean(finding),
    }
}

/// What any film is looked through for, whatever was found: a finding of another kind cannot be stated.
pub fn looked_for(language: Language) -> String {
    let kinds: Vec<&str> = FindingKind::ALL.iter().map(|kind| name(*kind, language)).collect();
    let kinds = kinds.join(", ");
    match language {
        Language::English => format!("Looked for: {kinds}. Nothing else was looked for."),
        Language::Korean => format!("확인한 소견: {kinds}. 그 밖의 소견은 확인하지 않음."),
    }
}

fn name(kind: FindingKind, language: Language) -> &'static str {
    match (kind, language) {
        (FindingKind::Pneumothorax, Language::English) => "pneumothorax",
        (FindingKind::Pneumothorax, Language::Korean) => "기흉",
        (FindingKind::Opacity, Language::English) => "opacity",
        (FindingKind::Opacity, Language::Korean) => "폐 음영",
        (FindingKind::Effusion, Language::English) => "pleural effusion",
        (FindingKind::Effusion, Language::Korean) => "흉수",
        (FindingKind::Cardiomegaly, Language::English) => "enlarged heart shadow",
        (FindingKind::Cardiomegaly, Language::Korean) => "심장 음영 확대",
        (FindingKind::Line, Language::English) => "central line",
        (FindingKind::Line, Language::Korean) => "중심정맥관",
    }
}

fn english(finding: Finding) -> String {
    let Finding { kind, side, region, severity, change } = finding;
    let kind = name(kind, Language::English);
    let size = match severity {
        Severity::None => "",
        Severity::Small => "small ",
        Severity::Moderate => "moderate ",
        Severity::Large => "large ",
    };
    let place = match (finding.kind, side) {
        (FindingKind::Cardiomegaly, _) => String::new(),
        (_, Side::Midline) => ", midline".to_owned(),
        (_, side) => format!(", {}", side.word()),
    };
    let region = match (finding.kind, region) {
        (FindingKind::Cardiomegaly, _) => String::new(),
        (FindingKind::Line, Region::Upper | Region::Middle | Region::Lower) => format!(", tip {}", region.word()),
        (FindingKind::Line, Region::Mediastinum) => ", tip in the mediastinum".into(),
        (_, Region::Whole) => ", whole side".into(),
        (_, region) => format!(", {}", region.word()),
    };
    let change = match change {
        Change::Unknown => "",
        Change::New => " (new since the prior film)",
        Change::Same => " (unchanged from the prior film)",
        Change::Better => " (less than on the prior film)",
        Change::Worse => " (more than on the prior film)",
    };
    let mut text = format!("{size}{kind}{place}{region}{change}");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn korean(finding: Finding) -> String {
    let Finding { kind, side, region, severity, change } = finding;
    let name = name(kind, Language::Korean);
    let size = match severity {
        Severity::None => "",
        Severity::Small => ", 소량",
        Severity::Moderate => ", 중등도",
        Severity::Large => ", 다량",
    };
    let size = match (kind, severity) {
        (FindingKind::Cardiomegaly, Severity::Small) => ", 경도",
        (FindingKind::Cardiomegaly, Severity::Large) => ", 고도",
        _ => size,
    };
    let side = match (kind, side) {
        (FindingKind::Cardiomegaly, _) => "",
        (_, Side::Right) => ", 오른쪽",
        (_, Side::Left) => ", 왼쪽",
        (_, Side::Midline) => ", 가운데",
    };
    let region = match region {
        _ if kind == FindingKind::Cardiomegaly => "",
        Region::Upper => " 상부",
        Region::Middle => " 중부",
        Region::Lower => " 하부",
        Region::Whole => " 전체",
        Region::Heart => " 심장",
        Region::Mediastinum => " 종격",
    };
    let tip = if kind == FindingKind::Line { " 끝" } else { "" };
    let change = match change {
        Change::Unknown => "",
        Change::New => " (이전 영상 이후 새로 생김)",
        Change::Same => " (이전 영상과 같음)",
        Change::Better => " (이전 영상보다 줄어듦)",
        Change::Worse => " (이전 영상보다 늘어남)",
    };
    format!("{name}{side}{region}{tip}{size}{change}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINDING: Finding = Finding {
        kind: FindingKind::Effusion,
        side: Side::Left,
        region: Region::Lower,
        severity: Severity::Moderate,
        change: Change::Worse,
    };

    #[test]
    fn a_finding_reads_the_same_in_both_languages() {
        let both = |finding| [Language::English, Language::Korean].map(|language| sentence(finding, language));
        assert_eq!(
            both(FINDING),
            [
                "Moderate pleural effusion, left, lower (more than on the prior film)",
                "흉수, 왼쪽 하부, 중등도 (이전 영상보다 늘어남)"
            ]
        );
        let line = Finding {
            kind: FindingKind::Line,
            side: Side::Right,
            region: Region::Mediastinum,
            severity: Severity::None,
            change: Change::Unknown,
        };
        assert_eq!(both(line), ["Central line, right, tip in the mediastinum", "중심정맥관, 오른쪽 종격 끝"]);
        let heart = Finding {
            kind: FindingKind::Cardiomegaly,
            side: Side::Midline,
            region: Region::Heart,
            change: Change::New,
            ..FINDING
        };
        assert_eq!(
            both(heart),
            [
                "Moderate enlarged heart shadow (new since the prior film)",
                "심장 음영 확대, 중등도 (이전 영상 이후 새로 생김)"
            ]
        );
    }
}
