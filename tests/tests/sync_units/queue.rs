//! What kernels promise of a work item: queueing it once it is queued is nothing; it may be queued while it runs, and then runs
//! again; whoever queued it has done before what the run sees. Windows may run it on two processors at once, Linux does not.

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};

/// Which kernel's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Callbacks of the same work item may overlap.
    Windows,
    /// One at a time.
    Linux,
}

/// A work item. Who queues it also runs it, after that: the threads of a test are the kernel's worker threads as well.
pub struct WorkItem {
    style: Style,
    queued: AtomicBool,
    running: Mutex<()>,
    /// A defect: queueing it while it runs does nothing.
    deaf: bool,
    busy: AtomicBool,
}

impl WorkItem {
    pub fn new(style: Style) -> WorkItem {
        WorkItem {
            style,
            queued: AtomicBool::new(false),
            running: Mutex::new(()),
            deaf: false,
            busy: AtomicBool::new(false),
        }
    }

    pub fn deaf(style: Style) -> WorkItem {
        WorkItem { deaf: true, ..WorkItem::new(style) }
    }

    /// Queues the work item, and runs it unless somebody else is about to.
    pub fn enqueue(&self, callback: impl Fn()) {
        if self.deaf && self.busy.load(Ordering::Acquire) {
            return;
        }
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let one_at_a_time = (self.style == Style::Linux).then(|| self.running.lock().unwrap());
        self.queued.swap(false, Ordering::AcqRel);
        self.busy.store(true, Ordering::Release);
        callback();
        self.busy.store(false, Ordering::Release);
        drop(one_at_a_time);
    }
}
