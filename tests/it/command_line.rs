//! The binary itself: what it says, how it ends, and what it never says.

use std::process::{Command, Output};

pub fn curbside(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curbside"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CURBSIDE_")) {
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
        (vec!["demo", "--nonsense"], 2, "--nonsense"),
    ] {
        let (output, text) = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words) && !text.contains("panicked"), "{arguments:?}: {text}");
    }
}

#[test]
fn help_explains_every_option() {
    let options = curbside::cli::options();
    for command in ["demo", "serve", "check-model", "probe"] {
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
