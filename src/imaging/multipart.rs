//! `multipart/related` answers of DICOM archives, read as leniently as they are written. <https://www.rfc-editor.org/rfc/rfc2046#section-5.1>

use bytes::Bytes;
use mime::Mime;

/// More parts than this in one answer are not a study of films.
const MAX_PARTS: usize = 4096;
/// The headers of one part.
const MAX_HEADERS: usize = 16 * 1024;

/// The bodies of the parts, without copying; the body itself where the answer is a single part. `None`: broken.
///
/// What the parts' own headers say is not used: a DICOM file names its own encoding, and archives write that header wrongly.
pub(super) fn parts(content_type: &str, body: &Bytes) -> Option<Vec<Bytes>> {
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        return Some(vec![body.clone()]);
    }
    let delimiter = format!("--{}", boundary(content_type)?);
    let mut parts = Vec::new();
    let mut at = content(body, opening(body, delimiter.as_bytes())?)?;
    while let Some(start) = at {
        let start = after_headers(body, start)?;
        let end = start + closing(&body[start..], delimiter.as_bytes())?;
        parts.push(body.slice(start..end));
        if parts.len() > MAX_PARTS {
            return None;
        }
        at = content(body, end + 2 + delimiter.len())?;
    }
    Some(parts)
}

/// Parameters in any order, quoted or not.
fn boundary(content_type: &str) -> Option<String> {
    let parsed =
        content_type.parse::<Mime>().ok().and_then(|mime| mime.get_param("boundary").map(|b| b.as_str().to_owned()));
    // An unquoted `type=application/dicom` is not a token, and strict readers stop there.
    let by_hand = || {
        let mut parameters = content_type.split(';').filter_map(|parameter| parameter.split_once('='));
        let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    parsed.or_else(by_hand).filter(|boundary| (1..=70).contains(&boundary.len()))
}

/// Where the first delimiter ends: at the start of the body, or of a line after the preamble.
fn opening(body: &[u8], delimiter: &[u8]) -> Option<usize> {
    if body.starts_with(delimiter) {
        return Some(delimiter.len());
    }
    let line = [b"\n", delimiter].concat();
    find(body, &line).map(|at| at + line.len())
}

/// What follows a delimiter: the start of a part's headers, or `Some(None)` after the last part. `None`: broken.
fn content(body: &[u8], at: usize) -> Option<Option<usize>> {
    let rest = body.get(at..)?;
    if rest.starts_with(b"--") {
        return Some(None);
    }
    let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    rest[padding..].starts_with(b"\r\n").then_some(Some(at + padding))
}

/// Past the empty line that ends a part's headers, of which there may be none.
fn after_headers(body: &[u8], at: usize) -> Option<usize> {
    let headers = &body[at..body.len().min(at + MAX_HEADERS)];
    find(headers, b"\r\n\r\n").map(|end| at + end + 4)
}

/// Where the content of a part ends. A delimiter is one only at the end of its line.
fn closing(content: &[u8], delimiter: &[u8]) -> Option<usize> {
    let line = [b"\r\n", delimiter].concat();
    let mut from = 0;
    loop {
        let at = from + find(&content[from..], &line)?;
        let tail = &content[at + line.len()..];
        if tail.starts_with(b"--") || tail.iter().find(|b| !matches!(b, b' ' | b'\t')) == Some(&b'\r') {
            return Some(at);
        }
        from = at + 2;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content_type: &str, body: &[u8]) -> Option<Vec<Vec<u8>>> {
        parts(content_type, &Bytes::copy_from_slice(body)).map(|parts| parts.iter().map(|p| p.to_vec()).collect())
    }

    const TYPE: &str = r#"multipart/related; type="application/dicom"; boundary=b"#;

    #[test]
    fn what_archives_send_is_read() {
        let body = b"--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n";
        let two = Some(vec![b"one".to_vec(), b"two".to_vec()]);
        for content_type in [
            TYPE,
            "multipart/related; boundary=\"b\"; type=\"application/dicom\"",
            "Multipart/Related;type=application/dicom;BOUNDARY=b",
            "multipart/related; type=application/dicom; boundary=\"b\"; transfer-syntax=*",
        ] {
            assert_eq!(read(content_type, body), two, "{content_type}");
        }
        assert_eq!(
            read(
                TYPE,
                b"preamble\r\n--b \r\n\r\none\r\n--b\t\r\nx: type=\"image/jp2; y=..\"\r\n\r\ntwo\r\n--b--epilogue"
            ),
            two
        );
        assert_eq!(read(TYPE, b"--b\r\n\r\n--bc\r\n--bc\r\n--b--"), Some(vec![b"--bc\r\n--bc".to_vec()]));
        assert_eq!(read(TYPE, b"--b\r\n\r\n\r\n--b--"), Some(vec![vec![]]));
        assert_eq!(read(TYPE, b"--b--"), Some(vec![]));
        assert_eq!(read("application/dicom", b"file"), Some(vec![b"file".to_vec()]));
    }

    #[test]
    fn what_is_broken_is_none() {
        for body in [
            &b""[..],
            b"one",
            b"--b",
            b"--b\r\n",
            b"--b\r\n\r\none",
            b"--b\r\n\r\none\r\n--b",
            b"--b\r\nno end of headers\r\n--b--",
        ] {
            assert_eq!(read(TYPE, body), None, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(read("multipart/related", b"--b\r\n\r\none\r\n--b--"), None);
        let long = "b".repeat(71);
        assert_eq!(read(&format!("multipart/related; boundary={long}"), format!("--{long}--").as_bytes()), None);
        assert_eq!(read(TYPE, format!("--b{}--", "\r\n\r\nx\r\n--b".repeat(MAX_PARTS + 1)).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            bodies in proptest::collection::vec("[a-z\\r\\n -]{0,30}", 0..6), boundary in "[A-Za-z0-9'+_,./:=?-]{1,70}",
            header in "(Content-Type: application/dicom\r\n){0,2}"
        ) {
            let delimiter = format!("--{boundary}");
            prop_assume!(bodies.iter().all(|body| !format!("\r\n{body}\r\n").contains(&delimiter)));
            let parts: String = bodies.iter().map(|body| format!("{delimiter}\r\n{header}\r\n{body}\r\n")).collect();
            let read = read(&format!("multipart/related; boundary=\"{boundary}\""), format!("{parts}{delimiter}--").as_bytes());
            prop_assert_eq!(read, Some(bodies.iter().map(|body| body.as_bytes().to_vec()).collect::<Vec<_>>()));
        }

        #[test]
        fn any_bytes_are_parts_of_them_or_broken(
            kind in "\\PC{0,40}|multipart/related; boundary=[a-z\"']{0,4}", body in "[b\r\n \t:-]{0,120}|\\PC{0,60}"
        ) {
            if let Some(parts) = read(&kind, body.as_bytes()) {
                prop_assert!(parts.iter().map(Vec::len).sum::<usize>() <= body.len());
            }
            if let Some(parts) = read(TYPE, body.as_bytes()) {
                prop_assert!(parts.iter().map(Vec::len).sum::<usize>() <= body.len());
            }
        }
    }
}
