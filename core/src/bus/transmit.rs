//! Packets to the host.

use crate::backend::{PacketPort, SendError};
use crate::config::BarLayout;
use crate::decode::GuestStyle;
use crate::wire::{GUEST_MESSAGE_BUFFER, GuestMessage, MmioDescriptor, MsiResources, PowerState};
use crate::{Slot, Time};

use super::child::{Notice, Prefetch};
use super::outstanding::{Waiter, Work};
use super::status::count;
use super::{Bus, BusError, Request, Transmit};

/// What is next in line.
enum Due {
    Entry(u64),
    Delete(usize, Slot, crate::wire::MsiEntry),
    Release(Slot),
    EjectComplete(Slot),
}

impl Bus {
    /// Sends all that is due. Any context; allocates nothing. What a full ring does not take stays in line: call again
    /// when the host has made room.
    ///
    /// Requests go in the order in which they came, the engine's among those of callers; then what needs no answer:
    /// DELETE_INTERRUPT, RESOURCES_RELEASED (the highest slot first), EJECTION_COMPLETE.
    ///
    /// Returns whether anything moved, so that pump and publisher have to look again: a function may be shown only once
    /// its background map is done or has been waited for long enough, and leaves only once the host was told.
    pub fn transmit(&mut self, now: Time, port: &mut dyn PacketPort) -> bool {
        let before = core::mem::take(&mut self.stirred);
        self.send_due(now, port);
        let moved = self.stirred;
        self.stirred |= before;
        moved
    }

    fn send_due(&mut self, now: Time, port: &mut dyn PacketPort) {
        // The loop ends: each turn sends a packet out of tables that only this loop's steps refill, a fixed number of
        // times per answer of the host.
        loop {
            self.advance(false);
            if !self.can_send() {
                return;
            }
            let Some(due) = self.next_due() else { return };
            if !self.send(now, port, &due) {
                return;
            }
        }
    }

    /// The first request in line. One about a function that the newest list does not have is held back until that list was
    /// worked through: its slot may have another function by now.
    pub(super) fn first_sendable(&self) -> Option<&super::outstanding::Entry> {
        self.table.unsent().find(|entry| {
            let child = entry.work().and_then(Work::slot).and_then(|slot| self.child(slot));
            !child.is_some_and(|child| self.is_unlisted(child))
        })
    }

    fn next_due(&self) -> Option<Due> {
        if let Some(entry) = self.first_sendable() {
            return Some(Due::Entry(entry.id));
        }
        if let Some((at, slot, entry)) = self.dying_interrupt() {
            return Some(Due::Delete(at, slot, entry));
        }
        let slot_where = |notice: fn(&super::child::Child) -> Notice| {
            self.children.iter().rev().find(|c| notice(c) == Notice::Due).map(|c| c.description.slot)
        };
        slot_where(|c| c.released)
            .map(Due::Release)
            .or_else(|| slot_where(|c| c.eject_complete).map(Due::EjectComplete))
    }

    /// Sends one packet; `false` when the ring took nothing.
    fn send(&mut self, now: Time, port: &mut dyn PacketPort, due: &Due) -> bool {
        let mut buf = [0u8; GUEST_MESSAGE_BUFFER];
        let Some((length, slot)) = self.encode(due, &mut buf) else {
            // What cannot be put into bytes was checked when it was submitted; dropping it keeps the line moving.
            self.drop_unsendable(now, due);
            return true;
        };
        let transmit = match due {
            Due::Entry(id) => self.start_clock(now, *id),
            _ => Transmit { transaction_id: 0, wants_completion: false },
        };
        match port.send(&transmit, buf.get(..length).unwrap_or_default()) {
            Ok(()) => {
                count(&mut self.counters.sent);
                self.stirred = true;
                self.count_message(slot);
                self.sent(now, due);
                true
            }
            Err(SendError::Busy) => {
                count(&mut self.counters.ring_full);
                false
            }
            Err(SendError::Closed) => {
                // The way down begins here, and the pump has to look again.
                self.stirred = true;
                self.mute = true;
                self.fail(BusError::ChannelClosed);
                false
            }
        }
    }

    /// The first attempt to send a request starts its deadline.
    fn start_clock(&mut self, now: Time, id: u64) -> Transmit {
        let deadlines = self.options.deadlines;
        let Some(entry) = self.table.get_mut(id) else {
            return Transmit { transaction_id: 0, wants_completion: false };
        };
        let wait = match entry.work() {
            Some(Work::QueryRelations) => {
                // The answer is a message of its own.
                self.listed.deadline.get_or_insert(now.after(deadlines.relations));
                return Transmit { transaction_id: 0, wants_completion: false };
            }
            Some(Work::D0Exit) => deadlines.d0_exit,
            // It keeps its function from the OS no longer in line than it may when it is under way.
            Some(Work::Prefetch(_)) => deadlines.prefetch,
            Some(Work::User(Request::PowerState { state: PowerState::D0, .. })) => deadlines.map,
            _ => deadlines.request,
        };
        entry.deadline.get_or_insert(now.after(wait));
        Transmit { transaction_id: id, wants_completion: true }
    }

    fn sent(&mut self, now: Time, due: &Due) {
        match *due {
            Due::Entry(id) => {
                let Some(entry) = self.table.get_mut(id) else { return };
                entry.sent = true;
                match entry.work() {
                    Some(Work::Prefetch(slot)) => {
                        let slot = *slot;
                        entry.deadline = Some(now.after(self.options.deadlines.map));
                        let until = now.after(self.options.deadlines.prefetch);
                        if let Some(child) = self.child_mut(slot) {
                            child.prefetch = Prefetch::Running(Some(until));
                        }
                    }
                    Some(Work::QueryRelations) => {
                        self.table.remove(id);
                    }
                    _ => {}
                }
            }
            Due::Delete(at, ..) => {
                self.interrupts.remove(at);
            }
            Due::Release(slot) => {
                if let Some(child) = self.child_mut(slot) {
                    child.released = Notice::Sent;
                }
                self.release_sent(slot);
            }
            Due::EjectComplete(slot) => {
                if let Some(child) = self.child_mut(slot) {
                    child.eject_complete = Notice::Sent;
                }
            }
        }
    }

    fn drop_unsendable(&mut self, now: Time, due: &Due) {
        match *due {
            Due::Entry(id) => match self.table.get_mut(id) {
                Some(entry) if entry.waiter == Waiter::Caller => {
                    entry.body = super::outstanding::Body::Answer(Err(super::RequestError::Closed));
                }
                _ => {
                    self.table.remove(id);
                }
            },
            _ => self.sent(now, due),
        }
    }

    /// Writes the packet; gives its length and the function it is about.
    fn encode(&self, due: &Due, buf: &mut [u8]) -> Option<(usize, Option<Slot>)> {
        match *due {
            Due::Entry(id) => {
                let work = self.table.iter().find(|entry| entry.id == id)?.work()?;
                Some((self.encode_work(work, buf)?, work.slot()))
            }
            Due::Delete(_, slot, entry) => put(&GuestMessage::DeleteInterrupt { slot, entry }, buf, slot),
            Due::Release(slot) => put(&GuestMessage::ResourcesReleased { slot }, buf, slot),
            Due::EjectComplete(slot) => put(&GuestMessage::EjectionComplete { slot }, buf, slot),
        }
    }

    fn encode_work(&self, work: &Work, buf: &mut [u8]) -> Option<usize> {
        match work {
            Work::QueryVersion(version) => GuestMessage::QueryProtocolVersion { version: *version }.encode(buf).ok(),
            Work::QueryRelations => GuestMessage::QueryBusRelations.encode(buf).ok(),
            Work::D0Entry => GuestMessage::D0Entry { window: self.config_window? }.encode(buf).ok(),
            Work::D0Exit => GuestMessage::D0Exit.encode(buf).ok(),
            Work::Requirements(slot) => GuestMessage::QueryResourceRequirements { slot: *slot }.encode(buf).ok(),
            Work::Assign(slot) => self.encode_assign(*slot, &self.pool.addresses(*slot), buf),
            Work::Prefetch(slot) => encode_power(*slot, PowerState::D0, buf),
            Work::Recreate(_, request) => self.encode_create(request, buf),
            Work::User(request) => self.encode_request(request, buf),
        }
    }

    fn encode_request(&self, request: &Request, buf: &mut [u8]) -> Option<usize> {
        let message = match request {
            Request::CreateInterrupt(request) => return self.encode_create(request, buf),
            Request::AssignResources { slot, bars } => return self.encode_assign(*slot, bars, buf),
            Request::PowerState { slot, state } => return encode_power(*slot, *state, buf),
            Request::DeleteInterrupt { slot, entry } => GuestMessage::DeleteInterrupt { slot: *slot, entry: *entry },
            Request::ReadBlock { slot, block, bytes } => {
                GuestMessage::ReadBlock { slot: *slot, block: *block, bytes: u32::from(*bytes) }
            }
            Request::WriteBlock { slot, block, data } => GuestMessage::WriteBlock { slot: *slot, block: *block, data },
            Request::ResetDevice { slot } => GuestMessage::ResetDevice { slot: *slot },
            Request::GetResources { slot } => GuestMessage::GetResources { slot: *slot },
        };
        message.encode(buf).ok()
    }

    /// Message style names the BARs; config-space style leaves all descriptors null, which is mandatory all the same
    /// (`reference/protocol.md` section 5).
    fn encode_assign(&self, slot: Slot, addresses: &[Option<u64>; 6], buf: &mut [u8]) -> Option<usize> {
        let form = self.version?.assigned_form();
        let mut bars = MmioDescriptor::NONE;
        if self.options.style == GuestStyle::Messages {
            let layout: BarLayout = self.child(slot)?.layout();
            for bar in layout.iter() {
                let at = usize::from(bar.index);
                if let (Some(descriptor), Some(Some(address))) = (bars.get_mut(at), addresses.get(at)) {
                    *descriptor = MmioDescriptor::Memory { address: *address, length: bar.size };
                }
            }
        }
        GuestMessage::ResourcesAssigned { form, slot, bars, messages: MsiResources::NONE }.encode(buf).ok()
    }

    fn encode_create(&self, request: &crate::interrupt::InterruptRequest, buf: &mut [u8]) -> Option<usize> {
        let message = request.to_create(self.options.architecture, self.version?).ok()?;
        message.encode(buf).ok()
    }
}

fn put(message: &GuestMessage<'_>, buf: &mut [u8], slot: Slot) -> Option<(usize, Option<Slot>)> {
    message.encode(buf).ok().map(|length| (length, Some(slot)))
}

fn encode_power(slot: Slot, state: PowerState, buf: &mut [u8]) -> Option<usize> {
    GuestMessage::PowerStateChange { slot, state }.encode(buf).ok()
}
