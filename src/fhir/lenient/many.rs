//! Arrays as EHRs send them.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// Far above any real array: what is read takes many times the bytes it came in.
const MOST_ITEMS: usize = 20_000;

/// An array that may come as a single object or text, as `null`, or not at all. One of more than [`MOST_ITEMS`] is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Many(Vec::new())
    }
}

impl<T> std::ops::Deref for Many<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array or an object")
            }
            fn visit_unit<E>(self) -> Result<Many<T>, E> {
                Ok(Many::default())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Many<T>, E> {
                Ok(Many(vec![T::deserialize(text.into_deserializer())?]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Many<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<Option<T>>()? {
                    // INVARIANT: an_array_without_an_end_is_not_kept
                    if items.len() == MOST_ITEMS {
                        return Err(Error::custom("an array of more items than are read"));
                    }
                    let Some(item) = item else { continue };
                    // Nearly every array of a record has one item, and there are many arrays.
                    if items.is_empty() {
                        items.reserve_exact(1);
                    }
                    items.push(item);
                }
                Ok(Many(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
                Ok(Many(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
            }
        }
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::lenient::{Observation, read};

    #[test]
    fn an_array_without_an_end_is_not_kept() {
        let of = |count: usize| {
            let text = format!(r#"{{"category":[{}]}}"#, vec!["{}"; count].join(","));
            read::<Observation>(serde_json::from_str(&text).unwrap())
        };
        assert_eq!(of(MOST_ITEMS).unwrap().category.len(), MOST_ITEMS);
        assert_eq!(of(MOST_ITEMS + 1).unwrap_err(), "its element category is not readable");
    }
}
