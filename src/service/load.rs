//! The services of this process: those embedded in the binary, with a folder of the operator's laid over them.

use std::{collections::BTreeMap, fs, path::Path};

use rust_embed::Embed;

use super::{Service, Services, check::check};
use crate::{
    error::{Error, Result},
    file::{self, Unreadable},
};

#[derive(Embed)]
#[folder = "cds-hooks/services/"]
struct Embedded;

/// Far above any real `service.json`.
const LONGEST: u64 = 1 << 20;
/// Folders looked into.
const MOST_ENTRIES: usize = 1_000;

/// The text of a `service.json` and where it stands, as an error names it.
struct File {
    place: String,
    text: Vec<u8>,
}

/// Loads and checks every `<id>/service.json`. One of `overlay` replaces the embedded one of the same id or adds to them.
///
/// Errors name the file and the member; they are the operator's to mend before the process starts.
pub fn load(overlay: Option<&Path>) -> Result<Services> {
    let mut files = BTreeMap::new();
    for path in Embedded::iter() {
        if let (Some(folder), Some(file)) = (path.strip_suffix("/service.json"), Embedded::get(&path)) {
            files.insert(
                folder.to_owned(),
                File { place: format!("cds-hooks/services/{path}"), text: file.data.into_owned() },
            );
        }
    }
    if let Some(overlay) = overlay {
        files.extend(laid_over(overlay)?);
    }
    let mut services = Vec::new();
    for (folder, file) in &files {
        let service = read(folder, file)?;
        let also = service.also_on.iter().map(|hook| Service { hook: hook.clone(), ..service.clone() });
        services.extend(also.collect::<Vec<_>>());
        services.push(service);
    }
    Ok(Services(services))
}

fn laid_over(overlay: &Path) -> Result<BTreeMap<String, File>> {
    let unreadable =
        |path: &Path, e: std::io::Error| Error::invalid(format!("{} cannot be read", path.display())).because(e);
    let mut files = BTreeMap::new();
    for (seen, entry) in fs::read_dir(overlay).map_err(|e| unreadable(overlay, e))?.enumerate() {
        if seen == MOST_ENTRIES {
            let sentence =
                format!("{} has more than {MOST_ENTRIES} entries: it is no folder of services", overlay.display());
            return Err(Error::invalid(sentence));
        }
        let entry = entry.map_err(|e| unreadable(overlay, e))?;
        let path = entry.path().join("service.json");
        // Other files and folders may lie beside the services; a service.json that cannot be read is never passed over.
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        let place = path.display().to_string();
        let text = file::read(&path, LONGEST).map_err(|why| match why {
            Unreadable::Missing => Error::invalid(format!("{place} is a link that leads nowhere")),
            why => Error::invalid(format!("{place} {why}")),
        })?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), File { place, text });
    }
    if files.is_empty() {
        return Err(Error::invalid(format!("{} holds no <id>/service.json", overlay.display())));
    }
    Ok(files)
}

fn read(folder: &str, file: &File) -> Result<Service> {
    let service: Service =
        serde_json::from_slice(&file.text).map_err(|e| Error::invalid(format!("{}: {e}", file.place)))?;
    check(&service, folder).map_err(|fault| {
        Error::invalid(format!("{}: {} {}", file.place, fault.member, fault.sentence)).at(fault.member)
    })?;
    Ok(service)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::task::{Question, Task};

    fn embedded() -> Services {
        load(None).unwrap()
    }

    fn base() -> Value {
        let file = Embedded::get("imaging-draft-report/service.json").unwrap();
        serde_json::from_slice(&file.data).unwrap()
    }

    /// What the error says of the imaging service with one member changed; `Null` removes it.
    fn broken(pointer: &str, value: Value) -> (String, Option<String>) {
        let mut service = base();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match service.pointer_mut(parent).unwrap() {
            Value::Object(members) if value.is_null() => drop(members.remove(name)),
            Value::Object(members) => drop(members.insert(name.to_owned(), value)),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            _ => panic!("{pointer}"),
        }
        let file = File { place: "here/service.json".into(), text: service.to_string().into_bytes() };
        let error = read("imaging-draft-report", &file).err().unwrap_or_else(|| panic!("accepted: {pointer}"));
        assert!(error.message.starts_with("here/service.json: "), "{}", error.message);
        (error.message, error.expression)
    }

    #[test]
    fn the_embedded_services_are_sound() {
        let services = embedded();
        assert_eq!(
            services.0.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
            [
                "chart-question",
                "chart-summary",
                "film-question",
                "flagged-results",
                "imaging-draft-report",
                "order-checks",
                "order-checks"
            ]
        );
        let named = |id: &str| services.0.iter().find(|service| service.id == id).unwrap();
        let (summary, imaging, film) = (named("chart-summary"), named("imaging-draft-report"), named("film-question"));
        let (at_once, on_demand): (Vec<_>, Vec<_>) = imaging.prefetch.iter().partition(|template| !template.on_demand);
        assert_eq!(summary.prefetch.iter().collect::<Vec<_>>(), at_once);
        assert_eq!(on_demand.iter().map(|template| template.key.as_str()).collect::<Vec<_>>(), ["media", "documents"]);
        // What a model is shown for the one it was taught on the other.
        for id in ["flagged-results", "chart-question"] {
            assert_eq!((&named(id).prefetch, &named(id).relevant), (&summary.prefetch, &summary.relevant), "{id}");
        }
        assert_eq!((&film.prefetch, &film.relevant), (&imaging.prefetch, &imaging.relevant));
        assert_eq!(film.applies, imaging.applies);
        let modelless: Vec<_> = services.0.iter().filter(|s| s.offered(None)).map(|s| s.id.as_str()).collect();
        assert_eq!(modelless, ["chart-summary", "order-checks", "order-checks"]);
    }

    #[test]
    fn what_may_be_asked_is_told_and_nothing_else_is_asked() {
        let services = embedded();
        let mut told = Vec::new();
        for (id, film) in [("chart-question", false), ("film-question", true)] {
            let service = services.0.iter().find(|service| service.id == id).unwrap();
            let requirements = service.usage_requirements.as_deref().unwrap();
            let words: Vec<&str> = requirements.split([' ', ',', '.', ';', ':']).collect();
            for question in Question::ALL {
                let (code, here) = (question.code(), Task::Question(question).is_about_the_film() == film);
                assert_eq!(words.contains(&code.as_str()), here, "{id}: {code}");
                let asked = service.asks(Some(&code));
                assert_eq!(asked.is_ok_and(|task| task == Some(Task::Question(question))), here, "{id}: {code}");
                told.extend(here.then_some(code));
            }
            assert_eq!(service.asks(None).unwrap(), None);
            for unknown in ["", "effusion", "Effusion-left", "effusion-left ", "appendicitis-right"] {
                let error = service.asks(Some(unknown)).unwrap_err();
                assert_eq!(error.expression.as_deref(), Some("extension[\"curbside-question\"]"));
                assert!(error.message.contains(&Question::all_about(film)[0].code()), "{error}");
            }
        }
        assert_eq!(told.len(), Question::ALL.len());
        let draft = services.0.iter().find(|service| service.id == "imaging-draft-report").unwrap();
        assert_eq!(draft.asks(Some("nothing")).unwrap(), Some(Task::ImagingDraft));
    }

    #[test]
    fn a_service_that_cannot_be_read_is_named() {
        for (pointer, value) in [
            ("/title", Value::Null),
            ("/prefetch", Value::Null),
            ("/colour", json!("red")),
            ("/publishes", json!("Poem")),
            ("/task", json!("poetry")),
        ] {
            let (message, _) = broken(pointer, value);
            let named = ["title", "prefetch", "colour", "Poem", "poetry"].iter().any(|member| message.contains(member));
            assert!(named && message.contains("line"), "{message}");
        }
        let twice = br#"{"id":"x","id":"x"}"#.to_vec();
        let error = read("x", &File { place: "here".into(), text: twice }).err().unwrap();
        assert!(error.message.contains("duplicate field `id`"), "{error}");
    }

    #[test]
    fn a_member_that_cannot_be_right_is_named() {
        let query = |query: &str| json!({"key": "k", "query": query});
        let cases = [
            ("/id", json!("another"), "id"),
            ("/hook", json!("order-singing"), "hook"),
            ("/title", json!(" "), "title"),
            ("/description", json!(""), "description"),
            ("/usage_requirements", json!(""), "usage_requirements"),
            ("/source_label", json!(""), "source_label"),
            ("/topic/system", json!(""), "topic.system"),
            ("/also_on", json!(["order-sign"]), "also_on[0]"),
            ("/also_on", json!(["order-singing"]), "also_on[0]"),
            ("/checks", json!(["allergy"]), "checks"),
            ("/override_reasons", json!([{"system": "s", "code": "c"}]), "override_reasons[0]"),
            ("/topic/code", json!("not-alphanumeric"), "topic.code"),
            ("/deadline_ms", json!(99), "deadline_ms"),
            ("/deadline_ms", json!(60_001), "deadline_ms"),
            ("/max_calls", json!(0), "max_calls"),
            ("/task", Value::Null, "max_calls"),
            ("/task", json!("question"), "publishes"),
            ("/applies", Value::Null, "applies"),
            ("/applies/window_days", json!(0), "applies.window_days"),
            ("/applies/categories/0", json!({"system": "", "code": "x"}), "applies.categories[0]"),
            (
                "/applies/codes/1",
                json!({"system": "s", "code": "c", "display": "d", "modality": "", "body_part": "b"}),
                "applies.codes[1]",
            ),
            ("/relevant/1", json!(""), "relevant[1]"),
            ("/prefetch/0/on_demand", json!(true), "prefetch[0].on_demand"),
            ("/prefetch/2", json!({"key": "", "query": "Patient?name=x"}), "prefetch[2].key"),
            ("/prefetch/2", json!({"key": "patient", "query": "Patient?name=x"}), "prefetch[2].key"),
            ("/prefetch/0", query("Patient/{{context.draftOrders}}"), "prefetch[0].query"),
            ("/prefetch/0", query("Patient/{{context.patientId"), "prefetch[0].query"),
            ("/prefetch/0", query("Patient/context.patientId}}"), "prefetch[0].query"),
        ];
        for (pointer, value, member) in cases {
            let (message, expression) = broken(pointer, value.clone());
            assert_eq!(expression.as_deref(), Some(member), "{pointer} {value}: {message}");
            assert!(message.contains(member), "{message}");
        }
    }

    #[test]
    fn templates_stay_in_the_subset_every_client_reads() {
        let cases = [
            "",
            "patient",
            "Patient",
            "patient/{{context.patientId}}",
            "Patient/12",
            "Patient/{{context.patientId}}/_history/1",
            "Patient?",
            "Patient?name",
            "Patient?name=",
            "Patient?=x",
            "Patient?a=b&&c=d",
            "/Patient?name=x",
            "https://ehr.example/Patient?name=x",
            "Observation?patient={{context.patientId}}&_include=Observation:subject",
            "Patient?_revinclude=Observation:subject",
            "Patient?_has:Observation:patient:code=1",
            "Observation?patient.name=x",
            "Observation?patient:Patient=x",
            "Patient?name=a b",
            "Patient?name=x#y",
            "{{context.patientId}}",
            "Patient?{{context.patientId}}=x",
        ];
        for query in cases {
            let (message, expression) = broken("/prefetch/0", json!({"key": "k", "query": query}));
            assert_eq!(expression.as_deref(), Some("prefetch[0].query"), "{query}: {message}");
        }
        let good = [
            "{{context.userId}}",
            "Practitioner/{{userPractitionerId}}",
            "Encounter/{{context.encounterId}}",
            "Observation?patient={{context.patientId}}&code:in=http://example.org/vs&date=ge2020-01-01&_count=10&_sort=-date",
        ];
        for query in good {
            let mut service = base();
            service["prefetch"][0]["query"] = json!(query);
            let file = File { place: "here".into(), text: service.to_string().into_bytes() };
            assert!(read("imaging-draft-report", &file).is_ok(), "{query}");
        }
    }

    #[test]
    fn what_a_check_needs_is_looked_for() {
        let file = Embedded::get("order-checks/service.json").unwrap();
        let built_in: Value = serde_json::from_slice(&file.data).unwrap();
        for (key, change) in [
            ("allergies", None),
            ("studies", None),
            ("orders", None),
            ("allergies", Some("Condition?patient={{context.patientId}}")),
        ] {
            let mut service = built_in.clone();
            let prefetch = service["prefetch"].as_array_mut().unwrap();
            let at = prefetch.iter().position(|template| template["key"] == key).unwrap();
            match change {
                Some(query) => prefetch[at]["query"] = json!(query),
                None => drop(prefetch.remove(at)),
            }
            let file = File { place: "here".into(), text: service.to_string().into_bytes() };
            let error = read("order-checks", &file).err().unwrap_or_else(|| panic!("accepted without {key}"));
            assert!(error.message.contains(key), "{error}");
        }
    }

    #[test]
    fn a_folder_laid_over_replaces_and_adds() {
        let dir = tempfile::tempdir().unwrap();
        let write = |id: &str, title: &str| {
            let mut service = base();
            service["id"] = json!(id);
            service["title"] = json!(title);
            fs::create_dir(dir.path().join(id)).unwrap();
            fs::write(dir.path().join(id).join("service.json"), service.to_string()).unwrap();
        };
        write("imaging-draft-report", "Ours");
        write("another", "New");
        let services = load(Some(dir.path())).unwrap();
        let titles: Vec<_> = services.0.iter().map(|s| (s.id.as_str(), s.title.as_str())).collect();
        let [(another, "New"), .., ours, checks, again] = titles.as_slice() else { panic!("{titles:?}") };
        assert_eq!((titles.len(), *another, *ours), (8, "another", ("imaging-draft-report", "Ours")));
        assert_eq!([checks, again], [&("order-checks", "Order checks"); 2]);
        fs::rename(dir.path().join("another"), dir.path().join("renamed")).unwrap();
        let error = load(Some(dir.path())).err().unwrap();
        assert!(error.message.contains("renamed") && error.expression.as_deref() == Some("id"), "{error}");
    }

    #[test]
    fn a_service_that_cannot_be_read_is_never_passed_over() {
        type Put = fn(&Path);
        let put: [(&str, Put); 7] = [
            ("is not a regular file", |path| fs::create_dir(path).unwrap()),
            ("is not a regular file", |path| {
                assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
            ("is not a regular file", |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
            ("leads nowhere", |path| std::os::unix::fs::symlink(path.with_extension("x"), path).unwrap()),
            ("is longer than 1 MiB", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
            ("line 1", |path| fs::write(path, b"{\"id\":\"\xff\"}").unwrap()),
            ("recursion", |path| fs::write(path, "[".repeat(10_000)).unwrap()),
        ];
        for (words, put) in put {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("imaging-draft-report")).unwrap();
            put(&dir.path().join("imaging-draft-report/service.json"));
            let error = load(Some(dir.path())).err().unwrap();
            assert!(error.message.contains("imaging-draft-report/service.json"), "{error}");
            assert!(error.message.contains(words) || words == "recursion", "{words}: {error}");
        }
        let text = base().to_string();
        for length in (0..text.len()).step_by(97) {
            let file = File { place: "here".into(), text: text.as_bytes()[..length].to_vec() };
            let error = read("imaging-draft-report", &file).err().unwrap();
            assert!(error.message.starts_with("here: "), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_service_with_a_changed_byte_is_read_or_named(at in 0usize..4000, bit in 0u8..8) {
            let mut text = base().to_string().into_bytes();
            let at = at % text.len();
            text[at] ^= 1 << bit;
            let file = File { place: "here".into(), text };
            if let Err(error) = read("imaging-draft-report", &file) {
                proptest::prop_assert!(error.message.starts_with("here: ") && !error.message.contains('\n'));
            }
        }
    }

    #[test]
    fn a_folder_without_services_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(Some(dir.path())).err().unwrap().message.contains("holds no"));
        assert!(load(Some(&dir.path().join("missing"))).err().unwrap().message.contains("cannot be read"));
    }
}
