//! A Bundle as it is written: members as they came, lists with a bound.

use std::{fmt, marker::PhantomData};

use compact_str::CompactString as Text;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire<'a, E> {
    pub(super) resource_type: Option<String>,
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) total: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) meta: Option<&'a RawValue>,
    pub(super) entry: Option<E>,
    #[serde(borrow)]
    pub(super) link: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) resource: Option<&'a RawValue>,
    pub(super) response: Option<Response>,
    pub(super) implicit_rules: Option<IgnoredAny>,
    pub(super) modifier_extension: Option<IgnoredAny>,
}

impl<E> Wire<'_, E> {
    pub(super) fn is_bundle(&self) -> bool {
        self.resource_type.as_deref() == Some("Bundle")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    pub(super) modifier_extension: Option<IgnoredAny>,
    pub(super) full_url: Option<String>,
    #[serde(borrow)]
    pub(super) resource: Option<&'a RawValue>,
    pub(super) search: Option<Search>,
    pub(super) request: Option<Request>,
    pub(super) response: Option<Response>,
}

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) method: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Search {
    pub(super) mode: Option<Text>,
}

#[derive(Deserialize)]
pub(super) struct Response {
    pub(super) status: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) relation: Option<String>,
    pub(super) url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Outcome<'a> {
    #[serde(borrow)]
    pub(super) issue: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Issue {
    pub(super) severity: Option<String>,
    pub(super) code: Option<String>,
}

/// The items of an array, a null as none, and how many went beyond `MOST`.
pub(super) struct Items<T, const MOST: usize> {
    pub(super) items: Vec<Option<T>>,
    pub(super) left_out: usize,
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Items<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for ItemsVisitor<T, MOST> {
            type Value = Items<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let (mut items, mut left_out) = (Vec::new(), 0);
                while items.len() < MOST {
                    match seq.next_element::<Option<T>>()? {
                        Some(item) => items.push(item),
                        None => return Ok(Items { items, left_out }),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    left_out += 1;
                }
                Ok(Items { items, left_out })
            }
        }
        deserializer.deserialize_seq(ItemsVisitor(PhantomData))
    }
}

/// The same of what may also be the one object standing where an array belongs.
pub(super) fn items<const MOST: usize>(raw: Option<&RawValue>) -> Items<&RawValue, MOST> {
    let none = Items { items: Vec::new(), left_out: 0 };
    match raw {
        Some(raw) if raw.get().starts_with('[') => serde_json::from_str(raw.get()).unwrap_or(none),
        Some(raw) => Items { items: vec![Some(raw)], ..none },
        None => none,
    }
}
