//! The words of a report and its page in both languages. Codes, ids, values and the EHR's own texts are the same in either.

use super::DraftStatus;
use crate::{chart::Origin, task::Language};

pub struct Words {
    pub not_reviewed: &'static str,
    pub chest_xray: &'static str,
    pub imaging_study: &'static str,
    pub ai_device: &'static str,
    pub current_study: &'static str,
    pub prior_study: &'static str,
    pub finding: &'static str,
    pub impression: &'static str,
    /// The ids cited.
    pub rests_on: fn(&str) -> String,
    /// What the report is for, then that it is no medical device.
    pub intended_use: fn(&str, &str) -> String,
    pub statements: &'static str,
    pub cited: &'static str,
    /// Pictures and other facts shown, facts not shown, statements not kept.
    pub counts: fn([usize; 4]) -> String,
    pub failed: &'static str,
    pub model: &'static str,
    pub no_finding: &'static str,
    pub urgency: fn(&str) -> String,
    pub study_read: &'static str,
    pub picture_read: &'static str,
    pub not_the_ordered: &'static str,
    pub general: &'static str,
    pub none_stated: &'static str,
    /// Tasks, modalities, body parts, views, languages, makers.
    pub scope: fn([String; 6]) -> String,
    partial: &'static str,
    preliminary: &'static str,
    prefetched: &'static str,
    fetched: &'static str,
    pub no_window: &'static str,
    /// Columns, rows.
    pub size: fn(u32, u32) -> String,
}

const ENGLISH: Words = Words {
    not_reviewed: "Not reviewed by a clinician.",
    chest_xray: "Chest X-ray",
    imaging_study: "Diagnostic imaging study",
    ai_device: "curbside, an AI device",
    current_study: "Current study",
    prior_study: "Prior study",
    finding: "Imaging finding (AI draft)",
    impression: "Impression (AI draft)",
    rests_on: |ids| format!("Rests on {ids}."),
    intended_use: |used_for, not_a_device| format!("Intended use: {used_for}. {not_a_device}"),
    statements: "Statements and what each rests on:",
    cited: "Evidence cited:",
    counts: |[pictures, others, not_shown, rejected]| {
        format!(
            "Shown to the model: {pictures} pictures and {others} other facts. Found but not shown: {not_shown}. Statements not kept: {rejected}."
        )
    },
    failed: "Could not be had or used:",
    model: "Model",
    no_finding: "No finding is stated, which does not say that the examination is normal.",
    urgency: |word| format!("Suggested urgency: {word}."),
    study_read: "Study read",
    picture_read: "Picture read",
    not_the_ordered: "This is not the ordered examination.",
    general: "A general model: its files state no scope it was trained for.",
    none_stated: "none stated",
    scope: |[tasks, modalities, body_parts, views, languages, sources]| {
        format!(
            "Trained for {tasks}; modalities: {modalities}; body parts: {body_parts}; views: {views}; languages: {languages}; pictures made by: {sources}."
        )
    },
    partial: "A machine's draft. No clinician has reviewed it.",
    preliminary: "A machine's draft, filed as preliminary by this site's choice. No clinician has reviewed it.",
    prefetched: "sent with the request",
    fetched: "fetched from the record",
    no_window: "none applied",
    size: |columns, rows| format!("{columns} × {rows} pixels"),
};

const KOREAN: Words = Words {
    not_reviewed: "의료진이 검토하지 않음.",
    chest_xray: "흉부 X선 검사",
    imaging_study: "영상검사",
    ai_device: "curbside, AI 장치",
    current_study: "현재 검사",
    prior_study: "이전 검사",
    finding: "영상 소견(AI 초안)",
    impression: "결론(AI 초안)",
    rests_on: |ids| format!("근거: {ids}."),
    intended_use: |used_for, not_a_device| format!("사용 목적: {used_for}. {not_a_device}"),
    statements: "소견과 근거:",
    cited: "인용한 근거:",
    counts: |[pictures, others, not_shown, rejected]| {
        format!(
            "모델에 보여준 자료: 영상 {pictures}건, 그 밖의 기록 {others}건. 찾았으나 보여주지 않은 자료: {not_shown}건. 제외한 소견: {rejected}건."
        )
    },
    failed: "확인하지 못한 자료(사유는 영어로 표기함):",
    model: "모델",
    no_finding: "제시된 소견 없음. 검사가 정상이라는 뜻이 아님.",
    urgency: |word| format!("긴급도(모델의 판단): {word}."),
    study_read: "분석한 검사",
    picture_read: "분석한 사진",
    not_the_ordered: "이번에 처방한 검사가 아님.",
    general: "범용 모델로, 학습한 적용 범위가 명시되지 않음.",
    none_stated: "명시 안 됨",
    scope: |[tasks, modalities, body_parts, views, languages, sources]| {
        format!(
            "학습한 과제: {tasks}; 촬영 장비: {modalities}; 부위: {body_parts}; 촬영 방향: {views}; 언어: {languages}; 영상 제조사: {sources}."
        )
    },
    partial: "기계가 작성한 초안으로, 의료진이 검토하지 않음.",
    preliminary: "기계가 작성한 초안으로, 기관의 설정에 따라 예비 보고로 저장함. 의료진이 검토하지 않음.",
    prefetched: "요청과 함께 받음",
    fetched: "의무기록에서 조회함",
    no_window: "적용 안 함",
    size: |columns, rows| format!("{columns} × {rows} 화소"),
};

impl Words {
    pub fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::Korean => &KOREAN,
        }
    }

    pub fn status(&self, status: DraftStatus) -> &'static str {
        match status {
            DraftStatus::Partial => self.partial,
            DraftStatus::Preliminary => self.preliminary,
        }
    }

    pub fn origin(&self, origin: Origin) -> &'static str {
        match origin {
            Origin::Prefetch => self.prefetched,
            Origin::Fetched => self.fetched,
        }
    }
}
