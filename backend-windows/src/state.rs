//! Where a child device stands, as its callbacks see it.

/// The life of one child device between publish and unpublish. The PnP manager may create the device, start it, stop it
/// and start it again, or never get round to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildState {
    /// The bus has reported the function.
    pub reported: bool,
    /// The device object exists.
    pub created: bool,
    /// The function's driver has its resources: from PrepareHardware to ReleaseHardware.
    pub started: bool,
    /// Left mapped at the host when its driver idled it.
    pub kept_mapped: bool,
    /// The PnP manager carried out the eject that was asked for.
    pub ejected: bool,
}

/// What an unpublish has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Ask the PnP manager to eject the device, and wait.
    RequestEject,
    /// Take the function off the list of children, and wait.
    ReportMissing,
    /// Wait for the function's driver to let go.
    Wait,
    /// Nobody holds the function.
    Done,
}

/// What an unpublish has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// An eject was asked for.
    pub eject_requested: bool,
    /// The function is off the list of children.
    pub missing: bool,
}

impl ChildState {
    /// The next step of taking the function away. `graceful`: the host asked, so that the driver may still talk to the
    /// device; `overdue`: it was given long enough.
    pub fn leave(&self, leaving: Leaving, graceful: bool, overdue: bool) -> Leave {
        let may_object = graceful && self.created && self.started && !self.ejected && !overdue;
        if may_object && !leaving.eject_requested {
            Leave::RequestEject
        } else if may_object {
            Leave::Wait
        } else if !leaving.missing {
            Leave::ReportMissing
        } else if self.started && !overdue {
            Leave::Wait
        } else {
            Leave::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: ChildState =
        ChildState { reported: true, created: true, started: true, kept_mapped: false, ejected: false };

    #[test]
    fn an_eject_asks_first_and_reports_missing_when_it_was_carried_out() {
        let mut leaving = Leaving::default();
        assert_eq!(STARTED.leave(leaving, true, false), Leave::RequestEject);
        leaving.eject_requested = true;
        assert_eq!(STARTED.leave(leaving, true, false), Leave::Wait);
        let stopped = ChildState { started: false, ..STARTED };
        assert_eq!(stopped.leave(leaving, true, false), Leave::ReportMissing, "the driver let go");
        leaving.missing = true;
        assert_eq!(stopped.leave(leaving, true, false), Leave::Done);
    }

    #[test]
    fn a_driver_that_refuses_the_eject_is_removed_by_surprise_in_the_end() {
        let leaving = Leaving { eject_requested: true, missing: false };
        assert_eq!(STARTED.leave(leaving, true, true), Leave::ReportMissing);
    }

    #[test]
    fn a_surprise_waits_for_the_driver_only() {
        let mut leaving = Leaving::default();
        assert_eq!(STARTED.leave(leaving, false, false), Leave::ReportMissing);
        leaving.missing = true;
        assert_eq!(STARTED.leave(leaving, false, false), Leave::Wait);
        assert_eq!(ChildState { started: false, ..STARTED }.leave(leaving, false, false), Leave::Done);
    }

    #[test]
    fn a_child_that_was_never_started_leaves_at_once() {
        let idle = ChildState { started: false, ..STARTED };
        assert_eq!(idle.leave(Leaving::default(), true, false), Leave::ReportMissing);
        assert_eq!(idle.leave(Leaving { missing: true, ..Leaving::default() }, true, false), Leave::Done);
    }
}
