//! The VMBus channel of one bus.

use alloc::vec::Vec;

use hvpci_core::Time;
use hvpci_core::backend::{PacketPort, Platform, SendError};
use hvpci_core::bus::{Packet, PacketKind, Transmit};
use hvpci_core::driver;
use hvpci_core::wire::MAX_PAYLOAD_LENGTH;
use wdk_sys::{GUID, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES};

use crate::bus::{Parts, WindowsBus};
use crate::sys::buffer::Input;
use crate::sys::channel::{self, ChannelOptions, Client, NotSent};
use crate::sys::lock::SpinLock;
use crate::sys::{Shared, nt};

/// The channel of KMCL.
pub type Line = Shared<channel::Channel<Parts>>;

/// Requests the engine has outstanding at most, and as many messages that nobody answers.
const PACKETS: usize = 128;
/// The pages of each ring. Messages are small and few.
const RING_PAGES: u32 = 4;

/// {44C4F61D-4444-4400-9D52-802E27EDE19F}
static VPCI_CLASS: GUID =
    GUID { Data1: 0x44C4_F61D, Data2: 0x4444, Data3: 0x4400, Data4: [0x9D, 0x52, 0x80, 0x2E, 0x27, 0xED, 0xE1, 0x9F] };

/// The channel, reached with the engine lock held.
pub struct Channel {
    line: Line,
    open: bool,
    /// Since when KMCL takes no packet.
    stuck: Option<Time>,
}

/// Where packets are copied before they are parsed: the ring belongs to the host.
pub struct Receiver(SpinLock<Vec<u8>>);

impl Receiver {
    /// Room for the longest packet.
    pub fn new() -> Result<Receiver, NTSTATUS> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(MAX_PAYLOAD_LENGTH).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        buffer.resize(MAX_PAYLOAD_LENGTH, 0);
        Ok(Receiver(SpinLock::new(buffer)?))
    }

    /// Copies a packet once and hands the copy to the engine. At most DISPATCH_LEVEL.
    fn deliver(&self, bus: &WindowsBus, kind: PacketKind, transaction_id: u64, packet: &Input<'_>) {
        self.0.with(|copy| {
            // A longer packet than any that makes sense is cut; the engine finds it malformed.
            let length = packet.len().min(copy.len());
            let Some(copy) = copy.get_mut(..length) else { return };
            if packet.copy(0, copy) {
                driver::packet_arrived(bus, Packet { kind, transaction_id, payload: copy });
            }
        });
    }
}

/// Allocates the channel of a bus and everything it needs. PASSIVE_LEVEL.
pub fn allocate(bus: &WindowsBus) -> Result<Channel, NTSTATUS> {
    let longest = u32::try_from(MAX_PAYLOAD_LENGTH).unwrap_or(u32::MAX);
    let options = ChannelOptions { class: &VPCI_CLASS, longest, ring_pages: RING_PAGES, packets: PACKETS };
    Ok(Channel { line: channel::Channel::allocate(bus, &options)?, open: false, stuck: None })
}

impl Channel {
    /// What is enabled and disabled, without the engine lock.
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// Notes whether packets can be sent.
    pub fn set_open(&mut self, open: bool) {
        self.stuck = None;
        self.open = open;
    }

    /// Whether the channel was opened and not closed, by us or by the host.
    pub fn is_open(&self) -> bool {
        self.open
    }
}

/// [`PacketPort`] for a channel of a bus.
pub struct Port<'a> {
    /// The bus.
    pub bus: &'a WindowsBus,
    /// Its channel.
    pub channel: &'a mut Channel,
}

impl PacketPort for Port<'_> {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        let Port { bus, channel } = self;
        if !channel.open {
            return Err(SendError::Closed);
        }
        match channel.line.send(packet.transaction_id, packet.wants_completion, payload) {
            Ok(()) => {
                channel.stuck = None;
                Ok(())
            }
            Err(NotSent::Closed) => Err(SendError::Closed),
            Err(NotSent::AllUnderWay) => Err(SendError::Busy),
            Err(NotSent::NoRoom) => {
                // Not every message has a deadline: the channel's first in line has that of a request.
                let since = *channel.stuck.get_or_insert_with(nt::now);
                if nt::now() >= since.after(bus.settings.request_timeout) {
                    return Err(SendError::Closed);
                }
                // Nothing else may be under way whose end would wake the pump.
                bus.retry_later();
                Err(SendError::Busy)
            }
        }
    }
}

impl Client for Parts {
    fn received(bus: &WindowsBus, message: &Input<'_>) {
        #[cfg(feature = "seed-panic")]
        assert!(message.len() == usize::MAX, "seeded");
        #[cfg(feature = "seed-irql")]
        bus.flush();
        bus.receiver.deliver(bus, PacketKind::InBand, 0, message);
    }

    fn answered(bus: &WindowsBus, transaction: u64, answer: &Input<'_>) {
        bus.receiver.deliver(bus, PacketKind::Completion, transaction, answer);
    }

    /// A packet that found none free is tried again by the pump.
    fn packet_free(bus: &WindowsBus) {
        bus.wake();
    }

    /// Who finds the channel open under the engine lock has closed it: that may be who is about to disable it.
    fn closed(bus: &WindowsBus) {
        let was_open = bus.engine.with(|engine| {
            let channel = engine.channel.as_mut().filter(|channel| channel.is_open());
            channel.map(|channel| channel.set_open(false)).is_some()
        });
        if was_open {
            driver::channel_rescinded(bus);
        }
    }
}
