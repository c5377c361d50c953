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
    for name in ["", "value", "valueset", "value1", "valueÄ", "xvalueA", "_valueString", "modifierExtensionX", "v"] {
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
