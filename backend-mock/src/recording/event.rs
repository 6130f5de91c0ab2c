//! What a recording holds.

use std::fmt;
use std::time::Duration;

use hvpci_core::InstanceId;
use hvpci_core::backend::Width;

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file, as it was named.
    pub file: String,
    /// Its sections, in order. Each is a VM of its own.
    pub sections: Vec<Section>,
}

/// One run of one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name after `######## section`; the stem of the file name for events before any such line.
    pub name: String,
    /// The events, in the order of the file. Their indexes are what [`super::ReplayDevice::advance_to`] takes.
    pub events: Vec<Event>,
}

impl Section {
    /// The channels that occur, in the order of their first event.
    pub fn channels(&self) -> Vec<ChannelId> {
        let mut channels = Vec::new();
        for channel in self.events.iter().filter_map(|event| event.kind.channel()) {
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        channels
    }

    /// The events of one channel, with their indexes in the section.
    pub fn events_of(&self, channel: ChannelId) -> impl Iterator<Item = (usize, &Event)> {
        self.events.iter().enumerate().filter(move |(_, event)| event.kind.channel() == Some(channel))
    }
}

/// A channel as the trace's third column names it: the first dword of the instance GUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// One line of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The line of the file, counted from 1.
    pub line: usize,
    /// The line number that the trace itself prints in its first column.
    pub number: u64,
    /// Time since the first traced event.
    pub time: Duration,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The guest opened the channel.
    ChannelOpen(InstanceId),
    /// The guest closed the channel.
    ChannelClose(InstanceId),
    /// A ring packet.
    Packet(Packet),
    /// A write to the slot selector.
    Select {
        /// Whose window.
        channel: ChannelId,
        /// The value written, a `wslot`.
        value: u32,
    },
    /// A read of the selected function's config page.
    ConfigRead(ConfigRead),
    /// A write to the selected function's config page.
    ConfigWrite(ConfigWrite),
    /// The host put the config window where D0ENTRY asked for it. The trace does not say whose.
    HostConfigMapped {
        /// Guest-physical address.
        gpa: u64,
    },
    /// The host took a config window away. The trace does not say whose.
    HostConfigUnmapped,
    /// The host wrote the BARs by itself.
    HostSetBars {
        /// On whose behalf.
        channel: ChannelId,
        /// The six registers.
        bars: [u32; 6],
    },
    /// The host set or cleared memory decode by itself.
    HostSetPower {
        /// On whose behalf.
        channel: ChannelId,
        /// Whether decode is on from here.
        memory: bool,
    },
    /// The interrupt-retarget hypercall.
    RetargetHypercall(Retarget),
    /// The hypercall page was laid over guest memory.
    HypercallPage {
        /// Guest-physical address.
        gpa: u64,
    },
    /// Anything else: kept, and of no consequence.
    Other {
        /// The channel column, where there is one.
        channel: Option<ChannelId>,
        /// The rest of the line.
        text: String,
    },
}

impl EventKind {
    /// Whose event it is, where the trace tells.
    pub fn channel(&self) -> Option<ChannelId> {
        match self {
            EventKind::ChannelOpen(id) | EventKind::ChannelClose(id) => Some(ChannelId(id.first_dword())),
            EventKind::Packet(packet) => Some(packet.channel),
            EventKind::ConfigRead(read) => Some(read.channel),
            EventKind::ConfigWrite(write) => Some(write.channel),
            EventKind::Select { channel, .. }
            | EventKind::HostSetBars { channel, .. }
            | EventKind::HostSetPower { channel, .. } => Some(*channel),
            EventKind::Other { channel, .. } => *channel,
            EventKind::HostConfigMapped { .. }
            | EventKind::HostConfigUnmapped
            | EventKind::RetargetHypercall(_)
            | EventKind::HypercallPage { .. } => None,
        }
    }
}

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the guest (VSC) to the host (VSP).
    GuestToHost,
    /// From the host to the guest.
    HostToGuest,
}

/// The fields of a packet's VMBus descriptor that a trace prints for both directions (`reference/protocol.md` section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// 6 = in-band data, 11 = completion.
    pub packet_type: u16,
    /// Bit 0: a completion is requested.
    pub flags: u16,
    /// The transaction id.
    pub transaction_id: u64,
}

impl Descriptor {
    /// In-band data.
    pub const IN_BAND: u16 = 6;
    /// A completion.
    pub const COMPLETION: u16 = 11;

    /// Whether the packet is a completion.
    pub fn is_completion(&self) -> bool {
        self.packet_type == Descriptor::COMPLETION
    }

    /// Whether the sender wants a completion.
    pub fn wants_completion(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// One ring packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// On which channel.
    pub channel: ChannelId,
    /// Which way.
    pub direction: Direction,
    /// From its descriptor.
    pub descriptor: Descriptor,
    /// The message's name as the trace prints it. Not relied upon: the payload tells.
    pub name: String,
    /// The payload; from the guest including the ring's padding to 8 bytes, from the host without.
    pub payload: Vec<u8>,
}

impl Packet {
    /// The u32 at `offset` of the payload, if the payload reaches that far.
    pub fn u32_at(&self, offset: usize) -> Option<u32> {
        let bytes = self.payload.get(offset..offset.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The slot that a request names whose processing makes the host write that function's BARs or decode by itself:
    /// RESOURCES_ASSIGNED in its three forms, RESOURCES_RELEASED, POWER_STATE_CHANGE (`reference/protocol.md` section 5).
    /// `HOST` lines name the channel only; those that follow such a request are about this slot.
    pub fn concerned_slot(&self) -> Option<u32> {
        let in_band = self.direction == Direction::GuestToHost && !self.descriptor.is_completion();
        match self.u32_at(0).filter(|_| in_band)? {
            0x4249_0010 | 0x4249_0016 | 0x4249_001A | 0x4249_0011 | 0x4249_0004 => self.u32_at(4),
            _ => None,
        }
    }
}

/// A read of a config page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigRead {
    /// Through whose window.
    pub channel: ChannelId,
    /// Offset in the config page, 0 to 4095. Not necessarily aligned.
    pub offset: u16,
    /// Width.
    pub width: Width,
    /// The value the host returned.
    pub value: u32,
}

/// A write to a config page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigWrite {
    /// Through whose window.
    pub channel: ChannelId,
    /// Offset in the config page, 0 to 4095. Not necessarily aligned.
    pub offset: u16,
    /// Width.
    pub width: Width,
    /// The value the guest wrote.
    pub value: u32,
    /// What the trace says of a write that reaches the COMMAND register.
    pub note: Option<CommandNote>,
}

/// What the trace says of a write that reaches the COMMAND register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandNote {
    /// COMMAND as the device held it before the write.
    pub device_had: u16,
    /// Memory decode before and after the write.
    pub transition: Option<(bool, bool)>,
}

/// The arguments of an interrupt-retarget hypercall (`reference/protocol.md` section 9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Retarget {
    /// The logical device id.
    pub device_id: u64,
    /// The MSI address.
    pub address: u64,
    /// The MSI data.
    pub data: u32,
    /// The vector the guest wants.
    pub vector: u32,
    /// The VPs it may go to.
    pub vps: Vec<u32>,
    /// What the host answered, as printed after `->`.
    pub result: Option<String>,
}
