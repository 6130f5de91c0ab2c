//! What the engine must know before the first event: choices of the recorded guest that only its messages show.

use hvpci_core::decode::GuestStyle;
use hvpci_core::interrupt::Architecture;
use hvpci_core::wire::{AssignedForm, CreateForm, GuestMessage, MmioDescriptor, Version};

use super::super::event::{ChannelId, Direction, EventKind, Packet, Section};

/// Where the window goes when the recording does not tell.
const SOME_WINDOW: u64 = 0xF800_0000;
/// The highest vector that x86 has.
const LAST_X86_VECTOR: u32 = 255;

/// The message, if the packet is one of the guest's and no completion.
pub(super) fn request(packet: &Packet) -> Option<GuestMessage<'_>> {
    let from_guest = packet.direction == Direction::GuestToHost && !packet.descriptor.is_completion();
    GuestMessage::parse(&packet.payload).ok().filter(|_| from_guest)
}

/// What one channel of a section shows of its guest.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) style: GuestStyle,
    pub(super) architecture: Architecture,
    pub(super) highest: Version,
    pub(super) lowest: Version,
    /// Versions asked for, with the events.
    tried: Vec<(usize, Version)>,
    /// Config windows asked for, with the events.
    windows: Vec<(usize, u64)>,
    /// Events at which the channel was opened or closed.
    borders: Vec<usize>,
}

impl Facts {
    pub(super) fn of(section: &Section, channel: ChannelId) -> Facts {
        let mut facts = Facts {
            style: GuestStyle::ConfigSpace,
            architecture: Architecture::X86,
            highest: Version::V1_4,
            lowest: Version::V1_1,
            tried: Vec::new(),
            windows: Vec::new(),
            borders: Vec::new(),
        };
        // What a recording that starts after the negotiation shows of its outcome.
        let mut spoken = None;
        let (mut listed, mut list_asked, mut powered) = (false, false, false);
        for (index, event) in section.events_of(channel) {
            let packet = match &event.kind {
                EventKind::Packet(packet) => packet,
                EventKind::ChannelOpen(_) | EventKind::ChannelClose(_) => {
                    facts.borders.push(index);
                    continue;
                }
                _ => continue,
            };
            match request(packet) {
                Some(GuestMessage::QueryProtocolVersion { version }) => facts.tried.push((index, version)),
                Some(GuestMessage::D0Entry { window }) => {
                    // A guest that has its list before D0 entry speaks config space (`reference/protocol.md` section 6).
                    powered |= !facts.tried.is_empty() && !list_asked && !listed;
                    facts.windows.push((index, window));
                }
                Some(GuestMessage::QueryBusRelations) => list_asked = true,
                Some(GuestMessage::ResourcesAssigned { form, bars, .. }) => {
                    powered |= bars != MmioDescriptor::NONE;
                    let version = if form == AssignedForm::V1 { Version::V1_1 } else { Version::V1_2 };
                    spoken = spoken.max(Some(version));
                }
                Some(GuestMessage::PowerStateChange { .. }) => powered = true,
                Some(GuestMessage::CreateInterrupt { form, vector, .. }) => {
                    if vector > LAST_X86_VECTOR {
                        facts.architecture = Architecture::Arm64;
                    }
                    let version = match form {
                        CreateForm::V1 => Version::V1_1,
                        CreateForm::V2 => Version::V1_2,
                        CreateForm::V3 => Version::V1_4,
                    };
                    spoken = spoken.max(Some(version));
                }
                _ if packet.direction == Direction::HostToGuest && !packet.descriptor.is_completion() => listed = true,
                _ => {}
            }
        }
        if powered {
            facts.style = GuestStyle::Messages;
        }
        let tried = || facts.tried.iter().map(|(_, version)| *version).filter(|version| version.is_spoken());
        if let (Some(highest), Some(lowest)) = (tried().max(), tried().min()) {
            (facts.highest, facts.lowest) = (highest, lowest);
        } else if let Some(spoken) = spoken {
            (facts.highest, facts.lowest) = (spoken, spoken);
        }
        facts
    }

    /// Whether the guest tried this version between the opening and the closing around event `index`, or the recording does
    /// not show what it tried.
    pub(super) fn tries(&self, index: usize, version: Version) -> bool {
        let first = self.borders.iter().copied().filter(|&border| border <= index).max().unwrap_or(0);
        let last = self.borders.iter().copied().find(|&border| border > index).unwrap_or(usize::MAX);
        let mut tried = self.tried.iter().filter(|(at, _)| (first..last).contains(at)).peekable();
        tried.peek().is_none() || tried.any(|(_, of)| *of == version)
    }

    /// The config window that the guest asks for from event `index` on.
    pub(super) fn window(&self, index: usize) -> u64 {
        let next = self.windows.iter().find(|(at, _)| *at >= index).or(self.windows.last());
        next.map_or(SOME_WINDOW, |(_, window)| *window)
    }
}
