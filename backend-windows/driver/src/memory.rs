//! Memory: the pool as the global allocator, and a reserve for the futures of the driver.
//!
//! Tables are reserved fallibly by the core, so that a full pool is an error there. The futures that `Platform` hands out
//! are boxed, and have no way to fail: for them each bus and each child puts a block aside when it is made, which is an
//! error where there is none.

use alloc::boxed::Box;
use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use wdk_alloc::WdkAllocator;

/// Bytes of a block of the reserve.
const BLOCK: usize = 1024;
/// wdk-alloc gives what ExAllocatePool2 gives.
const ALIGN: usize = 16;
/// The blocks of the reserve, all buses together.
const BLOCKS: usize = 512;

/// The non-paged pool, with the blocks of the reserve kept out of it.
pub struct Allocator;

// SAFETY: defers to WdkAllocator, but for blocks of the reserve, which are given back to it instead of freed.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's.
        unsafe { WdkAllocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !RESERVE.take_back(pointer) {
            // SAFETY: the caller's; the block came from WdkAllocator.
            unsafe { WdkAllocator.dealloc(pointer, layout) }
        }
    }
}

struct Place {
    block: AtomicPtr<u8>,
    /// The place is owned by a [`Reservation`].
    claimed: AtomicBool,
    busy: AtomicBool,
}

struct Reserve {
    places: [Place; BLOCKS],
    /// No place from here on was ever claimed.
    end: AtomicUsize,
}

static RESERVE: Reserve = Reserve {
    places: [const {
        Place {
            block: AtomicPtr::new(core::ptr::null_mut()),
            claimed: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        }
    }; BLOCKS],
    end: AtomicUsize::new(0),
};

fn layout() -> Layout {
    Layout::new::<[u128; BLOCK / 16]>()
}

impl Reserve {
    fn used(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().take(self.end.load(Ordering::Acquire))
    }

    fn take(&self) -> *mut u8 {
        self.used()
            .filter(|place| !place.block.load(Ordering::Acquire).is_null())
            .find(|place| !place.busy.swap(true, Ordering::AcqRel))
            .map_or(core::ptr::null_mut(), |place| place.block.load(Ordering::Acquire))
    }

    fn take_back(&self, pointer: *mut u8) -> bool {
        let place = self.used().find(|place| place.block.load(Ordering::Acquire) == pointer);
        place.inspect(|place| place.busy.store(false, Ordering::Release)).is_some()
    }
}

/// Blocks put aside; given back when dropped.
pub struct Reservation {
    places: [u16; Reservation::MOST],
    count: usize,
}

impl Reservation {
    const MOST: usize = 2;

    /// Puts `count` blocks aside, at most two. `None` without memory.
    pub fn new(count: usize) -> Option<Reservation> {
        let mut reservation = Reservation { places: [0; Reservation::MOST], count: 0 };
        for _ in 0..count.min(Reservation::MOST) {
            let (index, place) =
                RESERVE.places.iter().enumerate().find(|(_, place)| !place.claimed.swap(true, Ordering::AcqRel))?;
            RESERVE.end.fetch_max(index.saturating_add(1), Ordering::AcqRel);
            // SAFETY: a layout of non-zero size.
            let block = unsafe { WdkAllocator.alloc(layout()) };
            if block.is_null() {
                place.claimed.store(false, Ordering::Release);
                return None;
            }
            place.busy.store(false, Ordering::Release);
            place.block.store(block, Ordering::Release);
            let slot = reservation.places.get_mut(reservation.count)?;
            *slot = u16::try_from(index).ok()?;
            reservation.count = reservation.count.saturating_add(1);
        }
        Some(reservation)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for index in self.places.iter().take(self.count) {
            let Some(place) = RESERVE.places.get(usize::from(*index)) else { continue };
            // The futures that could hold it are those of the bus or child whose reservation this is, and are gone; one
            // of another bus gives its block back soon.
            while place.busy.swap(true, Ordering::AcqRel) {
                core::hint::spin_loop();
            }
            let block = place.block.swap(core::ptr::null_mut(), Ordering::AcqRel);
            // SAFETY: came from WdkAllocator with this layout, and nobody holds it.
            unsafe { WdkAllocator.dealloc(block, layout()) };
            place.busy.store(false, Ordering::Release);
            place.claimed.store(false, Ordering::Release);
        }
    }
}

/// Boxes a future out of the pool, or out of the reserve when the pool is empty.
pub fn future<'a, F: Future + Send + 'a>(future: F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>> {
    const { assert!(size_of::<F>() <= BLOCK && align_of::<F>() <= ALIGN) };
    let layout = Layout::new::<F>();
    if layout.size() == 0 {
        return Box::pin(future);
    }
    // SAFETY: a layout of non-zero size.
    let mut place = unsafe { alloc::alloc::alloc(layout) };
    if place.is_null() {
        place = RESERVE.take();
    }
    if place.is_null() {
        // More futures than blocks were put aside: a bug of this driver, not a lack of memory.
        alloc::alloc::handle_alloc_error(layout);
    }
    // SAFETY: room for an F, aligned, which `dealloc` of the global allocator takes back.
    unsafe {
        place.cast::<F>().write(future);
        Box::into_pin(Box::from_raw(place.cast::<F>()))
    }
}

/// Boxes a value; `None` without memory, and then the value is dropped.
pub fn try_box<T>(value: T) -> Option<Box<T>> {
    Some(Box::write(try_room()?, value))
}

/// Room for a value; `None` without memory.
pub fn try_room<T>() -> Option<Box<MaybeUninit<T>>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Some(Box::new(MaybeUninit::uninit()));
    }
    // SAFETY: a layout of non-zero size.
    let place = unsafe { alloc::alloc::alloc(layout) }.cast::<MaybeUninit<T>>();
    // SAFETY: room for a T, aligned, from the global allocator.
    (!place.is_null()).then(|| unsafe { Box::from_raw(place) })
}
