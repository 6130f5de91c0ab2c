//! TraceLogging: events that describe themselves, taken apart as a consumer does it.
//!
//! The layout is that of TraceLoggingProvider.h: descriptions begin with their size; an event's has tags, its name and for
//! each field a name and a type.

use crate::rule;

/// EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA and ..._PROVIDER_METADATA.
const EVENT: u8 = 1;
const PROVIDER: u8 = 2;
/// TlgInUNICODESTRING and TlgInUINT64.
const UTF16: u8 = 1;
const UINT64: u8 = 10;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string that ends with 0.
    Text(String),
    /// A number.
    Number(u64),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its provider's name.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Its fields, in order.
    pub fields: Vec<(String, Value)>,
}

impl Event {
    /// The text of an event that is a line of it.
    pub fn text(&self) -> Option<&str> {
        self.fields.iter().find_map(|(_, value)| match value {
            Value::Text(text) => Some(text.as_str()),
            Value::Number(_) => None,
        })
    }

    /// A number by the name of its field.
    pub fn number(&self, field: &str) -> Option<u64> {
        self.fields.iter().find_map(|(name, value)| match value {
            Value::Number(number) if name == field => Some(*number),
            _ => None,
        })
    }
}

fn name(bytes: &mut &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    rule!(end.is_some(), "a name in an event's description does not end");
    let end = end.unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    *bytes = &bytes[end + 1..];
    text
}

/// What follows the size that a description begins with.
fn sized<'a>(bytes: &'a [u8], what: &str) -> &'a [u8] {
    let size = bytes.first_chunk::<2>().map_or(0, |size| usize::from(u16::from_le_bytes(*size)));
    rule!(size == bytes.len() && size > 2, "the description of {what} says {size} bytes and has {}", bytes.len());
    &bytes[2..]
}

/// Takes an event apart. Each item has a type and its bytes.
pub fn parse(items: &[(u8, Vec<u8>)]) -> Event {
    let (Some((PROVIDER, provider)), Some((EVENT, event))) = (items.first(), items.get(1)) else {
        crate::fail::fail(crate::fail::Verdict::Rule, "an event that does not describe itself and its provider");
    };
    let provider = name(&mut sized(provider, "a provider"));
    let mut left = sized(event, "an event");
    // Tags: as many bytes as have the upper bit set, and one.
    let tags = left.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    left = &left[tags.min(left.len())..];
    let title = name(&mut left);
    let data: Vec<u8> = items[2..].iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let mut data = data.as_slice();
    let mut fields = Vec::new();
    while !left.is_empty() {
        let field = name(&mut left);
        let kind = left.first().copied().unwrap_or(0);
        left = left.get(1..).unwrap_or_default();
        let value = match kind {
            UINT64 => {
                rule!(data.len() >= 8, "event {title}: no data for {field}");
                let number = data.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                data = data.get(8..).unwrap_or_default();
                Value::Number(number)
            }
            UTF16 => {
                let units: Vec<u16> = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
                let end = units.iter().position(|unit| *unit == 0);
                rule!(end.is_some(), "event {title}: {field} does not end");
                let end = end.unwrap_or(0);
                data = data.get((end + 1) * 2..).unwrap_or_default();
                Value::Text(String::from_utf16_lossy(&units[..end]))
            }
            other => crate::fail::fail(crate::fail::Verdict::Rule, &format!("event {title}: {field} has type {other}")),
        };
        fields.push((field, value));
    }
    rule!(data.is_empty(), "event {title}: {} bytes that no field describes", data.len());
    Event { provider, name: title, fields }
}
