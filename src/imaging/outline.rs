//! One walk over a file's elements before a reader sizes its buffers by their lengths or its stack by their nesting.
//!
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_7.html>

/// Items of sequences and fragments of pixel data in one file. Nesting is read by recursion, so this bounds the stack.
const MAX_ITEMS: usize = 2500;
const UNDEFINED: u32 = u32::MAX;

/// Whether every element of the file lies within it. Little endian only; other representations are not sound.
///
/// Elements of unknown representation and undefined length get the length they have: what they hold is implicit in an
/// explicit file, which the reader does not know, and nothing of it is read here.
pub(super) fn settle(file: &mut [u8], implicit: bool) -> bool {
    let walked = meta_length(file).and_then(|length| Walk::new(file, 144 + length).run(implicit));
    let Some(unknown) = walked else { return false };
    for (at, length) in unknown {
        file[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
    true
}

/// Bytes of the meta group after its own length, if its elements are together as long as that says.
pub(super) fn meta_length(file: &[u8]) -> Option<usize> {
    let length = file.get(128..144)?.strip_prefix(b"DICM\x02\0\0\0UL\x04\0")?;
    let end = 144usize.checked_add(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
    let mut walk = Walk::new(file, 144);
    while walk.at < end {
        walk.element(false)?;
    }
    (walk.at == end && walk.unknown.is_empty()).then_some(end - 144)
}

struct Walk<'a> {
    file: &'a [u8],
    at: usize,
    items: usize,
    /// Where the length of an element of unknown representation is written, and what it is.
    unknown: Vec<(usize, u32)>,
}

impl Walk<'_> {
    fn new(file: &[u8], at: usize) -> Walk<'_> {
        Walk { file, at, items: 0, unknown: Vec::new() }
    }

    fn run(mut self, implicit: bool) -> Option<Vec<(usize, u32)>> {
        // Some files that claim explicit representations have none, and the reader notices by the first element.
        let implicit = implicit || !self.file.get(self.at + 4..)?.iter().take(2).all(u8::is_ascii_uppercase);
        while self.at < self.file.len() {
            self.element(implicit)?;
        }
        Some(self.unknown)
    }

    /// One element, or the head of what contains others: those follow one another in the file whatever contains them.
    fn element(&mut self, implicit: bool) -> Option<()> {
        let head = self.file.get(self.at..self.at + 8)?;
        let tag = [head[0], head[1], head[2], head[3]];
        let short = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if tag[..2] == [0xFE, 0xFF] {
            self.at += 8;
            self.items += usize::from(tag[2] == 0x00);
            return (self.items <= MAX_ITEMS).then_some(());
        }
        let (size, length, sequence) = if implicit {
            let item = self.file.get(self.at + 8..)?.starts_with(&[0xFE, 0xFF, 0x00, 0xE0]);
            (8, short, item || short == UNDEFINED)
        } else {
            match &head[4..6] {
                b"SQ" => (12, 0, true),
                b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                    let length = self.file.get(self.at + 8..self.at + 12)?;
                    (12, u32::from_le_bytes(length.try_into().ok()?), false)
                }
                b"AE" | b"AS" | b"AT" | b"CS" | b"DA" | b"DS" | b"DT" | b"FL" | b"FD" | b"IS" | b"LO" | b"LT"
                | b"PN" | b"SH" | b"SL" | b"SS" | b"ST" | b"TM" | b"UI" | b"UL" | b"US" => (8, short >> 16, false),
                _ => return None,
            }
        };
        self.at += size;
        if tag == [0xE0, 0x7F, 0x10, 0x00] && length == UNDEFINED {
            return self.fragments();
        }
        if !implicit && length == UNDEFINED && head[4..6] == *b"UN" {
            return self.unknown();
        }
        if !sequence {
            self.skip(length)?;
        }
        Some(())
    }

    /// To the end of an unknown element: a sequence in implicit representation, whatever the file's is.
    fn unknown(&mut self) -> Option<()> {
        let start = self.at;
        let mut open = 1;
        while open > 0 {
            match self.file.get(self.at..self.at + 8)? {
                [0xFE, 0xFF, 0xDD, 0xE0, ..] => open -= 1,
                // Its fragments end with a delimiter of their own.
                [0xFE, 0xFF, ..] | [0xE0, 0x7F, 0x10, 0x00, ..] => {}
                [.., 0xFF, 0xFF, 0xFF, 0xFF] => open += 1,
                _ => {}
            }
            self.element(true)?;
        }
        self.unknown.push((start - 4, u32::try_from(self.at - start).ok()?));
        Some(())
    }

    fn fragments(&mut self) -> Option<()> {
        loop {
            let head = self.file.get(self.at..self.at + 8)?;
            let length = u32::from_le_bytes(head[4..8].try_into().ok()?);
            self.at += 8;
            match head[..4] {
                [0xFE, 0xFF, 0x00, 0xE0] => self.skip(length)?,
                [0xFE, 0xFF, 0xDD, 0xE0] => return Some(()),
                _ => return None,
            }
            self.items += 1;
            if self.items > MAX_ITEMS {
                return None;
            }
        }
    }

    fn skip(&mut self, length: u32) -> Option<()> {
        let end = self.at.checked_add(length as usize)?;
        (end <= self.file.len()).then(|| self.at = end)
    }
}
