//! The text of the assertions.

use std::collections::BTreeMap;
use std::fmt::Write;

use quote::ToTokens;

use crate::inventory::{Function, Record, Source};
use crate::{Exceptions, Inventory, Other};

/// The structure whose first two fields the seed "field" swaps.
const SEEDED: &str = "_UNICODE_STRING";

struct Writer<'a, O> {
    exceptions: &'a Exceptions,
    other: &'a O,
    seeds: Vec<&'static str>,
    text: String,
    compared: [(&'static str, u32); 5],
    /// How many names each line of exceptions.txt leaves out.
    absent: BTreeMap<String, u32>,
    /// Names that exceptions.txt is wrong about, and why.
    wrong: Vec<String>,
}

const RECORDS: usize = 0;
const CONSTANTS: usize = 1;
const ALIASES: usize = 2;
const FUNCTIONS: usize = 3;
const SLOTS: usize = 4;

/// The assertions, and what to tell about them. For each seed, one of them is wrong on purpose.
pub fn checks(
    inventory: &Inventory,
    exceptions: &Exceptions,
    other: &impl Other,
    seeds: Vec<&'static str>,
) -> (String, Vec<String>) {
    let compared =
        [("structures", 0), ("constants", 0), ("other types", 0), ("functions", 0), ("places in the KMDF table", 0)];
    let mut writer =
        Writer { exceptions, other, seeds, text: String::new(), compared, absent: BTreeMap::new(), wrong: Vec::new() };
    writer.driver_module(&inventory.driver);
    writer.records(&inventory.standin, "standin", "");
    writer.records(&inventory.driver, "driver", "driver::");
    writer.constants(&inventory.standin);
    writer.aliases(&inventory.standin);
    writer.functions(&inventory.standin, "standin::ntddk");
    writer.functions(&inventory.driver, "driver");
    writer.table(&inventory.standin);
    let mut wrong = std::mem::take(&mut writer.wrong);
    wrong.extend(exceptions.stale().into_iter().map(|name| format!("{name}: the line is of no use")));
    assert!(wrong.is_empty(), "exceptions.txt has to be looked at:\n  {}", wrong.join("\n  "));
    assert!(writer.seeds.is_empty(), "nothing to seed here: {:?}", writer.seeds);
    let counts: Vec<String> = writer.compared.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let mut report = vec![format!("compared: {}", counts.join(", "))];
    if !writer.absent.is_empty() {
        let absent = writer.absent.iter();
        let absent: Vec<String> = absent
            .map(|(name, count)| if name.contains('*') { format!("{name} ({count})") } else { name.clone() })
            .collect();
        report.push(format!("nothing to compare with: {}", absent.join(", ")));
    }
    (writer.text, report)
}

impl<O: Other> Writer<'_, O> {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(text);
        self.text.push('\n');
    }

    /// Whether to leave a name out, and the other side's place of it otherwise.
    fn find<T>(&mut self, name: &str, place: Option<T>) -> Option<T> {
        let absent = self.exceptions.absent(name);
        match place {
            Some(_) if absent.is_some() && O::SEARCHED => {
                self.wrong.push(format!("{name}: called absent, and the other side has it"))
            }
            Some(place) if absent.is_none() => return Some(place),
            None if absent.is_none() => {
                self.wrong.push(format!("{name}: the other side does not have it, for a reason to be given"))
            }
            _ => *self.absent.entry(absent.unwrap_or(name).to_owned()).or_default() += 1,
        }
        None
    }

    fn seeded(&mut self, seed: &str) -> bool {
        let before = self.seeds.len();
        self.seeds.retain(|wanted| *wanted != seed);
        self.seeds.len() < before
    }

    /// The driver's declarations that have something to be compared with, as in its source.
    fn driver_module(&mut self, driver: &Source) {
        self.line(format_args!(
            "mod driver {{\n#[allow(unused_imports)]\nuse core::ffi::c_void;\n#[allow(unused_imports)]\nuse standin::*;"
        ));
        for record in &driver.records {
            if self.exceptions.absent(&format!("driver::{}", record.name)).is_none() {
                self.line(format_args!("{}", record.item.to_token_stream()));
            }
        }
        for function in &driver.functions {
            if self.exceptions.absent(&function.name).is_none() {
                self.line(format_args!("unsafe extern \"C\" {{ {} }}", function.item));
            }
        }
        self.line(format_args!("}}"));
    }

    fn records(&mut self, source: &Source, module: &str, prefix: &str) {
        for record in &source.records {
            let key = format!("{prefix}{}", record.name);
            let place = self.other.ty(self.exceptions.name(&key));
            let Some(theirs) = self.find(&key, place) else { continue };
            self.compared[RECORDS].1 += 1;
            let mut ours = format!("{module}::{}", record.name);
            if record.name == SEEDED && self.seeded("field") {
                self.line(format_args!("mod seeded {{ use standin::*; {} }}", swapped(record)));
                ours = format!("seeded::{}", record.name);
            }
            self.record(record, &key, &ours, &theirs);
        }
    }

    fn record(&mut self, record: &Record, key: &str, ours: &str, theirs: &str) {
        if !self.exceptions.head(key) {
            for what in ["size", "align"] {
                self.line(format_args!(
                    "const _: () = assert!({what}_of::<{ours}>() == {what}_of::<{theirs}>(), \"layout: {key}: {what}\");"
                ));
            }
        }
        for field in &record.fields {
            let name = format!("{key}.{field}");
            if self.exceptions.skipped(&name) {
                self.absent.insert(name, 1);
                continue;
            }
            let there = self.exceptions.place(&name, field).to_owned();
            self.line(format_args!(
                "const _: () = assert!(offset_of!({ours}, {field}) == offset_of!({theirs}, {there}), \"layout: {name}: offset\");
                const _: () = assert!(
                    size_behind(|it: *const {ours}| unsafe {{ &raw const (*it).{field} }})
                        == size_behind(|it: *const {theirs}| unsafe {{ &raw const (*it).{there} }}),
                    \"layout: {name}: size\"
                );"
            ));
        }
    }

    fn constants(&mut self, source: &Source) {
        for (name, pointer) in &source.constants {
            let place = self.other.constant(self.exceptions.name(name), None);
            if let Some(theirs) = self.find(name, place) {
                self.constant(name, &format!("standin::{name}"), &theirs, *pointer);
            }
        }
        for (module, values) in &source.enumerations {
            for value in values {
                let place = self.other.constant(self.exceptions.name(value), Some(module));
                if let Some(theirs) = self.find(value, place) {
                    self.constant(value, &format!("standin::{module}::{value}"), &theirs, false);
                }
            }
            let place = self.other.ty(&format!("{}::Type", self.exceptions.name(module)));
            if let Some(theirs) = self.find(module, place) {
                self.alias(module, &format!("standin::{module}::Type"), &theirs);
            }
        }
    }

    fn constant(&mut self, name: &str, ours: &str, theirs: &str, pointer: bool) {
        self.compared[CONSTANTS].1 += 1;
        let equal = if pointer {
            format!("{ours}.is_null() == {theirs}.is_null()")
        } else if self.seeded("constant") {
            format!("{ours} as i128 + 1 == {theirs} as i128")
        } else {
            format!("{ours} as i128 == {theirs} as i128")
        };
        self.line(format_args!("const _: () = assert!({equal}, \"layout: {name}: value\");"));
    }

    fn aliases(&mut self, source: &Source) {
        for name in &source.aliases {
            let place = self.other.ty(self.exceptions.name(name));
            // Other bindings spell types out where these have a name; where they use it, the fields and arguments tell.
            if O::SEARCHED && place.is_none() || self.exceptions.head(&format!("_{name}")) {
                continue;
            }
            if let Some(theirs) = self.find(name, place) {
                self.alias(name, &format!("standin::{name}"), &theirs);
            }
        }
    }

    fn alias(&mut self, name: &str, ours: &str, theirs: &str) {
        self.compared[ALIASES].1 += 1;
        self.line(format_args!(
            "const _: () = assert!(size_of::<{ours}>() == size_of::<{theirs}>(), \"layout: {name}: size\");"
        ));
    }

    fn functions(&mut self, source: &Source, module: &str) {
        for function in &source.functions {
            let name = &function.name;
            let place = self.other.function(self.exceptions.name(name));
            let Some(theirs) = self.find(name, place) else { continue };
            if function.odd {
                // Its type cannot be written as one of the shapes.
                self.absent.insert(name.clone(), 1);
                continue;
            }
            self.compared[FUNCTIONS].1 += 1;
            let places = places(function);
            self.line(format_args!(
                "const _: () = assert!(
                    same(
                        sizes(&({module}::{name} as unsafe extern \"C\" fn({places}) -> _)),
                        sizes(&({theirs} as unsafe extern \"{}\" fn({places}) -> _))
                    ),
                    \"layout: {name}: arguments\"
                );",
                O::ABI
            ));
        }
    }

    fn table(&mut self, source: &Source) {
        for (number, function) in &source.table {
            let name = &function.name;
            let place = self.other.table(name);
            let Some((index, pointer)) = self.find(name, place) else { continue };
            self.compared[SLOTS].1 += 1;
            let number = if self.seeded("index") { number + 1 } else { *number };
            let places = places(function);
            self.line(format_args!(
                "const _: () = assert!({number} == {index} as i128, \"layout: {name}: place in the table\");
                const _: () = assert!(
                    same(sizes(&(standin::__wdf::{name} as unsafe fn({places}) -> _)), <{pointer} as WdfShape>::SIZES),
                    \"layout: {name}: arguments\"
                );"
            ));
        }
    }
}

fn places(function: &Function) -> String {
    vec!["_"; function.arguments].join(", ")
}

/// A copy of a structure with its first two fields in each other's place.
fn swapped(record: &Record) -> String {
    let mut item = record.item.clone();
    if let syn::Item::Struct(item) = &mut item
        && let syn::Fields::Named(fields) = &mut item.fields
    {
        let mut list: Vec<syn::Field> = fields.named.iter().cloned().collect();
        list.swap(0, 1);
        fields.named = list.into_iter().collect();
    }
    item.to_token_stream().to_string()
}
