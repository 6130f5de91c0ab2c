//! The platform traits, on the simulated guest.

use std::sync::Arc;

use async_trait::async_trait;
use hvpci_core::backend::{ConfigPort, PacketPort, Platform, PlatformError, RemovalReason, Waiter};
use hvpci_core::bus::{Bus, FunctionInfo, InterruptHandle, Report};
use hvpci_core::config::{ConfigReport, ConfigSpace};
use hvpci_core::placement::{Window, WindowNeed};
use hvpci_core::wire::MsiEntry;
use hvpci_core::{InstanceId, Slot, Time};

use super::{AnyReport, MockPlatform, lock};
use crate::sim::executor::yield_now;
use crate::sim::hook::{Hook, PlatformStep};
use crate::sim::port::{ChannelPort, WindowPort};

#[async_trait]
impl Platform for MockPlatform {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn now(&self) -> Time {
        self.vm.clock.now()
    }

    fn with_bus(&self, f: &mut dyn FnMut(&mut Bus, &mut dyn PacketPort)) {
        let sent = {
            let (mut bus, mut host) = (lock(&self.bus), self.vm.host());
            let hook = self.hook.get().map(Arc::as_ref);
            let now = self.vm.clock.now();
            let mut port = ChannelPort { host: &mut host, bus: self.id, now, sent: false, hook };
            in_core(hook, || f(&mut bus, &mut port));
            port.sent
        };
        if sent {
            self.carrier.set();
        }
    }

    fn with_config(&self, f: &mut dyn FnMut(&mut ConfigSpace, &mut dyn ConfigPort)) {
        let (mut config, mut host) = (lock(&self.config), self.vm.host());
        let mut busy = lock(&self.config_busy);
        let now = self.vm.clock.now().max(*busy);
        let reserved = lock(&self.window).is_some();
        let hook = self.hook.get().map(Arc::as_ref);
        let mut port = WindowPort { host: &mut host, bus: self.id, now, reserved, hook };
        in_core(hook, || f(&mut config, &mut port));
        *busy = port.now;
    }

    fn wake(&self) {
        self.pump.set();
        self.publisher.set();
        self.milestone.set();
        lock(&self.callers).values().for_each(|signal| signal.set());
    }

    async fn wait(&self, waiter: Waiter, deadline: Option<Time>) {
        let caller;
        let signal = match waiter {
            Waiter::Pump => &self.pump,
            Waiter::Publisher => &self.publisher,
            Waiter::Function(slot) => {
                caller = lock(&self.callers).entry(slot).or_default().clone();
                &caller
            }
        };
        // The waiter counts as waiting from here on: what wakes it during the yield is not lost.
        // A wait that is over at once must not starve the tasks it would be waiting for.
        yield_now().await;
        self.config_free().await;
        match deadline {
            None => signal.wait().await,
            Some(deadline) => either(signal.wait(), self.vm.clock.sleep_until(deadline)).await,
        }
    }

    async fn open_channel(&self) -> Result<(), PlatformError> {
        self.step(PlatformStep::OpenChannel)?;
        let now = self.vm.clock.now();
        if self.vm.host().open_channel(self.id, now) { Ok(()) } else { Err(PlatformError::ChannelOpen) }
    }

    async fn close_channel(&self) {
        if self.step(PlatformStep::CloseChannel).is_err() {
            return;
        }
        let now = self.vm.clock.now();
        self.vm.host().close_channel(self.id, now);
        self.carrier.set();
    }

    async fn reserve_config_window(&self) -> Result<u64, PlatformError> {
        self.step(PlatformStep::ReserveConfigWindow)?;
        let base = self.vm.mmio().reserve_config_window()?;
        *lock(&self.window) = Some(base);
        Ok(base)
    }

    async fn release_config_window(&self) {
        self.config_free().await;
        if let Some(base) = lock(&self.window).take()
            && self.step(PlatformStep::ReleaseConfigWindow).is_ok()
        {
            self.vm.mmio().release(base);
        }
    }

    async fn reserve_window(&self, need: WindowNeed) -> Result<Window, PlatformError> {
        self.step(PlatformStep::ReserveWindow)?;
        let window = self.vm.mmio().reserve(need)?;
        self.vm.host().give_aperture(self.id, window.base, window.size);
        Ok(window)
    }

    async fn release_window(&self, window: Window) {
        self.vm.host().take_aperture(self.id, window.base, window.size);
        if self.step(PlatformStep::ReleaseWindow).is_ok() {
            self.vm.mmio().release(window.base);
        }
    }

    async fn publish(&self, function: &FunctionInfo) -> Result<(), PlatformError> {
        let _enumeration = self.vm.enumeration.lock().await;
        self.step(PlatformStep::Publish)?;
        self.boot(function).await?;
        let kept = self.step(PlatformStep::Published);
        if kept.is_err() {
            self.forget(function.description.slot).await;
        }
        kept
    }

    async fn unpublish(&self, slot: Slot, _reason: RemovalReason) {
        let _enumeration = self.vm.enumeration.lock().await;
        let _ = self.step(PlatformStep::Unpublish);
        self.forget(slot).await;
    }

    fn interrupt_recreated(&self, handle: InterruptHandle, slot: Slot, entry: MsiEntry) {
        self.recreated(handle, slot, entry);
    }

    fn report(&self, report: &Report) {
        lock(&self.reports).push(AnyReport::Bus(*report));
        self.milestone.set();
    }

    fn config_report(&self, report: &ConfigReport) {
        lock(&self.reports).push(AnyReport::Config(*report));
    }
}

/// Runs code of the core, and lets a hook know.
fn in_core(hook: Option<&dyn Hook>, f: impl FnOnce()) {
    if let Some(hook) = hook {
        hook.in_core(true);
        f();
        hook.in_core(false);
    } else {
        f();
    }
}

/// Completes with the first of the two.
pub(super) async fn either(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    std::future::poll_fn(|context| {
        let first = a.as_mut().poll(context);
        if first.is_ready() { first } else { b.as_mut().poll(context) }
    })
    .await;
}
