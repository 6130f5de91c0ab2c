//! What several threads of a backend touch at once, written once for all kernels.
//!
//! The core has neither threads nor atomics, and a backend has to have both: packets arrive on one processor while a work
//! item polls a future on another. What must not go wrong there is little, and all of it is here, without `unsafe` and
//! without a lock:
//!
//! * [`WaitPoint`]: a wake-up is not lost between a future's look at it and its going to sleep;
//! * [`TaskState`]: a future is polled by one thread at a time, is polled again for whoever came meanwhile, and is
//!   started once;
//! * [`BlockPoint`]: a thread that blocks until a future is ready;
//! * [`Place`]: one of a fixed number of places, taken by one at a time; [`Shortage`]: who found none is told;
//! * [`Loan`]: a thing that is lent, ended once, by whoever has to do with it last;
//! * [`Gate`]: a thing that goes when nobody uses it any more.
//!
//! Everything is generic over the [`Kernel`], that is its atomics and its clock. The backends give those of `core`; the
//! tests give loom's and shuttle's, which try the orders in which threads can run, and broken ones, which must be found.
#![no_std]

mod block;
mod gate;
mod kernel;
mod loan;
mod place;
mod task;
mod wait;

pub use block::{BlockPoint, Event};
pub use gate::{Gate, Inside};
pub use kernel::{Atomic, Kernel};
pub use loan::Loan;
pub use place::{Place, Shortage};
pub use task::TaskState;
pub use wait::{Wait, WaitPoint};
