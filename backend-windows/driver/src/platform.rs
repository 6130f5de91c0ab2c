//! What the core asks of a bus: its locks, the clock, waking and waiting, the channel, MMIO space, children.

use hvpci_core::backend::{ConfigPort, PacketPort, Platform, PlatformError, RemovalReason, SendError, Waiter};
use hvpci_core::bus::{Bus, FunctionInfo, InterruptHandle, Report, Transmit};
use hvpci_core::config::{ConfigReport, ConfigSpace};
use hvpci_core::placement::{Window, WindowNeed};
use hvpci_core::wire::MsiEntry;
use hvpci_core::{InstanceId, Slot, Time};
use hvpci_windows::ranges::Ranges;

use crate::bus::WindowsBus;
use crate::channel::{Line, Port};
use crate::children::Unpublish;
use crate::sys::memory::{self, Boxed};
use crate::sys::nt;
use crate::{blocks, events};

/// The sending side while there is no channel.
struct NoChannel;

impl PacketPort for NoChannel {
    fn send(&mut self, _: &Transmit, _: &[u8]) -> Result<(), SendError> {
        Err(SendError::Closed)
    }
}

impl WindowsBus {
    /// What was done already, as a future.
    fn ready<'a, T: Send + 'a>(&self, value: T) -> Boxed<'a, T> {
        self.reserve.future(core::future::ready(value))
    }
}

/// Written out, without `async_trait`, because its boxes cannot fail: these come from the bus's [`crate::sys::memory::Reserve`].
/// The work items that poll them run at PASSIVE_LEVEL, where the operations may block.
impl Platform for WindowsBus {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn now(&self) -> Time {
        nt::now()
    }

    fn with_bus(&self, f: &mut dyn FnMut(&mut Bus, &mut dyn PacketPort)) {
        self.engine.with(|engine| match &mut engine.channel {
            Some(channel) => f(&mut engine.bus, &mut Port { bus: self, channel }),
            None => f(&mut engine.bus, &mut NoChannel),
        });
    }

    fn with_config(&self, f: &mut dyn FnMut(&mut ConfigSpace, &mut dyn ConfigPort)) {
        self.config.with(|config| f(&mut config.space, &mut config.window));
    }

    fn wake(&self) {
        self.pump.point.signal();
        self.pump.poll_soon();
        self.wake_publisher();
        self.lifecycle.wake();
        self.children.wake();
    }

    fn wait<'a, 'b>(&'a self, waiter: Waiter, deadline: Option<Time>) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        match waiter {
            Waiter::Pump => self.reserve.future(self.pump.point.wait(deadline)),
            Waiter::Publisher => self.reserve.future(self.publisher.point.wait(deadline)),
            // Power callbacks wait at places of their own: see `pdo::wait_for`. Nobody waits here.
            Waiter::Function(_) => memory::never(),
        }
    }

    fn open_channel<'a, 'b>(&'a self) -> Boxed<'b, Result<(), PlatformError>>
    where
        'a: 'b,
    {
        let line = self.engine.with(|engine| {
            let channel = engine.channel.as_mut()?;
            // Packets may come and go before the channel is open for us.
            channel.set_open(true);
            Some(channel.line())
        });
        let opened = line.is_some_and(|line| line.enable().is_ok());
        if !opened {
            self.engine.with(|engine| engine.channel.iter_mut().for_each(|channel| channel.set_open(false)));
        }
        self.ready(if opened { Ok(()) } else { Err(PlatformError::ChannelOpen) })
    }

    fn close_channel<'a, 'b>(&'a self) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        self.shut_channel();
        self.ready(())
    }

    fn reserve_config_window<'a, 'b>(&'a self) -> Boxed<'b, Result<u64, PlatformError>>
    where
        'a: 'b,
    {
        self.ready(self.map_config_window())
    }

    fn release_config_window<'a, 'b>(&'a self) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        self.unmap_config_window();
        self.ready(())
    }

    fn reserve_window<'a, 'b>(&'a self, need: WindowNeed) -> Boxed<'b, Result<Window, PlatformError>>
    where
        'a: 'b,
    {
        let window = self.ranges.with(|ranges| ranges.take_window(need));
        if window.is_none() {
            let given = self.ranges.with(|ranges| ranges.given_bytes(need.aperture));
            let (size, place) = (need.size, need.aperture);
            self.report_line(
                events::ERROR,
                format_args!(
                    "{size:#x} bytes of {place} needed, {given:#x} given: see HighMmioMegabytes, LowMmioMegabytes"
                ),
            );
        }
        self.ready(window.ok_or(PlatformError::NoMmioSpace))
    }

    fn release_window<'a, 'b>(&'a self, window: Window) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        self.ranges.with(|ranges| ranges.give_back(window.base));
        self.ready(())
    }

    fn publish<'a, 'b, 'c>(&'a self, function: &'b FunctionInfo) -> Boxed<'c, Result<(), PlatformError>>
    where
        'a: 'c,
        'b: 'c,
    {
        self.ready(self.children.publish(self, function))
    }

    fn unpublish<'a, 'b>(&'a self, slot: Slot, reason: RemovalReason) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        self.report_ledger(slot);
        self.reserve.future(Unpublish::new(self, &self.publisher.point, slot, reason))
    }

    fn interrupt_recreated(&self, handle: InterruptHandle, slot: Slot, entry: MsiEntry) {
        // Its function does not decode after a resume: the table is written when its driver brings it back to D0.
        self.children.with(slot, |child| {
            let same = child.connected.iter_mut().filter(|connection| connection.handle == Some(handle.number()));
            same.for_each(|connection| connection.entry = entry);
        });
    }

    fn report(&self, report: &Report) {
        if let Report::InterruptLost(handle) = report {
            self.children.interrupt_lost(handle.number());
        }
        if let Report::BlocksInvalidated { slot, mask } = report {
            return blocks::invalidated(self, *slot, *mask);
        }
        let level = match report {
            Report::Failed(_) | Report::FunctionFailed { .. } => events::ERROR,
            Report::Negotiated(_) | Report::FunctionFound(_) | Report::FunctionGone(_) => events::INFORMATION,
            _ => events::WARNING,
        };
        self.report_line(level, format_args!("{report:?}"));
    }

    fn config_report(&self, report: &ConfigReport) {
        self.report_line(events::WARNING, format_args!("{report:?}"));
    }
}

impl WindowsBus {
    /// Marks the channel closed, and returns it to the one caller that found it open. At most DISPATCH_LEVEL.
    fn take_open_channel(&self) -> Option<Line> {
        self.engine.with(|engine| {
            let channel = engine.channel.as_mut().filter(|channel| channel.is_open())?;
            channel.set_open(false);
            Some(channel.line())
        })
    }

    /// Closes the channel, unless that was done, by us or by the host. PASSIVE_LEVEL.
    pub(crate) fn shut_channel(&self) {
        if let Some(line) = self.take_open_channel() {
            line.disable();
        }
    }

    /// Unmaps the config window, where it is mapped. PASSIVE_LEVEL.
    pub(crate) fn unmap_config_window(&self) {
        let (window, base) = self.config.with(|config| (config.window.0.take(), core::mem::take(&mut config.base)));
        if let Some(window) = window {
            drop(window);
            self.ranges.with(|ranges| ranges.give_back(base));
        }
    }

    fn map_config_window(&self) -> Result<u64, PlatformError> {
        let base = self.ranges.with(Ranges::take_config_window).ok_or(PlatformError::NoMmioSpace)?;
        let Some(window) = self.map_window(base) else {
            self.ranges.with(|ranges| ranges.give_back(base));
            return Err(PlatformError::OutOfMemory);
        };
        self.config.with(|config| (config.window.0, config.base) = (Some(window), base));
        Ok(base)
    }
}
