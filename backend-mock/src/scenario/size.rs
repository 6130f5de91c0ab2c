//! Sizes as people write them.

use core::fmt;

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It does not start with a whole number.
    #[error("`{0}` is no size")]
    NoNumber(String),
    /// What follows the number is no suffix.
    #[error("`{0}` is no size suffix")]
    Suffix(String),
    /// More than 2^64 - 1 bytes.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// What [`parse_size`] takes, for help texts.
pub const ALLOWED: &str =
    "a whole number and K, M, G or T (KB and KiB mean the same, 2^10, and so on), such as 64K or 128G";

const SUFFIXES: [(char, u32); 4] = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];

/// Bytes from `128G`, `128 GB`, `128GiB`, `4096`: every suffix is a power of two, upper or lower case.
///
/// # Errors
/// See [`SizeError`].
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = trimmed.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::NoNumber(text.into()));
    }
    let number: u64 = number.parse().map_err(|_| SizeError::TooLarge(text.into()))?;
    let suffix = suffix.trim_start();
    let mut letters = suffix.chars().map(|c| c.to_ascii_lowercase());
    let shift = match letters.next() {
        None => 0,
        Some('b') => return if letters.next().is_none() { Ok(number) } else { Err(SizeError::Suffix(suffix.into())) },
        Some(first) => {
            let known = SUFFIXES.iter().find(|(letter, _)| *letter == first);
            let rest: String = letters.collect();
            match known {
                Some((_, shift)) if matches!(rest.as_str(), "" | "b" | "ib") => *shift,
                _ => return Err(SizeError::Suffix(suffix.into())),
            }
        }
    };
    number.checked_mul(1 << shift).ok_or_else(|| SizeError::TooLarge(text.into()))
}

/// `128 GiB` and the like: the largest suffix that leaves at least 1, with two digits after the point where it is not whole.
pub fn format_size(bytes: u64) -> impl fmt::Display {
    let unit = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)].into_iter().find(|(_, shift)| bytes >> shift > 0);
    let Some((name, shift)) = unit else {
        return format!("{bytes} B");
    };
    let one = 1u64 << shift;
    if bytes.is_multiple_of(one) {
        return format!("{} {name}", bytes >> shift);
    }
    // Rounded down: a limit must not look larger than it is.
    let hundredths = u128::from(bytes) * 100 / u128::from(one);
    format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_suffixes_are_powers_of_two() {
        for text in ["128G", "128GB", "128GiB", "128 gib", " 128g ", "137438953472", "137438953472B"] {
            assert_eq!(parse_size(text), Ok(128 << 30), "{text}");
        }
        assert_eq!(parse_size("64K"), Ok(65536));
        assert_eq!(parse_size("1MB"), Ok(1 << 20));
        assert_eq!(parse_size("2T"), Ok(2 << 40));
    }

    #[test]
    fn what_is_no_size() {
        assert_eq!(parse_size("G"), Err(SizeError::NoNumber("G".into())));
        assert_eq!(parse_size(""), Err(SizeError::NoNumber(String::new())));
        assert_eq!(parse_size("-1G"), Err(SizeError::NoNumber("-1G".into())));
        assert_eq!(parse_size("1.5G"), Err(SizeError::Suffix(".5G".into())));
        assert_eq!(parse_size("1P"), Err(SizeError::Suffix("P".into())));
        assert_eq!(parse_size("1Gi"), Err(SizeError::Suffix("Gi".into())));
        assert_eq!(parse_size("1Ünits"), Err(SizeError::Suffix("Ünits".into())));
        assert_eq!(parse_size("16777216T"), Err(SizeError::TooLarge("16777216T".into())));
        assert!(matches!(parse_size("99999999999999999999"), Err(SizeError::TooLarge(_))));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(format_size(128 << 30).to_string(), "128 GiB");
        assert_eq!(format_size(16).to_string(), "16 B");
        assert_eq!(format_size((1 << 46) - (4 << 30)).to_string(), "63.99 TiB");
        assert_eq!(format_size(1536).to_string(), "1.50 KiB");
    }
}
