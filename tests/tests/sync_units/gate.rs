//! Things that go when nobody uses them any more.

use hvpci_sync::Gate;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::check;
use crate::kernel::{Checked, SOUND};

/// What who wants the thing to go does before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Closes the gate and waits until nobody is inside.
    Sound,
    /// Does not wait.
    Hasty,
    /// Does not close it.
    Ajar,
}

/// `USERS` threads use a thing, here a work item of a device, if they find the gate open; it goes meanwhile, which is here
/// that it is written to.
pub fn closed_meanwhile<const USERS: usize, const FAULT: u8>(closing: Closing) {
    let thing = Arc::new((Gate::<Checked<FAULT>>::new(), UnsafeCell::new(())));
    thing.0.open();
    let users: Vec<_> = (0..USERS)
        .map(|_| {
            let thing = thing.clone();
            thread::spawn(move || {
                let Some(inside) = thing.0.enter() else { return };
                thing.1.with(|_| ());
                drop(inside);
            })
        })
        .collect();
    if closing != Closing::Ajar {
        thing.0.close();
    }
    while closing != Closing::Hasty && !thing.0.is_empty() {
        thread::yield_now();
    }
    thing.1.with_mut(|_| ());
    if closing == Closing::Sound {
        assert!(thing.0.enter().is_none(), "a closed gate let somebody in");
    }
    for user in users {
        user.join().unwrap();
    }
    assert!(thing.0.is_empty(), "somebody is inside who has left");
}

#[test]
fn who_closes_a_gate_waits_for_those_inside() {
    let one = check(None, || closed_meanwhile::<1, SOUND>(Closing::Sound));
    let two = check(Some(3), || closed_meanwhile::<2, SOUND>(Closing::Sound));
    println!("one user: {one} orders, all of them; two: {two} with at most three preemptions");
}
