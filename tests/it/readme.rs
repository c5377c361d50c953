//! The README's tables are the program's own words. `CURBSIDE_REWRITE=1 cargo test --release readme` writes them anew.

use std::{fs, path::Path};

use curbside::{cli, config::Config};

fn rows(head: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let columns = head.matches('|').count() - 1;
    let cell = |text: &str| text.replace('|', "\\|");
    let rows = rows.map(|row| format!("| {} |\n", row.iter().map(|c| cell(c)).collect::<Vec<_>>().join(" | ")));
    format!("{head}\n{}\n{}", "|---".repeat(columns) + "|", rows.collect::<String>())
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// The README with the text between two comments replaced.
fn with(readme: &str, from: &str, to: &str, table: &str) -> String {
    let (head, rest) = readme.split_once(from).expect("the opening comment");
    let (comment, rest) = rest.split_once("-->\n").expect("the end of the opening comment");
    let (_, tail) = rest.split_once(to).expect("the closing comment");
    format!("{head}{from}{comment}-->\n{table}{to}{tail}")
}

#[test]
fn the_tables_are_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md");
    let keys = Config::reference().into_iter().map(|(key, default, text)| vec![code(&key), code(&default), text]);
    let options = cli::options().into_iter().map(|o| vec![code(&o.command), code(&o.name), code(&o.default), o.help]);
    let expected = with(
        &readme,
        "<!-- configuration",
        "<!-- end of configuration -->",
        &rows("| Key | Default | What it is |", keys),
    );
    let expected = with(
        &expected,
        "<!-- options",
        "<!-- end of options -->",
        &rows("| Command | Option | Default | What it does |", options),
    );
    if std::env::var_os("CURBSIDE_REWRITE").is_some() {
        fs::write(&path, &expected).expect("README.md");
    }
    assert!(
        readme == expected || std::env::var_os("CURBSIDE_REWRITE").is_some(),
        "the README's tables are stale; run this test with CURBSIDE_REWRITE=1"
    );
}

/// Figures are measured before a release; a name that stands for one must not be published.
#[test]
fn no_placeholder_is_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (readme, compose) = (read("README.md"), read("docker/compose.yaml"));
    let words = readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    // Names of variables are none.
    let variable = |word: &str| word.starts_with("CURBSIDE_") || compose.contains(&format!("${{{word}:"));
    let left: Vec<&str> = words
        .filter(|word| word.contains('_') && !variable(word))
        .filter(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && word.len() > 1)
        .collect();
    assert!(left.is_empty(), "the README still holds {left:?}");
}

/// A promise that names a test which is not there is no promise.
#[test]
fn every_file_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for document in ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root.join(document)).expect(document);
        for path in text.split('`').skip(1).step_by(2).filter(|p| p.starts_with("src/") || p.starts_with("tests/")) {
            named += 1;
            assert!(root.join(path).exists(), "{document} names {path}, which is not there");
        }
    }
    assert!(named > 20, "only {named} were found");
}
