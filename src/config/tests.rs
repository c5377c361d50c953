use super::*;

const EHR: &str = "[[ehr]]\nfhir = \"http://127.0.0.1:9/fhir\"\ndicomweb = [\"http://127.0.0.1:9/dicomweb\"]\n";

fn load(text: &str, variables: &[(&str, &str)], flags: &[Flag]) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    std::fs::write(&file, text).unwrap();
    let variables: Vec<_> = variables.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    Config::load(Some(&file), &variables, flags)
}

fn flag(name: &'static str, key: &'static str, value: &str) -> Flag {
    Flag { name, key, value: value.into() }
}

fn refused(text: &str) -> String {
    load(text, &[], &[]).expect_err(text).message
}

#[test]
fn errors_name_the_file_the_key_and_what_to_do() {
    let tied = format!("intended_use = \"research\"\n{EHR}patient_id_systems = [\"urn:x\"]\n");
    assert!(load(&tied, &[], &[]).is_ok());
    for (text, parts) in [
        ("listen = ", vec!["line 1", "--print-config"]),
        ("lisen = \"127.0.0.1:1\"", vec!["lisen", "expected one of", "listen"]),
        ("listen = \"127.0.0.1:0\"", vec!["listen", "port"]),
        ("listen = 8080", vec!["listen", "--print-config"]),
        ("[engine]\nqueue = \"two\"", vec!["engine.queue"]),
        ("[engine]\nqueues = 2", vec!["queues", "engine"]),
        ("[engine]\ndevice = \"abacus\"", vec!["engine.device"]),
        ("intended_use = \"fun\"", vec!["intended_use", "research", "investigational", "cleared"]),
        ("tenant = \"a b\"", vec!["tenant", "letters"]),
        ("services = \"/nowhere/at/all\"", vec!["services", "leave the key out"]),
        ("public_base = \"ftp://x/\"", vec!["public_base", "http or https"]),
        ("public_base = \"http://x/?a=b\"", vec!["public_base", "without"]),
        ("[[ehr]]\nfhir = \"http://ehr.example/fhir\"", vec!["fhir of [[ehr]] number 1", "https"]),
        ("[[ehr]]\nfhir = \"https://me:pw@ehr.example/fhir\"", vec!["fhir of [[ehr]] number 1", "without user"]),
        ("[[ehr]]\nfhir = \"https://a/\"\ndicomweb = [\"http://pacs.example/\"]", vec!["dicomweb of [[ehr]]", "https"]),
        ("[[ehr]]\nfhir = \"https://a/fhir\"\n[[ehr]]\nfhir = \"https://a/fhir/\"", vec!["number 2", "earlier"]),
        (
            "[[ehr]]\nfhir = \"https://a/\"\nreachable = { \"https://a\" = \"http://10.0.0.5/\" }",
            vec!["reachable of [[ehr]] number 1", "https"],
        ),
        (
            "[[ehr]]\nfhir = \"https://a/\"\nreachable = { \"https://b\" = \"https://c\" }",
            vec!["reachable may name", "fhir and dicomweb"],
        ),
        ("[[ehr]]\nfhir = \"https://a/\"\nreachable = { \"https://a\" = \"c\" }", vec!["reachable", "absolute URL"]),
        ("[[ehr]]\nurl = \"https://a/fhir\"", vec!["url", "fhir"]),
    ] {
        let message = refused(text);
        assert!(message.contains("site.toml"), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let e = Config::load(Some(Path::new("/nowhere/site.toml")), &[], &[]).unwrap_err();
    assert!(e.message.contains("/nowhere/site.toml") && e.message.contains("--config"));
    let e = Config::load(None, &[(FILE_VARIABLE.into(), "/elsewhere.toml".into())], &[]).unwrap_err();
    assert!(e.message.contains("/elsewhere.toml"));
}

#[test]
fn serves_loopback_only() {
    for address in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:8080"] {
        assert!(refused(&format!("listen = \"{address}\"")).contains("loopback"), "{address}");
    }
    assert!(load("listen = \"[::1]:8080\"", &[], &[]).is_ok());
    assert!(load("", &[("CURBSIDE_LISTEN", "0.0.0.0:1")], &[]).is_err());
    assert!(load("", &[], &[flag("--listen", "listen", "0.0.0.0:1")]).is_err());
}

#[test]
fn bases_are_reached_where_the_file_says() {
    let text = "[[ehr]]\nfhir = \"https://ehr.example/fhir/\"\ndicomweb = [\"https://pacs.example/a\", \"https://pacs.example/b\"]\n\
                reachable = { \"https://ehr.example/fhir\" = \"http://127.0.0.1:8080/r4\", \"https://pacs.example/b/\" = \"https://10.0.0.6/b\" }";
    let config = load(text, &[], &[]).unwrap();
    let [ehr] = &config.ehr[..] else { panic!("one EHR") };
    let both = |base: &crate::egress::Base| (base.named().to_string(), base.reachable().to_string());
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(both(&ehr.fhir), pair("https://ehr.example/fhir/", "http://127.0.0.1:8080/r4"));
    assert_eq!(both(&ehr.dicomweb[0]), pair("https://pacs.example/a", "https://pacs.example/a"));
    assert_eq!(both(&ehr.dicomweb[1]), pair("https://pacs.example/b", "https://10.0.0.6/b"));
}

#[test]
fn films_need_an_identifier_system() {
    assert!(load(EHR, &[], &[]).is_ok(), "without intended use no film is read");
    let message = refused(&format!("intended_use = \"research\"\n{EHR}"));
    assert!(message.contains("patient_id_systems of [[ehr]] number 1") && message.contains("tied to a patient"));
}

#[test]
fn patient_data_travel_encrypted() {
    for base in ["http://127.0.0.1:8081/fhir", "http://localhost/fhir", "http://[::1]/fhir", "https://ehr.example/fhir"]
    {
        assert!(load(&format!("[[ehr]]\nfhir = \"{base}\""), &[], &[]).is_ok(), "{base}");
    }
    for base in ["http://10.0.0.1/fhir", "http://localhost.example/fhir", "http://127.0.0.1.example/fhir"] {
        assert!(load(&format!("[[ehr]]\nfhir = \"{base}\""), &[], &[]).is_err(), "{base}");
    }
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let text = "listen = \"127.0.0.1:1\"\ntenant = \"file\"\n[engine]\nqueue = 1\n";
    assert_eq!(load(text, &[], &[]).unwrap().listen.port(), 1);
    let variables = [("CURBSIDE_LISTEN", "127.0.0.1:2"), ("CURBSIDE_ENGINE_QUEUE", "7"), ("HOME", "/home/x")];
    let config = load(text, &variables, &[]).unwrap();
    assert_eq!((config.listen.port(), config.engine.queue, config.tenant.as_str()), (2, 7, "file"));
    let config = load(text, &variables, &[flag("--listen", "listen", "127.0.0.1:3")]).unwrap();
    assert_eq!((config.listen.port(), config.engine.queue), (3, 7));
    assert_eq!(config.public_base().unwrap().as_str(), "http://127.0.0.1:3/");
}

#[test]
fn a_wrong_type_is_told_in_words() {
    let message = load("[engine]\nqueue = \"many\"", &[], &[]).unwrap_err().message;
    assert!(message.contains("expected a whole number") && !message.contains("usize"), "{message}");
}

#[test]
fn the_sample_beside_the_demonstration_is_sound() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/serve.toml");
    let text = std::fs::read_to_string(sample).unwrap();
    // A build without the runtime refuses any model.
    let text = if cfg!(feature = "mistralrs") { text } else { text.replace("\nmodel =", "\n#model =") };
    let config = load(&text, &[], &[]).unwrap();
    assert!(config.intended_use.is_some() && config.engine.model.is_some() == cfg!(feature = "mistralrs"));
    assert_eq!(config.ehr[0].fhir.named().as_str(), "http://127.0.0.1:8081/fhir");
    assert_eq!(config.ehr[0].dicomweb[0].named().as_str(), "http://127.0.0.1:8082/dicomweb");
}

/// What the containers' files set; nobody's own setting gives way to it.
#[test]
fn model_path_names_the_model_where_nothing_else_does() {
    let model = |text: &str, variables: &[(&str, &str)]| {
        // A build without the runtime refuses any model, in words that name the key.
        let config = load(text, variables, &[]);
        config.map(|c| c.engine.model.map(|m| m.display().to_string())).map_err(|e| e.message)
    };
    let path = [("MODEL_PATH", "/models/a"), ("CURBSIDE_ENGINE_MODEL", "/models/b")];
    let cases = [
        ("", &path[..1], "/models/a"),
        ("", &path[..], "/models/b"),
        ("[engine]\nmodel = \"/models/c\"", &path[..1], "/models/c"),
    ];
    for (text, variables, expected) in cases {
        match model(text, variables) {
            Ok(named) => assert_eq!(named.as_deref(), Some(expected)),
            Err(message) => assert!(!cfg!(feature = "mistralrs") && message.contains("engine.model"), "{message}"),
        }
    }
    assert_eq!(model("", &[]), Ok(None));
    assert_eq!(model("", &[("MODEL_PATH", "")]), Ok(None));
}

#[test]
fn a_digits_only_text_stays_text() {
    assert_eq!(load("", &[("CURBSIDE_TENANT", "1234")], &[]).unwrap().tenant, "1234");
}

#[test]
fn variables_and_flags_are_named_in_errors() {
    for (name, value, part) in [
        ("CURBSIDE_ENGINE_QUEUE", "many", "engine.queue takes a whole number"),
        ("CURBSIDE_LISTN", "127.0.0.1:2", "unset it"),
        ("CURBSIDE_EHR_FHIR", "https://a", "unset it"),
        ("CURBSIDE_LISTEN", "here", "listen"),
    ] {
        let message = load("", &[(name, value)], &[]).unwrap_err().message;
        assert!(message.starts_with(name) && message.contains(part), "{message}");
    }
    let message = load("", &[], &[flag("--listen", "listen", "here")]).unwrap_err().message;
    assert!(message.starts_with("--listen"), "{message}");
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let read: Config = toml::from_str(DOCUMENTED).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
    assert!(Config::default().check().is_ok());
}

#[test]
fn every_example_is_a_legal_value() {
    let uncommented: Vec<_> =
        DOCUMENTED.lines().map(|l| if l.starts_with("# ") { "" } else { l.trim_start_matches('#') }).collect();
    let read: Config = toml::from_str(&uncommented.join("\n")).unwrap();
    assert_eq!(read.ehr.len(), 1);
}

/// serde itself says which keys a struct takes when it meets one that it does not.
fn keys(section: &str) -> Vec<String> {
    let open = |s: &str| if s == "ehr" { "[[ehr]]".to_owned() } else { format!("[{s}]") };
    let head = if section.is_empty() { String::new() } else { open(section) };
    let message = toml::from_str::<Config>(&format!("{head}\nno_such_key = 1\n")).unwrap_err().to_string();
    let expected = message.split_once("expected").map(|(_, list)| list).unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_is_documented() {
    let documented: Vec<String> = Config::reference().into_iter().map(|(key, ..)| key).collect();
    let sections = ["ehr", "engine", "store", "http", "upstream", "imaging", "report"];
    let mut accepted: Vec<String> = keys("").into_iter().filter(|key| !sections.contains(&key.as_str())).collect();
    assert_eq!(keys("").len(), accepted.len() + sections.len(), "a section is missing from this test");
    for section in sections {
        accepted.extend(keys(section).into_iter().map(|key| format!("{section}.{key}")));
    }
    let missing: Vec<_> = accepted.iter().filter(|key| !documented.contains(key)).collect();
    let stale: Vec<_> = documented.iter().filter(|key| !accepted.contains(key)).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "config.default.toml lacks {missing:?} and documents {stale:?}, which do not exist"
    );
    for (key, _, description) in Config::reference() {
        assert!(description.ends_with('.'), "{key} is not explained");
    }
}

#[test]
fn what_is_no_text_of_a_bounded_length_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::fs::write(at("latin.toml"), b"tenant = \"caf\xe9\"").unwrap();
    std::fs::File::create(at("large.toml")).unwrap().set_len(1 << 40).unwrap();
    std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
    for (path, words) in [
        (at("pipe"), "is not a regular file"),
        (folder.path().into(), "is not a regular file"),
        ("/dev/zero".into(), "is not a regular file"),
        (at("latin.toml"), "is not text in UTF-8"),
        (at("large.toml"), "is longer than 1 MiB"),
        (at("dangling"), "is missing"),
    ] {
        let message = Config::load(Some(&path), &[], &[]).unwrap_err().message;
        assert!(message.contains(words) && message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains("--config"), "{message}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_one_line_that_says_why_not(
        text in "\\PC{0,80}|((listen|tenant|public_base|services|intended_use|\\[ehr\\]|\\[\\[ehr\\]\\]|\\[engine\\]|\\[http\\]|fhir|dicomweb|queue|max_body_bytes|drain_ms) ?=? ?(\"[a-z:/.0-9]{0,20}\"|-?[0-9]{1,25}|\\[[0-9\",a-z]{0,9}\\]|true|1e400|\\{\\})?\n){0,6}",
        variable in "\\PC{0,12}|-?[0-9.e]{0,25}"
    ) {
        let variables = [("CURBSIDE_HTTP_DRAIN_MS", variable.as_str()), ("CURBSIDE_LISTEN", &variable)];
        for found in [load(&text, &[], &[]), load(&text, &variables, &[]), load("", &variables[..1], &[])] {
            if let Err(error) = found {
                proptest::prop_assert!(!error.message.contains('\n') && error.message.len() > 10, "{}", error.message);
            }
        }
    }
}
