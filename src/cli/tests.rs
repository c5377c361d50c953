use super::*;

#[test]
fn the_command_line_is_sound() {
    command().debug_assert();
}

#[test]
fn every_option_is_explained_and_what_takes_no_default_says_what_happens() {
    let options = options();
    assert!(options.iter().any(|o| o.command == "serve" && o.name == "--config"));
    assert!(options.iter().any(|o| o.command == "check-model" && o.name == "DIR"));
    for option in &options {
        assert!(option.help.len() > 10, "{} {} is not explained", option.command, option.name);
        assert!(!option.name.is_empty() && !option.help.contains('\n'), "{option:?}");
    }
    let port = options.iter().find(|o| o.command == "demo" && o.name == "--port").unwrap();
    assert_eq!(port.default, "8080");
    let once = options.iter().find(|o| o.name == "--once").unwrap();
    assert_eq!(once.default, "");
}

#[test]
fn every_flag_of_serve_sets_a_documented_key() {
    let line = ["curbside", "serve", "--listen", "127.0.0.1:9", "--model", "m", "--store", "s.db"];
    let Ok(Cli { command: Command::Serve(options) }) = Cli::try_parse_from(line) else { panic!("not parsed") };
    let keys: Vec<String> = config::Config::reference().into_iter().map(|(key, ..)| key).collect();
    let flags = options.flags();
    assert_eq!(flags.len(), 3);
    for flag in flags {
        assert!(keys.contains(&flag.key.to_owned()), "{} sets {}", flag.name, flag.key);
    }
}

#[test]
fn ports_leave_room_for_the_ehr_and_the_pacs() {
    assert!(Cli::try_parse_from(["curbside", "demo", "--port", "65533"]).is_ok());
    for port in ["0", "65534", "65536", "x"] {
        assert!(Cli::try_parse_from(["curbside", "demo", "--port", port]).is_err(), "{port}");
    }
}
