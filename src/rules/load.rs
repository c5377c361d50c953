//! The rules of this process: those embedded in the binary, with a folder of the operator's laid over them.

use std::{collections::BTreeMap, fs, path::Path};

use rust_embed::Embed;
use url::Url;

use super::{
    AllergyRule, Cited, Condition, Examined, LoadedRule, Rule, RuleCondition, Rules, TermPair, terms::Terms,
    words::split,
};
use crate::{
    error::{Error, Result},
    file,
};

#[derive(Embed)]
#[folder = "cds-hooks/rules/"]
struct Embedded;

/// Far above any real rule.
const LONGEST: u64 = 1 << 20;
/// Files looked into.
const MOST_ENTRIES: usize = 1_000;

/// Loads and checks every `<id>.json`. One of `overlay` replaces the embedded one of the same id or adds to them.
///
/// Errors name the file and what is wrong in it; they are the operator's to mend before the process starts.
pub fn load(overlay: Option<&Path>) -> Result<Rules> {
    ready(read(overlay)?)
}

/// The rules as their files give them, each with its place.
pub(super) fn read(overlay: Option<&Path>) -> Result<Vec<(String, Rule)>> {
    let mut files: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    for path in Embedded::iter() {
        if let (Some(id), Some(file)) = (path.strip_suffix(".json"), Embedded::get(&path)) {
            files.insert(id.to_owned(), (format!("cds-hooks/rules/{path}"), file.data.into_owned()));
        }
    }
    if let Some(overlay) = overlay {
        files.extend(laid_over(overlay)?);
    }
    let read = |(id, (place, text)): (&String, &(String, Vec<u8>))| -> Result<(String, Rule)> {
        let rule = serde_json::from_slice(text).map_err(|e| Error::invalid(format!("{place}: {e}")))?;
        check(&rule, id).map_err(|why| Error::invalid(format!("{place}: {why}")))?;
        Ok((place.clone(), rule))
    };
    files.iter().map(read).collect()
}

fn laid_over(overlay: &Path) -> Result<BTreeMap<String, (String, Vec<u8>)>> {
    let unreadable = |e| Error::invalid(format!("{} cannot be read", overlay.display())).because(e);
    let mut files = BTreeMap::new();
    for (seen, entry) in fs::read_dir(overlay).map_err(unreadable)?.enumerate() {
        if seen == MOST_ENTRIES {
            let sentence =
                format!("{} has more than {MOST_ENTRIES} entries: it is no folder of rules", overlay.display());
            return Err(Error::invalid(sentence));
        }
        let path = entry.map_err(unreadable)?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")) else { continue };
        let place = path.display().to_string();
        let text = file::read(&path, LONGEST).map_err(|why| Error::invalid(format!("{place} {why}")))?;
        files.insert(id.to_owned(), (place, text));
    }
    match files.is_empty() {
        true => Err(Error::invalid(format!("{} holds no rule: no file that ends in .json", overlay.display()))),
        false => Ok(files),
    }
}

/// What must hold of a rule by itself.
fn check(rule: &Rule, id: &str) -> std::result::Result<(), String> {
    let ensure = |holds: bool, sentence: &str| if holds { Ok(()) } else { Err(sentence.to_owned()) };
    let safe = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    ensure(safe(&rule.id) && rule.id == id, "id must be of a-z, 0-9 and -, and the name of its file")?;
    let numbered = rule.version.split('.').count() == 3 && rule.version.split('.').all(|n| n.parse::<u32>().is_ok());
    ensure(numbered, "version must be three numbers with dots between")?;
    let texts = [&rule.title, &rule.explanation, &rule.review, &rule.source.citation, &rule.source.licence];
    ensure(
        texts.iter().all(|text| !text.trim().is_empty()),
        "title, explanation, review and source must not be empty",
    )?;
    let url = Url::parse(&rule.source.url).is_ok_and(|url| url.scheme() == "https");
    let plain = rule.source.url.bytes().all(|b| b.is_ascii_graphic() && b != b'`');
    ensure(url && plain, "source.url must be an https URL")?;
    for found in [true, false] {
        ensure(
            rule.cases.iter().any(|case| case.found == found),
            "cases must hold one that is found and one that is not",
        )?;
    }
    if let RuleCondition::Allergy(AllergyRule { unclear, .. }) = &rule.when {
        ensure(unclear.iter().all(|pair| !pair.why.trim().is_empty()), "when.allergy.unclear.why must not be empty")?;
    }
    if let RuleCondition::DuplicateImaging(examinations) = &rule.when {
        let days = examinations.of.iter().all(|examination| (1..=3650).contains(&examination.days));
        ensure(days, "when.duplicate-imaging.of.days must be 1 to 3650")?;
    }
    Ok(())
}

/// Ties the rules to their terms, which all rules share.
fn ready(read: Vec<(String, Rule)>) -> Result<Rules> {
    let terms = Terms::new(read.iter().flat_map(|(_, rule)| &rule.terms))
        .map_err(|why| Error::invalid(format!("the rules of order checks do not fit together: {why}")))?;
    let mut rules = Vec::new();
    for (place, rule) in read {
        let id = |name: &String| {
            terms.id(name).ok_or_else(|| Error::invalid(format!("{place}: {name} is the name of no term of any rule")))
        };
        let ids = |names: &Vec<String>| names.iter().map(id).collect::<Result<Vec<_>>>();
        let pair = |allergen, ordered| Ok::<_, Error>(TermPair { allergen: ids(allergen)?, ordered: ids(ordered)? });
        let when = match &rule.when {
            RuleCondition::SameSubstance {} => Condition::SameSubstance,
            RuleCondition::Allergy(AllergyRule { allergen, ordered, relation, unclear }) => Condition::Allergy {
                pair: pair(allergen, ordered)?,
                relation: *relation,
                unclear: unclear
                    .iter()
                    .map(|of| Ok((pair(&of.allergen, &of.ordered)?, of.why.clone())))
                    .collect::<Result<_>>()?,
            },
            RuleCondition::DuplicateImaging(all) => Condition::DuplicateImaging {
                imaging: id(&all.imaging)?,
                examinations: all
                    .of
                    .iter()
                    .map(|e| {
                        Ok(Examined {
                            term: id(&e.term)?,
                            days: e.days,
                            here: e.here.iter().map(|w| split(w)).collect(),
                        })
                    })
                    .collect::<Result<_>>()?,
                elsewhere: all.elsewhere.iter().map(|words| split(words)).collect(),
            },
        };
        let Rule { id, version, title, explanation, review, source, .. } = rule;
        rules.push(LoadedRule { cited: Cited { id, version, title, explanation, review, source }, when });
    }
    Ok(Rules { rules, terms })
}
