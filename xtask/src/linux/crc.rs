//! Symbol versions of a module that stands in for another.
//!
//! A module that exports a symbol carries a CRC of its C type for it, and a module that imports it carries the CRC it was
//! built against; the loader compares. The stand-in declares the same functions in another file than the real hv_vmbus, which gives
//! other CRCs, so it adopts the distribution's. This is sound because the types are those of the same headers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Section header type: symbol table.
const SHT_SYMTAB: u32 = 2;

/// Writes the CRCs that `symvers` has for `provider` into the module at `path`. Returns how many there were.
pub fn adopt(path: &Path, symvers: &str, provider: &str) -> Result<usize> {
    let mut bytes = fs::read(path)?;
    let adopted = patch(&mut bytes, &wanted(symvers, provider)).context("not a 64-bit little-endian ELF module")?;
    ensure!(adopted > 0, "{} exports nothing that {provider} exports", path.display());
    fs::write(path, bytes)?;
    Ok(adopted)
}

/// The CRCs of one provider: lines of `CRC symbol provider type`.
fn wanted(symvers: &str, provider: &str) -> HashMap<String, u32> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let crc = u32::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        let symbol = words.next()?;
        (words.next()? == provider).then(|| (symbol.to_string(), crc))
    };
    symvers.lines().filter_map(entry).collect()
}

fn patch(elf: &mut [u8], wanted: &HashMap<String, u32>) -> Option<usize> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(number(elf, 0x28, 8)?).ok()?;
    let count = usize::try_from(number(elf, 0x3C, 2)?).ok()?;
    let section = |index: usize| table + index * 0x40;
    let start_of = |elf: &[u8], index: usize| usize::try_from(number(elf, section(index) + 0x18, 8)?).ok();
    let symbols = (0..count).find(|index| number(elf, section(*index) + 4, 4) == Some(SHT_SYMTAB.into()))?;
    let (first, size) = (start_of(elf, symbols)?, usize::try_from(number(elf, section(symbols) + 0x20, 8)?).ok()?);
    let strings = start_of(elf, usize::try_from(number(elf, section(symbols) + 0x28, 4)?).ok()?)?;
    let mut places = Vec::new();
    for symbol in (first..first + size).step_by(24) {
        let name = strings + usize::try_from(number(elf, symbol, 4)?).ok()?;
        let name: Vec<u8> = elf.get(name..)?.iter().copied().take_while(|byte| *byte != 0).collect();
        let Some(crc) = std::str::from_utf8(&name).ok().and_then(|n| wanted.get(n.strip_prefix("__crc_")?)) else {
            continue;
        };
        let index = usize::try_from(number(elf, symbol + 6, 2)?).ok()?;
        if (1..count).contains(&index) {
            places.push((start_of(elf, index)? + usize::try_from(number(elf, symbol + 8, 8)?).ok()?, *crc));
        }
    }
    for (place, crc) in &places {
        elf.get_mut(*place..*place + 4)?.copy_from_slice(&crc.to_le_bytes());
    }
    Some(places.len())
}

/// A little-endian number of `bytes` bytes.
fn number(elf: &[u8], at: usize, bytes: usize) -> Option<u64> {
    Some(elf.get(at..at + bytes)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMVERS: &str = "0x11223344\tvmbus_open\tdrivers/hv/hv_vmbus\tEXPORT_SYMBOL_GPL\t\n\
                           0x55667788\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n";

    /// An ELF with one section of data, one symbol in it and the strings.
    fn module(symbol: &str) -> Vec<u8> {
        let mut elf = vec![0u8; 0x40];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf.extend([0xAA; 16]); // 0x40: the data section
        let strings = elf.len();
        elf.push(0);
        elf.extend(symbol.as_bytes());
        elf.push(0);
        let symbols = elf.len();
        elf.extend([0; 24]);
        let mut entry = [0u8; 24];
        entry[0] = 1; // the name's place
        entry[6] = 1; // section 1
        entry[8] = 8; // at 8 in it
        elf.extend(entry);
        let headers = elf.len();
        let mut header = |kind: u8, start: usize, size: usize, link: u8| {
            let mut bytes = [0u8; 0x40];
            bytes[4] = kind;
            bytes[0x18..0x20].copy_from_slice(&(start as u64).to_le_bytes());
            bytes[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            bytes[0x28] = link;
            elf.extend(bytes);
        };
        header(0, 0, 0, 0);
        header(1, 0x40, 16, 0);
        header(2, symbols, 48, 3);
        header(3, strings, symbols - strings, 0);
        elf[0x28..0x30].copy_from_slice(&(headers as u64).to_le_bytes());
        elf[0x3C] = 4;
        elf
    }

    #[test]
    fn the_crc_of_a_symbol_of_the_provider_is_replaced() {
        let mut elf = module("__crc_vmbus_open");
        assert_eq!(patch(&mut elf, &wanted(SYMVERS, "drivers/hv/hv_vmbus")), Some(1));
        assert_eq!(elf[0x48..0x4C], 0x1122_3344u32.to_le_bytes());
        assert_eq!(elf[0x40..0x48], [0xAA; 8]);
        assert_eq!(elf[0x4C..0x50], [0xAA; 4]);
    }

    #[test]
    fn other_symbols_stay() {
        for symbol in ["__crc_kfree", "vmbus_open", "__crc_vmbus_close"] {
            let mut elf = module(symbol);
            assert_eq!(patch(&mut elf, &wanted(SYMVERS, "drivers/hv/hv_vmbus")), Some(0), "{symbol}");
            assert_eq!(elf, module(symbol));
        }
    }

    #[test]
    fn what_is_no_elf_is_refused() {
        let whole = module("__crc_vmbus_open");
        for length in [0, 5, 0x30, 0x3F, whole.len() - 0x30] {
            let mut cut = whole[..length].to_vec();
            assert_eq!(patch(&mut cut, &wanted(SYMVERS, "drivers/hv/hv_vmbus")), None, "{length}");
        }
    }
}
