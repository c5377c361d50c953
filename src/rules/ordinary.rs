//! Words of names that name no substance: of forms, doses, reactions and of how a record is kept.
//!
//! In doubt a word does not stand here: what is left of a name that no rule knows is told. Words such as `all` and `other`
//! may stand for more than is named, and are left out by intention.

use std::{collections::HashSet, sync::LazyLock};

const FORMS: &str = "tablet tab caplet capsule cap pill oral injection injectable inj solution soln sol suspension susp \
    cream ointment powder pwd spray drop drops syrup elixir liquid lotion gel patch foam inhaler inhalation aerosol nebulizer \
    nebulization lozenge suppository enema granule chewable chew effervescent dispersible disintegrating dissolve coated \
    enteric film delayed extended release modified sustained immediate controlled prolonged long short acting action \
    reconstituted reconstitution recon concentrate concentrated prefilled syringe vial ampule ampoule bag bottle bolus \
    infusion pack packet kit premix premixed ivpb piggyback forte pediatric paediatric adult child children infant junior \
    strength extra regular maximum high low brand generic product \
    preservative sugar free";
const SALTS: &str = "sodium potassium pot calcium magnesium chloride hydrochloride hcl hydrobromide sulfate sulphate \
    phosphate acid acetate citrate maleate tartrate bitartrate succinate fumarate besylate mesylate gluconate nitrate \
    trihydrate dihydrate monohydrate anhydrous hydrate base salt axetil proxetil pivoxil benzathine tromethamine lysine \
    stearate dextrose saline nacl water";
const DOSES: &str = "mcg meq mmol unit unt gram mgs milligram microgram milliliter millilitre dose single multi route mouth \
    intravenous intramuscular subcutaneous topical ophthalmic otic nasal rectal vaginal sublingual transdermal skin eye ear \
    nose once twice three two one daily day night nightly bedtime morning evening weekly week monthly month year hourly \
    hour hrs every each bid tid qid qhs qam qpm qod prn stat times time meal food needed dispense refill take inject apply \
    infuse push give over until total max";
const REACTIONS: &str = "allergy allergies allergic allergen reaction react reacted adverse effect side intolerance \
    intolerant sensitive sensitivity hypersensitivity propensity disposition rash hive hives urticaria itch itching itchy \
    pruritus pruritic swelling swollen swell edema oedema angioedema angiooedema anaphylaxis anaphylactic anaphylactoid \
    shock dyspnea dyspnoea breath breathe breathing shortness wheeze wheezing wheezy bronchospasm asthma respiratory distress \
    arrest cough throat tongue lip face facial airway closure tightness chest nausea nauseous vomiting vomit vomited emesis \
    diarrhea diarrhoea upset stomach gastrointestinal abdominal pain ache cramp cramping headache dizziness dizzy syncope \
    faint fainted fainting collapse collapsed hypotension tachycardia palpitation fever chill flushing flushed redness red \
    erythema blister blistering peeling stevens johnson syndrome sjs ten dress toxic epidermal necrolysis maculopapular \
    morbilliform eruption exanthem serum sickness nephritis kidney renal liver failure hepatitis bleeding bleed ulcer \
    seizure confusion hallucination drowsiness drowsy sedation fatigue weakness numbness tingling discomfort burning \
    irritation symptom sign difficulty trouble hospitalized hospitalised intubated body generalized generalised diffuse \
    local localized mild moderate severe serious life threatening fatal critical severity";
const RECORDS: &str = "history hx past previous previously prior childhood young reported report patient mother father \
    parent states stated known unknown unspecified confirmed unconfirmed suspected possible possibly probable presumed \
    documented noted listed recorded status personal finding disorder situation substance medication medicine drug class \
    type antibiotic family risk year years old age ago since remote remotely details recall remember tolerate tolerates \
    tolerated excluded refuted ruled denies denied delabeled delabelled skin test positive negative with without contrast \
    media medium and for from the this that which who when while after before during due has had have was were not never \
    does did can could may might none very only also but however although though then she her him his their got gets getting took taken taking given \
    cause caused causes causing induced developed develop experienced became made avoid contraindicated per same see";
const KOREAN: &str = "두드러기 발진 가려움 가려움증 부종 호흡곤란 쇼크 구토 구역 오심 설사 복통 두통 어지러움 발열 \
    아나필락시스 전신 얼굴 피부 심한 심함 경증 중증 과거력 병력 있음 없음 의심 확진 환자 반응 소아 성인 경구 내복 정맥 \
    정맥주사 근육주사 피하주사 하루 매일 아침 점심 저녁 취침전 식전 식후 밀리그램 그램 후 복용 투여 이후 발생 상품 성분";

static ORDINARY: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    [FORMS, SALTS, DOSES, REACTIONS, RECORDS, KOREAN].into_iter().flat_map(str::split_whitespace).collect()
});

/// Whether a word of lower case is one of these, or more than one of them. `Antibiotics` alone may be any.
pub fn is_ordinary(word: &str) -> bool {
    let one = word.strip_suffix('s').filter(|one| *one != "antibiotic");
    ORDINARY.contains(word) || one.is_some_and(|one| ORDINARY.contains(one))
}
