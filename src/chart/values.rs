//! Observations as values: what was measured, and how the last value of each test changed. <https://hl7.org/fhir/R4/observation.html>

use std::collections::HashMap;

use compact_str::{CompactString as Text, format_compact};

use super::{
    Before, Fact, Measurement, Range, Trend,
    facts::{Doubts, Found, Source, Stated, When},
};
use crate::fhir::lenient::{Concept, Observation, Quantity, TWO_VALUES};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const VALUE_AND_NONE: &str = "it gives a value and says that there is none, so it was not used";
/// HL7's interpretations, the gravest first. What is none of them comes after these, and before "normal".
const GRAVEST: [&str; 6] = ["HH", "LL", "AA", "H", "L", "A"];

/// One Observation that may be the last value of its test.
pub struct Value {
    source: Source,
    when: When,
    test: Text,
    measurement: Measurement,
}

pub fn observation(resource: &Observation, source: Source, doubts: &mut Doubts) -> Found {
    match resource.status.as_deref() {
        Some("final" | "amended" | "corrected" | "preliminary") => {}
        Some("registered" | "cancelled") => return Found::Nothing,
        Some("unknown") => return Found::Unusable("its status is not known, so it was not used"),
        _ => return Found::Unusable("its status is not stated"),
    }
    let preliminary = resource.status.as_deref() == Some("preliminary");
    if !resource.focus.is_empty() {
        return Found::Unusable("it names something or somebody else as what it is about, so it was not used");
    }
    let Some(text) = resource.code.as_ref().and_then(Concept::label) else {
        return Found::Unusable("it does not say which test");
    };
    let start = resource.effective_period.as_ref().and_then(|p| p.start.as_deref());
    let category = |code| resource.category.iter().any(|c: &Concept| c.code(code));
    let given = match value(resource) {
        Ok(given) => given,
        Err(why) => return Found::Unusable(why),
    };
    let Some(Given { text: value, quantity, components }) = given else {
        let absent = resource.data_absent_reason.is_some();
        return if absent { Found::Nothing } else { Found::Unusable("its value is of a form that is not read") };
    };
    let times = [
        resource.effective_date_time.as_deref(),
        resource.effective_instant.as_deref(),
        start,
        resource.issued.as_deref(),
    ];
    let when = When::told(times, doubts);
    if category("exam") && resource.value_string.is_some() {
        return Found::stated(Stated { source, when, fact: Fact::Note { text: value.into(), preliminary } });
    }
    let loinc: Vec<Text> = resource
        .code
        .iter()
        .flat_map(|c| c.coding.iter())
        .filter(|c| c.system.as_deref() == Some(LOINC))
        .filter_map(|c| c.code.clone())
        .collect();
    let ucum = quantity.filter(|q| q.system.as_deref() == Some(UCUM)).and_then(|q| q.code.as_deref());
    let unit = quantity.and_then(|q| q.unit.as_deref().or(q.code.as_deref()));
    let interpretations = resource.interpretation.iter();
    let stated = interpretations.flat_map(|i| match i.coding.is_empty() {
        true => i.text.as_deref().into_iter().collect::<Vec<_>>(),
        false => i.coding.iter().filter_map(|c| c.code.as_deref()).collect(),
    });
    // INVARIANT: of_several_interpretations_the_gravest_is_said
    let rank = |flag: &&str| (GRAVEST.iter().position(|known| known == flag).unwrap_or(GRAVEST.len()), *flag == "N");
    let stated = stated.min_by_key(rank);
    let range = quantity.filter(|_| components.is_none());
    let range = range.map(|value| bounds(resource, value, doubts)).unwrap_or_default();
    let test = loinc.first().cloned().unwrap_or_else(|| text.to_lowercase().into());
    let measurement = Measurement {
        text: text.into(),
        loinc,
        vital: category("vital-signs"),
        value,
        unit: unit.map(Text::from),
        ucum: ucum.map(Text::from),
        components,
        flag: stated.map(Text::from),
        before: None,
        range,
        preliminary,
    };
    Found::Value(Box::new(Value { source, when, test, measurement }))
}

/// Keeps the last value of each test and says how it changed.
///
/// One whose date is none may be the last or the first: it is stated by itself and compared with nothing.
// INVARIANT: a_value_of_no_date_is_neither_the_last_nor_the_one_before
pub fn last_values(values: impl IntoIterator<Item = Box<Value>>) -> Vec<Stated> {
    let (undated, mut values): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| value.when.misdated);
    values.sort_by(|a, b| b.when.date.cmp(&a.when.date).then_with(|| a.source.reference.cmp(&b.source.reference)));
    let mut tests: Vec<(Box<Value>, Option<Box<Value>>)> = Vec::new();
    let mut at: HashMap<Text, usize> = HashMap::new();
    for value in values {
        match at.get(&value.test) {
            None => {
                at.insert(value.test.clone(), tests.len());
                tests.push((value, None));
            }
            Some(&i) if tests[i].1.is_none() => tests[i].1 = Some(value),
            Some(_) => {}
        }
    }
    let dated = tests.into_iter().map(|(last, before)| stated(last, before));
    dated.chain(undated.into_iter().map(|value| stated(value, None))).collect()
}

fn stated(last: Box<Value>, before: Option<Box<Value>>) -> Stated {
    let Value { source, when, mut measurement, .. } = *last;
    let value: Option<f64> = measurement.value.parse().ok();
    if measurement.flag.is_none() {
        let [low, high] = [&measurement.range.low, &measurement.range.high].map(|bound| number(bound.as_deref()?));
        measurement.flag = value.and_then(|v| match (low, high) {
            (Some(low), _) if v < low => Some("L".into()),
            (_, Some(high)) if v > high => Some("H".into()),
            _ => None,
        });
    }
    // Of two values of one moment neither is the earlier.
    let before = before.filter(|b| b.when.date < when.date);
    measurement.before = before.filter(|b| b.measurement.unit == measurement.unit).map(|b| {
        let trend = match (value, b.measurement.value.parse::<f64>().ok()) {
            (Some(now), Some(then)) if now > then => Some(Trend::Up),
            (Some(now), Some(then)) if now < then => Some(Trend::Down),
            (Some(_), Some(_)) => Some(Trend::Unchanged),
            _ => (b.measurement.value == measurement.value).then_some(Trend::Unchanged),
        };
        let Value { when, measurement: Measurement { value, preliminary, .. }, .. } = *b;
        Box::new(Before { value, date: when.date, preliminary, trend })
    });
    Stated { source, when, fact: Fact::Measurement(measurement) }
}

/// The value of an Observation in words.
struct Given<'a> {
    text: Text,
    /// What it is measured in.
    quantity: Option<&'a Quantity>,
    components: Option<(Text, Text)>,
}

/// `None`: it gives none that is read here. An error: it contradicts itself.
fn value(resource: &Observation) -> Result<Option<Given<'_>>, &'static str> {
    if let Some(pressure) = pressure(resource)? {
        return Ok(Some(pressure));
    }
    let quantity = resource.value_quantity.as_ref();
    let text = match quantity {
        Some(quantity) => amount(quantity)?,
        None => plain_value(resource),
    };
    if text.is_some() && resource.data_absent_reason.is_some() {
        return Err(VALUE_AND_NONE);
    }
    Ok(text.map(|text| Given { text, quantity, components: None }))
}

/// Systolic over diastolic, where both are given.
fn pressure(resource: &Observation) -> Result<Option<Given<'_>>, &'static str> {
    let part = |code| {
        let mut found = resource.component.iter().filter(|c| c.code.as_ref().is_some_and(|k| k.has(LOINC, code)));
        let Some(component) = found.next() else { return Ok(None) };
        let Some(quantity) = component.value_quantity.as_ref() else { return Ok(None) };
        match amount(quantity)? {
            Some(_) if found.next().is_some() => Err(TWO_VALUES),
            Some(_) if component.data_absent_reason.is_some() => Err(VALUE_AND_NONE),
            amount => Ok(amount.map(|amount| (amount, quantity))),
        }
    };
    let (Some((systolic, quantity)), Some((diastolic, other))) = (part("8480-6")?, part("8462-4")?) else {
        return Ok(None);
    };
    if unit(quantity) != unit(other) {
        return Err("its two values are in different units, so it was not used");
    }
    if resource.data_absent_reason.is_some() {
        return Err(VALUE_AND_NONE);
    }
    if resource.value_quantity.is_some() || plain_value(resource).is_some() {
        return Err(TWO_VALUES);
    }
    let text = format_compact!("{systolic}/{diastolic}");
    Ok(Some(Given { text, quantity: Some(quantity), components: Some((systolic, diastolic)) }))
}

/// The bounds of normal values, where the Observation gives one range that is for everybody and can be one.
fn bounds(resource: &Observation, value: &Quantity, doubts: &mut Doubts) -> Range {
    // Several ranges are for several kinds of people; which one holds here is not ours to guess.
    let [range] = &resource.reference_range.0[..] else { return Range::default() };
    if !range.applies_to.is_empty() || range.age.is_some() {
        return Range::default();
    }
    if range.meaning.as_ref().is_some_and(|meaning| !meaning.code("normal")) {
        doubts.push("its reference range is not that of normal values, so it was not used");
        return Range::default();
    }
    let bound = |bound: Option<&Quantity>| {
        let text = bound.filter(|bound| comparable(bound, value))?.value.as_ref()?.as_str();
        number(text).map(|_| text.into())
    };
    let range = Range { low: bound(range.low.as_ref()), high: bound(range.high.as_ref()) };
    let [low, high] = [&range.low, &range.high].map(|bound| number(bound.as_deref()?));
    if low.zip(high).is_some_and(|(low, high)| low > high) {
        doubts.push("its reference range ends below where it begins, so it was not used");
        return Range::default();
    }
    range
}

fn plain_value(resource: &Observation) -> Option<Text> {
    let concept = resource.value_codeable_concept.as_ref().and_then(|c| c.label().map(Text::from));
    concept
        .or_else(|| resource.value_string.clone())
        .or_else(|| resource.value_integer.as_ref().map(|value| value.as_str().into()))
        .or_else(|| resource.value_boolean.map(|b| if b { "yes".into() } else { "no".into() }))
}

/// The value as the EHR wrote it, comparator first.
fn amount(quantity: &Quantity) -> Result<Option<Text>, &'static str> {
    let comparator = quantity.comparator.as_deref().unwrap_or_default();
    let Some(value) = &quantity.value else { return Ok(None) };
    match comparator {
        "" | "<" | "<=" | ">=" | ">" => Ok(Some(Text::from(comparator) + value.as_str())),
        _ => Err("its value has a comparator that is not known, so it was not used"),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|v: &f64| v.is_finite())
}

fn unit(quantity: &Quantity) -> Option<&str> {
    quantity.code.as_deref().or(quantity.unit.as_deref())
}

fn comparable(bound: &Quantity, value: &Quantity) -> bool {
    let exact = value.comparator.is_none() && bound.comparator.is_none();
    exact && (unit(bound).is_none() || unit(bound) == unit(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Origin;

    fn value(id: &str, date: &str, amount: u32) -> Box<Value> {
        let text = format!(
            r#"{{"status":"final","code":{{"text":"Potassium"}},"effectiveDateTime":"{date}","valueQuantity":{{"value":{amount}}}}}"#
        );
        let source = Source { reference: id.into(), origin: Origin::Prefetch };
        match observation(&serde_json::from_str(&text).unwrap(), source, &mut Doubts::new()) {
            Found::Value(value) => value,
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn a_value_of_no_date_is_neither_the_last_nor_the_one_before() {
        let values = [("a", "2025-01-02", 4), ("b", "2025-02-30", 7), ("c", "2025-01-01", 5)];
        let stated = last_values(values.map(|(id, date, amount)| value(id, date, amount)));
        let said = stated.iter().map(|stated| match &stated.fact {
            Fact::Measurement(m) => (stated.source.reference.as_str(), m.value.as_str(), m.before.clone()),
            other => panic!("{other:?}"),
        });
        let five = Before {
            value: "5".into(),
            date: crate::fhir::Date::parse("2025-01-01"),
            preliminary: false,
            trend: Some(Trend::Down),
        };
        assert_eq!(said.collect::<Vec<_>>(), [("a", "4", Some(Box::new(five))), ("b", "7", None)]);
    }
}
