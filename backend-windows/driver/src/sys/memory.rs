//! Memory: the pool as the global allocator, and the blocks that a bus puts aside for its futures.
//!
//! Tables are reserved fallibly by the core, so that a full pool is an error there. The futures of a bus (the two that run
//! it, and what each of the two waits for) are boxed, and have no way to fail: for them a bus puts blocks aside when it is
//! made, which is an error where there are none. The blocks are that bus's alone. Threads that wait box nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

use wdk_alloc::WdkAllocator;

use super::task::Nt;
use crate::events;

type Loan = hvpci_sync::Loan<Nt>;

/// Bytes of a block that a future can have.
const BLOCK: usize = 1024;
/// wdk-alloc gives what ExAllocatePool2 gives.
const ALIGN: usize = 16;
/// The alignment of what lies in a block: more than the pool gives, so that nothing else in this driver has it, and what
/// is freed with it is a block.
const MARK: usize = 64;

/// The non-paged pool. Blocks of a [`Reserve`] are put back to it instead of freed.
pub struct Allocator;

// SAFETY: defers to WdkAllocator, but for blocks of a reserve, which only `Reserve::future` boxes.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's.
        unsafe { WdkAllocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.align() == MARK {
            // SAFETY: `alloc` gives nothing of that alignment, so that this is the content of a block that is lent.
            unsafe { Block::put_back(pointer) }
        } else {
            // SAFETY: the caller's; the memory came from WdkAllocator.
            unsafe { WdkAllocator.dealloc(pointer, layout) }
        }
    }
}

/// A block: this, and `BLOCK` bytes behind it, aligned to `MARK`.
#[repr(align(64))]
struct Block {
    /// Whether it has content, and whose it is: the bus lends it, and may be gone before the content is.
    loan: Loan,
    /// Where the memory of the block begins, which the pool aligns to less.
    memory: *mut u8,
}

const _: () = assert!(size_of::<Block>() == MARK && align_of::<Block>() == MARK);

impl Block {
    /// The block, its content, and what it takes to align the two.
    const MEMORY: Layout = Layout::new::<[u128; (MARK + BLOCK + MARK - ALIGN) / ALIGN]>();

    /// A free block; `None` without memory.
    fn new() -> Option<NonNull<Block>> {
        // SAFETY: a layout of non-zero size.
        let memory = unsafe { WdkAllocator.alloc(Block::MEMORY) };
        let block = memory.wrapping_add(memory.align_offset(MARK)).cast::<Block>();
        let block = NonNull::new(block).filter(|_| !memory.is_null())?;
        // SAFETY: aligned, and inside of the memory, which is `MARK - ALIGN` bytes longer than block and content.
        unsafe { block.write(Block { loan: Loan::new(), memory }) };
        Some(block)
    }

    /// Gives a block's memory back to the pool.
    ///
    /// # Safety
    ///
    /// `block` came from [`Block::new`], and nobody has it any more.
    unsafe fn free(block: *mut Block) {
        // SAFETY: the caller's; the memory came from WdkAllocator with this layout.
        unsafe { WdkAllocator.dealloc((*block).memory, Block::MEMORY) }
    }

    /// Ends the use of a block.
    ///
    /// # Safety
    ///
    /// `content` is that of a block that [`Reserve::take`] gave.
    unsafe fn put_back(content: *mut u8) {
        let block = content.wrapping_sub(MARK).cast::<Block>();
        // SAFETY: a block ends where its content begins. It is lent, so that its memory is there: see `Reserve::drop`.
        unsafe {
            if (*block).loan.give_back() {
                Block::free(block);
            }
        }
    }
}

/// What lies in a block. Its alignment tells the allocator so.
#[repr(align(64))]
struct InBlock<F>(F);

impl<F: Future> Future for InBlock<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is pinned with its wrapper, and never moved out of it.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(context)
    }
}

/// Never ready.
struct Never<T>(PhantomData<fn() -> T>);

impl<T> Future for Never<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Pending
    }
}

/// A future that is never ready, of no size: its box allocates nothing.
pub fn never<'a, T: 'a>() -> Boxed<'a, T> {
    const { assert!(size_of::<Never<T>>() == 0) };
    Box::pin(Never(PhantomData))
}

/// A boxed future.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The blocks of one bus.
pub struct Reserve(Vec<NonNull<Block>>);

// SAFETY: blocks are handed out by their loans.
unsafe impl Send for Reserve {}
// SAFETY: as above.
unsafe impl Sync for Reserve {}

impl Reserve {
    /// Puts `count` blocks aside: as many futures can be out at once, whatever becomes of the pool. `None` without memory.
    /// PASSIVE_LEVEL.
    pub fn new(count: usize) -> Option<Reserve> {
        let mut reserve = Reserve(Vec::new());
        reserve.0.try_reserve_exact(count).ok()?;
        for _ in 0..count {
            reserve.0.push(Block::new()?);
        }
        Some(reserve)
    }

    /// Boxes a future in a free block. At most DISPATCH_LEVEL.
    pub fn future<'a, F: Future + Send + 'a>(&self, future: F) -> Boxed<'a, F::Output> {
        const { assert!(size_of::<InBlock<F>>() <= BLOCK && align_of::<InBlock<F>>() == MARK) };
        let Some(place) = self.take() else {
            // A bug of this driver: each of a bus's two tasks has one future, which waits for one. The pool is not asked,
            // because a box that finds none stops the system: the task rests, and who waits for it goes on at its limit.
            events::write(events::ERROR, format_args!("a task of a bus waits for two things at once"));
            return never();
        };
        // SAFETY: room for an InBlock<F>, aligned, which `dealloc` of the global allocator puts back.
        unsafe {
            let place = place.cast::<InBlock<F>>();
            place.write(InBlock(future));
            Box::into_pin(Box::from_raw(place))
        }
    }

    /// The content of a block that nobody else has.
    fn take(&self) -> Option<*mut u8> {
        let free = self.0.iter().find(|block| {
            // SAFETY: the blocks of a reserve go no sooner than it.
            unsafe { block.as_ref() }.loan.borrow()
        })?;
        Some(free.as_ptr().cast::<u8>().wrapping_add(MARK))
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        for block in &self.0 {
            // SAFETY: as in `take`. Who has borrowed a block finds its lender gone and frees it; nobody has any other.
            unsafe {
                if block.as_ref().loan.leave() {
                    Block::free(block.as_ptr());
                }
            }
        }
    }
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
