//! arm64: shared peripheral interrupts, which the guest picks by itself.

/// A power-of-two group of SPIs, aligned to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiRange {
    first: u16,
    count: u16,
}

impl SpiRange {
    /// The lowest SPI for vPCI: below are those of the machine's own devices (`reference/protocol.md` section 9).
    pub const FIRST: u16 = 64;
    /// The highest SPI that a GIC has without its extended range.
    pub const LAST: u16 = 1019;

    /// The `count` SPIs from `first` on.
    ///
    /// # Errors
    ///
    /// [`SpiError::Count`], [`SpiError::Range`].
    pub fn new(first: u16, count: u16) -> Result<SpiRange, SpiError> {
        check_count(count)?;
        let last = first.checked_add(count.saturating_sub(1));
        if first < SpiRange::FIRST || last.is_none_or(|last| last > SpiRange::LAST) || !first.is_multiple_of(count) {
            return Err(SpiError::Range { first, count });
        }
        Ok(SpiRange { first, count })
    }

    /// The first SPI.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// How many: a power of two from 1 to 32.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// The word of the bitmap the range lies in (groups never straddle words), and its bits there.
    fn bits(self) -> (usize, u64) {
        let index = self.first.saturating_sub(SpiRange::FIRST);
        (usize::from(index / WORD_BITS), mask(self.count) << (index % WORD_BITS))
    }
}

/// Why SPIs could not be had or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SpiError {
    /// The count is no power of two from 1 to 32.
    #[error("{0} SPIs at once; it must be 1, 2, 4, 8, 16 or 32")]
    Count(u16),
    /// Not all between 64 and 1019, or not aligned to the group's size.
    #[error("{count} SPIs cannot start at {first}")]
    Range {
        /// The first SPI.
        first: u16,
        /// How many.
        count: u16,
    },
    /// No aligned group of that size is free.
    #[error("no {0} SPIs are free in a row")]
    Exhausted(u16),
    /// Some of the range is taken (when claiming) or free (when freeing) already; nothing was changed.
    #[error("SPIs {first} and on ({count}) are not all in the state expected")]
    State {
        /// The first SPI.
        first: u16,
        /// How many.
        count: u16,
    },
}

const WORD_BITS: u16 = 64;
/// Enough words for SPIs 64 to 1023; 1020 to 1023 are no SPIs and always taken.
const WORDS: usize = 15;
/// SPIs 1020 to 1023 in the last word.
const BEYOND: u64 = 0xF << 60;

/// Hands out SPIs: the lowest free aligned group, so that equal calls give equal SPIs. One per machine, as all buses share
/// the GIC; under a lock of the backend's. Fixed size, any context.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiAllocator {
    taken: [u64; WORDS],
}

impl SpiAllocator {
    /// All 956 SPIs free.
    pub const fn new() -> SpiAllocator {
        SpiAllocator { taken: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, BEYOND] }
    }

    /// Takes `count` SPIs.
    ///
    /// # Errors
    ///
    /// [`SpiError::Count`], [`SpiError::Exhausted`].
    pub fn allocate(&mut self, count: u16) -> Result<SpiRange, SpiError> {
        check_count(count)?;
        let starts = (SpiRange::FIRST..=SpiRange::LAST).step_by(usize::from(count));
        for range in starts.filter_map(|first| SpiRange::new(first, count).ok()) {
            if self.claim(range).is_ok() {
                return Ok(range);
            }
        }
        Err(SpiError::Exhausted(count))
    }

    /// Takes these very SPIs: those the machine uses otherwise, or a group restored after resume.
    ///
    /// # Errors
    ///
    /// [`SpiError::State`] when one is taken.
    pub fn claim(&mut self, range: SpiRange) -> Result<(), SpiError> {
        self.change(range, |word, bits| (word & bits == 0).then_some(word | bits))
    }

    /// Gives SPIs back.
    ///
    /// # Errors
    ///
    /// [`SpiError::State`] when one is free already.
    pub fn free(&mut self, range: SpiRange) -> Result<(), SpiError> {
        self.change(range, |word, bits| (word & bits == bits).then_some(word & !bits))
    }

    /// How many SPIs are free.
    pub fn free_count(&self) -> u32 {
        self.taken.iter().fold(0, |sum, word| sum.saturating_add(word.count_zeros()))
    }

    fn change(&mut self, range: SpiRange, step: impl Fn(u64, u64) -> Option<u64>) -> Result<(), SpiError> {
        let (at, bits) = range.bits();
        let word = self.taken.get_mut(at);
        let SpiRange { first, count } = range;
        match word.and_then(|word| Some((step(*word, bits)?, word))) {
            Some((next, word)) => {
                *word = next;
                Ok(())
            }
            None => Err(SpiError::State { first, count }),
        }
    }
}

impl Default for SpiAllocator {
    fn default() -> SpiAllocator {
        SpiAllocator::new()
    }
}

fn check_count(count: u16) -> Result<(), SpiError> {
    if count.is_power_of_two() && count <= crate::wire::MAX_MESSAGES_PER_REQUEST {
        Ok(())
    } else {
        Err(SpiError::Count(count))
    }
}

/// `count` (1 to 32) ones.
fn mask(count: u16) -> u64 {
    (1u64 << (count & 63)).wrapping_sub(1)
}
