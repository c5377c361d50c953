//! The configuration: one typed [`Config`] from a TOML file, variables and flags, the later winning over the earlier.
//!
//! `config.default.toml` beside this file is its documentation and the one place where defaults are written for readers;
//! tests hold it to the structs. Nothing outside this file reads the environment.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value};
use url::{Host, Url};

use crate::{
    app::Settings,
    caller::{AllowedBase, Caller},
    error::{Error, Result},
    file,
};

mod form;
#[cfg(test)]
mod tests;

const DOCUMENTED: &str = include_str!("config.default.toml");
const PREFIX: &str = "CURBSIDE_";
/// Names the configuration file where `--config` does not.
const FILE_VARIABLE: &str = "CURBSIDE_CONFIG";
/// Names the model's folder where neither the file nor `CURBSIDE_ENGINE_MODEL` does: what containers that serve models take.
const MODEL_VARIABLE: &str = "MODEL_PATH";
/// Far above any real configuration file.
const LONGEST: u64 = 1 << 20;
const ADVICE: &str = "`curbside serve --print-config` shows every key";

/// Everything that can be set. Each module owns its section, the section's defaults and its `check()`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Loopback only, until clients can be told apart.
    pub listen: SocketAddr,
    /// See [`Config::public_base`].
    #[serde(deserialize_with = "form::url")]
    pub public_base: Option<Url>,
    pub tenant: String,
    /// Unset: services that ask a model are not offered.
    pub intended_use: Option<IntendedUse>,
    /// Folder laid over the built-in services.
    pub services: Option<PathBuf>,
    /// Folder laid over the built-in rules of order checks.
    pub rules: Option<PathBuf>,
    #[serde(deserialize_with = "form::ehrs")]
    pub ehr: Vec<AllowedBase>,
    pub engine: crate::engine::Config,
    pub store: crate::store::Config,
    pub http: crate::http::Config,
    pub upstream: crate::fhir::Limits,
    pub imaging: crate::imaging::Limits,
    pub report: crate::report::Options,
}

/// What the services that ask a model are used for; printed on card, report and page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntendedUse {
    Research,
    Investigational,
    Cleared,
}

impl fmt::Display for IntendedUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IntendedUse::Research => "research",
            IntendedUse::Investigational => "investigational",
            IntendedUse::Cleared => "cleared",
        })
    }
}

/// A value given on the command line: the flag as typed, the key it sets, the text given.
pub struct Flag {
    pub name: &'static str,
    pub key: &'static str,
    pub value: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_base: None,
            tenant: "local".into(),
            intended_use: None,
            services: None,
            rules: None,
            ehr: Vec::new(),
            engine: Default::default(),
            store: Default::default(),
            http: Default::default(),
            upstream: Default::default(),
            imaging: Default::default(),
            report: Default::default(),
        }
    }
}

impl Config {
    /// Reads and checks. `variables` are those of the environment (see [`variables`]); without a `file`, `CURBSIDE_CONFIG`
    /// may name one. Errors are one sentence that names the file, variable or flag, the key, and what to do.
    pub fn load(file: Option<&Path>, variables: &[(String, String)], flags: &[Flag]) -> Result<Config> {
        let named = variables.iter().find(|(name, _)| name == FILE_VARIABLE).map(|(_, path)| PathBuf::from(path));
        let file = file.map(Path::to_owned).or(named);
        let mut table = match &file {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        let mut config = typed(&table, &file.as_deref().map(|p| p.display().to_string()).unwrap_or_default())?;
        // Empty is how a compose file says that it names none.
        let model = variables.iter().find(|(name, path)| name == MODEL_VARIABLE && !path.is_empty());
        let model = model.filter(|_| config.engine.model.is_none());
        if let Some((name, path)) = model {
            set(&mut table, "engine.model", Value::String(path.clone()));
            config = typed(&table, name)?;
        }
        let documented = documented();
        let given = variables.iter().filter(|(name, _)| name.starts_with(PREFIX) && name != FILE_VARIABLE);
        for (name, value) in given {
            let setting = documented.iter().find(|s| s.variable().as_deref() == Some(name));
            let setting = setting
                .ok_or_else(|| Error::invalid(format!("{name} is no setting of curbside; unset it ({ADVICE})")))?;
            set(&mut table, &setting.key, setting.parse(value, name)?);
            config = typed(&table, name)?;
        }
        for flag in flags {
            let setting = documented.iter().find(|s| s.key == flag.key);
            let setting =
                setting.ok_or_else(|| Error::fault(format!("{} sets the undocumented key {}", flag.name, flag.key)))?;
            set(&mut table, flag.key, setting.parse(&flag.value, flag.name)?);
            config = typed(&table, flag.name)?;
        }
        config.check().map_err(|e| match &file {
            Some(path) => Error::invalid(format!("{}: {}", path.display(), e.message)),
            None => e,
        })?;
        Ok(config)
    }

    /// Refuses what could never work or must not be, in one sentence that names the key.
    pub fn check(&self) -> Result<()> {
        // INVARIANT: serves_loopback_only
        if !self.listen.ip().is_loopback() {
            return Err(Error::invalid(
                "listen must be a loopback address such as 127.0.0.1:8080: this version cannot tell clients apart yet, \
                 so nothing but this machine may reach it",
            ));
        }
        if self.listen.port() == 0 {
            return Err(Error::invalid("listen must name a port, such as 127.0.0.1:8080"));
        }
        if let Some(base) = &self.public_base {
            plain(base, "public_base")?;
        }
        let tenant = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.tenant.is_empty() || self.tenant.len() > 64 || !self.tenant.chars().all(tenant) {
            return Err(Error::invalid("tenant must be 1 to 64 letters, digits, dots, hyphens or underscores"));
        }
        for (key, named) in [("services", &self.services), ("rules", &self.rules)] {
            if let Some(folder) = named.as_ref().filter(|folder| !folder.is_dir()) {
                let folder = folder.display();
                let sentence = format!("{key} names {folder}, which is no folder; name one or leave the key out");
                return Err(Error::invalid(sentence));
            }
        }
        self.check_ehrs()?;
        self.engine.check()?;
        self.store.check()?;
        self.http.check()?;
        self.upstream.check()?;
        self.imaging.check()?;
        self.report.check()
    }

    fn check_ehrs(&self) -> Result<()> {
        for (i, ehr) in self.ehr.iter().enumerate() {
            let key = |name: &str| format!("{name} of [[ehr]] number {}", i + 1);
            upstream(ehr.fhir.named(), &key("fhir"))?;
            for base in &ehr.dicomweb {
                upstream(base.named(), &key("dicomweb"))?;
            }
            for base in ehr.dicomweb.iter().chain([&ehr.fhir]) {
                upstream(base.reachable(), &key("an address in reachable"))?;
            }
            let trimmed = |base: &AllowedBase| base.fhir.as_str().trim_end_matches('/').to_owned();
            if self.ehr[..i].iter().any(|other| trimmed(other) == trimmed(ehr)) {
                return Err(Error::invalid(format!(
                    "{} is the base of an earlier [[ehr]] too; keep one of the two",
                    key("fhir")
                )));
            }
            // INVARIANT: films_need_an_identifier_system
            if self.intended_use.is_some() && !ehr.dicomweb.is_empty() && ehr.patient_id_systems.is_empty() {
                return Err(Error::invalid(format!(
                    "{} is missing: no film could be tied to a patient; name the identifier systems its films' PatientID comes from, \
                     or leave dicomweb out",
                    key("patient_id_systems")
                )));
            }
        }
        Ok(())
    }

    /// What the application is built from. The only caller is `local`, until clients can be told apart.
    pub fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            caller: Caller { tenant: self.tenant.clone(), client: "local".into(), allowed_bases: self.ehr.clone() },
            intended_use: self.intended_use.map(|used_for| used_for.to_string()),
            public_base: self.public_base()?,
            services: self.services.clone(),
            rules: self.rules.clone(),
            engine: self.engine.clone(),
            store: self.store.clone(),
            upstream: self.upstream.clone(),
            imaging: self.imaging.clone(),
            program: crate::imaging::this_program()
                .map_err(|e| Error::fault("this program cannot find its own file").because(e))?,
            report: self.report.clone(),
        })
    }

    /// Base URL of links in answers: `public_base`, else `http://` and `listen`.
    pub fn public_base(&self) -> Result<Url> {
        match &self.public_base {
            Some(base) => Ok(base.clone()),
            None => Url::parse(&format!("http://{}", self.listen))
                .map_err(|e| Error::fault("listen gives no URL").because(e)),
        }
    }

    /// The default configuration with every key explained, as TOML.
    pub fn documented() -> &'static str {
        DOCUMENTED
    }

    /// Every key with its default (`unset` where there is none) and one line about it, in the order of the file.
    pub fn reference() -> Vec<(String, String, String)> {
        let default = |s: &Setting| if s.set { s.example.to_string() } else { "unset".to_owned() };
        documented().into_iter().map(|s| (s.key.clone(), default(&s), s.description)).collect()
    }
}

/// The variables of the environment that are meant for curbside. Names that are not text are somebody else's.
pub fn variables() -> Vec<(String, String)> {
    let text =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| name.starts_with(PREFIX) || name == MODEL_VARIABLE).collect()
}

/// Those of `wanted` that the environment does not hold with that value, and a home directory where it names none: the model's
/// runtime panics without one, and who runs in a container may have none.
pub fn missing(wanted: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let homeless = std::env::var_os("HOME").is_none_or(|home| home.is_empty());
    wanted
        .into_iter()
        .filter(|(name, value)| std::env::var_os(name).is_none_or(|held| held != value.as_str()))
        .chain(homeless.then(|| ("HOME", "/nonexistent".to_owned())))
        .collect()
}

/// One key as the documented file tells of it.
struct Setting {
    /// `engine.queue`; a key of an EHR is `ehr.fhir`.
    key: String,
    /// The default, or where there is none an example: in either case the key's type.
    example: Value,
    set: bool,
    description: String,
}

impl Setting {
    /// The variable that sets it; none for lists and for keys of an EHR.
    fn variable(&self) -> Option<String> {
        let scalar = !self.key.starts_with("ehr.") && !matches!(self.example, Value::Array(_) | Value::Table(_));
        scalar.then(|| format!("{PREFIX}{}", self.key.replace('.', "_").to_uppercase()))
    }

    fn parse(&self, text: &str, origin: &str) -> Result<Value> {
        let refused = |what: &str| Error::invalid(format!("{origin}: {} takes {what}", self.key));
        match &self.example {
            Value::Integer(_) => text.trim().parse().map(Value::Integer).map_err(|_| refused("a whole number")),
            Value::Float(_) => text.trim().parse().map(Value::Float).map_err(|_| refused("a number")),
            Value::Boolean(_) => text.trim().parse().map(Value::Boolean).map_err(|_| refused("true or false")),
            _ => Ok(Value::String(text.to_owned())),
        }
    }
}

/// Reads the documented file: `# ` opens an explanation, `#` without a space a key that is unset.
fn documented() -> Vec<Setting> {
    let (mut settings, mut section, mut description) = (Vec::new(), String::new(), String::new());
    for line in DOCUMENTED.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            description = if description.is_empty() { text.to_owned() } else { format!("{description} {text}") };
            continue;
        }
        let bare = line.trim_start_matches('#');
        if bare.starts_with('[') {
            section = format!("{}.", bare.trim_matches(['[', ']']));
        } else if let Some((key, _)) = bare.split_once(" = ")
            && let Some((_, example)) = bare.parse::<Table>().ok().and_then(|t| t.into_iter().next())
        {
            let (key, set) = (format!("{section}{key}"), !line.starts_with('#'));
            settings.push(Setting { key, example, set, description: std::mem::take(&mut description) });
        }
        description.clear();
    }
    settings
}

fn read(path: &Path) -> Result<Table> {
    let shown = path.display();
    let unreadable = |why: &str| Error::invalid(format!("{shown} {why}; name a readable file with --config"));
    let bytes = file::read(path, LONGEST).map_err(|why| unreadable(&why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("is not text in UTF-8"))?;
    text.parse::<Table>().map_err(|e| {
        let line = e.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let place = line.map(|n| format!(", line {n}")).unwrap_or_default();
        Error::invalid(format!("{shown}{place}: {}; {ADVICE}", one_line(e.message())))
    })
}

fn typed(table: &Table, origin: &str) -> Result<Config> {
    Config::deserialize(Value::Table(table.clone()))
        .map_err(|e| Error::invalid(format!("{origin}: {}; {ADVICE}", in_words(&one_line(&e.to_string())))))
}

/// A fault without the program's own names of number types.
fn in_words(fault: &str) -> String {
    let named = |fault: String, name: &str| fault.replace(&format!("expected {name}"), "expected a whole number");
    ["usize", "u64", "u32", "u16"].into_iter().fold(fault.to_owned(), named)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Value::Table(inner) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                set(inner, rest, value);
            }
        }
    }
}

fn plain(url: &Url, key: &str) -> Result<()> {
    let web = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    match web && url.query().is_none() && url.fragment().is_none() {
        true => Ok(()),
        false => Err(Error::invalid(format!("{key} must be an http or https URL without user, query or fragment"))),
    }
}

fn upstream(url: &Url, key: &str) -> Result<()> {
    plain(url, key)?;
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    // INVARIANT: patient_data_travel_encrypted
    match url.scheme() == "https" || loopback {
        true => Ok(()),
        false => Err(Error::invalid(format!("{key} must be https: http is accepted for loopback addresses only"))),
    }
}
