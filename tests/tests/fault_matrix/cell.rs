//! What the matrix is made of: who runs, which part of a bus's life, where in it something goes wrong, and what.

use std::fmt;
use std::time::Duration;

use hvpci_core::decode::Policy;
use hvpci_core::wire::Version;
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{CountedMessage, Fault};
use hvpci_mock::sim::PlatformStep;
use hvpci_tests::bench::slot;

const UNSUCCESSFUL: u32 = 0xC000_0001;

/// Who runs: one guest under one policy on a host of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combo {
    pub guest: GuestKind,
    pub policy: Policy,
    pub isolated: bool,
    pub version: Version,
}

/// Every version with every style, policy and kind of VM that go together.
pub fn combos() -> Vec<Combo> {
    let mut combos = Vec::new();
    for guest in [GuestKind::Linux612, GuestKind::Windows] {
        for policy in Policy::ALL {
            for isolated in [false, true] {
                if !isolated || policy.allowed_when_isolated() {
                    combos.extend(Version::SPOKEN.map(|version| Combo { guest, policy, isolated, version }));
                }
            }
        }
    }
    combos
}

/// A part of a bus's life. What comes before it goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From the start to the last driver.
    BringUp,
    /// A second function is added to a live bus.
    HotAdd,
    /// The host asks for one of two functions.
    Eject,
    /// One of two functions is gone without a word.
    Surprise,
    /// The functions and then the bus go to sleep.
    Suspend,
    /// The bus and then the functions wake up.
    Resume,
    /// The bus is stopped.
    Teardown,
}

impl Phase {
    pub const ALL: [Phase; 7] =
        [Phase::BringUp, Phase::HotAdd, Phase::Eject, Phase::Surprise, Phase::Suspend, Phase::Resume, Phase::Teardown];
}

/// Where something goes wrong: counted from the beginning of the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At a message: the guest's when the host reads it, the host's own when it sends it.
    Message(CountedMessage),
    /// At the n-th step of its kind that the platform makes.
    Platform(PlatformStep, u32),
    /// At the n-th allocation that the core makes.
    Allocation(u64),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The host does this to the message.
    Host(Fault),
    /// The host loses this message and all that follow.
    Silence,
    /// The platform refuses, or the allocation fails.
    Refuse,
    /// The channel is rescinded.
    Rescind,
    /// The host asks for the second function.
    Eject,
    /// The host takes the second function away.
    Remove,
    /// The second function stops answering config accesses.
    Deaf,
}

impl Place {
    /// Everything that can go wrong here. What cannot be told from nothing going wrong is left out: a fault of an answer
    /// that nobody asked for.
    pub fn mishaps(&self) -> Vec<Mishap> {
        let second = slot(1);
        let always = [Fault::Rescind, Fault::CloseChannel, Fault::Eject(second), Fault::Remove(second)];
        let always = always.into_iter().chain([Fault::DeviceGone(second)]);
        let lengths = [0, 3, 4, 7, 12, 20].map(Fault::Truncate);
        let answers = lengths.into_iter().chain([
            Fault::Drop,
            Fault::Delay(Duration::from_millis(50)),
            Fault::Delay(Duration::from_secs(90)),
            Fault::Extend(64),
            Fault::WrongStatus(UNSUCCESSFUL),
            Fault::WrongTransactionId,
            Fault::Duplicate,
            Fault::UnknownMessage,
            Fault::Garbage,
        ]);
        let host = |faults: Vec<Fault>| faults.into_iter().map(Mishap::Host).chain([Mishap::Silence]).collect();
        match self {
            Place::Message(CountedMessage { from_host: true, .. }) => host(always.chain(answers).collect()),
            Place::Message(CountedMessage { wants_completion: true, .. }) => {
                let requests = [Fault::LoseRequest, Fault::Refuse(UNSUCCESSFUL)];
                host(always.chain(requests).chain(answers).collect())
            }
            Place::Message(_) => host(always.chain([Fault::LoseRequest]).collect()),
            Place::Platform(step, _) => {
                let mut mishaps = vec![Mishap::Rescind, Mishap::Eject, Mishap::Remove, Mishap::Deaf];
                if matches!(
                    step,
                    PlatformStep::OpenChannel
                        | PlatformStep::ReserveConfigWindow
                        | PlatformStep::ReserveWindow
                        | PlatformStep::Publish
                        | PlatformStep::Published
                ) {
                    mishaps.push(Mishap::Refuse);
                }
                mishaps
            }
            Place::Allocation(_) => vec![Mishap::Refuse],
        }
    }

    /// What tells it from the other places of its phase, whatever the combination.
    pub fn key(&self) -> Place {
        match *self {
            Place::Message(message) => Place::Message(CountedMessage { step: 0, ..message }),
            other => other,
        }
    }

    /// The message it is at.
    pub fn message(&self) -> Option<MessageType> {
        match self {
            Place::Message(message) => Some(message.kind),
            _ => None,
        }
    }
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub combo: Combo,
    pub phase: Phase,
    pub place: Place,
    pub mishap: Mishap,
}

impl Cell {
    /// The column of the table it is counted in.
    pub fn column(&self) -> &'static str {
        match self.mishap {
            Mishap::Rescind | Mishap::Host(Fault::Rescind) => "rescind",
            Mishap::Eject | Mishap::Host(Fault::Eject(_)) => "eject",
            Mishap::Remove | Mishap::Deaf | Mishap::Host(Fault::Remove(_) | Fault::DeviceGone(_)) => "surprise removal",
            Mishap::Silence
            | Mishap::Host(Fault::LoseRequest | Fault::Drop | Fault::CloseChannel | Fault::Delay(_)) => "timeout",
            Mishap::Host(Fault::Refuse(_) | Fault::WrongStatus(_)) => "error status",
            Mishap::Host(Fault::Truncate(_)) => "short",
            Mishap::Host(Fault::Extend(_)) => "long",
            Mishap::Host(Fault::Duplicate) => "duplicate",
            Mishap::Host(Fault::UnknownMessage) => "unknown",
            Mishap::Host(Fault::Garbage) => "garbage",
            Mishap::Host(Fault::WrongTransactionId) => "wrong id",
            Mishap::Refuse => "allocation failure",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Combo { guest, policy, isolated, version } = self.combo;
        let isolated = if isolated { " isolated" } else { "" };
        write!(f, "{guest} {policy}{isolated} {version}, {:?}: {:?} at {:?}", self.phase, self.mishap, self.place)
    }
}
