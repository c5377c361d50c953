//! JSON taken from its front, a value at a time, so that what is large is stepped over once.

use compact_str::CompactString as Text;
use serde::Deserialize;

/// What is left of a text.
#[derive(Clone, Copy)]
pub struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor(text)
    }

    /// Takes the value in front. `None`: it is none that can be read so, and nothing is taken.
    pub fn value<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter();
        let value = values.next()?.ok()?;
        self.0 = self.0.get(values.byte_offset()..)?;
        Some(value)
    }

    /// Takes the object in front: `member` is told the name of each member, and takes its value.
    ///
    /// `None`: it is no object, or a value was not taken.
    pub fn object(&mut self, mut member: impl FnMut(Text, &mut Self) -> Option<()>) -> Option<()> {
        self.sign('{')?;
        if self.sign('}').is_some() {
            return Some(());
        }
        loop {
            let name = self.value()?;
            self.sign(':')?;
            member(name, self)?;
            if self.sign(',').is_none() {
                return self.sign('}');
            }
        }
    }

    /// Whether an object is in front.
    pub fn is_object(self) -> bool {
        self.front().starts_with('{')
    }

    /// Whether nothing is left but white space.
    pub fn is_at_end(self) -> bool {
        self.front().is_empty()
    }

    fn front(self) -> &'a str {
        self.0.trim_start_matches(SPACE)
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.0 = self.front().strip_prefix(sign)?;
        Some(())
    }
}

/// What JSON allows between its values. <https://www.rfc-editor.org/rfc/rfc8259#section-2>
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::value::RawValue;

    use super::*;

    /// The members of the one object that a text is.
    fn members(text: &str) -> Option<Vec<(Text, &str)>> {
        let (mut at, mut members) = (Cursor::new(text), Vec::new());
        at.object(|name, at| {
            members.push((name, at.value::<&RawValue>()?.get()));
            Some(())
        })?;
        at.is_at_end().then_some(members)
    }

    #[test]
    fn a_value_that_cannot_be_read_is_not_taken() {
        let mut at = Cursor::new(r#" [1] {"a":2}x"#);
        assert_eq!((at.value::<String>(), at.value::<Vec<u8>>()), (None, Some(vec![1])));
        assert!(at.object(|_, at| at.value::<u8>().map(drop)).is_some() && !at.is_at_end());
        assert!(at.value::<u8>().is_none() && at.object(|_, _| None).is_none());
    }

    proptest! {
        #[test]
        fn an_object_is_walked_as_the_reader_of_json_reads_it(
            parts in vec(select(&["{", "}", ":", ",", "\"a\"", "\"\\u0062\"", "1", "-0.5e1", "01", "null", "[", "]", "{}", "[7 ]",
                " ", "\n", "\u{c}", "\"", "x"]), 0..12),
            whole in any::<bool>(),
        ) {
            let text = if whole { format!(r#"{{"a":{},"b" : [null]}}"#, parts.concat()) } else { parts.concat() };
            let read = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() && text.trim_start().starts_with('{');
            let walked = members(&text);
            prop_assert_eq!(walked.is_some(), read, "{}", text);
            let mut again = Vec::new();
            for (name, value) in walked.into_iter().flatten() {
                again.push(format!("{}:{value}", serde_json::to_string(&name).unwrap()));
            }
            if read {
                let values = [format!("{{{}}}", again.join(",")), text.clone()].map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
                prop_assert_eq!(&values[0], &values[1], "{}", text);
            }
        }
    }
}
