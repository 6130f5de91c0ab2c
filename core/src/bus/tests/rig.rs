//! A platform that keeps accounts, around one bus and its host.

use super::super::*;
pub use super::host::*;
use crate::backend::{PlatformError, RemovalReason};
use crate::config::Reach;
use crate::decode::GuestStyle;
use crate::interrupt::{Architecture, InterruptRequest};
use crate::placement::{Aperture, Window, WindowNeed};
use crate::wire::*;
use crate::{InstanceId, Slot, Time};

/// One bus, its host, and what the platform holds.
pub struct Rig {
    pub bus: Bus,
    pub now: Time,
    pub host: Host,
    pub log: Vec<Action>,
    pub published_log: Vec<PublishAction>,
    pub reports: Vec<Report>,
    pub open: bool,
    pub window: bool,
    pub windows: Vec<Window>,
    pub claimed: Vec<Window>,
    pub attached: Vec<Slot>,
    pub shown: Vec<Slot>,
    pub next_window: [u64; 2],
    /// Needs that the platform refuses.
    pub no_space: fn(&WindowNeed) -> bool,
    pub fail: fn(&Action) -> bool,
    pub refuse_publish: bool,
    /// Actions that the platform does not come back from before [`Rig::finish`], and the one it is at.
    pub sit_on: fn(&Action) -> bool,
    pub sitting: Option<Action>,
    /// The publisher does nothing.
    pub publisher_stuck: bool,
    /// Small events so far, and what happens at which.
    pub events: usize,
    pub rescind_at: Option<usize>,
    pub silent_at: Option<usize>,
    /// Whether pump and publisher have been woken since they last found nothing to do.
    pub pump_awake: bool,
    pub publisher_awake: bool,
}

impl Rig {
    pub fn new(style: GuestStyle) -> Rig {
        Rig::with(BusOptions::new(style, Architecture::X86))
    }

    pub fn with(options: BusOptions) -> Rig {
        let instance: InstanceId = "3f5ae738-5c79-8781-8549-40abcf2714df".parse().unwrap();
        Rig {
            bus: Bus::new(instance, options).unwrap(),
            now: Time::from_nanos(1),
            host: Host::new(),
            log: vec![],
            published_log: vec![],
            reports: vec![],
            open: false,
            window: false,
            windows: vec![],
            claimed: vec![],
            attached: vec![],
            shown: vec![],
            next_window: [0x8000_0000, 1 << 40],
            no_space: |_| false,
            fail: |_| false,
            refuse_publish: false,
            sit_on: |_| false,
            sitting: None,
            publisher_stuck: false,
            events: 0,
            rescind_at: None,
            silent_at: None,
            pump_awake: true,
            publisher_awake: true,
        }
    }

    pub fn functions(mut self, functions: &[(u32, ProbedBars)]) -> Rig {
        self.host.functions = functions.iter().map(|(s, p)| (function(*s), *p)).collect();
        self
    }

    /// Started and run until nothing moves.
    pub fn up(mut self) -> Rig {
        self.bus.request_start(self.now);
        self.run();
        assert_eq!(self.bus.status(), BusStatus::Running, "{:?}", self.reports);
        self
    }

    fn event(&mut self) {
        if self.rescind_at == Some(self.events) {
            self.rescind();
        }
        if self.silent_at == Some(self.events) {
            self.host.silent = true;
        }
        self.events += 1;
    }

    pub fn rescind(&mut self) {
        self.host.rescinded = true;
        self.host.inbox.clear();
        self.bus.channel_rescinded(self.now);
    }

    fn perform(&mut self, action: Action) -> ActionDone {
        self.log.push(action);
        if (self.fail)(&action) {
            return match action {
                Action::OpenChannel => ActionDone::ChannelOpened(Err(PlatformError::ChannelOpen)),
                Action::ReserveConfigWindow => ActionDone::ConfigWindow(Err(PlatformError::NoMmioSpace)),
                Action::Attach { .. } => ActionDone::Attached(Err(PlatformError::OutOfMemory)),
                Action::PrefetchStarted { .. } => ActionDone::PrefetchRefused,
                other => panic!("{other:?} cannot fail"),
            };
        }
        fn take<T: PartialEq + core::fmt::Debug>(from: &mut Vec<T>, what: &T) {
            let at = from.iter().position(|x| x == what).unwrap_or_else(|| panic!("{what:?} is not held"));
            from.remove(at);
        }
        match action {
            Action::OpenChannel => {
                assert!(!std::mem::replace(&mut self.open, true));
                return ActionDone::ChannelOpened(Ok(()));
            }
            Action::CloseChannel => {
                assert!(std::mem::replace(&mut self.open, false));
                self.host.inbox.clear();
            }
            Action::ReserveConfigWindow => {
                assert!(!std::mem::replace(&mut self.window, true));
                return ActionDone::ConfigWindow(Ok(CONFIG_WINDOW));
            }
            Action::ReleaseConfigWindow => assert!(std::mem::replace(&mut self.window, false)),
            Action::ReserveWindow(need) => {
                if (self.no_space)(&need) {
                    return ActionDone::Window(Err(PlatformError::NoMmioSpace));
                }
                let next = &mut self.next_window[usize::from(need.aperture == Aperture::High)];
                let base = next.next_multiple_of(need.align);
                *next = base + need.size;
                let window = Window { aperture: need.aperture, base, size: need.size };
                self.windows.push(window);
                return ActionDone::Window(Ok(window));
            }
            Action::ReleaseWindow(window) => {
                assert!(!self.claimed.contains(&window));
                assert!(!self.open || self.attached.is_empty());
                take(&mut self.windows, &window);
            }
            Action::ClaimWindow(window) => self.claimed.push(window),
            Action::UnclaimWindow(window) => take(&mut self.claimed, &window),
            Action::Attach { slot } => {
                assert!(!self.attached.contains(&slot));
                let seed = self.bus.seed(slot).unwrap();
                for (bar, address) in (0u8..).zip(seed.bars) {
                    let layout = crate::config::BarLayout::from_probed(&seed.probed).0;
                    assert_eq!(layout.get(bar).is_some(), address.is_some());
                    if let (Some(bar), Some(address)) = (layout.get(bar), address) {
                        assert!(self.claimed.iter().any(|w| w.contains(address, bar.footprint())));
                    }
                }
                self.attached.push(slot);
                return ActionDone::Attached(Ok(()));
            }
            Action::Detach { slot, reach } => {
                assert!(!self.shown.contains(&slot), "the OS lets go first");
                // A rescind between the asking and the doing is no fault of the engine.
                assert!(reach == Reach::Gone || !self.host.rescinded || self.rescind_at == Some(self.events - 1));
                take(&mut self.attached, &slot);
            }
            _ => {}
        }
        ActionDone::Done
    }

    fn publish(&mut self, action: PublishAction) -> ActionDone {
        self.published_log.push(action);
        match action {
            PublishAction::Publish { slot } if self.refuse_publish => {
                ActionDone::Published { slot, result: Err(PlatformError::Refused) }
            }
            PublishAction::Publish { slot } => {
                assert!(self.attached.contains(&slot) && !self.shown.contains(&slot));
                self.shown.push(slot);
                ActionDone::Published { slot, result: Ok(()) }
            }
            PublishAction::Unpublish { slot, .. } => {
                let at = self.shown.iter().position(|s| *s == slot).expect("shown");
                self.shown.remove(at);
                ActionDone::Unpublished { slot }
            }
        }
    }

    /// Goes on until nothing moves at the present time.
    ///
    /// Pump and publisher are woken as a platform wakes them, and look at the bus only then: a step that nobody is woken
    /// for would be missed.
    pub fn run(&mut self) {
        self.wake();
        for _ in 0..100_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("never comes to rest: {:?}", self.bus.status());
    }

    fn wake(&mut self) {
        (self.pump_awake, self.publisher_awake) = (true, true);
    }

    /// One action, packet or publication; `false` when there is none.
    pub fn turn(&mut self) -> bool {
        if self.pump_awake || self.bus.poll_timeout().is_some_and(|at| at <= self.now) {
            if self.pump_turn() {
                return true;
            }
            self.pump_awake = self.bus.poll_timeout() == Some(Time::ZERO);
            if self.pump_awake {
                return true;
            }
        }
        if let Some((kind, transaction_id, payload)) = self.host.inbox.pop_front() {
            self.event();
            if !self.host.rescinded {
                self.bus.handle_packet(self.now, Packet { kind, transaction_id, payload: &payload });
            }
            self.wake();
            return true;
        }
        if self.publisher_awake && !self.publisher_stuck {
            self.publisher_awake = false;
            if let Some(action) = self.bus.poll_publish() {
                self.event();
                let done = self.publish(action);
                self.bus.action_done(self.now, done);
                self.wake();
                return true;
            }
        }
        false
    }

    fn pump_turn(&mut self) -> bool {
        self.bus.handle_timeout(self.now);
        while let Some(report) = self.bus.poll_report() {
            self.reports.push(report);
        }
        if let Some(action) = self.bus.poll_action() {
            self.event();
            self.sitting = Some(action);
            if !(self.sit_on)(&action) {
                self.finish();
            }
            return true;
        }
        if self.bus.transmit(self.now, &mut self.host) {
            self.event();
            self.wake();
            return true;
        }
        false
    }

    /// The platform comes back from the action it is at.
    pub fn finish(&mut self) {
        let action = self.sitting.take().expect("the platform is at an action");
        let done = self.perform(action);
        self.bus.action_done(self.now, done);
        self.wake();
    }

    /// Lets time pass from deadline to deadline until nothing is waited for.
    pub fn run_out(&mut self) {
        self.run();
        for _ in 0..1000 {
            let Some(at) = self.bus.poll_timeout() else { return };
            assert!(at > self.now, "a deadline that never passes: {at:?}");
            self.now = at;
            self.run();
        }
        panic!("waits for ever: {:?}", self.bus.status());
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(core::time::Duration::from_secs(seconds));
        self.run();
    }

    pub fn stop(&mut self) {
        self.bus.request_stop(self.now);
        self.run_out();
    }

    /// Nothing is held by anybody.
    pub fn assert_nothing_left(&self) {
        assert!(!self.open && !self.window, "open {} window {}", self.open, self.window);
        assert_eq!((&self.windows, &self.claimed), (&vec![], &vec![]));
        assert_eq!((&self.attached, &self.shown), (&vec![], &vec![]));
        assert_eq!(self.bus.quarantined_bytes(), 0);
        assert_eq!(self.bus.slots().count(), 0);
    }

    pub fn deliver(&mut self, kind: PacketKind, transaction_id: u64, payload: &[u8]) {
        self.bus.handle_packet(self.now, Packet { kind, transaction_id, payload });
    }

    pub fn submit(&mut self, request: Request) -> Ticket {
        self.bus.submit(self.now, request).unwrap()
    }

    pub fn interrupt(&mut self, wslot: u32) -> (InterruptHandle, MsiEntry) {
        let ticket = self.submit(create(wslot));
        self.run();
        match self.bus.poll_reply(ticket) {
            core::task::Poll::Ready(Ok(Reply::Interrupt { handle, entry })) => (handle, entry),
            other => panic!("{other:?}"),
        }
    }

    pub fn said_about(&self, what: impl Fn(&Said) -> bool) -> Vec<Said> {
        self.host.said.iter().filter(|s| what(s)).cloned().collect()
    }

    pub fn unpublished(&self) -> Vec<(u32, RemovalReason)> {
        let gone = |p: &PublishAction| match p {
            PublishAction::Unpublish { slot, reason } => Some((slot.to_wire(), *reason)),
            PublishAction::Publish { .. } => None,
        };
        self.published_log.iter().filter_map(gone).collect()
    }
}

pub fn create(wslot: u32) -> Request {
    Request::CreateInterrupt(InterruptRequest::single(slot(wslot), 0x30, VpSet::single(0)))
}
