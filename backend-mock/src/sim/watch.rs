//! Tells an observer of a run, in the order of virtual time, what happens to each function.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hvpci_core::decode::Policy;
use hvpci_core::{Slot, Time};

use super::platform::MockPlatform;
use crate::host::{BusId, MapReason, MapSpan};
use crate::report::{Event, EventKind, Observer, SpanKind};
use crate::scenario::Scenario;

/// Whether somebody waited for a map, or it ran in the background.
pub fn kind_of(map: &MapSpan, policy: Policy) -> SpanKind {
    match (policy, map.reason) {
        (Policy::Prefetch, MapReason::Power) => SpanKind::Prefetch,
        _ => SpanKind::Map,
    }
}

/// Turns the host's timeline and the functions' progress into events.
pub struct Watch {
    platforms: Vec<Arc<MockPlatform>>,
    /// The scenario's number of each function.
    numbers: BTreeMap<(BusId, Slot), u32>,
    policy: Policy,
    maps_seen: usize,
    ready_seen: BTreeSet<u32>,
    pending: BTreeMap<(Time, u64), Event>,
    next: u64,
}

impl Watch {
    /// Watches the buses of one run.
    pub fn new(platforms: &[Arc<MockPlatform>], scenario: &Scenario, policy: Policy) -> Watch {
        let mut numbers = BTreeMap::new();
        for (platform, plan) in platforms.iter().zip(scenario.buses()) {
            for n in 0..plan.functions {
                if let Some(slot) = Slot::from_wire(n) {
                    numbers.insert((platform.id, slot), plan.first_function + n);
                }
            }
        }
        let mut watch = Watch {
            platforms: platforms.to_vec(),
            numbers,
            policy,
            maps_seen: 0,
            ready_seen: BTreeSet::new(),
            pending: BTreeMap::new(),
            next: 0,
        };
        let all: Vec<u32> = watch.numbers.values().copied().collect();
        for function in all {
            watch.push(Time::ZERO, function, EventKind::Started(SpanKind::BringUp, std::time::Duration::ZERO));
        }
        watch
    }

    /// The clock is about to show `now`: tells of everything up to then.
    pub fn advance(&mut self, now: Time, observer: &mut dyn Observer) {
        self.look();
        while let Some(entry) = self.pending.first_entry().filter(|e| e.key().0 <= now) {
            let event = entry.remove();
            observer.advance(event.at);
            observer.event(&event);
        }
        observer.advance(now);
    }

    /// The run is over: tells of what is left.
    pub fn finish(&mut self, observer: &mut dyn Observer) {
        self.look();
        for event in std::mem::take(&mut self.pending).into_values() {
            observer.advance(event.at);
            observer.event(&event);
        }
    }

    /// Finds what is new.
    fn look(&mut self) {
        let Some(first) = self.platforms.first() else { return };
        let maps = first.vm.host().timeline().get(self.maps_seen..).unwrap_or_default().to_vec();
        self.maps_seen += maps.len();
        for map in maps {
            let Some(&function) = self.numbers.get(&(map.bus, map.slot)) else { continue };
            let kind = kind_of(&map, self.policy);
            self.push(map.start, function, EventKind::Started(kind, map.end.since(map.start)));
            self.push(map.end, function, EventKind::Ended(kind));
        }
        for platform in self.platforms.clone() {
            for (slot, progress) in platform.progress() {
                let Some(&function) = self.numbers.get(&(platform.id, slot)) else { continue };
                if self.ready_seen.insert(function) {
                    match progress.ready {
                        Some(at) => self.push(at, function, EventKind::Ready),
                        None => self.push(progress.ended, function, EventKind::Failed),
                    }
                }
            }
        }
    }

    fn push(&mut self, at: Time, function: u32, kind: EventKind) {
        self.pending.insert((at, self.next), Event { at, function, kind });
        self.next += 1;
    }
}
