//! Where an address leads, judged by its bytes alone.

/// Whether the bytes of `url` name `origin` and a path below `root` whichever way a server reads them. Knows nothing of
/// the parser under test.
pub fn lands(url: &str, origin: &str, root: &str) -> bool {
    let Some(rest) = url.strip_prefix(origin) else { return false };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let mut readings = vec![path.to_owned()];
    for _ in 0..2 {
        let last = readings.last().cloned().unwrap_or_default();
        readings.push(decoded(&last));
    }
    readings.extend(readings.clone().iter().map(|path| path.replace('\\', "/")));
    let parameters =
        |path: &String| path.split('/').map(|s| s.split(';').next().unwrap_or("")).collect::<Vec<_>>().join("/");
    readings.extend(readings.clone().iter().map(parameters));
    readings.iter().all(|path| {
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        let root: Vec<&str> = root.split('/').filter(|s| !s.is_empty()).collect();
        segments.starts_with(&root)
    }) && !rest.contains('#')
}

fn decoded(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.as_bytes().iter().copied());
    while let Some(byte) = bytes.next() {
        let pair = Some(bytes.clone().take(2).collect::<Vec<u8>>()).filter(|pair| byte == b'%' && pair.len() == 2);
        match pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()) {
            Some(value) => {
                out.push(value);
                bytes.nth(1);
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn the_oracle_itself_knows_what_it_judges() {
    for inside in
        ["http://a:1/r4", "http://a:1/r4/", "http://a:1/r4/x?y=/../..", "http://a:1//r4/x", "http://a:1/x/../r4"]
    {
        assert!(lands(inside, "http://a:1", "/r4"), "{inside}");
    }
    for outside in [
        "http://a:10/r4",
        "http://a:1/r45",
        "http://a:1/r4/../x",
        "http://a:1/r4/%252e%252e/x",
        "http://a:1/r4/..;/x",
        "http://a:1/r4\\..\\x",
    ] {
        assert!(!lands(outside, "http://a:1", "/r4"), "{outside}");
    }
}
