//! Everything has the same name in the genuine bindings.

struct Genuine;

impl hvpci_layout::Other for Genuine {
    const ABI: &str = "C";
    const SEARCHED: bool = false;

    fn ty(&self, name: &str) -> Option<String> {
        Some(format!("genuine::{name}"))
    }

    fn constant(&self, name: &str, of: Option<&str>) -> Option<String> {
        Some(of.map_or_else(|| format!("genuine::{name}"), |of| format!("genuine::{of}::{name}")))
    }

    fn function(&self, name: &str) -> Option<String> {
        Some(format!("genuine::ntddk::{name}"))
    }

    fn table(&self, name: &str) -> Option<(String, String)> {
        let pointer = format!("genuine::PFN_{}", name.to_uppercase());
        Some((format!("genuine::_WDFFUNCENUM::{name}TableIndex"), pointer))
    }
}

fn main() {
    hvpci_layout::build(&Genuine);
}
