//! One function of the bus.

use crate::Time;
use crate::config::BarLayout;
use crate::wire::{FunctionDescription, ProbedBars};

/// How far the host has taken note of a function's resources, on the present channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Assigned {
    /// It has not been asked to.
    No,
    /// It was asked to and has not answered.
    Asked,
    /// It did.
    Yes,
    /// It was asked to, and what it did is not known.
    Unknown,
}

/// Where the function stands with the OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    No,
    /// The publisher is at it.
    Publishing,
    Yes,
    /// The publisher is at it.
    Unpublishing,
}

/// Why a function is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leaving {
    /// The host asked for it and waits for EJECTION_COMPLETE.
    Eject,
    /// It is gone from the host's list, or the host forgot it over a resume, or the bus was rescinded.
    Surprise,
    /// The bus is being brought down.
    Shutdown,
}

/// The background map of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Prefetch {
    /// Not begun, or not wanted.
    No,
    /// The config half knows; the request is to be queued.
    Announced,
    /// The request is in the table.
    Queued,
    /// The request was sent. The function is kept from the OS until the time given; without one, no longer.
    Running(Option<Time>),
    /// It ended; the config half is to be told.
    Finished(bool),
    /// The config half was told.
    Done,
}

/// What became of a RESOURCES_RELEASED or EJECTION_COMPLETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Notice {
    /// Not called for.
    No,
    /// To be sent once the function is out of the OS's hands.
    Owed,
    /// To be sent now.
    Due,
    /// Sent.
    Sent,
}

/// How a power request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PowerOutcome {
    /// The id of its ticket.
    pub ticket: u64,
    /// Whether D0 was asked for.
    pub on: bool,
    /// Whether the host did it.
    pub ok: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Child {
    pub description: FunctionDescription,
    /// The answer to QUERY_RESOURCE_REQUIREMENTS.
    pub probed: Option<ProbedBars>,
    /// Its BARs have addresses in the pool (or it has none).
    pub placed: bool,
    pub assigned: Assigned,
    /// A request that maps was sent and what the host did is not known: its range is quarantined when it goes.
    pub unknown_map: bool,
    /// The config half has it.
    pub attached: bool,
    pub shown: Shown,
    /// It cannot be used; reported. It stays in the table so that the host's list does not bring it back.
    pub failed: bool,
    pub leaving: Option<Leaving>,
    /// Nothing of it is left anywhere but in this table.
    pub settled: bool,
    /// The bus is brought down while it is not in D0: there is no config window.
    pub out_of_reach: bool,
    /// The config half knows that the function does not answer any more.
    pub gone_told: bool,
    /// Drivers were told that requests about it end.
    pub silenced: bool,
    pub released: Notice,
    pub eject_complete: Notice,
    /// When the OS must have let go of it.
    pub eject_deadline: Option<Time>,
    pub prefetch: Prefetch,
    /// A power request ended and the config half has not heard of it yet.
    pub power: Option<PowerOutcome>,
    /// The host reset it.
    pub lost: bool,
    /// Config blocks that changed.
    pub invalidated: u64,
    /// Messages sent and received about it.
    pub messages: u64,
}

impl Child {
    pub fn new(description: FunctionDescription) -> Child {
        Child {
            description,
            probed: None,
            placed: false,
            assigned: Assigned::No,
            unknown_map: false,
            attached: false,
            shown: Shown::No,
            failed: false,
            leaving: None,
            settled: false,
            out_of_reach: false,
            gone_told: false,
            silenced: false,
            released: Notice::No,
            eject_complete: Notice::No,
            eject_deadline: None,
            prefetch: Prefetch::No,
            power: None,
            lost: false,
            invalidated: 0,
            messages: 0,
        }
    }

    pub fn layout(&self) -> BarLayout {
        self.probed.as_ref().map(|probed| BarLayout::from_probed(probed).0).unwrap_or_default()
    }

    /// The background map is over, or will not be heard of any more.
    pub fn end_prefetch(&mut self) {
        self.prefetch = match self.prefetch {
            Prefetch::Announced | Prefetch::Queued | Prefetch::Running(_) => Prefetch::Finished(false),
            other => other,
        };
    }

    /// Until when the background map that runs keeps the function from the OS.
    pub fn kept_until(&self) -> Option<Time> {
        match self.prefetch {
            Prefetch::Running(until) => until,
            _ => None,
        }
    }

    /// It does not answer any more, and the config half has not heard of it.
    pub fn gone_untold(&self) -> bool {
        (self.leaving == Some(Leaving::Surprise) || self.out_of_reach) && self.attached && !self.gone_told
    }

    /// On its way out, or of no use.
    pub fn retiring(&self) -> bool {
        self.failed || self.leaving.is_some()
    }

    /// Still to be brought up, or up.
    pub fn wanted(&self) -> bool {
        !self.retiring()
    }
}
