//! Byte counts for people.

use core::fmt;

/// Writes a byte count in the largest binary unit that divides it: `128 GiB`, `68 KiB`, `24 bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 5] = [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        for (shift, unit) in UNITS {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_that_loses_nothing() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (24, "24 bytes"),
            (0x1_1000, "68 KiB"),
            (1 << 20, "1 MiB"),
            (128 << 30, "128 GiB"),
            (1792 << 30, "1792 GiB"),
            (1 << 63, "8192 PiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
