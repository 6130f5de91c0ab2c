//! What is needed of a kernel.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use hvpci_core::Time;

/// The atomics and the clock of a kernel.
pub trait Kernel: 'static {
    /// An atomic `bool`.
    type Flag: Atomic<bool>;
    /// An atomic `u8`.
    type Byte: Atomic<u8>;
    /// An atomic `u64`.
    type Long: Atomic<u64>;

    /// The time now. Any context.
    fn now() -> Time;
}

/// An atomic variable, with the operations of `core::sync::atomic` of the same names.
pub trait Atomic<T>: Send + Sync {
    /// A variable that holds `value`.
    fn new(value: T) -> Self;

    /// Reads it.
    fn load(&self, order: Ordering) -> T;

    /// Writes it.
    fn store(&self, value: T, order: Ordering);

    /// Writes it and returns what it held.
    fn swap(&self, value: T, order: Ordering) -> T;

    /// Writes `new` where it holds `current`.
    ///
    /// # Errors
    ///
    /// What it holds instead.
    fn compare_exchange(&self, current: T, new: T, success: Ordering, failure: Ordering) -> Result<T, T>;
}

macro_rules! native {
    ($($atomic:ty: $value:ty),*) => {$(
        impl Atomic<$value> for $atomic {
            fn new(value: $value) -> Self {
                Self::new(value)
            }

            fn load(&self, order: Ordering) -> $value {
                self.load(order)
            }

            fn store(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }

            fn swap(&self, value: $value, order: Ordering) -> $value {
                self.swap(value, order)
            }

            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    )*};
}

native!(AtomicBool: bool, AtomicU8: u8, AtomicU64: u64);
