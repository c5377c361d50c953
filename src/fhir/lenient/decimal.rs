//! Decimals as they were written: `1.0` says more than `1`. <https://hl7.org/fhir/R4/datatypes.html#decimal>

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// A number of JSON, of any size and precision, as its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Decimal(CompactString);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        match text.as_bytes() {
            [b'-' | b'0'..=b'9', ..] => Ok(Decimal(text.into())),
            _ => Err(D::Error::custom("no number")),
        }
    }
}

impl Decimal {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use crate::fhir::lenient::{Observation, read};

    #[test]
    fn a_decimal_is_its_text_and_nothing_else_is_one() {
        let of = |value: &str| {
            let text = format!(r#"{{"component":{{"valueQuantity":{{"value":{value} }}}}}}"#);
            let observation: Observation = read(serde_json::from_str(&text).unwrap())?;
            Ok(observation.component[0].value_quantity.as_ref().and_then(|quantity| quantity.value.clone()))
        };
        for text in ["0", "-0.50", "1E+4", "72.500", "123456789012345678901234567890.10"] {
            assert_eq!(of(text).map(|value| value.unwrap().as_str().to_owned()), Ok(text.to_owned()));
        }
        assert_eq!(of("null"), Ok(None));
        for text in ["\"1\"", "true", "[1]", "{}"] {
            let error = "its element component.valueQuantity.value is not readable";
            assert_eq!(of(text), Err::<_, String>(error.into()), "{text}");
        }
    }
}
