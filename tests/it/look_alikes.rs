//! Addresses that resemble an allowed base, generated; what each one is follows from how it was made.

mod oracle;

use std::net::Ipv4Addr;

pub use oracle::lands;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The same place as every client writes it: it has to be reached.
    Same,
    /// The same place oddly written: it may be reached or refused.
    Odd,
    /// Another place, or an address that no request may carry: nothing may be sent there.
    Elsewhere,
}
use Verdict::{Elsewhere, Odd, Same};

/// A base that is allowed: `scheme://host:port/path`, the path without a slash at its end.
#[derive(Clone)]
pub struct Target {
    pub scheme: &'static str,
    pub host: String,
    pub port: Option<u16>,
    pub path: &'static str,
}

type Part = (String, Verdict);

impl Target {
    pub fn base(&self) -> String {
        format!("{}://{}{}{}", self.scheme, self.host, self.port_text(), self.path)
    }

    fn port_text(&self) -> String {
        self.port.map(|port| format!(":{port}")).unwrap_or_default()
    }

    /// Every authority with the right path, every path under the right authority, every scheme before both.
    pub fn one_change(&self) -> Vec<Part> {
        let good = (format!("{}{}", self.host, self.port_text()), Same);
        let path = (format!("{}/Patient/1", self.path), Same);
        let whole = |scheme: &Part, authority: &Part, path: &Part| {
            (format!("{}{}{}", scheme.0, authority.0, path.0), scheme.1.max(authority.1).max(path.1))
        };
        let scheme = (format!("{}://", self.scheme), Same);
        let mut all: Vec<Part> = self.authorities().iter().map(|a| whole(&scheme, a, &path)).collect();
        all.extend(self.paths().iter().map(|p| whole(&scheme, &good, p)));
        all.extend(self.schemes().iter().map(|s| whole(s, &good, &path)));
        all
    }

    /// The schemes of the web with every authority with every path.
    pub fn all(&self) -> Vec<Part> {
        let (authorities, paths) = (self.authorities(), self.paths());
        let mut all = Vec::new();
        for scheme in self.schemes().into_iter().take(8) {
            for authority in &authorities {
                for path in &paths {
                    let verdict = scheme.1.max(authority.1).max(path.1);
                    all.push((format!("{}{}{}", scheme.0, authority.0, path.0), verdict));
                }
            }
        }
        all
    }

    fn schemes(&self) -> Vec<Part> {
        let scheme = self.scheme;
        let other = if scheme == "https" { "http" } else { "https" };
        let mut all = vec![(format!("{scheme}://"), Same), (format!("{}://", scheme.to_uppercase()), Same)];
        for odd in [
            format!("{scheme}:/"),
            format!("{scheme}:"),
            format!("{scheme}:///"),
            format!("{scheme}:\\\\"),
            format!(" {scheme}://"),
        ] {
            all.push((odd, Odd));
        }
        for elsewhere in
            [other, "ftp", "ws", "gopher", "file", "data", "javascript", "blob:http", "jar:http", "dict", "ldap"]
        {
            all.push((format!("{elsewhere}://"), Elsewhere));
        }
        all.push((String::new(), Elsewhere));
        all.push(("//".into(), Elsewhere));
        all
    }

    fn authorities(&self) -> Vec<Part> {
        let (host, port) = (&self.host, self.port_text());
        let mut hosts: Vec<Part> = vec![(host.clone(), Same)];
        for elsewhere in [
            format!("{host}.evil.example"),
            format!("{host}.evil.example."),
            format!("{host}evil.example"),
            format!("{host}-evil.example"),
            format!("{host}%2eevil.example"),
            format!("{host}%2Fevil.example"),
            format!("{host}%00.evil.example"),
            format!("{host}%40evil.example"),
            format!("evil-{host}"),
            format!("evil.{host}"),
            format!("evil{host}"),
            format!("{host}\\.evil.example"),
            format!("{host}.localhost"),
            "localhost".into(),
            "evil.example".into(),
            "0.0.0.0".into(),
            "[::]".into(),
            "[::1]".into(),
            "[::ffff:127.0.0.2]".into(),
            "[fe80::1%25eth0]".into(),
            "[fe80::1%eth0]".into(),
            "[fe80::1]".into(),
            "[v1.x]".into(),
            "[".into(),
            String::new(),
            // The addresses at which clouds hand out credentials, in the ways of writing them.
            "169.254.169.254".into(),
            "2852039166".into(),
            "0xa9fea9fe".into(),
            "0251.0376.0251.0376".into(),
            "169.254.43518".into(),
            "169.16689662".into(),
            "[::ffff:169.254.169.254]".into(),
            "[::169.254.169.254]".into(),
            "[64:ff9b::a9fe:a9fe]".into(),
            "[2002:a9fe:a9fe::]".into(),
            "[fd00:ec2::254]".into(),
            "metadata.google.internal".into(),
        ] {
            hosts.push((elsewhere, Elsewhere));
        }
        match host.parse::<Ipv4Addr>() {
            Ok(ip) => {
                hosts.extend(spellings(ip).into_iter().map(|text| (text, Odd)));
                let next = Ipv4Addr::from(u32::from(ip) + 1);
                hosts.extend(spellings(next).into_iter().chain([next.to_string()]).map(|text| (text, Elsewhere)));
                hosts.push((format!("{host}."), Odd));
                hosts.push((format!("{host}.1"), Elsewhere));
            }
            Err(_) if host.starts_with('[') => {}
            Err(_) => {
                hosts.push((host.to_uppercase(), Same));
                hosts.push((format!("{host}."), Elsewhere));
                hosts.extend(homographs(host));
            }
        }
        let mut all: Vec<Part> = hosts.into_iter().map(|(host, verdict)| (format!("{host}{port}"), verdict)).collect();
        let default = if self.scheme == "https" { 443 } else { 80 };
        let own = self.port.unwrap_or(default);
        let bare = if self.port.is_none_or(|port| port == default) { Same } else { Elsewhere };
        all.extend([
            (host.clone(), bare),
            (format!("{host}:"), bare.max(Odd)),
            (format!("{host}:{own}"), Same),
            (format!("{host}:0{own}"), Odd),
        ]);
        for other in ["0", "1", "22", "65535", "65536", "99999999999", "-1", "+443", "4e3", "443x", "٤٤٣"] {
            all.push((format!("{host}:{other}"), Elsewhere));
        }
        for other in [80, 443, 8080, own.wrapping_add(1)] {
            all.push((format!("{host}:{other}"), if other == own { Same } else { Elsewhere }));
        }
        let right = format!("{host}{port}");
        all.push((format!("@{right}"), Odd));
        for elsewhere in [
            format!("user@{right}"),
            format!("user:secret@{right}"),
            format!(":secret@{right}"),
            format!("evil.example@{right}"),
            format!("{right}@evil.example"),
            format!("{host}:secret@evil.example"),
            format!("{right}@evil.example@{right}"),
            format!("{right}%40evil.example"),
            format!("evil.example\\@{right}"),
            format!("{right}\\@evil.example"),
            format!("{right}#@evil.example"),
            format!("evil.example#@{right}"),
            format!("evil.example?@{right}"),
            format!("{right}?@evil.example"),
            format!("{right};evil.example"),
            format!("{right},evil.example"),
            format!("{right} evil.example"),
        ] {
            all.push((elsewhere, Elsewhere));
        }
        all
    }

    fn paths(&self) -> Vec<Part> {
        let path = self.path;
        let mut all = Vec::new();
        for same in [
            "",
            "/",
            "/Patient/1",
            "?page=2",
            "/Patient?next=..%2f..%2fadmin&at=https://evil.example/",
            "/Patient/a:b@c",
            "/Patient/%C3%BC",
        ] {
            all.push((format!("{path}{same}"), Same));
        }
        for odd in [format!("{path}//Patient/1"), format!("{path}///Patient/1"), format!("{path}/Patient/%41")] {
            all.push((odd, Odd));
        }
        let last = path.rsplit('/').next().unwrap_or_default();
        for untidy in [
            format!("/x/..{path}/Patient/1"),
            format!("/x/%2e%2e{path}/Patient/1"),
            format!("/x/.%2E{path}/Patient/1"),
            format!("/..{path}/Patient/1"),
            format!("/.{path}/Patient/1"),
            format!("/%2e{path}/Patient/1"),
            format!("{path}/x/../Patient/1"),
            format!("{path}/../{last}/Patient/1"),
            format!("{path}/%2E%2E/{last}/Patient/1"),
            format!("{path}/Patient/./1"),
            format!("{path}/%2e/Patient/1"),
            format!("{path}\\/Patient/1"),
            format!("\\{}/Patient/1", &path[1..]),
        ] {
            all.push((untidy, Elsewhere));
        }
        let encoded = format!("/%{:02x}{}", path.as_bytes()[1], &path[2..]);
        all.push((format!("{encoded}/Patient/1"), Odd));
        for elsewhere in [
            "2/Patient/1",
            "evil/Patient/1",
            ".evil",
            "-x/Patient/1",
            "%2fPatient/1",
            "%00/Patient/1",
            ";x/Patient/1",
            "%20/Patient/1",
            "@evil/Patient/1",
            ":1/Patient/1",
            "/../admin",
            "/./../admin",
            "/Patient/../../admin",
            "//../../admin",
            "/%2e%2e/admin",
            "/.%2e/admin",
            "/%2E./admin",
            "/..%2fadmin",
            "/..%2Fadmin",
            "/..%5cadmin",
            "/..%5Cadmin",
            "/%252e%252e/admin",
            "/%25%32%65%25%32%65/admin",
            "/..;/admin",
            "/..%3b/admin",
            "/..%3B/admin",
            "\\..\\admin",
            "/..\\admin",
            "/\t../admin",
            "/.\n./admin",
            "/Patient/1;v=2",
            "/Patient/1#top",
            "#",
            "?#",
            "/..;x/Patient/1",
            ";/Patient/1",
            "%3b/Patient/1",
            "%5c/Patient/1",
            "/Patient%2f1",
            "/...%2f/admin",
        ] {
            all.push((format!("{path}{elsewhere}"), Elsewhere));
        }
        for elsewhere in ["", "/", "/admin", "?x=", "/%2f", "/;/"] {
            all.push((elsewhere.to_owned(), Elsewhere));
        }
        all.push((format!("{}/Patient/1", path.to_uppercase()), Elsewhere));
        all.push((format!("/{path}/Patient/1"), Elsewhere));
        all.push((format!("/x{path}/Patient/1"), Elsewhere));
        all
    }
}

/// An IPv4 address as old resolvers take it: one number, octal, hexadecimal, short, and within IPv6.
fn spellings(ip: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = ip.octets();
    let low = u32::from(ip) & 0x00ff_ffff;
    vec![
        u32::from(ip).to_string(),
        format!("{:#x}", u32::from(ip)),
        format!("0{:o}", u32::from(ip)),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a}.{low}"),
        format!("{a}.{b}.{}", u16::from_be_bytes([c, d])),
        format!("[::ffff:{ip}]"),
        format!("[::{ip}]"),
        ip.to_string().replacen('.', "\u{3002}", 1),
        ip.to_string().replacen('1', "\u{ff11}", 1),
    ]
}

/// Letters exchanged for ones that look alike, one at a time, and signs that cannot be seen.
fn homographs(host: &str) -> Vec<Part> {
    const ALIKE: [(char, char); 10] = [
        ('a', 'а'),
        ('c', 'с'),
        ('e', 'е'),
        ('h', 'һ'),
        ('i', 'і'),
        ('l', 'ӏ'),
        ('o', 'о'),
        ('p', 'р'),
        ('r', 'г'),
        ('x', 'х'),
    ];
    let mut all = Vec::new();
    for (at, letter) in host.char_indices() {
        let with = |instead: char| format!("{}{instead}{}", &host[..at], &host[at + letter.len_utf8()..]);
        for (plain, alike) in ALIKE {
            if plain == letter {
                all.push((with(alike), Elsewhere));
            }
        }
        if letter.is_ascii_lowercase() {
            // Full-width letters and dots are the same name by the rules of names.
            all.push((with(char::from_u32(u32::from(letter) + 0xfee0).unwrap_or(letter)), Odd));
            all.push((format!("{}%{:02x}{}", &host[..at], u32::from(letter), &host[at + 1..]), Odd));
            all.push((format!("{}{}", &host[..at], &host[at + 1..]), Elsewhere));
            all.push((format!("{}{letter}{}", &host[..at + 1], &host[at..]), Elsewhere));
        }
        if letter == '.' {
            all.extend(['\u{3002}', '\u{ff0e}', '\u{ff61}'].map(|dot| (with(dot), Odd)));
            all.extend(['-', '·', '/', '_'].map(|dot| (with(dot), Elsewhere)));
        }
    }
    let cut = host.char_indices().nth(1).map_or(0, |(at, _)| at);
    for unseen in ['\u{200b}', '\u{ad}', '\u{2060}', '\u{feff}', '\t', '\n'] {
        all.push((format!("{}{unseen}{}", &host[..cut], &host[cut..]), Odd));
    }
    for seen in ['\u{200d}', '\u{202e}', ' ', '\u{0}', '\u{7f}'] {
        all.push((format!("{}{seen}{}", &host[..cut], &host[cut..]), Elsewhere));
    }
    all.push((format!("xn--{host}"), Elsewhere));
    all
}
