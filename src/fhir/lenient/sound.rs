//! Whether a resource means what its elements say. <https://hl7.org/fhir/R4/extensibility.html#modifierExtension>

#[cfg(test)]
mod tests;

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
