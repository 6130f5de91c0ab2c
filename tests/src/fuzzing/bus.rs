//! Arbitrary packets of the host, answers of the platform and requests of drivers, in any order.

use std::collections::BTreeSet;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use hvpci_core::backend::{PacketPort, PlatformError, SendError};
use hvpci_core::bus::{
    Action, ActionDone, Bus, BusOptions, BusStatus, Packet, PacketKind, PublishAction, Request, Ticket, Transmit,
};
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::interrupt::{Architecture, InterruptRequest};
use hvpci_core::placement::{Aperture, Window};
use hvpci_core::wire::{GuestMessage, MsiEntry, PowerState, Version, VpSet};
use hvpci_core::{InstanceId, Slot, Time};

/// Rounds of pump, publisher and clock after which a stopped bus must be at its end: far more than any tear-down takes.
const ROUNDS: usize = 5000;

/// Whatever the host says and in whatever order things happen: nothing panics, nothing is sent after a rescind, what is
/// sent parses, no transaction id is used twice, what is released was reserved, and a stop comes to its end, with
/// everything given back, even if the host never answers again.
pub fn bus(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok(mut rig) = Rig::new(&mut input) else { return };
    while !input.is_empty() {
        // Running out of bytes is the ordinary end.
        if rig.step(&mut input).is_err() {
            break;
        }
        rig.transmit();
    }
    rig.end();
}

#[derive(Default)]
struct Ring {
    /// Ids of requests that wait for a completion.
    pending: Vec<u64>,
    used: BTreeSet<u64>,
    busy: bool,
    closed: bool,
    rescinded: bool,
}

impl PacketPort for Ring {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> core::result::Result<(), SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        if self.busy {
            return Err(SendError::Busy);
        }
        assert!(!self.rescinded, "sent after a rescind");
        let message = GuestMessage::parse(payload);
        assert!(matches!(message, Ok(ref message) if !matches!(message, GuestMessage::Unknown { .. })), "{message:?}");
        assert_eq!(packet.wants_completion, packet.transaction_id != 0);
        if packet.wants_completion {
            assert!(self.used.insert(packet.transaction_id), "transaction id {} again", packet.transaction_id);
            self.pending.push(packet.transaction_id);
        }
        Ok(())
    }
}

struct Rig {
    bus: Bus,
    style: GuestStyle,
    now: Time,
    ring: Ring,
    pumping: Option<Action>,
    publishing: Option<PublishAction>,
    windows: Vec<Window>,
    next_window: u64,
    config_window: bool,
    open: bool,
    attached: BTreeSet<u32>,
    published: BTreeSet<u32>,
    tickets: Vec<Ticket>,
}

impl Rig {
    fn new(input: &mut Unstructured<'_>) -> Result<Rig> {
        let style = *input.choose(&[GuestStyle::ConfigSpace, GuestStyle::Messages])?;
        let architecture = *input.choose(&[Architecture::X86, Architecture::Arm64])?;
        let mut options = BusOptions::new(style, architecture);
        options.highest = *input.choose(&Version::SPOKEN)?;
        options.max_functions = input.int_in_range(1..=3)?;
        options.outstanding = input.int_in_range(1..=4)?;
        options.policy = if input.arbitrary()? { Policy::Prefetch } else { Policy::Deferred };
        options.headroom.high = if input.arbitrary()? { 1 << 20 } else { 0 };
        let mut bus = Bus::new(InstanceId::from_bytes([7; 16]), options).expect("valid options");
        bus.reserve_interrupts(2).expect("memory");
        bus.request_start(Time::ZERO);
        Ok(Rig {
            bus,
            style,
            now: Time::ZERO,
            ring: Ring::default(),
            pumping: None,
            publishing: None,
            windows: Vec::new(),
            next_window: 0,
            config_window: false,
            open: false,
            attached: BTreeSet::new(),
            published: BTreeSet::new(),
            tickets: Vec::new(),
        })
    }

    fn transmit(&mut self) {
        self.bus.transmit(self.now, &mut self.ring);
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=31)? {
            0..=5 => self.pump(!input.ratio(1, 16)?),
            6..=7 => self.publisher(!input.ratio(1, 16)?),
            8..=13 => self.complete(input)?,
            14..=16 => self.list(input)?,
            17 => self.eject(input)?,
            18 => {
                let length = input.int_in_range(0..=64)?;
                let payload = input.bytes(length.min(input.len()))?;
                let kind = if input.arbitrary()? { PacketKind::InBand } else { PacketKind::Completion };
                self.packet(kind, input.arbitrary()?, payload);
            }
            19..=22 => self.submit(input)?,
            23 => {
                let ticket = input.choose(&self.tickets).copied();
                if let Ok(ticket) = ticket {
                    self.bus.withdraw(ticket);
                }
            }
            24 => self.tickets.retain(|ticket| self.bus.poll_reply(*ticket).is_pending()),
            25 => {
                self.now = self.now.after(Duration::from_secs(input.int_in_range(0..=70)?));
                self.bus.handle_timeout(self.now);
            }
            26 => self.ring.busy = input.arbitrary()?,
            27 => match input.int_in_range(0..=7)? {
                0 => self.bus.request_stop(self.now),
                1 => self.bus.request_suspend(self.now),
                2..=4 => self.bus.request_resume(self.now),
                _ => self.bus.request_start(self.now),
            },
            28 if input.ratio(1, 16)? => {
                self.ring.rescinded = true;
                self.bus.channel_rescinded(self.now);
            }
            29 if input.ratio(1, 8)? => self.ring.closed = true,
            30 => {
                // An answer that nobody asked for, and one that does not fit.
                let slot = Slot::from_devfn(input.arbitrary()?);
                let done = *input.choose(&[
                    ActionDone::PrefetchRefused,
                    ActionDone::ConfigWindow(Ok(7)),
                    ActionDone::Unpublished { slot },
                    ActionDone::Published { slot, result: Ok(()) },
                ])?;
                let fits = matches!(
                    (done, self.pumping, self.publishing),
                    (ActionDone::PrefetchRefused, Some(Action::PrefetchStarted { .. }), _)
                        | (ActionDone::ConfigWindow(_), Some(Action::ReserveConfigWindow), _)
                        | (ActionDone::Unpublished { .. } | ActionDone::Published { .. }, _, Some(_))
                );
                if !fits {
                    self.bus.action_done(self.now, done);
                }
            }
            _ => while self.bus.poll_report().is_some() {},
        }
        Ok(())
    }

    fn packet(&mut self, kind: PacketKind, transaction_id: u64, payload: &[u8]) {
        self.bus.handle_packet(self.now, Packet { kind, transaction_id, payload });
    }

    /// A completion: of a request that waits, mostly a success, with bytes that may or may not make sense.
    fn complete(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        if self.ring.pending.is_empty() {
            return Ok(());
        }
        let at = input.int_in_range(0..=self.ring.pending.len() - 1)?;
        let id = self.ring.pending.remove(at);
        let mut payload = vec![0u8; 160];
        match input.int_in_range(0..=15)? {
            0 => payload[..4].copy_from_slice(&0xC000_0059u32.to_le_bytes()),
            1 => payload[..4].copy_from_slice(&0xC000_0001u32.to_le_bytes()),
            2 => payload.truncate(input.int_in_range(0..=40)?),
            3 => input.fill_buffer(&mut payload)?,
            _ => {
                // As BARs: one of 64 bits and one of 32. As an interrupt: one message.
                let low = *input.choose(&[0xFFF0_000Cu32, 0xFFFF_F000, 0x0001_000C, 0xFFFF_FFF0, 0])?;
                payload[4..8].copy_from_slice(&low.to_le_bytes());
                payload[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
                payload[16..20].copy_from_slice(&1u32.to_le_bytes());
            }
        }
        self.packet(PacketKind::Completion, id, &payload);
        Ok(())
    }

    /// A list with a few functions, slots and counts right or wrong.
    fn list(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let second = input.arbitrary()?;
        let count = input.int_in_range(0..=4u32)?;
        let (message, entry) = if second { (0x4249_0019u32, 28) } else { (0x4249_0000u32, 20) };
        let mut payload = message.to_le_bytes().to_vec();
        payload.extend((if input.ratio(1, 16)? { count + 1 } else { count }).to_le_bytes());
        for _ in 0..count {
            let mut function = vec![0u8; entry];
            function[0] = 0x14;
            let slot = if input.ratio(1, 16)? { input.arbitrary()? } else { input.int_in_range(0..=2u32)? };
            function[12..16].copy_from_slice(&slot.to_le_bytes());
            function[16] = input.int_in_range(0..=1)?;
            payload.extend(function);
        }
        self.packet(PacketKind::InBand, 0, &payload);
        Ok(())
    }

    fn eject(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let mut payload = 0x4249_000Bu32.to_le_bytes().to_vec();
        payload.extend(input.int_in_range(0..=3u32)?.to_le_bytes());
        self.packet(PacketKind::InBand, 0, &payload);
        Ok(())
    }

    fn submit(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let slot = Slot::from_wire(input.int_in_range(0..=3)?).unwrap_or(Slot::ZERO);
        let bytes = input.int_in_range(0..=130)?;
        let request = match input.int_in_range(0..=7)? {
            0 | 1 => Request::CreateInterrupt(InterruptRequest {
                slot,
                vector: input.int_in_range(0..=300)?,
                count: *input.choose(&[1, 1, 2, 3, 32, 0])?,
                targets: VpSet::single(input.int_in_range(0..=70)?),
            }),
            2 => Request::DeleteInterrupt { slot, entry: MsiEntry::new(0, u32::MAX, 1) },
            3 => Request::ReadBlock { slot, block: input.arbitrary()?, bytes },
            4 => Request::WriteBlock {
                slot,
                block: 0,
                data: vec![7; usize::from(bytes)].into_iter().take(128).collect(),
            },
            5 => Request::PowerState { slot, state: if input.arbitrary()? { PowerState::D0 } else { PowerState::D3 } },
            6 => Request::ResetDevice { slot },
            _ => Request::GetResources { slot },
        };
        if self.tickets.len() < 16
            && let Ok(ticket) = self.bus.submit(self.now, request)
        {
            self.tickets.push(ticket);
        }
        Ok(())
    }

    /// The pump: begins an action, or ends the one it is at.
    fn pump(&mut self, ok: bool) {
        let Some(action) = self.pumping.take() else {
            self.pumping = self.bus.poll_action();
            return;
        };
        let done = match action {
            Action::OpenChannel if ok && !self.ring.rescinded => {
                assert!(!core::mem::replace(&mut self.open, true), "opened twice");
                ActionDone::ChannelOpened(Ok(()))
            }
            Action::OpenChannel => ActionDone::ChannelOpened(Err(PlatformError::ChannelOpen)),
            Action::CloseChannel => {
                assert!(core::mem::replace(&mut self.open, false), "closed twice");
                self.ring.pending.clear();
                self.ring.closed = false;
                ActionDone::Done
            }
            Action::ReserveConfigWindow => {
                assert!(!core::mem::replace(&mut self.config_window, ok), "two config windows");
                ActionDone::ConfigWindow(if ok { Ok(0xF800_0000) } else { Err(PlatformError::NoMmioSpace) })
            }
            Action::ReleaseConfigWindow => {
                assert!(core::mem::replace(&mut self.config_window, false), "no config window to release");
                ActionDone::Done
            }
            Action::ReserveWindow(need) if ok && need.size < 1 << 40 => {
                let start = if need.aperture == Aperture::High { 1 << 40 } else { 0xE000_0000 };
                let base = (start + self.next_window).next_multiple_of(need.align);
                self.next_window = base + need.size - start;
                let window = Window { aperture: need.aperture, base, size: need.size };
                self.windows.push(window);
                ActionDone::Window(Ok(window))
            }
            Action::ReserveWindow(_) => ActionDone::Window(Err(PlatformError::NoMmioSpace)),
            Action::ReleaseWindow(window) => {
                let at = self.windows.iter().position(|held| *held == window).expect("released, never reserved");
                self.windows.remove(at);
                ActionDone::Done
            }
            Action::ClaimWindow(window) | Action::UnclaimWindow(window) => {
                assert!(self.windows.contains(&window), "claimed, never reserved");
                ActionDone::Done
            }
            Action::Attach { slot } if ok => {
                // A message guest has decode that was left on cleared before it sends BARs.
                let assigned = self.style == GuestStyle::Messages || self.bus.is_assigned(slot);
                assert!(assigned || !self.open || self.ring.rescinded, "attached without resources");
                assert!(self.attached.insert(slot.to_wire()), "attached twice");
                ActionDone::Attached(Ok(()))
            }
            Action::Attach { .. } => ActionDone::Attached(Err(PlatformError::Refused)),
            Action::Detach { slot, .. } => {
                assert!(self.attached.remove(&slot.to_wire()), "detached, never attached");
                assert!(!self.published.contains(&slot.to_wire()), "detached while published");
                ActionDone::Done
            }
            Action::PrefetchStarted { .. } if !ok => ActionDone::PrefetchRefused,
            _ => ActionDone::Done,
        };
        self.bus.action_done(self.now, done);
    }

    fn publisher(&mut self, ok: bool) {
        let Some(action) = self.publishing.take() else {
            self.publishing = self.bus.poll_publish();
            if let Some(PublishAction::Publish { slot }) = self.publishing {
                assert!(self.attached.contains(&slot.to_wire()), "published, not attached");
                assert!(self.published.insert(slot.to_wire()), "published twice");
            }
            return;
        };
        let done = match action {
            PublishAction::Publish { slot } => {
                if !ok {
                    self.published.remove(&slot.to_wire());
                }
                let result = if ok { Ok(()) } else { Err(PlatformError::Refused) };
                ActionDone::Published { slot, result }
            }
            PublishAction::Unpublish { slot, .. } => {
                assert!(self.published.remove(&slot.to_wire()), "unpublished, never published");
                ActionDone::Unpublished { slot }
            }
        };
        self.bus.action_done(self.now, done);
    }

    /// A stop, with a host that says no more.
    fn end(mut self) {
        self.ring.busy = false;
        self.bus.request_stop(self.now);
        for _ in 0..ROUNDS {
            self.pump(true);
            self.publisher(true);
            self.transmit();
            let over = matches!(self.bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone);
            if over && self.pumping.is_none() && self.publishing.is_none() {
                let bare = self.windows.is_empty() && self.attached.is_empty() && self.published.is_empty();
                assert!(bare && !self.open && !self.config_window, "over, and something is still held");
                for ticket in self.tickets {
                    assert!(self.bus.poll_reply(ticket).is_ready(), "over, and a request still waits");
                }
                return;
            }
            if self.pumping.is_none()
                && self.publishing.is_none()
                && let Some(deadline) = self.bus.poll_timeout()
            {
                self.now = self.now.max(deadline);
                self.bus.handle_timeout(self.now);
            }
        }
        panic!("a stop that never ends: {:?}", self.bus.status());
    }
}
