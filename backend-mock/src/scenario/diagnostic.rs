//! Errors a person can act on: where, what was found, what is allowed.

use core::fmt;
use core::ops::Range;

/// Lines longer than this are cut around the place.
const WIDTH: usize = 96;

/// What is wrong with an input, in one screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What was found.
    pub message: String,
    /// Where, if the input has places.
    pub place: Option<Box<Place>>,
    /// What is allowed instead.
    pub help: Option<String>,
}

/// A place in a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line, cut to a screen's width, control characters replaced.
    excerpt: String,
    /// Where in `excerpt` the marker starts, and how many characters it takes.
    marker: (usize, usize),
}

impl Diagnostic {
    /// A diagnostic that says only what was found.
    pub fn new(message: impl Into<String>) -> Diagnostic {
        Diagnostic { message: message.into(), place: None, help: None }
    }

    /// Adds what is allowed.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds the place: the bytes `span` of `text`.
    #[must_use]
    pub fn at(mut self, file: &str, text: &str, span: Range<usize>) -> Diagnostic {
        self.place = Some(Box::new(Place::find(file, text, span)));
        self
    }
}

impl Place {
    fn find(file: &str, text: &str, span: Range<usize>) -> Place {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let before = text[line_start..start].chars().count();
        let marked = text[start..end.min(line_end).max(start)].chars().count().max(1);
        // Long lines: show a window that has the place in its first half.
        let skip = before.saturating_sub(WIDTH / 2);
        let shown = if before + marked <= WIDTH { 0 } else { skip };
        let excerpt: String = text[line_start..line_end]
            .trim_end_matches('\r')
            .chars()
            .skip(shown)
            .take(WIDTH)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let marker = (before - shown, marked.min(WIDTH.saturating_sub(before - shown)).max(1));
        Place { file: file.into(), line, column: before + 1, excerpt, marker }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let gutter = " ".repeat(number.len());
            writeln!(f, "{gutter}--> {}:{}:{}", place.file, place.line, place.column)?;
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{number} | {}", place.excerpt)?;
            let (before, marked) = place.marker;
            writeln!(f, "{gutter} | {}{}", " ".repeat(before), "^".repeat(marked))?;
        }
        match &self.help {
            Some(help) => writeln!(f, "allowed: {help}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Diagnostic {}

/// ` (did you mean ...?)` if one of `known` is near `found`, else nothing.
pub(super) fn did_you_mean(found: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|candidate| (distance(found, candidate), *candidate)).min();
    match nearest {
        Some((distance, candidate)) if distance <= 2.max(candidate.len() / 3) => {
            format!("; did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

/// Levenshtein's distance, in bytes, of at most the first 64.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], &b.as_bytes()[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_under_its_line() {
        let text = "a = 1\nbärs = [\"100G\"]\n";
        let start = text.find("\"100G\"").unwrap();
        let shown = Diagnostic::new("no").at("vm.toml", text, start..start + 6).help("yes").to_string();
        assert_eq!(
            shown,
            "error: no\n --> vm.toml:2:9\n  |\n2 | bärs = [\"100G\"]\n  |         ^^^^^^\nallowed: yes\n"
        );
    }

    #[test]
    fn long_lines_and_odd_spans_stay_on_one_screen() {
        let text = format!("{}é!{}\u{7}", "x".repeat(5000), "y".repeat(5000));
        let shown = Diagnostic::new("no").at("f", &text, 5001..9000).to_string();
        assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
        assert!(shown.contains("f:1:5001"), "{shown}");
        let backwards = Range { start: 7, end: 3 };
        let beyond = Diagnostic::new("no").at("f", "", backwards).to_string();
        assert!(beyond.contains("f:1:1"), "{beyond}");
    }

    #[test]
    fn near_misses_are_suggested() {
        assert_eq!(did_you_mean("functons", &["functions", "bars"]), "; did you mean `functions`?");
        assert_eq!(did_you_mean("zzz", &["functions", "per_bus"]), "");
    }
}
