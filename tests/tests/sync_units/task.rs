//! A future between those who wake it.

use hvpci_core::Time;
use hvpci_sync::WaitPoint;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use crate::check;
use crate::kernel::{Checked, SOUND};
use crate::queue::{Style, WorkItem};
use crate::rig::Rig;

/// What somebody who wakes the task does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waking {
    /// Nothing: acts, signals, queues.
    Sound,
    /// Signals before acting.
    Early,
    /// Queues the work item without a signal.
    Mute,
    /// Signals without queueing the work item.
    Idle,
}

/// Has `WAKERS` threads do something that a future looks for, and wake it. When all is quiet the future must have seen it.
/// What they do is ordered by nothing but the units under test.
pub fn wakers<const WAKERS: usize, const FAULT: u8>(work: WorkItem, how: Waking) {
    let point = Arc::new(WaitPoint::<Checked<FAULT>>::new());
    let done: Arc<[AtomicBool; WAKERS]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
    let rig = Arc::new(Rig::new(point.clone(), work));
    let act = {
        let (rig, done) = (rig.clone(), done.clone());
        move |waker: usize| {
            let act = || done[waker].store(true, Ordering::Relaxed);
            match how {
                Waking::Sound => {
                    act();
                    rig.wake();
                }
                Waking::Early => {
                    rig.wake();
                    act();
                }
                Waking::Mute => {
                    act();
                    rig.poll_soon();
                }
                Waking::Idle => {
                    act();
                    rig.point.signal();
                }
            }
        }
    };
    assert!(rig.start(async move {
        while !done.iter().all(|done| done.load(Ordering::Relaxed)) {
            point.wait(None).await;
        }
    }));
    let others: Vec<_> = (1..WAKERS)
        .map(|waker| {
            let act = act.clone();
            thread::spawn(move || act(waker))
        })
        .collect();
    rig.poll_soon();
    act(0);
    for other in others {
        other.join().unwrap();
    }
    assert!(!rig.state.is_alive(), "a wake-up was lost");
}

#[test]
fn no_wake_up_is_lost_where_callbacks_overlap() {
    let two = check(Some(4), || wakers::<2, SOUND>(WorkItem::new(Style::Windows), Waking::Sound));
    let three = check(Some(2), || wakers::<3, SOUND>(WorkItem::new(Style::Windows), Waking::Sound));
    println!("two wakers: {two} orders with at most four preemptions; three: {three} with at most two");
}

#[test]
fn no_wake_up_is_lost_where_a_work_item_runs_once_at_a_time() {
    let two = check(Some(4), || wakers::<2, SOUND>(WorkItem::new(Style::Linux), Waking::Sound));
    println!("two wakers: {two} orders with at most four preemptions");
}

/// Two threads start the same task at once: one future is started, and runs to its end.
#[test]
fn a_task_is_started_once() {
    let orders = check(Some(3), || {
        let runs = Arc::new(AtomicUsize::new(0));
        let rig = Arc::new(Rig::<SOUND>::new(Arc::new(WaitPoint::new()), WorkItem::new(Style::Windows)));
        let start = {
            let (rig, runs) = (rig.clone(), runs.clone());
            move || {
                let (point, runs) = (rig.point.clone(), runs.clone());
                let started = rig.start(async move {
                    runs.fetch_add(1, Ordering::Relaxed);
                    point.wait(None).await;
                });
                rig.poll_soon();
                started
            }
        };
        let other = thread::spawn(start.clone());
        let first = start();
        let second = other.join().unwrap();
        assert!(first ^ second, "started twice, or never");
        rig.wake();
        assert!(!rig.state.is_alive(), "started, and never ended");
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
    println!("{orders} orders with at most three preemptions");
}

/// A future ends while others still wake it, and the next one starts: no late run of the work item comes in between.
#[test]
fn late_wakes_do_not_touch_the_next_future() {
    let orders = check(Some(2), || {
        let rig = Arc::new(Rig::<SOUND>::new(Arc::new(WaitPoint::new()), WorkItem::new(Style::Windows)));
        assert!(rig.start(async {}));
        let late: Vec<_> = (0..2)
            .map(|_| {
                let rig = rig.clone();
                // The run of a work item that was queued before, and a wake that comes after.
                thread::spawn(move || {
                    rig.run();
                    rig.wake();
                })
            })
            .collect();
        rig.poll_soon();
        // Who starts the next one does so when the first has ended, as the bus does.
        let next = !rig.state.is_alive() && rig.start(async {});
        for late in late {
            late.join().unwrap();
        }
        if next {
            rig.poll_soon();
        }
        assert!(!rig.state.is_alive(), "a future was left behind");
    });
    println!("{orders} orders with at most two preemptions");
}

/// A task is abandoned while others wake it: once no poll is under way any more, none begins, and nothing starts in its place.
#[test]
fn an_abandoned_task_is_left_alone() {
    let orders = check(Some(3), || {
        let polls = Arc::new(AtomicUsize::new(0));
        let rig = Arc::new(Rig::<SOUND>::new(Arc::new(WaitPoint::new()), WorkItem::new(Style::Windows)));
        let (point, counted) = (rig.point.clone(), polls.clone());
        assert!(rig.start(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                point.wait(None).await;
            }
        }));
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let rig = rig.clone();
                thread::spawn(move || rig.wake())
            })
            .collect();
        rig.state.abandon();
        for waker in wakers {
            waker.join().unwrap();
        }
        let before = polls.load(Ordering::Relaxed);
        rig.wake();
        rig.run();
        assert!(!rig.state.is_alive() && !rig.start(async {}), "an abandoned task lives on");
        assert_eq!(polls.load(Ordering::Relaxed), before, "an abandoned task is polled");
    });
    println!("{orders} orders with at most three preemptions");
}

/// A future whose waker brings its deadline forward. When all is quiet, the timer must be set to the deadline of the wait that
/// is under way.
pub fn deadline_brought_forward(late: bool) {
    const FAR: u64 = 100;
    const NEAR: u64 = 10;
    let point = Arc::new(WaitPoint::<Checked<SOUND>>::new());
    let hurry = Arc::new(AtomicBool::new(false));
    let mut rig = Rig::new(point.clone(), WorkItem::new(Style::Windows));
    rig.late = late;
    let hurried = hurry.clone();
    assert!(rig.start(async move {
        loop {
            let deadline = if hurried.load(Ordering::Relaxed) { NEAR } else { FAR };
            point.wait(Some(Time::from_nanos(deadline))).await;
        }
    }));
    let rig = Arc::new(rig);
    let other = {
        let rig = rig.clone();
        thread::spawn(move || rig.poll_soon())
    };
    hurry.store(true, Ordering::Relaxed);
    rig.wake();
    other.join().unwrap();
    assert_eq!(rig.timer.load(Ordering::Relaxed), NEAR, "the timer is not set to the deadline of the wait");
}

#[test]
fn the_timer_is_set_to_the_last_deadline() {
    let orders = check(None, || deadline_brought_forward(false));
    println!("{orders} orders, all of them");
}
