//! The map queue: who maps when, on how many lanes.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use hvpci_core::{Slot, Time};

use super::BusId;

/// What made the host map a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapReason {
    /// A write of COMMAND.Memory = 1; the writing VP is held until the map is done.
    ConfigWrite,
    /// POWER_STATE_CHANGE(D0); the completion comes when the map is done.
    Power,
}

/// One map: from the moment a lane took it up to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpan {
    /// The bus of the function.
    pub bus: BusId,
    /// The function.
    pub slot: Slot,
    /// When the guest asked for it; the time to `start` was spent waiting for a lane.
    pub asked: Time,
    /// When the host began.
    pub start: Time,
    /// When it was done.
    pub end: Time,
    /// What asked for it.
    pub reason: MapReason,
}

/// The lanes and what they have done.
#[derive(Clone, Debug)]
pub(super) struct Mapper {
    free_at: Vec<Time>,
    spans: Vec<MapSpan>,
}

impl Mapper {
    pub(super) fn new(parallel: u32) -> Mapper {
        Mapper { free_at: vec![Time::ZERO; usize::try_from(parallel.clamp(1, 4096)).unwrap_or(1)], spans: Vec::new() }
    }

    /// Queues a map for the lane that is free first. Returns when it will be done.
    pub(super) fn map(&mut self, bus: BusId, slot: Slot, now: Time, takes: Duration, reason: MapReason) -> Time {
        let Some(lane) = self.free_at.iter_mut().min_by_key(|free_at| **free_at) else { return now };
        let start = now.max(*lane);
        let end = start.after(takes);
        *lane = end;
        self.spans.push(MapSpan { bus, slot, asked: now, start, end, reason });
        end
    }

    pub(super) fn spans(&self) -> &[MapSpan] {
        &self.spans
    }
}
