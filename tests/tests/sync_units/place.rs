//! Places that one at a time may have.

use hvpci_sync::{Place, Shortage};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::check;
use crate::kernel::{Checked, SOUND};

/// When the holder of a place, here of a slot that a packet lies in, gives it back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// When it is through with what lies there.
    Sound,
    /// Before: the next one writes while it still reads.
    TooEarly,
}

struct Slot<const FAULT: u8> {
    place: Place<Checked<FAULT>>,
    packet: UnsafeCell<()>,
}

/// `TAKERS` threads look for a free slot among two, write a packet there, and read it when it is through.
pub fn takers<const TAKERS: usize, const FAULT: u8>(order: Order) {
    let slots: Arc<[Slot<FAULT>; 2]> =
        Arc::new(std::array::from_fn(|_| Slot { place: Place::new(), packet: UnsafeCell::new(()) }));
    let send = {
        let slots = slots.clone();
        move || {
            let Some(slot) = slots.iter().find(|slot| slot.place.take()) else { return false };
            slot.packet.with_mut(|_| ());
            if order == Order::TooEarly {
                slot.place.give_back();
            }
            // What the completion routine reads.
            slot.packet.with(|_| ());
            if order == Order::Sound {
                slot.place.give_back();
            }
            true
        }
    };
    let others: Vec<_> = (1..TAKERS).map(|_| thread::spawn(send.clone())).collect();
    let mut sent = usize::from(send());
    for other in others {
        sent += usize::from(other.join().unwrap());
    }
    assert!(sent >= TAKERS.min(2), "there was a free slot, and nobody got it");
    assert!(slots.iter().all(|slot| !slot.place.is_taken()), "a slot was not given back");
}

#[test]
fn a_slot_is_taken_by_one_at_a_time() {
    let two = check(None, || takers::<2, SOUND>(Order::Sound));
    let three = check(Some(3), || takers::<3, SOUND>(Order::Sound));
    println!("two: {two} orders, all of them; three: {three} with at most three preemptions");
}

/// The only slot is given back while somebody looks for one: it is found, or whoever gave it back tells. `asks`: whether the
/// second look, after having said so, is taken; left out, a defect.
pub fn shortage<const FAULT: u8>(asks: bool) {
    let slot = Arc::new((Place::<Checked<FAULT>>::new(), Shortage::<Checked<FAULT>>::new(), AtomicBool::new(false)));
    assert!(slot.0.take());
    let completion = {
        let slot = slot.clone();
        thread::spawn(move || {
            let (place, shortage, told) = &*slot;
            place.give_back();
            if shortage.is_over() {
                told.store(true, Ordering::Relaxed);
            }
        })
    };
    let (place, shortage, told) = &*slot;
    let found = if asks {
        shortage.take(|| place.take().then_some(()))
    } else {
        let looked = std::cell::Cell::new(false);
        shortage.take(|| (!looked.replace(true) && place.take()).then_some(()))
    };
    completion.join().unwrap();
    assert!(found.is_some() || told.load(Ordering::Relaxed), "a wake-up was lost");
}

#[test]
fn who_found_no_slot_is_told() {
    let orders = check(None, || shortage::<SOUND>(true));
    println!("{orders} orders, all of them");
}
