//! Seeded defects: each must be found, and for the reason it is there for. Each runs in a process of its own, because loom
//! cannot always unwind what it has found.

use std::process::Command;

use crate::block::one_caller;
use crate::check;
use crate::gate::{Closing, closed_meanwhile};
use crate::kernel::{SOUND, TORN, UNORDERED};
use crate::loan::{Ending, lender_goes};
use crate::place::{Order, shortage, takers};
use crate::queue::{Style, WorkItem};
use crate::task::{Waking, deadline_brought_forward, wakers};

struct Defect {
    name: &'static str,
    /// What the failure says.
    shows_as: &'static str,
    model: fn(),
}

const RACE: &str = "Causality violation";
const LOST: &str = "a wake-up was lost";
const ENDED: &str = "a block was not ended by exactly one";
const DEADLOCK: &str = "deadlock";

const DEFECTS: [Defect; 20] = [
    Defect {
        name: "atomics that order nothing: slots",
        shows_as: RACE,
        model: || takers::<3, UNORDERED>(Order::Sound),
    },
    Defect {
        name: "atomics that order nothing: gate",
        shows_as: RACE,
        model: || closed_meanwhile::<2, UNORDERED>(Closing::Sound),
    },
    Defect {
        name: "exchanges in two steps: gate",
        shows_as: RACE,
        model: || closed_meanwhile::<2, TORN>(Closing::Sound),
    },
    Defect {
        name: "a thing that goes while somebody is inside",
        shows_as: RACE,
        model: || closed_meanwhile::<1, SOUND>(Closing::Hasty),
    },
    Defect {
        name: "a thing that goes by a gate left open",
        shows_as: RACE,
        model: || closed_meanwhile::<1, SOUND>(Closing::Ajar),
    },
    Defect {
        name: "atomics that order nothing: task",
        shows_as: RACE,
        model: || wakers::<2, UNORDERED>(WorkItem::new(Style::Windows), Waking::Sound),
    },
    Defect {
        name: "signalled before it was done",
        shows_as: LOST,
        model: || wakers::<2, SOUND>(WorkItem::new(Style::Windows), Waking::Early),
    },
    Defect {
        name: "queued without a signal",
        shows_as: LOST,
        model: || wakers::<2, SOUND>(WorkItem::new(Style::Windows), Waking::Mute),
    },
    Defect {
        name: "signalled and not queued",
        shows_as: LOST,
        model: || wakers::<2, SOUND>(WorkItem::new(Style::Windows), Waking::Idle),
    },
    Defect {
        name: "a work item that cannot be queued while it runs",
        shows_as: LOST,
        model: || wakers::<2, SOUND>(WorkItem::deaf(Style::Windows), Waking::Sound),
    },
    Defect {
        name: "an event that is forgotten while nobody waits",
        shows_as: DEADLOCK,
        model: || one_caller::<SOUND, true>(false),
    },
    Defect {
        name: "asked before there was a place to be woken at",
        shows_as: DEADLOCK,
        model: || one_caller::<SOUND, false>(true),
    },
    Defect { name: "a slot taken in two steps", shows_as: RACE, model: || takers::<2, TORN>(Order::Sound) },
    Defect {
        name: "a turn taken, and word left, in two steps",
        shows_as: LOST,
        model: || wakers::<2, TORN>(WorkItem::new(Style::Windows), Waking::Sound),
    },
    Defect {
        name: "a block used after it was given back",
        shows_as: RACE,
        model: || lender_goes::<1, SOUND>(Ending::TooLate),
    },
    Defect {
        name: "a block given back in two steps",
        shows_as: ENDED,
        model: || lender_goes::<1, TORN>(Ending::Sound),
    },
    Defect {
        name: "atomics that order nothing: blocks",
        shows_as: RACE,
        model: || lender_goes::<1, UNORDERED>(Ending::Sound),
    },
    Defect { name: "no second look for a slot", shows_as: LOST, model: || shortage::<SOUND>(false) },
    Defect {
        name: "a slot freed before its packet was read",
        shows_as: RACE,
        model: || takers::<3, SOUND>(Order::TooEarly),
    },
    Defect {
        name: "a timer set after the turn was given up",
        shows_as: "the timer is not set",
        model: || deadline_brought_forward(true),
    },
];

/// Names the defect for the process that runs it.
const NAME: &str = "HVPCI_DEFECT";

#[test]
#[ignore = "fails on purpose: the process that `every_defect_is_found` starts for each defect"]
fn one_defect() {
    let name = std::env::var(NAME).expect("the name of a defect");
    let defect = DEFECTS.iter().find(|defect| defect.name == name).expect("a defect of this name");
    check(Some(4), defect.model);
}

#[test]
fn every_defect_is_found() {
    for Defect { name, shows_as, .. } in &DEFECTS {
        let this = std::env::current_exe().expect("the path of this test");
        let child = Command::new(this)
            .args(["defects::one_defect", "--exact", "--ignored", "--nocapture"])
            .env(NAME, name)
            .output()
            .expect("this test again");
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(!child.status.success(), "not found: {name}");
        assert!(said.contains(shows_as), "found for another reason: {name}: {said}");
    }
}
