//! Threads that block until they are answered.

use std::pin::pin;

use hvpci_core::Time;
use hvpci_sync::{BlockPoint, Place};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::check;
use crate::event::AutoReset;
use crate::kernel::{Checked, SOUND};

/// Where callers wait: a place, and a point. Whoever answers wakes the points whose places are taken.
pub struct Caller<const FAULT: u8, const PULSE: bool> {
    place: Place<Checked<FAULT>>,
    block: BlockPoint<Checked<FAULT>, AutoReset<PULSE>>,
}

impl<const FAULT: u8, const PULSE: bool> Caller<FAULT, PULSE> {
    fn new() -> Self {
        Caller { place: Place::new(), block: BlockPoint::new() }
    }

    fn wake(&self) {
        if self.place.is_taken() {
            self.block.wake();
        }
    }
}

/// Waits for an answer, with a deadline or without.
async fn answered<const FAULT: u8, const PULSE: bool>(
    caller: &Caller<FAULT, PULSE>,
    answer: &AtomicBool,
    deadline: Option<Time>,
) {
    while !answer.load(Ordering::Relaxed) {
        // As `driver::answer` has it: a time that has come is nothing to wait for.
        caller.block.point.wait(deadline.filter(|at| !Checked::<SOUND>::has_come(*at))).await;
    }
}

const FOREVER: Time = Time::from_nanos(u64::MAX);

/// A caller takes a place, asks, and waits without a deadline. `take_late`: a defect, it asks before it has its place.
pub fn one_caller<const FAULT: u8, const PULSE: bool>(take_late: bool) {
    let caller = Arc::new(Caller::<FAULT, PULSE>::new());
    let answer = Arc::new(AtomicBool::new(false));
    if !take_late {
        assert!(caller.place.take());
    }
    let host = {
        let (caller, answer) = (caller.clone(), answer.clone());
        thread::spawn(move || {
            answer.store(true, Ordering::Relaxed);
            caller.wake();
        })
    };
    if take_late {
        assert!(caller.place.take());
    }
    let found = caller.block.block_on(pin!(answered(&caller, &answer, None)), FOREVER);
    assert!(found.is_some());
    caller.place.give_back();
    host.join().unwrap();
}

#[test]
fn an_answer_is_not_missed() {
    let orders = check(None, || one_caller::<SOUND, false>(false));
    println!("{orders} orders, all of them");
}

/// The answer and the deadline come at once: the caller has the answer, or it gives up, and never hangs.
#[test]
fn an_answer_and_a_deadline_meet() {
    let orders = check(Some(3), || {
        let caller = Arc::new(Caller::<SOUND, false>::new());
        let answer = Arc::new(AtomicBool::new(false));
        assert!(caller.place.take());
        let host = {
            let (caller, answer) = (caller.clone(), answer.clone());
            thread::spawn(move || {
                answer.store(true, Ordering::Relaxed);
                caller.wake();
            })
        };
        let clock = {
            let caller = caller.clone();
            thread::spawn(move || {
                caller.block.event().tick(5);
                caller.block.event().tick(10);
            })
        };
        let limit = Time::from_nanos(10);
        let found = caller.block.block_on(pin!(answered(&caller, &answer, Some(Time::from_nanos(5)))), limit);
        if found.is_none() {
            assert!(Checked::<SOUND>::has_come(limit), "gave up before the limit");
        }
        assert_eq!(caller.block.point.deadline(), None, "what was given up left its deadline behind");
        caller.place.give_back();
        host.join().unwrap();
        clock.join().unwrap();
    });
    println!("{orders} orders with at most three preemptions");
}

/// A caller gives up, and another takes its place while the answer to the first is on its way: the wake-up of the first is
/// nothing to the second, and its own is not lost.
#[test]
fn a_place_is_used_again_while_a_late_answer_comes() {
    let orders = check(Some(3), || {
        let caller = Arc::new(Caller::<SOUND, false>::new());
        let answers: Arc<[AtomicBool; 2]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
        let hosts: Vec<_> = (0..2)
            .map(|at| {
                let (caller, answers) = (caller.clone(), answers.clone());
                move || {
                    answers[at].store(true, Ordering::Relaxed);
                    caller.wake();
                }
            })
            .collect();
        let [late, own] = <[_; 2]>::try_from(hosts).ok().unwrap();
        assert!(caller.place.take());
        let first = thread::spawn(late);
        // The limit has come already: a look, and it gives up.
        let _ = caller.block.block_on(pin!(answered(&caller, &answers[0], None)), Time::ZERO);
        caller.place.give_back();
        assert!(caller.place.take());
        let second = thread::spawn(own);
        let found = caller.block.block_on(pin!(answered(&caller, &answers[1], None)), FOREVER);
        assert!(found.is_some());
        caller.place.give_back();
        first.join().unwrap();
        second.join().unwrap();
    });
    println!("{orders} orders with at most three preemptions");
}

/// A future that is never ready is given up at the limit, though nobody wakes it.
#[test]
fn a_wait_has_an_end() {
    let orders = check(None, || {
        let caller = Arc::new(Caller::<SOUND, false>::new());
        let clock = {
            let caller = caller.clone();
            thread::spawn(move || caller.block.event().tick(10))
        };
        let never = pin!(std::future::pending::<()>());
        assert_eq!(caller.block.block_on(never, Time::from_nanos(10)), None);
        clock.join().unwrap();
    });
    println!("{orders} orders, all of them");
}
