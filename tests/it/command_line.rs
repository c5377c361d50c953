//! The binary itself: what it says, how it ends, and what it never says.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use curbside::{config::Config, engine::Engine};

use crate::harness::{Plan, patient};

pub fn curbside(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curbside"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CURBSIDE_") || name == "MODEL_PATH")
    {
        command.env_remove(name);
    }
    command
}

pub fn run(arguments: &[&str]) -> (Output, String) {
    let output = curbside(arguments).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output, text)
}

#[test]
fn errors_are_one_sentence_that_says_what_to_do() {
    let empty = tempfile::TempDir::new().unwrap();
    let missing = empty.path().join("nothing").display().to_string();
    for (arguments, code, words) in [
        (vec!["demo", "--fixtures", &missing], 2, "--fixtures"),
        (vec!["serve", "--config", &missing], 2, "--config"),
        (vec!["serve", "--listen", "0.0.0.0:0"], 2, "loopback"),
        (vec!["check-model", &missing], 1, "nothing"),
        (vec!["eval", "phantom", "--model", &missing], 2, "--model"),
        (vec!["eval", "nonsense"], 2, "phantom"),
        (vec!["demo", "--nonsense"], 2, "--nonsense"),
        // A container engine reserves 2 for itself.
        (vec!["probe", "--config", &missing], 1, "--config"),
        (vec!["probe", "--listen", "0.0.0.0:0"], 1, "loopback"),
        (vec!["probe", "--nonsense"], 1, "--nonsense"),
    ] {
        let (output, text) = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words) && !text.contains("panicked"), "{arguments:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_believes_curbside_and_nobody_else() {
    let probe = |what, address: &str| run(&["probe", what, "--listen", address]);
    let hospital = Plan::new(vec![patient("demo")], Engine::absent()).open().await;
    let address = hospital.url.socket_addrs(|| None).expect("an address")[0].to_string();
    for what in ["livez", "readyz"] {
        let (output, text) = probe(what, &address);
        assert!(output.status.success(), "{what}: {text}");
    }
    hospital.close().await;
    let (output, text) = probe("livez", &address);
    assert!(output.status.code() == Some(1) && text.contains("no answer"), "{text}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    for body in ["hello", "", "{}", r#"{"status":"UP"}"#, r#"{"status":["live"]}"#, r#"{"status":"ready"}"#] {
        let listener = listener.try_clone().expect("a listener");
        let somebody_else = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the probe");
            let _ = stream.read(&mut [0; 4096]).expect("a request");
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("an answer");
        });
        let (output, text) = probe("livez", &address);
        assert!(output.status.code() == Some(1) && text.contains("not curbside"), "{body}: {text}");
        somebody_else.join().expect("its end");
    }
}

/// So a compose file says it that names no model.
#[test]
fn an_empty_model_path_names_no_model() {
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").to_string();
    let output = curbside(&["probe", "--listen", &address]).env("MODEL_PATH", "").output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("no answer") && !text.contains("engine.model"), "{text}");
}

#[test]
fn help_explains_every_option() {
    let options = curbside::cli::options();
    for command in ["demo", "serve", "cases", "check-model", "phantom", "probe"] {
        let (output, text) = run(&[command, "--help"]);
        assert!(output.status.success(), "{text}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let help = words(&text);
        let of_command: Vec<_> = options.iter().filter(|option| option.command == command).collect();
        assert!(of_command.len() >= 2, "{command} has options");
        for option in of_command {
            assert!(option.help.len() >= 15, "{command} {} is not explained", option.name);
            let said = help.contains(&option.name) && help.contains(&words(&option.help));
            assert!(said, "{command} {} is not in\n{text}", option.name);
        }
    }
}

#[tokio::test]
async fn the_ehr_and_the_pacs_of_the_demonstration_can_be_had_alone() {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).ok().and_then(|l| Some(l.local_addr().ok()?.port()));
    let port = std::iter::repeat_with(|| free(0).expect("a port") - 1).find(|first| free(first + 2).is_some());
    let port = port.expect("three in a row").to_string();
    let mut child = curbside(&["demo", "--ehr-only", "--port", &port]).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut printed = String::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        printed += &(line.expect("text") + "\n");
        if printed.contains("patient_id_systems") {
            break;
        }
    }
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("curbside.toml");
    std::fs::write(&file, &printed).unwrap();
    let config = Config::load(Some(&file), &[], &[]).unwrap_or_else(|e| panic!("{e}: {printed}"));
    // What is nobody's is locked too as soon as an order has been signed: here nobody needs a token.
    for path in ["Endpoint/c01-endpoint", "Patient/demo", "Observation?patient=c01"] {
        let address = format!("{}/{path}", config.ehr[0].fhir.as_str());
        assert_eq!(reqwest::get(&address).await.expect("an answer").status(), 200, "{address}");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill").success());
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn made_up_films_are_written_with_their_truth_and_nothing_is_overwritten() {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("films").display().to_string();
    let arguments = ["phantom", "--seed", "5", "--count", "2", "--size", "64x80", "--stamp", "--out", &out];
    let (output, text) = run(&arguments);
    assert!(output.status.success() && text.contains("made up, not a film of a person"), "{text}");
    let read = |name: &str| std::fs::read(folder.path().join("films").join(name)).unwrap();
    for seed in [5, 6] {
        let truth: serde_json::Value = serde_json::from_slice(&read(&format!("phantom-00000{seed}.json"))).unwrap();
        assert_eq!(truth["seed"], seed);
        let findings = truth["findings"].as_array().unwrap();
        assert!(truth["where"].as_object().unwrap().len() == findings.len(), "{truth}");
        let file = read(&format!("phantom-00000{seed}.dcm"));
        assert_eq!(&file[128..132], b"DICM");
        let picture = image::load_from_memory(&read(&format!("phantom-00000{seed}.png"))).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 80));
    }
    let before = read("phantom-000005.dcm");
    let (output, text) = run(&arguments);
    assert!(output.status.code() == Some(2) && text.contains("already exists"), "{text}");
    assert_eq!(read("phantom-000005.dcm"), before);
    for size in ["0x0", "64", "x", "64x99999", "-1x64"] {
        let (output, text) = run(&["phantom", "--out", &out, &format!("--size={size}")]);
        assert!(output.status.code() == Some(2) && text.contains("1024x1024"), "{size}: {text}");
    }
}
