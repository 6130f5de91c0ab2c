//! Colours for light and dark pages.

use plotters::style::RGBColor;

/// What a mark means; the theme says which colour that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Card,
    Border,
    Text,
    Muted,
    Grid,
    Lane,
    Map,
    Prefetch,
    Scan,
    BringUp,
}

impl Ink {
    const ALL: [Ink; 10] = [
        Ink::Card,
        Ink::Border,
        Ink::Text,
        Ink::Muted,
        Ink::Grid,
        Ink::Lane,
        Ink::Map,
        Ink::Prefetch,
        Ink::Scan,
        Ink::BringUp,
    ];

    /// The colour on light pages, and the mark by which the style sheet finds what to recolour on dark ones: all differ.
    pub(super) const fn light(self) -> (u8, u8, u8) {
        match self {
            Ink::Card => (0xFF, 0xFF, 0xFF),
            Ink::Border => (0xD0, 0xD7, 0xDE),
            Ink::Text => (0x1F, 0x23, 0x28),
            Ink::Muted => (0x59, 0x63, 0x6E),
            Ink::Grid => (0xDD, 0xE2, 0xE8),
            Ink::Lane => (0xF6, 0xF8, 0xFA),
            Ink::Map => (0xDB, 0x4A, 0x14),
            Ink::Prefetch => (0x0E, 0x8A, 0xA3),
            Ink::Scan => (0xB4, 0xBE, 0xC9),
            Ink::BringUp => (0x8A, 0x94, 0xA0),
        }
    }

    const fn dark(self) -> (u8, u8, u8) {
        match self {
            Ink::Card => (0x0D, 0x11, 0x17),
            Ink::Border => (0x30, 0x36, 0x3D),
            Ink::Text => (0xE6, 0xED, 0xF3),
            Ink::Muted => (0x91, 0x98, 0xA1),
            Ink::Grid => (0x26, 0x2C, 0x36),
            Ink::Lane => (0x15, 0x1B, 0x23),
            Ink::Map => (0xF7, 0x7B, 0x3C),
            Ink::Prefetch => (0x36, 0xC2, 0xD6),
            Ink::Scan => (0x4A, 0x54, 0x60),
            Ink::BringUp => (0x74, 0x7E, 0x8A),
        }
    }

    pub(super) const fn colour(self) -> RGBColor {
        let (red, green, blue) = self.light();
        RGBColor(red, green, blue)
    }

    pub(super) fn hex(self) -> String {
        hex(self.light())
    }
}

fn hex((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The rules that recolour the picture on dark pages.
pub(super) fn style_sheet() -> String {
    use core::fmt::Write;
    let mut rules = String::new();
    for ink in Ink::ALL {
        let (light, dark) = (ink.hex(), hex(ink.dark()));
        let _ = write!(rules, "[fill=\"{light}\"]{{fill:{dark}}}");
        if ink == Ink::Border {
            let _ = write!(rules, "[stroke=\"{light}\"]{{stroke:{dark}}}");
        }
    }
    format!("@media (prefers-color-scheme:dark){{{rules}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ink_has_a_colour_of_its_own() {
        for (index, ink) in Ink::ALL.into_iter().enumerate() {
            assert!(Ink::ALL[..index].iter().all(|other| other.light() != ink.light()), "{ink:?}");
        }
    }
}
