//! Mistakes on purpose, in Rust: what KASAN and kmemleak must see in instrumented code.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::slice;

const EINVAL: i32 = 22;

/// # Safety
/// `kind` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_plant_rust(kind: *const u8, length: usize) -> i32 {
    // SAFETY: as the caller promised.
    match unsafe { slice::from_raw_parts(kind, length) } {
        b"use-after-free" => use_after_free(),
        b"overrun" => overrun(),
        b"stack-overrun" => stack_overrun(),
        b"leak" => leak(),
        _ => return -EINVAL,
    }
    0
}

#[inline(never)]
fn use_after_free() {
    let block = Box::into_raw(black_box(Box::new([7u64; 8])));
    // SAFETY: it came from into_raw.
    drop(unsafe { Box::from_raw(block) });
    // SAFETY: none: this is the mistake. The allocator still has the page, so the load itself does no harm.
    let _ = unsafe { black_box(block).cast::<u64>().add(2).read_volatile() };
}

#[inline(never)]
fn overrun() {
    let block: Vec<u64> = black_box(vec![1; 5]);
    // SAFETY: none: this is the mistake. kmalloc's block is larger than what was asked for.
    let _ = unsafe { block.as_ptr().add(block.len()).read_volatile() };
}

#[inline(never)]
fn stack_overrun() {
    let array = black_box([1u64; 4]);
    // SAFETY: none: this is the mistake. The stack goes on there.
    let _ = unsafe { black_box(array.as_ptr()).add(black_box(4)).read_volatile() };
}

/// Several: an address left over on a stack hides one.
#[inline(never)]
fn leak() {
    for _ in 0..8 {
        core::mem::forget(black_box(vec![3u8; 777]));
    }
}
