//! What a model is asked, and in which language.

use crate::finding::{FindingKind, Side, words};

words!(
    /// Of prompts and of our own sentences, by ISO 639-1.
    Language { English = "en", Korean = "ko" }
);

words!(
    /// What a model is asked for, as a service and a checkpoint's scope name it.
    TaskKind { ImagingDraft = "imaging-draft", Summary = "chart-summary", Question = "question" }
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The findings of the current film.
    ImagingDraft,
    /// The measurements of the chart that are flagged.
    Summary,
    Question(Question),
}

impl Task {
    pub fn kind(self) -> TaskKind {
        match self {
            Task::ImagingDraft => TaskKind::ImagingDraft,
            Task::Summary => TaskKind::Summary,
            Task::Question(_) => TaskKind::Question,
        }
    }

    /// As a checkpoint's scope names it.
    pub fn word(self) -> &'static str {
        self.kind().word()
    }

    pub fn is_about_the_film(self) -> bool {
        matches!(self, Task::ImagingDraft | Task::Question(Question::Film(..)))
    }
}

/// One of a closed set, answered by yes, no or cannot determine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the current film shows it.
    Film(FindingKind, Side),
    /// Whether an allergy is recorded.
    Allergy(Substance),
    /// Whether the last value of a test is flagged so.
    Flagged(Test, Level),
}

words!(Substance { Penicillin = "penicillin", Sulfonamide = "sulfonamide", Aspirin = "aspirin", Latex = "latex", Contrast = "iodinated contrast" });
words!(
    /// A test that is asked about.
    Test {
        Temperature = "body temperature", Saturation = "oxygen saturation", CReactiveProtein = "C reactive protein",
        WhiteCells = "white cell count", Natriuretic = "NT-proBNP", Albumin = "albumin", Potassium = "potassium",
        Creatinine = "creatinine", Haemoglobin = "haemoglobin",
    }
);
words!(Level { High = "high", Low = "low" });

use FindingKind::{Cardiomegaly, Effusion, Line, Opacity, Pneumothorax};
use Side::{Left, Midline, Right};

impl Question {
    /// Every question there is.
    pub const ALL: [Question; 23] = [
        Question::Film(Pneumothorax, Right),
        Question::Film(Pneumothorax, Left),
        Question::Film(Opacity, Right),
        Question::Film(Opacity, Left),
        Question::Film(Effusion, Right),
        Question::Film(Effusion, Left),
        Question::Film(Cardiomegaly, Midline),
        Question::Film(Line, Right),
        Question::Film(Line, Left),
        Question::Allergy(Substance::Penicillin),
        Question::Allergy(Substance::Sulfonamide),
        Question::Allergy(Substance::Aspirin),
        Question::Allergy(Substance::Latex),
        Question::Allergy(Substance::Contrast),
        Question::Flagged(Test::Temperature, Level::High),
        Question::Flagged(Test::Saturation, Level::Low),
        Question::Flagged(Test::CReactiveProtein, Level::High),
        Question::Flagged(Test::WhiteCells, Level::High),
        Question::Flagged(Test::Natriuretic, Level::High),
        Question::Flagged(Test::Albumin, Level::Low),
        Question::Flagged(Test::Potassium, Level::High),
        Question::Flagged(Test::Creatinine, Level::High),
        Question::Flagged(Test::Haemoglobin, Level::Low),
    ];

    /// How many of them, the first, are about the film.
    pub const OF_A_FILM: usize = 9;

    /// Those about the film, or those about the rest of the chart.
    pub fn all_about(film: bool) -> &'static [Question] {
        let all: &'static [Question] = &Question::ALL;
        let (of_a_film, of_the_chart) = all.split_at(Question::OF_A_FILM);
        if film { of_a_film } else { of_the_chart }
    }

    /// As a request names it, such as `effusion-left`: a-z, 0-9 and hyphens.
    pub fn code(self) -> String {
        let code = |about: &str, rest: &str| format!("{about}-{rest}").to_lowercase().replace(' ', "-");
        match self {
            Question::Film(Cardiomegaly, _) => "heart-enlarged".into(),
            Question::Film(kind, side) => code(kind.word(), side.word()),
            Question::Allergy(substance) => code("allergy", substance.word()),
            Question::Flagged(test, level) => code(test.word(), level.word()),
        }
    }

    /// The question of that very code.
    pub fn from_code(code: &str) -> Option<Question> {
        Question::ALL.into_iter().find(|question| question.code() == code)
    }

    /// As it is asked.
    pub fn text(self, language: Language) -> String {
        match language {
            Language::English => self.english(),
            Language::Korean => self.korean(),
        }
    }

    fn english(self) -> String {
        match self {
            Question::Film(Cardiomegaly, _) => "is the heart enlarged?".into(),
            Question::Film(Line, side) => format!("is there a central line from the {}?", side.word()),
            Question::Film(kind, side) => {
                let article = if matches!(kind, Opacity | Effusion) { "an" } else { "a" };
                format!("is there {article} {} on the {}?", kind.word(), side.word())
            }
            Question::Allergy(substance) => format!("is an allergy to {} recorded?", substance.word()),
            Question::Flagged(test, level) => format!("is the {} {}?", test.word(), level.word()),
        }
    }

    fn korean(self) -> String {
        let side = |side| if side == Left { "왼쪽" } else { "오른쪽" };
        match self {
            Question::Film(Cardiomegaly, _) => "심장이 커져 있는가?".into(),
            Question::Film(Line, from) => format!("{}에서 들어간 중심정맥관이 있는가?", side(from)),
            Question::Film(kind, on) => {
                let kind = match kind {
                    Pneumothorax => "기흉이",
                    Opacity => "음영이",
                    _ => "흉수가",
                };
                format!("{}에 {kind} 있는가?", side(on))
            }
            Question::Allergy(substance) => format!("{} 알레르기가 기록되어 있는가?", substance.korean()),
            Question::Flagged(test, level) => {
                format!("{} {}?", test.korean(), if level == Level::High { "높은가" } else { "낮은가" })
            }
        }
    }
}

impl Substance {
    /// Whether an allergen's name says so in so many words.
    pub fn is_named_in(self, text: &str) -> bool {
        text.to_lowercase().contains(self.word()) || text.contains(self.korean())
    }

    /// Whether it is a medicine, so that "no known drug allergies" speaks of it.
    pub fn is_a_medicine(self) -> bool {
        self != Substance::Latex
    }

    pub fn korean(self) -> &'static str {
        match self {
            Substance::Penicillin => "페니실린",
            Substance::Sulfonamide => "설폰아마이드",
            Substance::Aspirin => "아스피린",
            Substance::Latex => "라텍스",
            Substance::Contrast => "요오드 조영제",
        }
    }
}

impl Test {
    /// LOINC codes that are this test.
    pub fn loinc(self) -> &'static [&'static str] {
        match self {
            Test::Temperature => &["8310-5"],
            Test::Saturation => &["59408-5", "2708-6"],
            Test::CReactiveProtein => &["1988-5"],
            Test::WhiteCells => &["6690-2"],
            Test::Natriuretic => &["33762-6"],
            Test::Albumin => &["1751-7"],
            Test::Potassium => &["2823-3"],
            Test::Creatinine => &["2160-0"],
            Test::Haemoglobin => &["718-7"],
        }
    }

    /// With the particle of a subject.
    fn korean(self) -> &'static str {
        match self {
            Test::Temperature => "체온이",
            Test::Saturation => "산소포화도가",
            Test::CReactiveProtein => "C 반응성 단백이",
            Test::WhiteCells => "백혈구 수가",
            Test::Natriuretic => "NT-proBNP가",
            Test::Albumin => "알부민이",
            Test::Potassium => "칼륨이",
            Test::Creatinine => "크레아티닌이",
            Test::Haemoglobin => "혈색소가",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_asked_in_words_of_its_own() {
        for language in [Language::English, Language::Korean] {
            let mut texts = Question::ALL.map(|question| question.text(language)).to_vec();
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), Question::ALL.len());
            assert!(texts.iter().all(|text| text.ends_with('?')));
        }
    }

    #[test]
    fn every_question_has_a_code_of_its_own() {
        for question in Question::ALL {
            let code = question.code();
            assert_eq!(Question::from_code(&code), Some(question));
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!(code.bytes().all(plain) && Question::from_code(&code.to_uppercase()).is_none(), "{code}");
        }
        let codes =
            [("effusion-left", 5), ("heart-enlarged", 6), ("allergy-iodinated-contrast", 13), ("nt-probnp-high", 18)];
        for (code, at) in codes {
            assert_eq!(Question::from_code(code), Some(Question::ALL[at]));
        }
    }

    #[test]
    fn the_questions_about_the_film_come_first() {
        for (at, question) in Question::ALL.into_iter().enumerate() {
            assert_eq!(Task::Question(question).is_about_the_film(), at < Question::OF_A_FILM);
        }
    }
}
