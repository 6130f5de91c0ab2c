//! BARs as a scenario writes them: `128G`, `64K 32-bit`, `1M 64-bit non-prefetchable`.

use core::fmt;

use hvpci_core::config::Bar;
use hvpci_core::wire::ProbedBars;

use super::size::{self, SizeError, format_size, parse_size};

/// One memory BAR of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BarSpec {
    /// Bytes: a power of two from 16 to 2^46, at most 2^31 for a 32-bit BAR.
    pub size: u64,
    /// Whether it takes two registers and may lie above 4 GiB.
    pub is_64bit: bool,
    /// Whether it is prefetchable.
    pub prefetchable: bool,
}

/// Why a text describes no BAR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarError {
    /// The size cannot be read.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// A BAR decodes a power of two.
    #[error("a BAR of {} is no power of two", format_size(*.0))]
    NotAPowerOfTwo(u64),
    /// Below 16 bytes, or above what the guest can address.
    #[error("a BAR of {} is out of range", format_size(*.0))]
    OutOfRange(u64),
    /// Above 2 GiB in 32 bits.
    #[error("a 32-bit BAR of {} is out of range", format_size(*.0))]
    TooLargeFor32Bit(u64),
    /// A word that is not known.
    #[error("`{0}` is no property of a BAR")]
    Word(String),
    /// Two words that contradict each other.
    #[error("`{0}` contradicts what stands before it")]
    Contradiction(String),
}

impl BarError {
    /// What is allowed instead.
    pub fn allowed(&self) -> String {
        match self {
            BarError::Size(_) => size::ALLOWED.into(),
            BarError::NotAPowerOfTwo(found) => {
                let above = found.checked_next_power_of_two().unwrap_or(BarSpec::MAX).min(BarSpec::MAX);
                format!("BARs are powers of two: {} or {}", format_size(above / 2), format_size(above))
            }
            BarError::OutOfRange(_) => "a power of two from 16 B to 64 TiB (2^46)".into(),
            BarError::TooLargeFor32Bit(_) => "32-bit BARs go from 16 B to 2 GiB; larger ones are 64-bit".into(),
            BarError::Word(_) | BarError::Contradiction(_) => {
                "a size, then 32-bit or 64-bit (default), then prefetchable (default for 64-bit) or non-prefetchable"
                    .into()
            }
        }
    }
}

impl BarSpec {
    /// The smallest memory BAR (PCI 3.0, 6.2.5.1).
    pub const MIN: u64 = 16;
    /// The guest has 46 bits of physical address.
    pub const MAX: u64 = 1 << 46;
    const MAX_32BIT: u64 = 1 << 31;

    /// Reads `SIZE [32-bit|64-bit] [prefetchable|non-prefetchable]`. A bare size is a 64-bit prefetchable BAR.
    ///
    /// # Errors
    /// See [`BarError`].
    pub fn parse(text: &str) -> Result<BarSpec, BarError> {
        let mut width: Option<bool> = None;
        let mut prefetchable: Option<bool> = None;
        let mut size_text = String::new();
        for word in text.split_whitespace() {
            let (place, value) = match word.to_ascii_lowercase().as_str() {
                "64-bit" | "64bit" => (&mut width, true),
                "32-bit" | "32bit" => (&mut width, false),
                "prefetchable" => (&mut prefetchable, true),
                "non-prefetchable" => (&mut prefetchable, false),
                _ if size_text.is_empty() => {
                    size_text.push_str(word);
                    continue;
                }
                // "128 GiB": the suffix may stand apart.
                _ if size_text.bytes().all(|b| b.is_ascii_digit()) && parse_size(&format!("1{word}")).is_ok() => {
                    size_text.push_str(word);
                    continue;
                }
                _ => return Err(BarError::Word(word.into())),
            };
            if place.is_some_and(|earlier| earlier != value) {
                return Err(BarError::Contradiction(word.into()));
            }
            *place = Some(value);
        }
        let size = parse_size(&size_text)?;
        let is_64bit = width.unwrap_or(true);
        if !(BarSpec::MIN..=BarSpec::MAX).contains(&size) {
            return Err(BarError::OutOfRange(size));
        }
        if !size.is_power_of_two() {
            return Err(BarError::NotAPowerOfTwo(size));
        }
        if !is_64bit && size > BarSpec::MAX_32BIT {
            return Err(BarError::TooLargeFor32Bit(size));
        }
        Ok(BarSpec { size, is_64bit, prefetchable: prefetchable.unwrap_or(is_64bit) })
    }

    /// How many of the six BAR registers it takes.
    pub const fn registers(self) -> usize {
        if self.is_64bit { 2 } else { 1 }
    }

    /// The BAR at register `index`.
    pub const fn at(self, index: u8) -> Bar {
        Bar { index, is_64bit: self.is_64bit, prefetchable: self.prefetchable, size: self.size }
    }

    /// What the registers of a function with these BARs read after all ones were written. BARs beyond the sixth register
    /// are left out; a checked scenario has none.
    pub fn probed(bars: &[BarSpec]) -> ProbedBars {
        let mut probed = [0u32; 6];
        let mut index = 0usize;
        for spec in bars {
            if index + spec.registers() > probed.len() {
                break;
            }
            let bar = spec.at(u8::try_from(index).unwrap_or_default());
            let value = bar.address_mask() | u64::from(bar.attributes());
            let bytes = value.to_le_bytes();
            let [b0, b1, b2, b3, b4, b5, b6, b7] = bytes;
            probed[index] = u32::from_le_bytes([b0, b1, b2, b3]);
            if spec.is_64bit {
                probed[index + 1] = u32::from_le_bytes([b4, b5, b6, b7]);
            }
            index += spec.registers();
        }
        ProbedBars(probed)
    }
}

impl fmt::Display for BarSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.is_64bit { "64-bit" } else { "32-bit" };
        let kind = if self.prefetchable { "prefetchable" } else { "non-prefetchable" };
        write!(f, "{} {width} {kind}", format_size(self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvpci_core::config::BarLayout;

    #[test]
    fn a_bare_size_is_64_bit_and_prefetchable() {
        let gpu = BarSpec { size: 128 << 30, is_64bit: true, prefetchable: true };
        for text in ["128G", "128 GiB", "128GB 64-bit", "64-bit 128g prefetchable"] {
            assert_eq!(BarSpec::parse(text), Ok(gpu), "{text}");
        }
        let plain = BarSpec { size: 65536, is_64bit: false, prefetchable: false };
        assert_eq!(BarSpec::parse("64K 32-bit"), Ok(plain));
        assert_eq!(BarSpec::parse("64K 32-bit prefetchable").map(|b| b.prefetchable), Ok(true));
        assert_eq!(BarSpec::parse("64K non-prefetchable").map(|b| (b.is_64bit, b.prefetchable)), Ok((true, false)));
    }

    #[test]
    fn what_is_no_bar_says_what_is() {
        let error = BarSpec::parse("100G").unwrap_err();
        assert_eq!(error, BarError::NotAPowerOfTwo(100 << 30));
        assert_eq!(error.allowed(), "BARs are powers of two: 64 GiB or 128 GiB");
        assert_eq!(BarSpec::parse("8"), Err(BarError::OutOfRange(8)));
        assert_eq!(BarSpec::parse("0"), Err(BarError::OutOfRange(0)));
        assert_eq!(BarSpec::parse("128T"), Err(BarError::OutOfRange(128 << 40)));
        assert_eq!(BarSpec::parse("4G 32-bit"), Err(BarError::TooLargeFor32Bit(4 << 30)));
        assert_eq!(BarSpec::parse("4G io"), Err(BarError::Word("io".into())));
        assert_eq!(BarSpec::parse("4G 32-bit 64-bit"), Err(BarError::Contradiction("64-bit".into())));
        assert!(matches!(BarSpec::parse(""), Err(BarError::Size(_))));
    }

    #[test]
    fn probed_masks_decode_back() {
        let specs = ["128G", "64K 32-bit", "16 non-prefetchable"].map(|text| BarSpec::parse(text).unwrap());
        let (layout, defects) = BarLayout::from_probed(&BarSpec::probed(&specs));
        assert_eq!(defects, [None; 6]);
        let decoded: Vec<Bar> = layout.iter().copied().collect();
        assert_eq!(decoded, [specs[0].at(0), specs[1].at(2), specs[2].at(3)]);
    }
}
