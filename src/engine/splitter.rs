//! Keeps a model's reasoning apart from its answer, and ends the answer before a stop text: both may come in any pieces.

/// Around a MedGemma model's reasoning; no other checkpoint that is served writes these.
pub(super) const OPEN: &str = "<unused94>";
pub(super) const CLOSE: &str = "<unused95>";

#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Reasoning(String),
}

#[derive(Default)]
pub(super) struct Splitter {
    stops: Vec<String>,
    /// Text that may yet turn out to be the beginning of a mark.
    held: String,
    reasoning: bool,
    stopped: bool,
}

impl Splitter {
    pub(super) fn new(stops: &[String]) -> Splitter {
        Splitter { stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(), ..Splitter::default() }
    }

    /// Takes the next text of the model and gives what is certain of it.
    pub(super) fn push(&mut self, delta: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.stopped {
            return pieces;
        }
        self.held.push_str(delta);
        while let Some((at, mark)) = self.find() {
            let rest = self.held.split_off(at);
            let before = std::mem::replace(&mut self.held, rest[mark.len()..].to_owned());
            self.give(before, &mut pieces);
            match mark.as_str() {
                OPEN if !self.reasoning => self.reasoning = true,
                CLOSE if self.reasoning => self.reasoning = false,
                // INVARIANT: a_stop_text_never_reaches_the_caller
                _ => {
                    self.stopped = true;
                    self.held.clear();
                    return pieces;
                }
            }
        }
        let held = self.held.split_off(self.held.len() - self.undecided());
        let certain = std::mem::replace(&mut self.held, held);
        self.give(certain, &mut pieces);
        pieces
    }

    /// Whether a stop text has ended the answer.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// The model has ended: gives what was held back, and whether its reasoning was closed.
    pub(super) fn end(&mut self) -> (Vec<Piece>, bool) {
        let mut pieces = Vec::new();
        let rest = std::mem::take(&mut self.held);
        self.give(rest, &mut pieces);
        (pieces, !self.reasoning)
    }

    fn give(&self, text: String, pieces: &mut Vec<Piece>) {
        if !text.is_empty() {
            pieces.push(if self.reasoning { Piece::Reasoning(text) } else { Piece::Text(text) });
        }
    }

    fn marks(&self) -> impl Iterator<Item = &str> {
        let (own, stops): (&str, &[String]) = if self.reasoning { (CLOSE, &[]) } else { (OPEN, &self.stops) };
        std::iter::once(own).chain(stops.iter().map(String::as_str))
    }

    /// The first mark in the text; of two that begin there, the longer.
    fn find(&self) -> Option<(usize, String)> {
        let found = self.marks().filter_map(|mark| Some((self.held.find(mark)?, mark)));
        let first = found.min_by_key(|(at, mark)| (*at, usize::MAX - mark.len()));
        first.map(|(at, mark)| (at, mark.to_owned()))
    }

    /// Bytes at the end of the text that some mark begins with.
    fn undecided(&self) -> usize {
        let begins = |mark: &str| {
            (1..mark.len()).rev().find(|length| mark.is_char_boundary(*length) && self.held.ends_with(&mark[..*length]))
        };
        self.marks().filter_map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answer, reasoning, and whether the reasoning was closed.
    fn split(pieces: &[&str], stops: &[&str]) -> (String, String, bool) {
        let mut splitter = Splitter::new(&stops.iter().map(|stop| stop.to_string()).collect::<Vec<_>>());
        let (mut text, mut reasoning) = (String::new(), String::new());
        let mut sort = |pieces: Vec<Piece>| {
            for piece in pieces {
                match piece {
                    Piece::Text(piece) => text += &piece,
                    Piece::Reasoning(piece) => reasoning += &piece,
                }
            }
        };
        for piece in pieces {
            sort(splitter.push(piece));
        }
        let (rest, closed) = splitter.end();
        sort(rest);
        (text, reasoning, closed)
    }

    #[test]
    fn reasoning_is_kept_apart() {
        let whole = "<unused94>thought\nIs it?<unused95>{\"a\":1}";
        let expected = ("{\"a\":1}".to_string(), "thought\nIs it?".to_string(), true);
        assert_eq!(split(&[whole], &["?"]), expected);
        let one_by_one: Vec<String> = whole.chars().map(String::from).collect();
        assert_eq!(split(&one_by_one.iter().map(String::as_str).collect::<Vec<_>>(), &[]), expected);
    }

    #[test]
    fn reasoning_that_is_never_closed_is_no_answer() {
        assert_eq!(split(&["<unused94>so", " then {}"], &[]), (String::new(), "so then {}".into(), false));
        assert_eq!(split(&["a <unused9"], &[]), ("a <unused9".into(), String::new(), true));
    }

    proptest! {
        /// INVARIANT: a_stop_text_never_reaches_the_caller
        #[test]
        fn a_stop_text_never_reaches_the_caller(text in "[ab한]{0,24}", stop in "[ab한]{1,4}", cuts in prop::collection::vec(0usize..24, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| text.is_char_boundary(*at.min(&text.len()))).map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let expected = text.split(&stop).next().unwrap_or_default();
            prop_assert_eq!(split(&pieces, &[&stop]).0, expected);
        }
    }
}
