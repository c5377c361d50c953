//! The shape of the code, as a test: who may import whom, and which library has one place only.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Each module and what it may import. Level 0 (`error`, `caller`, `capacity`, `egress`, `file`, `progress`) is open to all.
const MAY_IMPORT: [(&str, &[&str]); 30] = [
    ("error", &[]),
    ("caller", &[]),
    ("capacity", &[]),
    ("egress", &[]),
    ("file", &[]),
    ("progress", &[]),
    ("fhir", &[]),
    ("finding", &[]),
    ("task", &["finding"]),
    ("engine", &[]),
    ("cds_hooks", &["fhir"]),
    ("imaging", &["fhir"]),
    ("phantom", &["fhir", "finding"]),
    ("store", &["fhir"]),
    ("service", &["cds_hooks", "fhir", "task"]),
    ("chart", &["service", "cds_hooks", "fhir", "imaging", "task"]),
    ("prompt", &["chart", "engine", "imaging", "task"]),
    ("grounding", &["chart", "engine", "finding", "task"]),
    ("rules", &["chart", "cds_hooks", "service", "fhir"]),
    ("card", &["chart", "grounding", "rules", "service", "cds_hooks", "fhir", "task"]),
    ("report", &["chart", "grounding", "service", "fhir", "engine", "imaging", "task"]),
    ("app", &["engine", "store", "service", "fhir", "imaging", "report", "rules"]),
    (
        "guidance",
        &[
            "app",
            "chart",
            "rules",
            "prompt",
            "engine",
            "grounding",
            "card",
            "report",
            "store",
            "service",
            "cds_hooks",
            "task",
        ],
    ),
    ("http", &["guidance", "app", "store", "service", "cds_hooks", "fhir", "engine", "web", "task"]),
    ("web", &["store", "task"]),
    (
        "eval",
        &[
            "app",
            "chart",
            "demo",
            "engine",
            "fhir",
            "finding",
            "grounding",
            "http",
            "imaging",
            "phantom",
            "prompt",
            "service",
            "store",
            "task",
        ],
    ),
    ("demo", &["app", "engine", "fhir", "http", "service", "store", "task", "web"]),
    ("config", &["*"]),
    ("cli", &["*"]),
    ("main", &["cli"]),
];
const LEVEL_0: [&str; 6] = ["error", "caller", "capacity", "egress", "file", "progress"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the source tree").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Path under `src/` and text without comments and tests, for every source file: tests may look anywhere.
fn code() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    files.retain(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests"));
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file");
        (path.strip_prefix(root().join("src")).expect("under src").to_string_lossy().into_owned(), without_tests(&text))
    };
    files.iter().map(read).collect()
}

/// The text without comments, and without each `#[cfg(test)] mod`: two lines of a declaration, an inline one to its end.
fn without_tests(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let module = lines.peek().filter(|next| line == "#[cfg(test)]" && next.contains("mod "));
        match module.map(|declaration| declaration.ends_with(';')) {
            Some(true) => drop(lines.next()),
            Some(false) => drop(lines.find(|line| *line == "}")),
            None if line.trim_start().starts_with("//") => {}
            None => kept.push(line),
        }
    }
    kept.join("\n")
}

#[test]
fn what_is_cut_is_the_tests_and_nothing_else() {
    let text = "use a;\n#[cfg(test)]\nmod tests;\nuse crate::b;\n// crate::c\n#[cfg(test)]\npub(super) mod tests {\n    use crate::d;\n}\nuse e;";
    assert_eq!(without_tests(text), "use a;\nuse crate::b;\nuse e;");
    let router =
        code().into_iter().find(|(path, _)| path == "http/mod.rs").expect("a file that declares its tests first");
    assert!(router.1.contains("fn "), "{}", router.1);
}

fn module(path: &str) -> &str {
    path.split('/').next().map(|first| first.trim_end_matches(".rs")).unwrap_or(path)
}

/// Names after `crate::`, inside a braced list of `use crate::{...}` too.
fn imports(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut start = true;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                c if depth == 1 && start && c.is_alphabetic() => {
                    names.insert(word(&list[i..]));
                    start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn modules_depend_downwards_only() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in code() {
        let of = module(&path);
        if of == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == of) else {
            wrong.push(format!("{path}: module {of} is not in the table"));
            continue;
        };
        // The program names the library it is built on, everything else the crate it is part of.
        let text = text.replace("curbside::", "crate::");
        for name in imports(&text).into_iter().filter(|name| MAY_IMPORT.iter().any(|(module, _)| module == name)) {
            let open = name == of || LEVEL_0.contains(&name.as_str()) || allowed.contains(&"*");
            if !open && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{path} imports {name}"));
            }
            used.insert((of.to_owned(), name));
        }
    }
    for (of, allowed) in MAY_IMPORT {
        let idle = allowed.iter().filter(|name| **name != "*" && !used.contains(&(of.to_owned(), name.to_string())));
        wrong.extend(idle.map(|name| format!("{of} may import {name} and does not")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A safety rule in the code names its test, so that nobody has to look for it and none is without one.
#[test]
fn every_invariant_has_its_test() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    let read = |path: &PathBuf| (path.clone(), fs::read_to_string(path).expect("a source file"));
    let texts: Vec<(PathBuf, String)> = files.iter().map(read).collect();
    let mark = ["INVARIANT", ": "].concat();
    let mut wrong = Vec::new();
    let mut names = 0;
    for (path, text) in &texts {
        for (at, line) in (1..).zip(text.lines().map(str::trim_start)) {
            let Some(rule) = line.strip_prefix("//").and_then(|comment| comment.split_once(&mark)) else { continue };
            let name = rule.1.split(' ').next().unwrap_or_default();
            let is_name =
                name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let test = format!("fn {name}(");
            names += 1;
            if !is_name {
                wrong.push(format!("{}:{at}: an invariant without the name of a test", path.display()));
            } else if !texts.iter().any(|(_, text)| text.contains(&test)) {
                wrong.push(format!("{}:{at}: no test is called {name}", path.display()));
            }
        }
    }
    assert!(names > 20, "only {names} invariants were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_library_has_its_place() {
    let places: [(&str, &[&str]); 7] = [
        ("mistralrs::", &["engine/mistral.rs"]),
        ("axum::", &["http", "web", "demo"]),
        ("utoipa_axum::", &["http"]),
        ("fhirbolt::", &["fhir"]),
        ("reqwest::Client", &["egress.rs"]),
        ("std::env::var", &["config.rs"]),
        ("sqlx::", &["store"]),
    ];
    let mut wrong = Vec::new();
    for (path, text) in code() {
        for (library, allowed) in places {
            let here = allowed.iter().any(|a| path == *a || path.starts_with(&format!("{a}/")));
            if text.contains(library) && !here {
                wrong.push(format!("{path} uses {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn calls_that_lose_answers_are_not_used() {
    // Non-streaming requests cannot be cancelled, and their loss takes every other request along.
    for (path, text) in code() {
        for name in ["send_chat_request", "generate_structured"] {
            assert!(!text.contains(name), "{path} uses {name}");
        }
    }
}

#[test]
fn no_dev_dependency_changes_the_normal_build() {
    let tree = |edges: &str| -> BTreeSet<String> {
        let arguments = ["tree", "--locked", "--offline", "--prefix", "none", "-e", edges];
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo tree");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|l| l.trim_end_matches(" (*)").to_owned()).collect()
    };
    let normal = tree("normal,features");
    let crates: BTreeSet<&str> = normal.iter().filter_map(|l| l.split(' ').next()).collect();
    let added: Vec<String> = tree("normal,dev,features")
        .into_iter()
        .filter(|l| !normal.contains(l) && crates.contains(l.split(' ').next().unwrap_or("")))
        .collect();
    // A crate that only tests use may come in; a feature added to a crate of the normal build compiles it twice.
    assert!(added.is_empty(), "dev-dependencies change the normal build: {added:?}");
}
