use super::*;

fn of(text: &str) -> Split {
    split(serde_json::from_str(text).unwrap()).unwrap()
}

const OUTCOME: &str =
    r#"{"resourceType":"OperationOutcome","issue":{"severity":"SEVERITY","code":"CODE","diagnostics":"Jane Doe"}}"#;

fn outcome(severity: &str, code: &str) -> String {
    OUTCOME.replace("SEVERITY", severity).replace("CODE", code)
}

#[test]
fn resources_keep_their_text() {
    let split = of(r#"{"entry":[null,{"resource":{"resourceType":"Observation","valueQuantity":{"value":72.50}}},
        {"search":{"mode":"include"},"resource":{"id":"a","resourceType":"Patient"}}],"resourceType":"Bundle",
        "link":[null,{"relation":"self","url":"a"},{"relation":"next","url":"Observation?page=2"}]}"#);
    assert_eq!(split.resources.len(), 2);
    assert_eq!(split.resources[0].get(), r#"{"resourceType":"Observation","valueQuantity":{"value":72.50}}"#);
    assert_eq!(split.next.as_deref(), Some("Observation?page=2"));
    assert_eq!((split.problems, split.failed), (vec!["1 of the Bundle's entries hold no record".into()], None));
}

#[test]
fn an_entry_without_a_record_is_told() {
    let record = r#"{"resource":{"resourceType":"Patient"}}"#;
    for entry in ["null", "{}", r#"{"resource":null}"#, r#"{"fullUrl":"https://ehr.example/fhir/Patient/1"}"#] {
        let split =
            of(&format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entry},{record},{entry}]}}"#));
        assert_eq!(split.problems, ["2 of the Bundle's entries hold no record"], "{entry}");
        assert!(split.resources.len() == 1 && split.doubtful);
    }
}

#[test]
fn a_warning_that_something_may_be_lacking_is_told() {
    let beside = |severity: &str, code: &str| {
        let entry = r#"{"resource":{"resourceType":"Patient"}}"#;
        let outcome = outcome(severity, code);
        of(&format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entry},{{"resource":{outcome}}}]}}"#))
    };
    for code in ["incomplete", "suppressed", "forbidden"] {
        let split = beside("warning", code);
        assert_eq!(split.problems, [format!("the server warned that its answer may not be all ({code})")]);
        assert!(split.doubtful);
    }
    for (severity, code) in [("information", "incomplete"), ("warning", "informational"), ("warning", "Jane Doe")] {
        assert!(beside(severity, code).problems.is_empty(), "{severity} {code}");
    }
    let marked = |tag: &str| {
        let meta = format!(r#"{{"tag":[{{"code":"{tag}"}}]}}"#);
        of(&format!(r#"{{"resourceType":"Bundle","type":"searchset","meta":{meta}}}"#))
    };
    for (tag, told) in [("SUBSETTED", 1), ("REDACTED", 1), ("x", 0)] {
        let split = marked(tag);
        assert_eq!((split.problems.len(), split.doubtful), (told, told == 1), "{tag}");
    }
}

#[test]
fn empty_is_not_failed() {
    let warning = outcome("warning", "processing");
    for text in [
        r#"{"resourceType":"Bundle"}"#.to_owned(),
        r#"{"resourceType":"Bundle","entry":null,"link":null,"total":0}"#.to_owned(),
        r#"{"resourceType":"Bundle","entry":[]}"#.to_owned(),
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"search":{{"mode":"outcome"}},"resource":{warning}}}]}}"#
        ),
    ] {
        let split = of(&text);
        assert!(split.resources.is_empty() && split.failed.is_none() && split.problems.is_empty(), "{text}");
    }
}

#[test]
fn an_error_without_a_match_is_a_failure_and_beside_matches_a_problem() {
    let error = outcome("error", "too-costly");
    let alone = of(&format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{error}}}]}}"#));
    assert_eq!(alone.failed.as_deref(), Some("the server reported an error (too-costly)"));
    let beside = of(&format!(
        r#"{{"resourceType":"Bundle","entry":[{{"resource":{error}}},{{"resource":{{"resourceType":"Patient"}}}}]}}"#
    ));
    assert!(beside.failed.is_none());
    assert_eq!((beside.resources.len(), beside.problems.len()), (1, 1));
    assert_eq!(
        of(&outcome("information", "not-found")).failed.as_deref(),
        Some("the server reported an error (unknown)")
    );
}

#[test]
fn an_outcome_is_told_by_its_code_only() {
    for code in ["jane-doe", "Jane Doe", ""] {
        let failed = of(&outcome("fatal", code)).failed.unwrap();
        assert_eq!(failed, "the server reported an error (unknown)");
    }
}

#[test]
fn the_legacy_wrapper_is_unwrapped() {
    let split = of(
        r#"{"response":{"status":"200 OK"},"resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}}"#,
    );
    assert_eq!(split.resources.len(), 1);
    let split = of(r#"{"response":{"status":"404 Jane Doe"},"resource":{"resourceType":"Patient"}}"#);
    assert_eq!(split.failed.as_deref(), Some("the server answered with status 404"));
    assert!(split.resources.is_empty());
}

#[test]
fn one_bad_entry_leaves_the_others() {
    let split = of(r#"{"resourceType":"Bundle","entry":[7,{"resource":"Jane Doe"},{},{"fullUrl":"urn:uuid:1"},
        {"resource":{"resourceType":"Patient"}},{"search":{"mode":"outcome"},"resource":{"resourceType":"Patient"}}]}"#);
    assert_eq!(split.resources.len(), 1);
    assert_eq!(split.problems.len(), 3, "{:?}", split.problems);
    assert!(split.problems.iter().any(|p| p.starts_with("2 of")) && !split.problems.concat().contains("Jane"));
}

#[test]
fn what_rides_along_is_no_match() {
    let entry =
        |mode: &str| format!(r#"{{"resource":{{"resourceType":"Patient","id":"1"}},"search":{{"mode":"{mode}"}}}}"#);
    let both =
        format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{},{}]}}"#, entry("match"), entry("include"));
    let split = of(&both);
    assert_eq!((split.resources.len(), split.included), (2, 1));
}

/// What an EHR sends along where none is configured gives addresses too.
#[test]
fn where_no_ehr_is_named_nothing_is_of_another_server() {
    let entry = r#"{"fullUrl":"https://a.example/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1"}}"#;
    let split = of(&format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entry}]}}"#));
    let elsewhere = "https://ehr.example/fhir".parse().unwrap();
    assert_eq!([split.of(None).0.len(), split.of(Some(&elsewhere)).0.len()], [1, 0]);
}

#[test]
fn only_what_an_entry_gives_as_it_stands_is_taken() {
    let base = "https://ehr.example/fhir".parse().unwrap();
    let here = |more: &str| {
        let entry = format!(r#"{{"resource":{{"resourceType":"Patient","id":"1"}}{more}}}"#);
        let split = of(&format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entry}]}}"#));
        let (here, elsewhere) = split.of(Some(&base));
        (here.len(), split.problems.len() + elsewhere.iter().count() + split.failed.iter().count(), split.doubtful)
    };
    for (more, expected) in [
        ("", (1, 0, false)),
        (r#","fullUrl":"https://ehr.example/fhir/Patient/1/_history/2""#, (1, 0, false)),
        (r#","fullUrl":"Patient/1""#, (1, 0, false)),
        (r#","fullUrl":"urn:uuid:1""#, (1, 0, false)),
        (r#","fullUrl":"somewhere""#, (1, 0, true)),
        (r#","fullUrl":"https://ehr.example/fhir/Patient/2""#, (0, 1, false)),
        (r#","fullUrl":"https://ehr.example/fhir/Person/1""#, (0, 1, false)),
        (r#","fullUrl":"https://other.example/fhir/Patient/1""#, (0, 1, false)),
        (r#","request":{"method":"DELETE","url":"Patient/1"}"#, (0, 1, false)),
        (r#","response":{"status":"410"}"#, (0, 1, false)),
        (r#","response":{"status":"201 Created"}"#, (1, 0, false)),
    ] {
        assert_eq!(here(more), expected, "{more}");
    }
    let history = of(r#"{"resourceType":"Bundle","type":"history","entry":[{"resource":{"resourceType":"Patient"}}]}"#);
    assert_eq!((history.resources.len(), history.problems.len(), history.failed), (0, 1, None));
}

#[test]
fn entries_are_bounded_and_the_rest_is_counted() {
    let entry = r#"{"resource":{"resourceType":"Patient"}}"#;
    let split = of(&format!(r#"{{"resourceType":"Bundle","entry":[{}]}}"#, vec![entry; MAX_RESOURCES + 3].join(",")));
    assert_eq!(split.resources.len(), MAX_RESOURCES);
    assert!(split.problems[0].contains("3 were left out"), "{:?}", split.problems);
}

#[test]
fn what_is_no_resource_is_an_error_that_does_not_echo() {
    for text in ["[]", "7", r#""Jane Doe""#, "{}", r#"{"response":{"status":"200"}}"#, r#"{"resourceType":{"Jane":1}}"#]
    {
        let error = split(serde_json::from_str(text).unwrap()).unwrap_err();
        assert!(!error.contains("Jane"), "{error}");
    }
}

#[test]
fn depth_does_not_reach_the_stack() {
    let depth = 100_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let split = of(&format!(
        r#"{{"resourceType":"Bundle","x":{deep},"entry":[{{"resource":{{"resourceType":"Patient","x":{deep}}}}}]}}"#
    ));
    assert_eq!(split.resources.len(), 1);
    let wrapped = format!(
        "{}{}{}",
        r#"{"response":{"status":"200"},"resource":"#.repeat(9),
        r#"{"resourceType":"Patient"}"#,
        "}".repeat(9)
    );
    assert!(super::split(serde_json::from_str(&wrapped).unwrap()).is_err());
}

/// Any JSON, made of the names a Bundle has.
fn json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    use serde_json::Value;

    let names = "resourceType|id|fullUrl|entry|resource|link|relation|url|search|mode|request|method|response|status|issue|severity|code|type|total|meta|x";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "Bundle|OperationOutcome|Patient|Patient/1|https://x.example/Patient/1|urn:x|DELETE|history|searchset|outcome|match|next|error|fatal|SUBSETTED|[0-9]{3} OK|\\PC{0,8}"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6).prop_map(|m| m.into_iter().collect::<Value>()),
        ]
    })
}

proptest::proptest! {
    #[test]
    fn any_json_is_split_or_refused(value in json()) {
        let raw = serde_json::value::to_raw_value(&value).unwrap();
        if let Ok(split) = super::split(&raw) {
            for resource in &split.resources {
                proptest::prop_assert!(raw.get().contains(resource.get()));
                proptest::prop_assert!(resource.get().contains("resourceType"));
            }
            proptest::prop_assert!(split.failed.is_none() || split.resources.is_empty());
            let (here, elsewhere) = split.of(Some(&"https://ehr.example/fhir".parse().unwrap()));
            proptest::prop_assert_eq!(here.len() < split.resources.len(), elsewhere.is_some());
        }
    }
}
