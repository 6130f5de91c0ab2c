//! `exceptions.txt`: where a side differs in name or has nothing to compare. One per line:
//!
//! ```text
//! absent NAME      why                  the side has no such type, constant, enumeration or function; NAME may hold a `*`
//! skip NAME.FIELD  why                  the side has the structure, but not this field
//! named NAME OTHER                      the side calls it OTHER
//! at NAME.FIELD PATH                    the side has the field there
//! head NAME                             of the structure only the fields are compared, not the size
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The parsed file, which remembers what of it was of use.
#[derive(Default)]
pub struct Exceptions {
    absent: BTreeSet<String>,
    skipped: BTreeSet<String>,
    heads: BTreeSet<String>,
    names: BTreeMap<String, String>,
    places: BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

impl Exceptions {
    /// Parses the text of the file. A line without a meaning ends the build.
    pub fn parse(text: &str) -> Exceptions {
        let mut all = Exceptions::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.splitn(3, ' ').map(str::trim);
            match (words.next(), words.next(), words.next()) {
                (Some("absent"), Some(name), Some(_why)) => _ = all.absent.insert(name.to_owned()),
                (Some("skip"), Some(name), Some(_why)) => _ = all.skipped.insert(name.to_owned()),
                (Some("head"), Some(name), None) => _ = all.heads.insert(name.to_owned()),
                (Some("named"), Some(name), Some(other)) => _ = all.names.insert(name.to_owned(), other.to_owned()),
                (Some("at"), Some(name), Some(path)) => _ = all.places.insert(name.to_owned(), path.to_owned()),
                _ => panic!("exceptions.txt: not understood: {line}"),
            }
        }
        all
    }

    fn note(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The line by which the side has nothing of this name.
    pub fn absent(&self, name: &str) -> Option<&str> {
        self.absent
            .iter()
            .find(|pattern| matches(pattern, name))
            .inspect(|pattern| self.note(pattern))
            .map(String::as_str)
    }

    /// Whether the side has no such field.
    pub fn skipped(&self, field: &str) -> bool {
        self.skipped.get(field).inspect(|name| self.note(name)).is_some()
    }

    /// Whether a structure is the head of a longer one.
    pub fn head(&self, name: &str) -> bool {
        self.heads.get(name).inspect(|name| self.note(name)).is_some()
    }

    /// What the side calls a name.
    pub fn name<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).inspect(|_| self.note(name)).map_or(name, String::as_str)
    }

    /// Where the side has a field.
    pub fn place<'a>(&'a self, field: &'a str, default: &'a str) -> &'a str {
        self.places.get(field).inspect(|_| self.note(field)).map_or(default, String::as_str)
    }

    /// Lines that were of no use: what they name is gone, or is there after all.
    pub fn stale(&self) -> Vec<String> {
        let used = self.used.borrow();
        let lists = self.absent.iter().chain(&self.skipped).chain(&self.heads);
        lists.chain(self.names.keys()).chain(self.places.keys()).filter(|name| !used.contains(*name)).cloned().collect()
    }
}

/// A name against a pattern with at most one `*` at either end.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => pattern == name,
    }
}
