//! What a narrative may hold. <https://hl7.org/fhir/R4/narrative.html>

const ELEMENTS: [&str; 52] = [
    "a",
    "abbr",
    "acronym",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
    "address",
    "bdo",
    "s",
];
const ATTRIBUTES: [&str; 30] = [
    "abbr",
    "align",
    "alt",
    "axis",
    "border",
    "cellpadding",
    "cellspacing",
    "char",
    "charoff",
    "cite",
    "class",
    "colspan",
    "dir",
    "frame",
    "headers",
    "height",
    "href",
    "id",
    "lang",
    "name",
    "rowspan",
    "rules",
    "scope",
    "span",
    "src",
    "style",
    "title",
    "width",
    "xml:lang",
    "xmlns",
];

/// Whether `div` is one XHTML `div` with content, of formatting elements only, without script, handlers or foreign links.
pub fn check(div: &str) -> Result<(), &'static str> {
    let opening = div.strip_prefix("<div").is_some_and(|rest| rest.starts_with([' ', '>']));
    if !opening || !div.trim_end().ends_with("</div>") {
        return Err("a narrative is one div");
    }
    let mut open: Vec<&str> = Vec::new();
    let (mut rest, mut content, mut closed) = (div.trim_end(), false, false);
    while !rest.is_empty() {
        if closed {
            return Err("a narrative is one div");
        }
        let (text, tail) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        entities(text)?;
        content |= !text.trim().is_empty();
        let Some(tag) = tail.strip_prefix('<') else { break };
        let end = tag_end(tag).ok_or("a tag of the narrative does not end")?;
        let inside = &tag[..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            if open.pop() != Some(name.trim_end()) {
                return Err("the tags of the narrative are not nested");
            }
            closed = open.is_empty();
            continue;
        }
        let empty = inside.ends_with('/');
        let inside = inside.strip_suffix('/').unwrap_or(inside);
        let (name, attributes) = inside.split_at(inside.find(char::is_whitespace).unwrap_or(inside.len()));
        if !ELEMENTS.contains(&name) {
            return Err("the narrative has an element that is not formatting");
        }
        content |= name == "img";
        self::attributes(name, attributes)?;
        if !empty {
            open.push(name);
        }
    }
    match (open.is_empty(), content) {
        (false, _) => Err("the tags of the narrative are not nested"),
        (_, false) => Err("the narrative is empty (txt-2)"),
        _ => Ok(()),
    }
}

/// The `>` that is not inside a quoted value.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.char_indices().find_map(|(i, c)| match (quote, c) {
        (None, '>') => Some(i),
        (None, '"' | '\'') => {
            quote = Some(c);
            None
        }
        (Some(q), c) if q == c => {
            quote = None;
            None
        }
        _ => None,
    })
}

fn attributes(element: &str, mut rest: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "an attribute of the narrative is not XHTML";
    while !rest.trim_start().is_empty() {
        let spaced = rest.trim_start();
        let (name, value) = spaced.split_once('=').ok_or(MALFORMED)?;
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(MALFORMED)?;
        let (value, tail) = value[1..].split_once(quote).ok_or(MALFORMED)?;
        if spaced.len() == rest.len() || value.contains('<') {
            return Err(MALFORMED);
        }
        if !ATTRIBUTES.contains(&name) {
            return Err("the narrative has an attribute that is not formatting");
        }
        entities(value)?;
        match name {
            "href" | "src" | "cite" if !link(element, value) => return Err("the narrative links to a foreign scheme"),
            "style" if !plain_style(value) => return Err("a style of the narrative reaches outside it"),
            "xmlns" if value != "http://www.w3.org/1999/xhtml" => return Err("the narrative is not XHTML"),
            _ => {}
        }
        rest = tail;
    }
    Ok(())
}

/// http, https, a place in the same document, a relative address; pictures also inline.
fn link(element: &str, value: &str) -> bool {
    // A character reference could spell a scheme that is not seen here.
    if value.replace("&amp;", "").contains('&') || value.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    let inline = ["data:image/png;base64,", "data:image/jpeg;base64,"];
    match lower.split(['/', '?', '#']).next().and_then(|start| start.split_once(':')) {
        None => !value.starts_with("//"),
        Some(("http" | "https", _)) => element == "a",
        Some(("data", _)) => element == "img" && inline.iter().any(|kind| lower.starts_with(kind)),
        Some(_) => false,
    }
}

fn plain_style(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    !["url", "expression", "import", "behavior", "binding", "\\", "&", "/*", "@"]
        .iter()
        .any(|word| lower.contains(word))
}

/// Character references are closed; a bare ampersand is not XML.
fn entities(text: &str) -> Result<(), &'static str> {
    let closed = |after: &str| {
        let name = after.split(';').next().filter(|name| name.len() < after.len()).unwrap_or_default();
        let name = name.strip_prefix('#').unwrap_or(name);
        !name.is_empty() && name.len() <= 10 && name.chars().all(|c| c.is_ascii_alphanumeric())
    };
    if text.contains('>') && text.contains("]]>") || !text.split('&').skip(1).all(closed) {
        return Err("a character of the narrative is not escaped");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(text: &str) -> Result<(), &'static str> {
        check(&format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>"#))
    }

    #[test]
    fn formatting_is_kept() {
        for text in [
            "<p>AI-generated draft. Not reviewed.</p>",
            "<p title='a > b'>1 &lt; 2 &amp; 3 &#8212; &nbsp;</p><br/><hr />",
            r##"<a href="https://ehr.example/a?b=1&amp;c=2">x</a><a href="#E7">E7</a><a href="Observation/1">y</a>"##,
            r#"<table border="1"><tbody><tr><td colspan="2" style="color: red">x</td></tr></tbody></table>"#,
            r#"<img src="data:image/png;base64,AAAA" alt="x"/>"#,
        ] {
            assert_eq!(inside(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_narrative_cannot_act() {
        for text in [
            "<script>alert(1)</script>",
            "<SCRIPT>alert(1)</SCRIPT>",
            "<p><style>p{}</style></p>",
            "<iframe src='https://evil.example'></iframe>",
            "<form action='https://evil.example'><p>x</p></form>",
            "<svg onload='x'>x</svg>",
            "<p onclick='x'>x</p>",
            "<p ONCLICK='x'>x</p>",
            "<p\nonclick='x'>x</p>",
            "<a href='javascript:alert(1)'>x</a>",
            "<a href='JaVaScRiPt:alert(1)'>x</a>",
            "<a href='java&#115;cript:alert(1)'>x</a>",
            "<a href=' javascript:alert(1)'>x</a>",
            "<a href='java\tscript:alert(1)'>x</a>",
            "<a href='data:text/html,x'>x</a>",
            "<a href='vbscript:x'>x</a>",
            "<a href='//evil.example'>x</a>",
            "<img src='https://evil.example/pixel.png' alt='x'/>",
            "<img src='data:image/svg+xml;base64,AAAA' alt='x'/>",
            "<p style='background: url(https://evil.example)'>x</p>",
            "<p style='background: u\\72l(x)'>x</p>",
            "<!-- x --><p>x</p>",
            "<![CDATA[x]]>",
            "<?php x ?>",
            "<p>x",
            "x</p>",
            "<b><i>x</b></i>",
            "<p title=x>x</p>",
            "a & b",
            "&amp",
            "",
            "<p> </p>",
            "x</div><div>y",
        ] {
            assert!(inside(text).is_err(), "{text}");
        }
        for div in
            ["x", "<p>x</p>", "<div>x", "<divx>x</divx>", r#"<div xmlns="urn:x">x</div>"#, "<div>x</div> y</div>"]
        {
            assert!(check(div).is_err(), "{div}");
        }
    }
}
