//! What card, report and page say alike, in both languages. Codes, ids, values, units and the EHR's own texts are the same in either.

use super::Urgency;
use crate::{
    chart::{Choice, StudyRead},
    task::Language,
};

pub struct Words {
    /// The line that stands on everything a model helped to write, in text and in data.
    pub banner: &'static str,
    /// What it is for, and that it is no medical device.
    pub intended_use: fn(&str) -> String,
    pub study_read: &'static str,
    pub picture_read: &'static str,
    pub no_date: &'static str,
    pub bad_date: &'static str,
    urgency: [&'static str; 5],
    named: &'static str,
    newest: &'static str,
    newest_unchecked: &'static str,
    only: &'static str,
    pub facts: Facts,
    pub places: [&'static str; 7],
    pub since: &'static str,
    pub ordered: &'static str,
    pub recorded: &'static str,
    /// What stands for a word of the record, such as `active` or `high`, and for what a site calls its intended use.
    coded: &'static [(&'static str, &'static str)],
}

/// Kinds of evidence, and what is said of one beside the EHR's own text.
pub struct Facts {
    pub picture: &'static str,
    pub vital: &'static str,
    pub measurement: &'static str,
    pub note: &'static str,
    pub medication: &'static str,
    pub problem: &'static str,
    pub allergy: &'static str,
    pub study: &'static str,
    pub order: &'static str,
    pub report: &'static str,
    pub current: &'static str,
    pub prior: &'static str,
    pub film: &'static str,
    pub unknown_picture: &'static str,
    pub no_view: &'static str,
    pub preliminary: &'static str,
    pub criticality: &'static str,
    pub and: &'static str,
    /// Trend (`up`, `down`, `unchanged`, none), value, then day, or nothing, then whether it is preliminary.
    pub before: fn([&str; 4]) -> String,
    pub trends: [&'static str; 4],
}

const ENGLISH: Words = Words {
    banner: "AI-generated draft, review before signing",
    intended_use: |used_for| format!("Intended use: {used_for}. Not a medical device."),
    study_read: "Study read",
    picture_read: "Picture read",
    no_date: "date not stated",
    bad_date: "the date given is not a valid date",
    urgency: ["routine", "soon", "urgent", "critical", "cannot_determine"],
    named: "named by the order",
    newest: "the newest unreported one that fits the order",
    newest_unchecked: "the newest one received that fits the order; whether it was reported could not be checked",
    only: "the only one received from the days before the order; its record does not say what it shows",
    facts: Facts {
        picture: "picture",
        vital: "vital sign",
        measurement: "measurement",
        note: "note",
        medication: "medication",
        problem: "problem",
        allergy: "allergy",
        study: "imaging study",
        order: "order",
        report: "report",
        current: "current",
        prior: "prior",
        film: "film",
        unknown_picture: "picture: modality not stated",
        no_view: "view not stated",
        preliminary: "preliminary",
        criticality: "criticality",
        and: " and ",
        before: |[trend, value, day, preliminary]| {
            let on = if day.is_empty() { "" } else { " on " };
            let mark = if preliminary.is_empty() { String::new() } else { format!(" ({preliminary})") };
            format!("{trend} {value}{on}{day}{mark}")
        },
        trends: ["up from", "down from", "unchanged from", "before:"],
    },
    places: [
        "Problems",
        "Current medicines",
        "Allergies",
        "Last value of each test",
        "Examination notes",
        "Imaging studies",
        "Reports",
    ],
    since: "since",
    ordered: "ordered",
    recorded: "recorded",
    coded: &[],
};

const KOREAN: Words = Words {
    banner: "AI가 작성한 초안, 서명 전 검토 필요",
    intended_use: |used_for| format!("사용 목적: {used_for}. 의료기기가 아님."),
    study_read: "분석한 검사",
    picture_read: "분석한 사진",
    no_date: "날짜 미상",
    bad_date: "날짜 오류",
    urgency: ["일반", "조기 확인", "긴급", "위급", "판단 불가"],
    named: "처방에서 지정한 것",
    newest: "처방에 맞고 아직 판독되지 않은 것 가운데 가장 최근 것",
    newest_unchecked: "처방에 맞는 것으로 받은 것 가운데 가장 최근 것, 판독 여부는 확인하지 못함",
    only: "처방 전 기간에서 받은 유일한 것, 무엇을 촬영했는지 기록에 없음",
    facts: Facts {
        picture: "영상",
        vital: "활력징후",
        measurement: "검사값",
        note: "진찰 기록",
        medication: "투약",
        problem: "진단",
        allergy: "알레르기",
        study: "영상검사",
        order: "처방",
        report: "검사 보고서",
        current: "현재",
        prior: "이전",
        film: "영상",
        unknown_picture: "사진: 촬영 장비 종류 미상",
        no_view: "촬영 방향 미상",
        preliminary: "예비 결과",
        criticality: "위험도",
        and: ", ",
        before: |[trend, value, day, preliminary]| {
            let more = [day, preliminary].into_iter().filter(|part| !part.is_empty());
            format!("{trend}(이전 값 {})", std::iter::once(value).chain(more).collect::<Vec<_>>().join(", "))
        },
        trends: ["상승", "감소", "변화 없음", "직접 비교 불가"],
    },
    places: ["진단", "현재 투약", "알레르기", "검사별 최근 값", "진찰 기록", "영상검사", "검사 보고서"],
    since: "시작",
    ordered: "처방",
    recorded: "기록",
    coded: &[
        ("patient", "환자"),
        ("conditions", "진단"),
        ("medications", "투약"),
        ("allergies", "알레르기"),
        ("vitals", "활력징후"),
        ("laboratory", "검사실 검사"),
        ("examinations", "진찰 기록"),
        ("studies", "영상검사"),
        ("reports", "검사 보고서"),
        ("media", "사진"),
        ("documents", "문서"),
        ("prefetch", "함께 받은 자료"),
        ("instance, uncompressed by the archive", "영상 파일 단위, 보관소에서 압축 해제"),
        ("instance, as stored", "영상 파일 단위, 저장된 그대로"),
        ("whole study, as stored", "검사 전체, 저장된 그대로"),
        ("the record itself", "기록에 포함됨"),
        ("NO", "없음"),
        ("not stated", "명시 안 됨"),
        ("research", "연구용"),
        ("investigational", "임상시험용"),
        ("cleared", "허가받은 용도"),
        ("unset", "정해지지 않음"),
        ("male", "남성"),
        ("female", "여성"),
        ("other", "기타"),
        ("unknown", "미상"),
        ("high", "높음"),
        ("low", "낮음"),
        ("critically high", "위험 수준으로 높음"),
        ("critically low", "위험 수준으로 낮음"),
        ("abnormal", "이상"),
        ("critically abnormal", "위험 수준의 이상"),
        ("normal", "정상"),
        ("unable-to-assess", "평가 불가"),
        ("active", "진행 중"),
        ("on-hold", "보류"),
        ("recurrence", "재발"),
        ("relapse", "재발"),
        ("unconfirmed", "미확인"),
        ("provisional", "잠정"),
        ("differential", "감별 진단"),
        ("presumed", "추정"),
        ("registered", "등록됨"),
        ("partial", "부분 보고"),
        ("preliminary", "예비 결과"),
        ("final", "최종"),
        ("amended", "수정됨"),
        ("corrected", "정정됨"),
        ("appended", "추가됨"),
        ("status not stated", "상태 미상"),
        ("imaging", "영상검사"),
        ("imaging study", "영상검사"),
        ("report", "검사 보고서"),
    ],
};

impl Words {
    pub fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::Korean => &KOREAN,
        }
    }

    pub fn urgency(&self, urgency: Urgency) -> &'static str {
        let [routine, soon, urgent, critical, cannot_determine] = self.urgency;
        match urgency {
            Urgency::Routine => routine,
            Urgency::Soon => soon,
            Urgency::Urgent => urgent,
            Urgency::Critical => critical,
            Urgency::CannotDetermine => cannot_determine,
        }
    }

    /// Why this study or picture was read and no other.
    pub fn chosen(&self, study: &StudyRead) -> &'static str {
        match (study.choice, study.reports_checked) {
            (Choice::Named, _) => self.named,
            (Choice::Newest, true) => self.newest,
            (Choice::Newest, false) => self.newest_unchecked,
            (Choice::Only, _) => self.only,
        }
    }

    /// A word of a closed list in our words; any other text as it came.
    pub fn coded<'a>(&self, word: &'a str) -> &'a str {
        self.coded.iter().find(|(known, _)| *known == word).map_or(word, |(_, own)| own)
    }
}
