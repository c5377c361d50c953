//! The pages people see: server-rendered, without script, every value escaped by the template engine.

#[cfg(test)]
mod tests;
mod words;

use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{Error, Result},
    store::Recent,
    task::Language,
};
use words::Words;

/// Sent with every page: nothing but our own style sheet and pictures is loaded, nothing runs, nothing is submitted.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The style sheet of all pages, served at [`STYLE_PATH`] as `text/css; charset=utf-8`.
pub const STYLE: &str = include_str!("style.css");
pub const STYLE_PATH: &str = "/style.css";

/// What the page at `/` shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Start {
    pub version: String,
    /// Unset: no service that asks a model is offered.
    pub intended_use: Option<String>,
    /// Newest first; empty lists none.
    pub reports: Vec<Recent>,
}

/// Renders the page of one report from the JSON that `report::draft` made and the store kept.
pub fn report_page(page_json: &str) -> Result<String> {
    render("report.html", &report_data(page_json)?, UndefinedBehavior::Lenient)
}

/// What the page of one report is rendered from: that JSON and, as `w`, the words around it in the report's language.
pub fn report_data(page_json: &str) -> Result<Value> {
    let mut page: Value =
        serde_json::from_str(page_json).map_err(|e| Error::fault("a stored report page is not JSON").because(e))?;
    let language = Language::deserialize(&page["language"]).unwrap_or(Language::English);
    page["w"] = serde_json::json!(Words::of(language));
    Ok(page)
}

/// Renders the index at `/`.
pub fn start_page(start: &Start) -> Result<String> {
    render("start.html", start, UndefinedBehavior::Lenient)
}

fn render(template: &str, page: &impl Serialize, undefined: UndefinedBehavior) -> Result<String> {
    // INVARIANT: every_value_a_template_prints_is_escaped
    // The engine escapes in templates whose name ends in .html.
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    let rendered = (|| {
        environment.add_template("layout.html", include_str!("layout.html"))?;
        environment.add_template("report.html", include_str!("report.html"))?;
        environment.add_template("start.html", include_str!("start.html"))?;
        environment.get_template(template)?.render(page)
    })();
    // The engine's error can quote values, and a value can be a patient's.
    rendered
        .map_err(|e: minijinja::Error| Error::fault(format!("the page {template} could not be rendered: {}", e.kind())))
}
