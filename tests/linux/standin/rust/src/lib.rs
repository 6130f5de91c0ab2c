//! The mock host behind a C interface. The C side owns one lock and takes it around every call; time comes in with the call.
#![no_std]
extern crate alloc;

mod armed;
mod command;
mod ffi;
mod lost;
mod runtime;
mod scene;
mod seeded;
mod state;

use alloc::collections::{BTreeMap, BTreeSet};

use hvpci_core::Time;
use hvpci_mock::host::{ChannelState, FoulPacket, Host, HostPacket, Storm};

/// Bytes of a bus's config window.
const WINDOW_BYTES: u64 = 0x2000;

/// The host and what the C side cannot keep by itself.
pub struct Standin {
    host: Host,
    /// A packet that did not fit the reader's buffer, by bus: the reader comes back with a larger one.
    kept: BTreeMap<u32, HostPacket>,
    /// Buses whose kernel has died: nothing that it still does reaches the host.
    deaf: BTreeSet<u32>,
    /// MSI-X tables to be wiped.
    lost: alloc::vec::Vec<lost::Table>,
    /// What waits for a step of a bus.
    armed: BTreeMap<u32, armed::Armed>,
    /// How often such commands were run, by bus.
    struck: BTreeMap<u32, u64>,
    /// Who else writes into a bus's ring.
    storms: BTreeMap<u32, Storm>,
    /// When the host was told to offer its buses.
    started: Option<Time>,
    /// How the last interrupt that was asked for went.
    last_fire: alloc::string::String,
    fired: u64,
    not_delivered: u64,
}

impl Standin {
    /// The storm over a bus whose channel is open.
    fn storm(&mut self, bus: u32) -> Option<&mut Storm> {
        let open = self.host.channel(hvpci_mock::host::BusId(bus)) == ChannelState::Open;
        self.storms.get_mut(&bus).filter(|_| open)
    }

    /// The next packet of the storm over a bus.
    fn foul(&mut self, bus: u32, now: Time) -> Option<FoulPacket> {
        self.storm(bus)?.next(now)
    }

    /// The bus whose config window holds a guest-physical address, and the offset in it.
    fn window_at(&self, address: u64) -> Option<(hvpci_mock::host::BusId, u32)> {
        self.host.buses().filter(|bus| !self.deaf.contains(&bus.0)).find_map(|bus| {
            let offset = address.checked_sub(self.host.window_address(bus)?)?;
            (offset < WINDOW_BYTES).then(|| Some((bus, u32::try_from(offset).ok()?)))?
        })
    }
}
