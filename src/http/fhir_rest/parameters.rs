//! The parameters of a read and of a search, as the OpenAPI document shows them.

use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, RefOr, Required, Schema, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{
    fhir::FHIR_JSON,
    http::capability,
    store::search::{By, SERVED},
};

/// In which form the client wants the answer.
pub struct Format;

impl IntoParams for Format {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![Format::parameter()]
    }
}

impl Format {
    fn parameter() -> Parameter {
        let forms = ["json", FHIR_JSON, "application/json", "text/json"];
        parameter("_format", ParameterIn::Query, "Beats `Accept`.", string().enum_values(Some(forms)))
    }
}

/// What a resource is read by.
pub struct Read;

impl IntoParams for Read {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let known = "The version the client has, as an ETag; 304 if it is the current one.";
        vec![
            resource_type(),
            parameter("id", ParameterIn::Path, "The resource's id.", string()),
            Format::parameter(),
            parameter("If-None-Match", ParameterIn::Header, known, string()),
        ]
    }
}

/// What a search is made of: the table that the search itself goes by.
pub struct Search;

impl IntoParams for Search {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let query = |name, description: &str, schema| parameter(name, ParameterIn::Query, description, schema);
        let prefer = "`handling=lenient`: what is not supported is ignored and told; otherwise it is refused with 400.";
        let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let mut parameters = vec![resource_type()];
        for offered in SERVED.iter().flat_map(|served| served.parameters) {
            if parameters.iter().all(|known| known.name != offered.name) {
                let (_, documentation) = capability::told(offered.by);
                let of: Vec<&str> = SERVED
                    .iter()
                    .filter(|served| served.parameters.iter().any(|parameter| parameter.name == offered.name))
                    .map(|served| served.resource_type)
                    .collect();
                let documentation = format!("{documentation} Of {}.", of.join(", "));
                parameters.push(query(offered.name, &documentation, form(offered.by)));
            }
        }
        parameters.push(query("_count", "Resources on a page, at most 200; 0 asks for the total only.", count));
        parameters.push(query("_page", "Where to go on; as in the link to the next page.", string()));
        parameters.push(Format::parameter());
        parameters.push(parameter("Prefer", ParameterIn::Header, prefer, string()));
        parameters
    }
}

/// What one value looks like; several are separated by commas.
fn form(by: By) -> ObjectBuilder {
    let value = match by {
        By::Id | By::Status(_) => "[^,]*[^,\\s][^,]*",
        By::Patient => "((https?://[^,/][^,]*/)?Patient/)?[A-Za-z0-9\\-._]{1,128}",
        By::Target => "(https?://[^,/][^,]*/)?[A-Z][A-Za-z]*/[A-Za-z0-9\\-._]{1,128}",
        By::Date => {
            "(eq|ne|gt|lt|ge|le|sa|eb)?[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9.]+)?(Z|[+\\-][0-9:]+)?)?)?)?"
        }
    };
    string().pattern(Some(format!("^{value}(,{value})*$")))
}

fn resource_type() -> Parameter {
    let types = SERVED.iter().map(|served| served.resource_type);
    parameter("type", ParameterIn::Path, "The resource's type.", string().enum_values(Some(types)))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn parameter(name: &str, at: ParameterIn, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(at)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
