//! The words of a card in both languages. Codes, ids, units, the EHR's own texts and the reasons of gaps are the same in either.

use crate::task::{Language, Task};

pub struct Words {
    draft: Answer,
    results: Answer,
    answer: Answer,
    pub question: &'static str,
    pub not_asked: &'static str,
    /// Name, then the start of the weights' hash.
    pub model: fn(&str, &str) -> String,
    pub no_scope_of_films: &'static str,
    pub no_scope: &'static str,
    pub order: &'static str,
    pub study_sought: &'static str,
    pub picture_sought: &'static str,
    pub unnamed_study: &'static str,
    pub untitled: &'static str,
    pub not_the_ordered: &'static str,
    pub not_compared: &'static str,
    /// The day of the prior film.
    pub compared: fn(&str) -> String,
    /// The views of now and before.
    pub views_differ: fn(&str, &str) -> String,
    pub not_stated: &'static str,
    /// The ids of the films shown.
    pub no_finding: fn(&str) -> String,
    /// How many are named here, and how many the chart has.
    pub flagged: fn(usize, usize) -> String,
    pub none_picked: &'static str,
    pub urgency: fn(&str) -> String,
    pub evidence: &'static str,
    pub rejected: fn(usize) -> String,
    pub gaps: fn(usize) -> String,
    pub more: fn(usize) -> String,
    /// How many lines of the chart.
    pub not_shown: fn(usize) -> String,
    pub listed_in_the_report: &'static str,
    /// What keeps a reader from wondering at the language of reasons; empty where it is theirs.
    pub reasons: &'static str,
    pub link: &'static str,
    pub computed: &'static str,
    pub more_in_the_chart: fn(usize) -> String,
    pub failed: &'static str,
    pub unproved: &'static str,
    pub no_active: &'static str,
    pub none: &'static str,
    pub none_current: fn(usize) -> String,
    pub no_allergy: &'static str,
    pub no_such: fn(&str) -> String,
    pub not_known: fn(&str) -> String,
    /// The parts, then the number of gaps.
    pub summary: fn(&str, usize) -> String,
    pub checks: Checks,
}

/// Of the cards of order checks. What rules call substances and say of themselves is the same in either language.
pub struct Checks {
    pub by_rule: &'static str,
    pub nothing_found: &'static str,
    pub rule: &'static str,
    pub not_evaluated: &'static str,
    pub left_out: &'static str,
    pub on_the_first: fn(usize) -> String,
    /// How many things were not evaluated, where nothing was found.
    pub only_gaps: fn(usize) -> String,
    /// The list that the orders could not be compared with, or not with all of it, and why.
    pub not_compared: fn(&str, &str) -> String,
    pub remove: fn(&str) -> String,
    /// How a term was recognised: by code, by words, by the code of something else in the class.
    pub recognised: [&'static str; 3],
    /// Number and text of the order, then its term and how that was recognised.
    pub order: fn(usize, [&str; 3]) -> String,
    /// The allergy's text, its evidence, its term and how that was recognised, then the relation.
    pub allergy: fn([&str; 5]) -> String,
    pub same_substance: &'static str,
    pub same_class: &'static str,
    pub cross_reactive: &'static str,
    /// Criticality, then reaction.
    pub recorded: fn(&str, &str) -> String,
    pub no_reaction: &'static str,
    /// Day, or nothing, then the evidence or the number of the order.
    pub done: fn(&str, &str) -> String,
    pub open: fn(&str, &str) -> String,
    pub draft: fn(usize) -> String,
    pub rule_of: fn(&str, &str) -> String,
    pub other_orders: &'static str,
    /// The order, whether there are others, the allergy, whether it is recorded as dangerous.
    pub allergy_found: fn([&str; 4]) -> String,
    pub dangerous: &'static str,
    /// The order, whether there are others, and what it repeats.
    pub duplicate_found: fn([&str; 3]) -> String,
    pub same_done: fn(&str) -> String,
    pub same_open: fn(&str) -> String,
    pub same_draft: fn(usize) -> String,
    /// What keeps a reader from wondering at the language of rules; empty where it is theirs.
    pub language: &'static str,
}

/// What a model's answer to one task is called.
pub struct Answer {
    /// Of a summary that says something, before what it says.
    pub to_review: &'static str,
    pub nothing: &'static str,
    /// Of a summary that says nothing, before the reason.
    pub missing: &'static str,
    /// The first line then, with the reason.
    pub refused: fn(&str) -> String,
}

const ENGLISH: Words = Words {
    draft: Answer {
        to_review: "AI draft to review",
        nothing: "no finding stated",
        missing: "No AI draft",
        refused: |why| format!("**No draft was written.** {why}."),
    },
    results: Answer {
        to_review: "Results picked by AI, to review",
        nothing: "none picked",
        missing: "No results picked by AI",
        refused: |why| format!("**No results were picked.** {why}."),
    },
    answer: Answer {
        to_review: "AI answer to review",
        nothing: "no answer",
        missing: "No AI answer",
        refused: |why| format!("**No answer was given.** {why}."),
    },
    question: "Question",
    not_asked: "The model was not asked.",
    model: |name, weights| format!("Model: {name} (weights {weights})."),
    no_scope_of_films: "It states no scope: nothing is known of which films it can read.",
    no_scope: "It states no scope: nothing is known of what it was taught.",
    order: "Order",
    study_sought: "Study looked for",
    picture_sought: "Picture looked for",
    unnamed_study: "imaging study",
    untitled: "untitled",
    not_the_ordered: "It is not the ordered examination, which has not been done yet.",
    not_compared: "No earlier film was compared.",
    compared: |day| format!("Compared with the film of {day}."),
    views_differ: |now, before| format!("The views differ ({now} now, {before} before), which changes how sizes look."),
    not_stated: "not stated",
    no_finding: |films| format!("The model stated no finding ({films}). That is not a normal report."),
    flagged: |named, all| format!("Flagged results named here: {named} of the {all} in the chart."),
    none_picked: "The model picked no result. That does not say that all are normal.",
    urgency: |word| format!("Urgency, the model's word: {word}."),
    evidence: "Evidence",
    rejected: |n| format!("Not kept of the model's answer: {n}"),
    gaps: |n| format!("Gaps: {n}"),
    more: |n| format!("and {n} more"),
    not_shown: |n| format!("Not shown to the model: {n} {} of the chart", if n == 1 { "line" } else { "lines" }),
    listed_in_the_report: ", listed with the reason in the report.",
    reasons: "",
    link: "Draft report with pictures and evidence",
    computed: "Computed from the chart; no model was asked.",
    more_in_the_chart: |n| format!("and {n} more in the chart"),
    failed: "not known: it could not be read in full, see the gaps",
    unproved: "none received; that none exist was not established",
    no_active: "no active ones recorded in the EHR",
    none: "none recorded in the EHR",
    none_current: |n| format!("none current; {n} recorded that are not current"),
    no_allergy: "no allergy named",
    no_such: |name| format!("no {name}"),
    not_known: |name| format!("{name} not known"),
    summary: |parts, gaps| format!("Chart summary: {parts}; {gaps} {}", if gaps == 1 { "gap" } else { "gaps" }),
    checks: Checks {
        by_rule: "Found by a rule, not by AI: no model was asked.",
        nothing_found: "Checked by rules, not by AI. The rules found nothing in what they could check; that says nothing of what follows.",
        rule: "Rule",
        not_evaluated: "Not evaluated",
        left_out: "Left out",
        on_the_first: |n| format!("Not evaluated: {n}, listed on the first card."),
        only_gaps: |n| format!("Order checks: {n} {} not evaluated", if n == 1 { "thing was" } else { "things were" }),
        not_compared: |what, why| format!("Order checks: not all was compared: {what}: {why}"),
        remove: |order| format!("Remove the order: {order}"),
        recognised: ["by its code", "by its words", "by the class of its code"],
        order: |n, [text, term, how]| format!("Draft order {n}, {text} (recognised as {term} {how}): "),
        allergy: |[text, id, term, how, relation]| {
            format!("an allergy to {text} is recorded ({id}; recognised as {term} {how}), {relation}.")
        },
        same_substance: "the same substance",
        same_class: "the same class",
        cross_reactive: "cross-reactions are described",
        recorded: |criticality, reaction| format!("Criticality: {criticality}. Reaction: {reaction}."),
        no_reaction: "not recorded",
        done: |day, id| format!("an examination of the same kind is recorded{} ({id}).", on(day)),
        open: |day, id| format!("an order of the same kind{} is open ({id}).", written(day)),
        draft: |n| format!("draft order {n} is of the same kind."),
        rule_of: |id, version| format!("(rule {id} {version})"),
        other_orders: " (and other orders)",
        allergy_found: |[order, others, allergy, dangerous]| {
            format!("Allergy: {order} is ordered{others}; on record: allergy to {allergy}{dangerous}")
        },
        dangerous: ", criticality high or anaphylaxis recorded",
        duplicate_found: |[order, others, against]| format!("Possible duplicate: {order}{others}; {against}"),
        same_done: |day| format!("one of the same kind is recorded{}", on(day)),
        same_open: |day| format!("an order of the same kind{} is open", written(day)),
        same_draft: |n| format!("draft order {n} is of the same kind"),
        language: "",
    },
};

const KOREAN: Words = Words {
    draft: Answer {
        to_review: "검토할 AI 초안",
        nothing: "모델이 제시한 소견 없음",
        missing: "AI 초안 없음",
        refused: |why| format!("**초안을 작성하지 않음.** 사유: {why}."),
    },
    results: Answer {
        to_review: "검토할 AI 선별 결과",
        nothing: "선별한 결과 없음",
        missing: "AI 선별 결과 없음",
        refused: |why| format!("**결과를 선별하지 않음.** 사유: {why}."),
    },
    answer: Answer {
        to_review: "검토할 AI 답변",
        nothing: "답변 없음",
        missing: "AI 답변 없음",
        refused: |why| format!("**답변하지 않음.** 사유: {why}."),
    },
    question: "질문",
    not_asked: "모델에 묻지 않음.",
    model: |name, weights| format!("모델: {name} (가중치 {weights})."),
    no_scope_of_films: "적용 범위가 명시되지 않은 모델로, 어떤 영상을 판독할 수 있는지 알 수 없음.",
    no_scope: "적용 범위가 명시되지 않은 모델로, 무엇을 학습했는지 알 수 없음.",
    order: "처방",
    study_sought: "분석 대상 검사",
    picture_sought: "분석 대상 사진",
    unnamed_study: "영상검사",
    untitled: "제목 없음",
    not_the_ordered: "이번에 처방한 검사가 아니며, 처방한 검사는 아직 시행되지 않음.",
    not_compared: "이전 영상과 비교하지 않음.",
    compared: |day| format!("비교한 이전 영상: {day}."),
    views_differ: |now, before| format!("촬영 방향이 서로 달라(현재 {now}, 이전 {before}) 크기가 다르게 보일 수 있음."),
    not_stated: "미상",
    no_finding: |films| format!("모델이 제시한 소견 없음 ({films}). 정상 판독을 뜻하지 않음."),
    flagged: |named, all| format!("기록에 이상으로 표시된 결과 {all}건 중 {named}건을 제시함."),
    none_picked: "모델이 선별한 결과 없음. 모두 정상이라는 뜻이 아님.",
    urgency: |word| format!("긴급도(모델의 판단): {word}."),
    evidence: "근거",
    rejected: |n| format!("모델의 답에서 제외한 항목: {n}건"),
    gaps: |n| format!("확인하지 못한 자료: {n}건"),
    more: |n| format!("그 밖에 {n}건"),
    not_shown: |n| format!("모델에 보여주지 않은 기록: {n}건"),
    listed_in_the_report: ". 사유와 목록은 판독 초안에 있음.",
    reasons: "확인하지 못했거나 제외했거나 묻지 않은 사유는 영어로 표기함.",
    link: "영상과 근거가 있는 판독 초안",
    computed: "기록에서 정해진 규칙으로 정리함. 모델에 묻지 않음.",
    more_in_the_chart: |n| format!("그 밖에 {n}건이 기록에 있음"),
    failed: "알 수 없음: 자료를 모두 읽지 못함(아래 확인하지 못한 자료 참조)",
    unproved: "받은 자료 없음. 실제로 없는지는 확인되지 않음",
    no_active: "전자의무기록에 현재 투약 기록 없음",
    none: "전자의무기록에 기록 없음",
    none_current: |n| format!("현재 해당 없음. 현재가 아닌 기록 {n}건"),
    no_allergy: "알레르기 없다고 기록됨",
    no_such: |name| format!("{name} 없음"),
    not_known: |name| format!("{name} 알 수 없음"),
    summary: |parts, gaps| format!("기록 요약: {parts}; 확인하지 못한 자료 {gaps}건"),
    checks: Checks {
        by_rule: "AI가 아닌 규칙으로 찾음. 모델에 묻지 않음.",
        nothing_found: "AI가 아닌 규칙으로 점검함. 점검할 수 있었던 범위에서는 찾은 것이 없으며, 아래 항목은 점검되지 않음.",
        rule: "규칙",
        not_evaluated: "점검하지 못한 항목",
        left_out: "점검에서 제외한 항목",
        on_the_first: |n| format!("점검하지 못한 항목: {n}건, 첫 번째 카드에 있음."),
        only_gaps: |n| format!("처방 점검: 점검하지 못한 항목 {n}건"),
        not_compared: |what, why| format!("처방 점검: 모두 비교하지 못함: {what}: {why}"),
        remove: |order| format!("처방 삭제: {order}"),
        recognised: ["코드로 인식", "명칭으로 인식", "코드의 계열로 인식"],
        order: |n, [text, term, how]| format!("처방 초안 {n}번, {text} ({term}, {how}): "),
        allergy: |[text, id, term, how, relation]| format!("기록된 알레르기 {text} ({id}; {term}, {how}), {relation}."),
        same_substance: "같은 성분",
        same_class: "같은 계열",
        cross_reactive: "교차반응이 보고됨",
        recorded: |criticality, reaction| format!("위험도: {criticality}. 반응: {reaction}."),
        no_reaction: "기록 없음",
        done: |day, id| format!("같은 종류의 검사가 기록되어 있음 ({}{id}).", dated(day)),
        open: |day, id| format!("같은 종류의 처방이 진행 중 ({}{id}).", entered(day)),
        draft: |n| format!("처방 초안 {n}번이 같은 종류임."),
        rule_of: |id, version| format!("(규칙 {id} {version})"),
        other_orders: " 외 다른 처방",
        allergy_found: |[order, others, allergy, dangerous]| {
            format!("알레르기: 처방 {order}{others}; 기록된 알레르기 {allergy}{dangerous}")
        },
        dangerous: ", 위험도 높음 또는 아나필락시스로 기록됨",
        duplicate_found: |[order, others, against]| format!("중복 가능성: {order}{others}; {against}"),
        same_done: |day| format!("같은 종류의 검사가 기록되어 있음 {day}"),
        same_open: |day| format!("같은 종류의 처방이 진행 중 {}", entered(day).trim_end_matches(", ")),
        same_draft: |n| format!("처방 초안 {n}번이 같은 종류임"),
        language: "규칙에 쓰인 성분과 검사의 명칭, 설명, 출처와 점검하지 못하거나 제외한 사유는 영어로 표기함.",
    },
};

fn on(day: &str) -> String {
    if day.is_empty() { String::new() } else { format!(" on {day}") }
}

/// When an order was given, which says nothing of when it is carried out.
fn written(day: &str) -> String {
    if day.is_empty() { String::new() } else { format!(", written on {day},") }
}

fn entered(day: &str) -> String {
    if day.is_empty() { String::new() } else { format!("처방일 {day}, ") }
}

fn dated(day: &str) -> String {
    if day.is_empty() { String::new() } else { format!("{day}, ") }
}

impl Words {
    pub fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::Korean => &KOREAN,
        }
    }

    pub fn answer(&self, task: Task) -> &Answer {
        match task {
            Task::ImagingDraft => &self.draft,
            Task::Summary => &self.results,
            Task::Question(_) => &self.answer,
        }
    }
}
