//! Reading TOML tables so that every error knows its place.

use core::fmt::Display;
use core::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, did_you_mean};

/// A text and the name it goes by.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl<'a> Source<'a> {
    pub fn error(self, span: Range<usize>, message: impl Into<String>, allowed: impl Into<String>) -> Diagnostic {
        Diagnostic::new(message).at(self.file, self.text, span).help(allowed)
    }

    /// Parses the text as TOML.
    pub fn parse(self) -> Result<Spanned<DeTable<'a>>, Diagnostic> {
        DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            self.error(
                span,
                format!("not TOML: {}", error.message().trim()),
                "a TOML file; `hvpci boot --help` shows one",
            )
        })
    }
}

/// A value and where it stands.
pub(super) struct Found<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// One table of the file.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub source: Source<'a>,
    pub table: &'a DeTable<'a>,
    /// How errors call it, such as `[host]`.
    pub title: &'static str,
}

/// What TOML calls a value's type, with an article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

impl<'a> Section<'a> {
    /// Refuses keys that are not in `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), Diagnostic> {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let message = format!("unknown key `{name}` in {}{}", self.title, did_you_mean(name, known));
                return Err(self.source.error(key.span(), message, known.join(", ")));
            }
        }
        Ok(())
    }

    pub fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, allowed: impl Into<String>) -> Diagnostic {
        self.source.error(value.span(), format!("`{key}` is {}", kind(value.get_ref())), allowed)
    }

    /// An integer of that range; `None` if the key is missing.
    pub fn integer(&self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, Diagnostic> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = value.get_ref() else { return Err(self.wrong(key, value, allowed)) };
        match i128::from_str_radix(integer.as_str(), integer.radix()).map(u32::try_from) {
            Ok(Ok(number)) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("`{key}` = {} is out of range", shorten(integer.as_str()));
                Err(self.source.error(value.span(), message, allowed))
            }
        }
    }

    /// A number of that range, with or without a point; `None` if the key is missing.
    pub fn number(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Diagnostic> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(self.wrong(key, value, allowed)),
        };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("`{key}` = {} is out of range", shorten(text));
                Err(self.source.error(value.span(), message, allowed))
            }
        }
    }

    /// A string; `None` if the key is missing.
    pub fn string(&self, key: &str, allowed: &str) -> Result<Option<Found<&'a str>>, Diagnostic> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some(Found { value: text, span: value.span() })),
            _ => Err(self.wrong(key, value, allowed)),
        }
    }

    /// An array of strings, each read by `read`; `None` if the key is missing. `read` gives what was found and what is
    /// allowed if it cannot.
    pub fn list<T>(
        &self,
        key: &str,
        allowed: &str,
        read: impl Fn(&str) -> Result<T, (String, String)>,
    ) -> Result<Option<Vec<T>>, Diagnostic> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let allowed = || format!("an array of strings: {allowed}");
        let DeValue::Array(items) = value.get_ref() else { return Err(self.wrong(key, value, allowed())) };
        let mut list = Vec::new();
        for item in items {
            let DeValue::String(text) = item.get_ref() else {
                let message = format!("`{key}` holds {}", kind(item.get_ref()));
                return Err(self.source.error(item.span(), message, allowed()));
            };
            let read = read(text).map_err(|(found, allowed)| self.source.error(item.span(), found, allowed))?;
            list.push(read);
        }
        Ok(Some(list))
    }
}

/// Numbers of a thousand digits are not repeated whole.
fn shorten(text: &str) -> impl Display {
    let mut short: String = text.chars().take(24).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
