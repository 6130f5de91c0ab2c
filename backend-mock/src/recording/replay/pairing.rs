//! Which recorded completion answers which recorded request.

use std::collections::{BTreeMap, BTreeSet};

use hvpci_core::wire::{GuestMessage, HostMessage, MessageType};

use super::super::event::{ChannelId, Direction, EventKind, Packet, Section};
use super::replies::check_reply;

/// Requests that wait for completions at once; more of them were never answered.
const MAX_OUTSTANDING: usize = 1024;

/// The packets of one channel, paired. Events are named by their index in the section.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// By completion: its request.
    pub(super) request_of: BTreeMap<usize, usize>,
    /// Requests that were answered.
    pub(super) answered: BTreeSet<usize>,
    /// Completions that do not parse as answers to their requests.
    pub(super) unreadable: BTreeSet<usize>,
    /// What is wrong with the packets themselves, or with how they pair.
    pub(super) faults: Vec<(usize, String)>,
}

#[derive(Debug)]
struct Open {
    index: usize,
    id: u64,
    request: MessageType,
    /// The bytes that a READ_BLOCK asked for.
    bytes: u32,
}

impl Pairing {
    /// Pairs the packets of a channel.
    ///
    /// Transaction ids repeat in recordings. Of several open requests with one id the oldest is answered first, unless
    /// fewer completions with that id follow than requests are open before the id is used again: then the older ones
    /// were never answered.
    pub(super) fn of(section: &Section, channel: ChannelId) -> Pairing {
        let mut pairing = Pairing::default();
        let mut open: Vec<Open> = Vec::new();
        let mut ids_seen = BTreeSet::new();
        let mut opened = false;
        let events: Vec<_> = section.events_of(channel).collect();
        for (at, (index, event)) in events.iter().enumerate() {
            let index = *index;
            let packet = match &event.kind {
                EventKind::Packet(packet) => packet,
                EventKind::ChannelOpen(_) | EventKind::ChannelClose(_) => {
                    opened |= matches!(event.kind, EventKind::ChannelOpen(_));
                    pairing.never_answered(open.drain(..), true);
                    continue;
                }
                _ => continue,
            };
            let id = packet.descriptor.transaction_id;
            match (packet.direction, packet.descriptor.is_completion()) {
                (Direction::HostToGuest, true) => {
                    let rest = events.iter().skip(at).map(|(_, event)| &event.kind);
                    let Some(chosen) = choose(&open, id, packet, || run(rest, id)) else {
                        // A recording that starts in the middle has answers to requests from before its start.
                        if opened || ids_seen.contains(&id) {
                            let text = format!("a completion of transaction {id:#x}, which is not open");
                            pairing.faults.push((index, text));
                        }
                        continue;
                    };
                    let request = open.remove(chosen);
                    pairing.request_of.insert(index, request.index);
                    pairing.answered.insert(request.index);
                    if let Err(error) = check_reply(request.request, request.bytes, &packet.payload) {
                        pairing.unreadable.insert(index);
                        pairing
                            .faults
                            .push((index, format!("the answer to {} does not parse: {error}", request.request)));
                    }
                }
                (Direction::HostToGuest, false) => pairing.in_band(index, packet),
                (Direction::GuestToHost, true) => {}
                (Direction::GuestToHost, false) => {
                    ids_seen.insert(id);
                    if let Some(request) = pairing.request(index, packet) {
                        if open.len() == MAX_OUTSTANDING {
                            open.remove(0);
                        }
                        open.push(request);
                    }
                }
            }
        }
        pairing.never_answered(open.into_iter(), false);
        pairing
    }

    fn in_band(&mut self, index: usize, packet: &Packet) {
        let fault = match HostMessage::parse(&packet.payload) {
            Ok(HostMessage::Unknown { message_type, .. }) => {
                format!("a message of the host of no known kind: {message_type}")
            }
            Ok(_) => return,
            Err(error) => format!("the host's message does not parse: {error}"),
        };
        self.faults.push((index, fault));
    }

    /// The request in a packet, if it is to be answered.
    fn request(&mut self, index: usize, packet: &Packet) -> Option<Open> {
        let request = MessageType::parse(&packet.payload);
        let message = GuestMessage::parse(&packet.payload);
        match (&message, &request) {
            (Err(error), _) => self.faults.push((index, format!("the guest's message does not parse: {error}"))),
            (Ok(GuestMessage::Unknown { message_type, .. }), _) => {
                self.faults.push((index, format!("a request of no known kind: {message_type}")));
            }
            _ => {}
        }
        let bytes = if let Ok(GuestMessage::ReadBlock { bytes, .. }) = message { bytes } else { 0 };
        let request = request.ok().filter(|_| packet.descriptor.wants_completion())?;
        Some(Open { index, id: packet.descriptor.transaction_id, request, bytes })
    }

    /// The requests that are open when the channel is closed or the recording ends. Where it simply ends, those after the
    /// last answered request were cut off, which is no fault.
    fn never_answered(&mut self, open: impl Iterator<Item = Open>, closed: bool) {
        let last = self.answered.last().copied();
        for request in open {
            if closed || last.is_some_and(|last| last > request.index) {
                self.faults.push((request.index, format!("{} was never answered", request.request)));
            }
        }
    }
}

/// The open request that a completion answers.
fn choose(open: &[Open], id: u64, packet: &Packet, run: impl FnOnce() -> usize) -> Option<usize> {
    let candidates: Vec<usize> = (0..open.len()).filter(|&at| open[at].id == id).collect();
    let fitting = |at: &usize| check_reply(open[*at].request, open[*at].bytes, &packet.payload).is_ok();
    match candidates.as_slice() {
        [] => None,
        [only] => Some(*only),
        several => {
            let skipped = several.len().saturating_sub(run());
            let likely = &several[skipped.min(several.len() - 1)..];
            likely.iter().chain(several).copied().find(fitting).or(likely.first().copied())
        }
    }
}

/// How many completions with an id follow before it is used again or the channel is closed.
fn run<'a>(events: impl Iterator<Item = &'a EventKind>, id: u64) -> usize {
    let mut run = 0;
    for event in events {
        match event {
            EventKind::ChannelOpen(_) | EventKind::ChannelClose(_) => break,
            EventKind::Packet(packet) if packet.descriptor.transaction_id == id => {
                match (packet.direction, packet.descriptor.is_completion()) {
                    (Direction::HostToGuest, true) => run += 1,
                    (Direction::GuestToHost, false) if packet.descriptor.wants_completion() => break,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    run
}
