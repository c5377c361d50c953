//! Whether a loaded model may be shown a film: what its checkpoint says of itself, against the film.

use crate::{
    engine::{Neutral, Scope},
    imaging::Image,
};

/// Longest value named in a reason, in characters.
const MAX_TEXT: usize = 80;

/// Whether a film lies within what the checkpoint says it can read; if not, in which respect.
///
/// A general model (no scope) is held only to what the contract can say: a frontal chest film.
pub(super) fn out_of_scope(image: &Image, scope: Option<&Scope>) -> Option<String> {
    let stated = |value: &Option<String>| value.clone().unwrap_or_else(|| "not stated".into());
    let has = |known: &[String], value: &str| known.iter().any(|k| k == value);
    let [modality, body_part, view, source] =
        [&image.modality, &image.body_part, &image.view, &image.manufacturer].map(stated);
    let Some(scope) = scope else {
        let film = matches!(modality.as_str(), "CR" | "DX");
        let frontal_chest = film && body_part == "CHEST" && matches!(view.as_str(), "AP" | "PA");
        return (!frontal_chest).then(|| {
            format!(
                "this service reads frontal chest films (modality: {modality}, body part: {body_part}, view: {view})"
            )
        });
    };
    let respects = [
        ("modality", &modality, has(&scope.modalities, &modality)),
        ("body part", &body_part, has(&scope.body_parts, &body_part)),
        ("view", &view, has(&scope.views, &view)),
        ("made by", &source, has(&scope.sources, &source)),
    ];
    let (respect, value, _) = respects.into_iter().find(|(.., fits)| !fits)?;
    Some(format!("the loaded model cannot read such a film ({respect}: {})", Neutral::line(value, MAX_TEXT)))
}
