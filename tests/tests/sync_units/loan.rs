//! Things that are lent.

use hvpci_sync::Loan;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::check;
use crate::kernel::{Checked, SOUND};

/// When a borrower, here of a block that a future lies in, is through with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Before it gives it back.
    Sound,
    /// After: the lender may have ended it by then.
    TooLate,
}

/// A block: its state and its content. That its memory is freed is, here, that the content is written one last time.
struct Block<const FAULT: u8> {
    loan: Loan<Checked<FAULT>>,
    content: UnsafeCell<()>,
    freed: AtomicUsize,
}

impl<const FAULT: u8> Block<FAULT> {
    fn end(&self) {
        self.content.with_mut(|_| ());
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// `BORROWERS` threads borrow a block, one of them from the beginning, while its lender goes.
pub fn lender_goes<const BORROWERS: usize, const FAULT: u8>(ending: Ending) {
    let block: Arc<Block<FAULT>> =
        Arc::new(Block { loan: Loan::new(), content: UnsafeCell::new(()), freed: AtomicUsize::new(0) });
    let has_it = block.loan.borrow();
    assert!(has_it, "a new block is not there to be borrowed");
    let use_it = move |block: &Block<FAULT>| {
        if ending == Ending::Sound {
            block.content.with_mut(|_| ());
        }
        let last = block.loan.give_back();
        if ending == Ending::TooLate {
            block.content.with_mut(|_| ());
        }
        if last {
            block.end();
        }
    };
    let borrowers: Vec<_> = (0..BORROWERS)
        .map(|number| {
            let block = block.clone();
            thread::spawn(move || {
                if number == 0 || block.loan.borrow() {
                    use_it(&block);
                }
            })
        })
        .collect();
    if block.loan.leave() {
        block.end();
    }
    for borrower in borrowers {
        borrower.join().unwrap();
    }
    assert_eq!(block.freed.load(Ordering::Relaxed), 1, "a block was not ended by exactly one");
}

#[test]
fn a_lent_block_is_ended_by_one() {
    let one = check(None, || lender_goes::<1, SOUND>(Ending::Sound));
    let two = check(Some(3), || lender_goes::<2, SOUND>(Ending::Sound));
    println!("one borrower: {one} orders, all of them; two: {two} with at most three preemptions");
}
