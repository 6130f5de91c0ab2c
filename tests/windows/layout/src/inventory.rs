//! What the stand-in wdk-sys and the driver take for the kernel's, read from their sources.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::Parser;

/// A structure or union.
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its fields, without paddings.
    pub fields: Vec<String>,
    /// The item, with public fields.
    pub item: syn::Item,
}

/// A function pointer's worth: name and number of arguments.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Arguments without those of the framework.
    pub arguments: usize,
    /// It takes more, or never returns: not expressible as a plain function type.
    pub odd: bool,
    /// The declaration.
    pub item: TokenStream,
}

/// Everything that a source declares.
#[derive(Default)]
pub struct Source {
    /// Structures and unions.
    pub records: Vec<Record>,
    /// Constants, and whether they are pointers.
    pub constants: Vec<(String, bool)>,
    /// Enumerations with their values.
    pub enumerations: Vec<(String, Vec<String>)>,
    /// Names of types that stand for others.
    pub aliases: Vec<String>,
    /// Functions of the kernel.
    pub functions: Vec<Function>,
    /// Functions of KMDF and their places in the table.
    pub table: Vec<(u32, Function)>,
    /// Types that are only pointed to.
    pub opaque: BTreeSet<String>,
}

/// The sources of both.
pub struct Inventory {
    /// The stand-in for wdk-sys.
    pub standin: Source,
    /// What the driver declares itself.
    pub driver: Source,
}

impl Inventory {
    /// Reads both folders. What is not understood ends the build, so that nothing is passed over.
    pub fn read(standin: &Path, driver: &Path) -> Inventory {
        let mut inventory = Inventory { standin: Source::default(), driver: Source::default() };
        each_file(standin, &mut |file| {
            for item in file.items {
                inventory.standin.take_all(item);
            }
        });
        each_file(driver, &mut |file| {
            for item in file.items {
                inventory.driver.take_of_driver(item);
            }
        });
        inventory.standin.check();
        inventory
    }
}

fn each_file(folder: &Path, use_file: &mut dyn FnMut(syn::File)) {
    println!("cargo::rerun-if-changed={}", folder.display());
    let list = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = list.map(|entry| entry.expect("a folder entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            each_file(&path, use_file);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let parsed = syn::parse_file(&super::read(&path));
            use_file(parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
}

impl Source {
    fn take_all(&mut self, item: syn::Item) {
        match item {
            syn::Item::Struct(_) | syn::Item::Union(_) => self.record(item),
            syn::Item::Const(item) if public(&item.vis) => {
                let pointer = matches!(&*item.expr, syn::Expr::Call(_));
                self.constants.push((item.ident.to_string(), pointer));
            }
            syn::Item::Type(item) if public(&item.vis) => self.alias(&item),
            syn::Item::ForeignMod(item) => self.foreign(item),
            syn::Item::Mod(item) => self.module(item),
            syn::Item::Macro(item) => self.invocation(&item.mac),
            _ => {}
        }
    }

    /// Of the driver: what is laid out as C lays it out, and what it imports.
    fn take_of_driver(&mut self, item: syn::Item) {
        match item {
            syn::Item::Struct(ref parsed) if is_c(&parsed.attrs) => self.record(item),
            syn::Item::Union(_) => self.record(item),
            syn::Item::ForeignMod(item) => self.foreign(item),
            _ => {}
        }
    }

    fn record(&mut self, item: syn::Item) {
        let (name, fields, item) = match item {
            syn::Item::Struct(mut item) => {
                item.attrs.retain(|attribute| attribute.path().is_ident("repr"));
                item.vis = syn::parse_quote!(pub);
                let fields = open(item.fields.iter_mut());
                (item.ident.to_string(), fields, syn::Item::Struct(item))
            }
            syn::Item::Union(mut item) => {
                item.attrs.retain(|attribute| attribute.path().is_ident("repr"));
                item.vis = syn::parse_quote!(pub);
                let fields = open(item.fields.named.iter_mut());
                (item.ident.to_string(), fields, syn::Item::Union(item))
            }
            _ => return,
        };
        if fields.iter().any(|field| field == "_private") {
            self.opaque.insert(name);
            return;
        }
        let padding = |field: &String| field.starts_with("__bindgen_padding") || field.starts_with('_');
        self.records.push(Record { name, fields: fields.into_iter().filter(|field| !padding(field)).collect(), item });
    }

    fn alias(&mut self, item: &syn::ItemType) {
        let target = item.ty.to_token_stream().to_string();
        if self.opaque.contains(&target) {
            self.opaque.insert(item.ident.to_string());
        } else {
            self.aliases.push(item.ident.to_string());
        }
    }

    fn foreign(&mut self, block: syn::ItemForeignMod) {
        for item in block.items {
            if let syn::ForeignItem::Fn(item) = item {
                let odd = item.sig.variadic.is_some() || never(&item.sig.output);
                let mut bare = item.clone();
                bare.attrs.clear();
                self.functions.push(Function {
                    name: item.sig.ident.to_string(),
                    arguments: item.sig.inputs.len(),
                    odd,
                    item: bare.to_token_stream(),
                });
            }
        }
    }

    /// `pub mod NAME { pub type Type = ...; pub const VALUE: Type = ...; }`
    fn module(&mut self, item: syn::ItemMod) {
        let Some((_, items)) = item.content else { return };
        let values = items.iter().filter_map(|item| match item {
            syn::Item::Const(item) => Some(item.ident.to_string()),
            _ => None,
        });
        self.enumerations.push((item.ident.to_string(), values.collect()));
    }

    fn invocation(&mut self, called: &syn::Macro) {
        let name = called.path.to_token_stream().to_string();
        match name.as_str() {
            // `Default`s, and definitions of macros.
            "zeroed_default" | "macro_rules" => {}
            "opaque" => {
                let words = called.tokens.clone().into_iter().filter_map(|token| match token {
                    TokenTree::Ident(word) => Some(word.to_string()),
                    _ => None,
                });
                // Structure and pointer in turn.
                let words: Vec<String> = words.collect();
                for pair in words.chunks(2) {
                    self.opaque.insert(pair[0].clone());
                    self.aliases.push(pair[1].clone());
                }
            }
            "c_enum" => self.enumeration(called.tokens.clone()),
            "wdf" => self.slots(called.tokens.clone()),
            _ => panic!("the layout checks do not know the macro {name}!"),
        }
    }

    /// `MODULE ALIAS { VALUE = number, ... }`
    fn enumeration(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let [TokenTree::Ident(module), TokenTree::Ident(alias), TokenTree::Group(body)] = tokens.as_slice() else {
            panic!("c_enum! of an unknown form");
        };
        let mut values = Vec::new();
        let mut first = true;
        for token in body.stream() {
            match token {
                TokenTree::Ident(word) if first => {
                    values.push(word.to_string());
                    first = false;
                }
                TokenTree::Punct(mark) if mark.as_char() == ',' => first = true,
                _ => {}
            }
        }
        self.enumerations.push((module.to_string(), values));
        self.aliases.push(alias.to_string());
    }

    /// `NUMBER fn NAME(ARGUMENT: TYPE, ...) -> TYPE;` again and again.
    fn slots(&mut self, tokens: TokenStream) {
        let parser = |input: syn::parse::ParseStream| {
            let mut slots = Vec::new();
            while !input.is_empty() {
                let number: syn::LitInt = input.parse()?;
                let item: syn::TraitItemFn = input.parse()?;
                slots.push((number.base10_parse::<u32>()?, item.sig));
            }
            Ok(slots)
        };
        let slots = parser.parse2(tokens).unwrap_or_else(|error| panic!("the function table: {error}"));
        self.table.extend(slots.into_iter().map(|(number, signature)| {
            let name = signature.ident.to_string();
            let arguments = signature.inputs.len();
            (number, Function { name, arguments, odd: false, item: TokenStream::new() })
        }));
    }

    /// An empty list would compare nothing.
    fn check(&self) {
        let counts =
            [self.records.len(), self.constants.len(), self.enumerations.len(), self.functions.len(), self.table.len()];
        assert!(counts.iter().all(|count| *count > 4), "the stand-in's sources were not understood: {counts:?}");
    }
}

/// Makes fields public and lists them.
fn open<'a>(fields: impl Iterator<Item = &'a mut syn::Field>) -> Vec<String> {
    let mut names = Vec::new();
    for field in fields {
        field.vis = syn::parse_quote!(pub);
        field.attrs.clear();
        names.extend(field.ident.as_ref().map(ToString::to_string));
    }
    names
}

fn public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

fn is_c(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("repr") && attribute.meta.to_token_stream().to_string().contains('C')
    })
}

fn never(output: &syn::ReturnType) -> bool {
    matches!(output, syn::ReturnType::Type(_, ty) if matches!(**ty, syn::Type::Never(_)))
}
