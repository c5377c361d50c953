//! Whether a resource means what its elements say. <https://hl7.org/fhir/R4/extensibility.html#modifierExtension>

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Head;

/// Elements of which an object has one, in one of several types. <https://hl7.org/fhir/R4/formats.html#choice>
const CHOICES: [&str; 5] = ["value", "effective", "onset", "medication", "created"];

const CHANGED: &str = "it or a part of it is changed in meaning (modifier extension or rules) in a way we do not know, so it was not used";
pub const TWO_VALUES: &str = "it gives two values where there can be one, so it was not used";
const UNREADABLE: &str = "it holds text that is no text, so it was not used";
const TOO_DEEP: &str = "it is nested too deeply to be read";

/// The head of a resource, and what is wrong with the resource where it cannot be used.
///
/// Nearly every one is had in a single pass. An error names an element of the head that cannot be read.
pub fn open(raw: &RawValue) -> Result<(Head, Result<(), &'static str>), String> {
    match plain(raw.get()).map(Plain::head) {
        Some(Some(head)) => Ok((head, Ok(()))),
        Some(None) => Ok((super::read(raw)?, Ok(()))),
        None => Ok((super::read(raw)?, element_by_element(raw))),
    }
}

/// Refuses a resource that is changed in meaning by a modifier extension or rules of its own, in whole or in any part, read
/// or not, and one that gives two values where there can be one.
pub fn sound(raw: &RawValue) -> Result<(), &'static str> {
    if plain(raw.get()).is_some() { Ok(()) } else { element_by_element(raw) }
}

fn element_by_element(raw: &RawValue) -> Result<(), &'static str> {
    // INVARIANT: what_is_changed_in_meaning_anywhere_is_not_used
    match serde_json::from_str::<Element>(raw.get()) {
        Ok(Element { fault: Some(fault), .. }) => Err(fault),
        Ok(_) => Ok(()),
        // The one error of the JSON reader that has no kind of its own.
        Err(error) if error.to_string().starts_with("recursion limit") => Err(TOO_DEEP),
        Err(_) => Err(UNREADABLE),
    }
}

/// Nesting in which nothing is too deep.
const FLAT: usize = 64;

/// The members of a plain resource that its head is made of, as they stand.
#[derive(Default)]
struct Plain<'a>([Option<&'a str>; 5]);

impl Plain<'_> {
    const MEMBERS: [&'static str; 5] = ["resourceType", "id", "meta", "subject", "patient"];

    /// `None`: one of them cannot be read.
    fn head(self) -> Option<Head> {
        fn read<'a, T: Deserialize<'a>>(value: Option<&'a str>) -> Option<Option<T>> {
            value.map_or(Some(None), |text| serde_json::from_str::<Option<T>>(text).ok())
        }
        let [resource_type, id, meta, subject, patient] = self.0;
        Some(Head {
            resource_type: read(resource_type)??,
            id: read(id)?,
            meta: read(meta)?,
            subject: read(subject)?,
            patient: read(patient)?,
        })
    }
}

/// What the head is made of, of a resource in which nothing could be unsound, so that its elements need not be read; what
/// is not plain may be sound too.
///
/// It is valid JSON, of which only strings, brackets, colons and the commas between its members matter: the string before a
/// colon is a name. Without `\u` no name that matters is written otherwise than it reads, and every string is text.
// INVARIANT: what_is_plain_is_sound
fn plain(text: &str) -> Option<Plain<'_>> {
    let bytes = text.as_bytes();
    let mut plain = Plain::default();
    // The member being read, and where its value begins.
    let mut member: Option<(usize, usize)> = None;
    // The choices made so far in each object that is open, `depth` of them with the arrays, which make none.
    let mut open = [[false; CHOICES.len()]; FLAT];
    let mut depth: usize = 0;
    let mut string: &[u8] = b"";
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let start = at + 1;
                at = end_of_string(bytes, start)?;
                string = bytes.get(start..at)?;
            }
            b':' => {
                if depth == 1 {
                    let which = Plain::MEMBERS.iter().position(|name| name.as_bytes() == string);
                    member = which.map(|which| (which, at + 1));
                }
                match Name::of(string) {
                    Name::Other => {}
                    Name::Choice(which) => {
                        let given = open.get_mut(depth.checked_sub(1)?)?;
                        if std::mem::replace(&mut given[which], true) {
                            return None;
                        }
                    }
                    Name::Changes => return None,
                }
            }
            b',' | b'}' if depth == 1 => {
                if let Some((which, start)) = member.take()
                    && plain.0[which].replace(text.get(start..at)?).is_some()
                {
                    return None;
                }
                if *byte == b'}' {
                    depth = 0;
                }
            }
            b'{' | b'[' => {
                *open.get_mut(depth)? = Default::default();
                depth += 1;
            }
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    Some(plain)
}

/// Where the string that begins at `at` ends; `None` where a `\u` stands in it.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at..] {
            [b'"', ..] => return Some(at),
            [_, b'u', ..] => return None,
            _ => at += 2,
        }
    }
}

/// One element, and what is wrong with it or below it.
#[derive(Default)]
struct Element {
    /// Neither null nor an array of nothing.
    filled: bool,
    fault: Option<&'static str>,
}

impl Element {
    const FILLED: Element = Element { filled: true, fault: None };
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_unit<E>(self) -> Result<Element, E> {
        Ok(Element::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Element, E> {
        Ok(Element::FILLED)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Element, E> {
        Ok(Element::FILLED)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Element, E> {
        Ok(Element::FILLED)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Element, E> {
        Ok(Element::FILLED)
    }
    fn visit_str<E>(self, _: &str) -> Result<Element, E> {
        Ok(Element::FILLED)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Element, A::Error> {
        let mut all = Element::default();
        while let Some(item) = seq.next_element::<Element>()? {
            all.filled |= item.filled;
            all.fault = all.fault.or(item.fault);
        }
        Ok(all)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        let (mut fault, mut given) = (None, [false; CHOICES.len()]);
        while let Some((name, value)) = map.next_entry::<Name, Element>()? {
            fault = fault.or(value.fault);
            match name {
                _ if !value.filled => {}
                Name::Changes => fault = Some(CHANGED),
                Name::Choice(at) if std::mem::replace(&mut given[at], true) => fault = fault.or(Some(TWO_VALUES)),
                Name::Choice(_) | Name::Other => {}
            }
        }
        Ok(Element { filled: true, fault })
    }
}

/// The name of a member, as far as it matters here.
enum Name {
    Changes,
    Choice(usize),
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Name {
        if name == b"modifierExtension" || name == b"implicitRules" {
            return Name::Changes;
        }
        // Asked of every member of everything that comes; in few a capital letter stands where the word may end.
        let typed = |choice: &&str| {
            name.get(choice.len()).is_some_and(u8::is_ascii_uppercase) && name.starts_with(choice.as_bytes())
        };
        CHOICES.iter().position(typed).map_or(Name::Other, Name::Choice)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name::of(name.as_bytes()))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn judged(text: &str) -> Result<(), &'static str> {
        sound(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_changes_the_meaning_is_found_wherever_it_stands() {
        for text in [
            r#"{"modifierExtension":[{}]}"#,
            r#"{"modifierExtension":{"url":"x"}}"#,
            r#"{"implicitRules":"x"}"#,
            r#"{"implicitRules":""}"#,
            r#"{"a":[1.50,{"b":{"modifier\u0045xtension":[{"url":"x"}]}}]}"#,
            r#"{"contained":[{"implicitRules":"x"}]}"#,
            r#"{"valueString":"a","valueInteger":1,"modifierExtension":[{}]}"#,
        ] {
            assert_eq!(judged(text), Err(CHANGED), "{text}");
        }
        for text in [
            "{}",
            r#"{"modifierExtension":[],"implicitRules":null,"a":{"modifierExtension":[null]}}"#,
            r#"{"text":"modifierExtension","code":["implicitRules"],"_implicitRules":null}"#,
        ] {
            assert_eq!(judged(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_object_has_one_value() {
        for text in [
            r#"{"valueString":"a","valueQuantity":{}}"#,
            r#"{"a":[{"effectiveDateTime":"2025","effectivePeriod":{}}]}"#,
            r#"{"medicationReference":{},"medicationCodeableConcept":{}}"#,
            r#"{"onsetAge":{},"onsetString":"a"}"#,
            r#"{"createdDateTime":"2025","createdPeriod":{}}"#,
            r#"{"valueString":"a","x":[{"valueString":"b"}],"valueInteger":1}"#,
        ] {
            assert_eq!(judged(text), Err(TWO_VALUES), "{text}");
        }
        for text in [
            r#"{"value":1,"valueString":"a","valueset":"b","valueInteger":null}"#,
            r#"{"valueString":"a","_valueString":{},"component":[{"valueString":"b"}]}"#,
        ] {
            assert_eq!(judged(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_name_is_a_choice_by_the_word_and_a_capital_letter_after_it() {
        for name in ["valueA", "valueQuantity", "effectiveX", "onsetAge", "medicationReference", "createdX"] {
            assert!(matches!(Name::of(name.as_bytes()), Name::Choice(_)), "{name}");
        }
        for name in ["", "value", "valueset", "value1", "valueÄ", "xvalueA", "_valueString", "modifierExtensionX", "v"]
        {
            assert!(matches!(Name::of(name.as_bytes()), Name::Other), "{name}");
        }
        for name in ["modifierExtension", "implicitRules"] {
            assert!(matches!(Name::of(name.as_bytes()), Name::Changes), "{name}");
        }
    }

    #[test]
    fn depth_does_not_reach_the_stack() {
        assert_eq!(judged(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), Err(TOO_DEEP));
        assert_eq!(judged(r#"{"text":"\ud800"}"#), Err(UNREADABLE));
    }

    /// JSON as others write it, names and texts that matter among the rest, some of it written with escapes.
    fn json() -> impl Strategy<Value = String> {
        let text = r#"([a-zA-Z:{}\[\], ]|\\\\|\\"|\\/|\\n|\\u0041|\\ud800|é){0,6}"#;
        let name = prop_oneof![
            select(&[
                "modifierExtension",
                "implicitRules",
                "modifier\\u0045xtension",
                "valueString",
                "valueX\\\"",
                "value\\u0041",
                "onsetAge",
                "value",
                "valueset",
            ])
            .prop_map(str::to_owned),
            text,
        ];
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("-1.50e3".to_owned()),
            Just("true".to_owned()),
            text.prop_map(|text| format!("\"{text}\"")),
        ];
        leaf.prop_recursive(6, 40, 4, move |inner| {
            let member = (name.clone(), " {0,1}", inner.clone());
            prop_oneof![
                vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
                vec(member, 0..4).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(n, space, v)| format!("\"{n}\"{space}:{v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    /// What may stand in a head, some of it misplaced.
    fn head() -> impl Strategy<Value = String> {
        const VALUES: [&str; 8] = [
            "null",
            "\"Patient\"",
            "\"a, }\\\" b\"",
            "7",
            "{}",
            r#"{"reference":"Patient/1","type":"Patient","id":"x","identifier":{"value":"7"}}"#,
            r#"{"security":{"code":"AIAST"}}"#,
            r#"[{"id":1},"a"]"#,
        ];
        select(&VALUES).prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn what_is_plain_is_sound(text in json()) {
            if plain(&text).is_some() {
                let read = serde_json::from_str::<Element>(&text);
                prop_assert!(matches!(read, Ok(Element { fault: None, .. })), "{}", text);
            }
        }

        #[test]
        fn a_head_had_in_one_pass_is_the_head(
            members in vec((select([&Plain::MEMBERS[..], &["x", "i\\u0064"]].concat()), "[ \n]{0,1}", head()), 0..7),
            after in "[ \n]{0,1}",
        ) {
            let members: Vec<_> =
                members.iter().map(|(name, space, value)| format!("{space}\"{name}\":{space}{value}{space}")).collect();
            let text = format!("{{{after}{}{after}}}", members.join(","));
            let slow = super::super::read::<Head>(serde_json::from_str(&text).unwrap());
            if let Some(head) = plain(&text).and_then(Plain::head) {
                prop_assert_eq!(format!("{:?}", Ok::<_, String>(head)), format!("{slow:?}"), "{}", text);
            } else if !text.contains('\\') {
                prop_assert!(slow.is_err(), "{}", text);
            }
        }
    }

    #[test]
    fn most_of_what_comes_is_plain() {
        for text in [
            r#"{"a":[1.50,{"b\"c":"\\"}],"valueString":"\"}{","component":[{"valueString":":"},{"valueString":"b"}]}"#,
            r#"{"text" : "implicitRules", "code":["modifierExtension"]}"#,
        ] {
            assert!(plain(text).is_some(), "{text}");
        }
        for depth in [FLAT, FLAT + 1, 127] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!((plain(&text).is_some(), judged(&text)), (depth == FLAT, Ok(())));
        }
    }
}
