//! Pool: every block ends at a guard page, is checked when it is freed, stays unreadable afterwards, and is counted.

use std::collections::{BTreeMap, HashMap};

use crate::guard::{self, Block};
use crate::irql::{self, APC, DISPATCH};
use crate::world::{World, with};
use crate::{rule, trace};

const POOL_FLAG_UNINITIALIZED: u64 = 0x2;
const POOL_FLAG_NON_PAGED: u64 = 0x40;
const POOL_FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
const POOL_FLAG_PAGED: u64 = 0x100;
const POOL_FLAG_RAISE_ON_FAILURE: u64 = 0x20;

/// The blocks.
#[derive(Debug, Default)]
pub struct Pool {
    live: HashMap<usize, Owned>,
    /// Freed blocks: where each lay, and its bytes.
    freed: BTreeMap<usize, usize>,
    bytes: usize,
    /// The most bytes that were allocated at once.
    pub most: usize,
}

#[derive(Debug)]
struct Owned {
    block: Block,
    tag: u32,
    order: u32,
    paged: bool,
}

impl Pool {
    /// What is still allocated, in words.
    pub fn leaks(&self) -> Vec<String> {
        let mut live: Vec<&Owned> = self.live.values().collect();
        live.sort_by_key(|owned| owned.order);
        let name = |tag: u32| String::from_utf8_lossy(&tag.to_le_bytes()).into_owned();
        live.iter().map(|o| format!("{} bytes, tag {:?}, allocation {}", o.block.size, name(o.tag), o.order)).collect()
    }

    /// Bytes that are allocated now.
    pub fn live(&self) -> usize {
        self.bytes
    }

    /// Whether an address lies in freed pool.
    pub fn was_freed(&self, address: usize) -> bool {
        self.freed.range(..=address).next_back().is_some_and(|(at, size)| address < at + (*size).max(1))
    }
}

fn allocate(world: &mut World, size: usize, tag: u32, paged: bool) -> *mut u8 {
    let block = guard::allocate(size);
    let order = world.allocations.count;
    let pool = &mut world.nt.pool;
    pool.bytes += size;
    pool.most = pool.most.max(pool.bytes);
    pool.live.insert(block.at, Owned { block, tag, order, paged });
    block.at as *mut u8
}

unsafe extern "win64" fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> *mut u8 {
    let kinds = [POOL_FLAG_NON_PAGED, POOL_FLAG_NON_PAGED_EXECUTE, POOL_FLAG_PAGED];
    let kind = kinds.iter().filter(|kind| flags & **kind != 0).count();
    rule!(kind == 1, "ExAllocatePool2: flags {flags:#x} name {kind} kinds of pool");
    rule!(flags & POOL_FLAG_NON_PAGED_EXECUTE == 0, "ExAllocatePool2: executable pool");
    rule!(flags & POOL_FLAG_RAISE_ON_FAILURE == 0, "ExAllocatePool2: POOL_FLAG_RAISE_ON_FAILURE would raise");
    rule!(size != 0, "ExAllocatePool2 of 0 bytes");
    rule!(tag != 0, "ExAllocatePool2 without a tag");
    let paged = flags & POOL_FLAG_PAGED != 0;
    irql::at_most(if paged { APC } else { DISPATCH }, "ExAllocatePool2");
    with(|world| {
        if world.allocation_fails("pool") {
            return std::ptr::null_mut();
        }
        let at = allocate(world, size, tag, paged);
        if flags & POOL_FLAG_UNINITIALIZED != 0 {
            // SAFETY: the block was just made and nobody else knows of it.
            unsafe { at.write_bytes(0xCD, size) };
        }
        at
    })
}

unsafe extern "win64" fn ExFreePoolWithTag(at: *mut u8, tag: u32) {
    irql::at_most(DISPATCH, "ExFreePool");
    let stale = with(|world| {
        let pool = &mut world.nt.pool;
        let Some(owned) = pool.live.remove(&(at as usize)) else {
            let known = pool.was_freed(at as usize);
            rule!(false, "ExFreePool({at:p}): {}", if known { "freed twice" } else { "never allocated" });
            return Vec::new();
        };
        rule!(tag == 0 || tag == owned.tag, "ExFreePoolWithTag({at:p}): the tag is not the block's");
        rule!(!owned.block.damaged(), "ExFreePool({at:p}): written outside its {} bytes", owned.block.size);
        rule!(!owned.paged || irql::current() <= APC, "ExFreePool of paged pool at DISPATCH_LEVEL");
        pool.bytes -= owned.block.size;
        pool.freed.insert(owned.block.at, owned.block.size);
        owned.block.retire();
        world.nt.sync.forget(owned.block.at, owned.block.size)
    });
    rule!(stale.is_empty(), "ExFreePool({at:p}): {} in it still in use", stale.join(", "));
    trace!("free {at:p}");
}

unsafe extern "win64" fn ExFreePool(at: *mut u8) {
    // SAFETY: same contract.
    unsafe { ExFreePoolWithTag(at, 0) }
}

crate::exports!("ntoskrnl.exe" => ExAllocatePool2, ExFreePoolWithTag, ExFreePool);
