//! One function as the guest kernel reaches it, and how far it got.

use std::time::Duration;

use hvpci_core::backend::{Platform, Width};
use hvpci_core::{Slot, Time, driver};

use super::hook::PlatformStep;
use super::platform::MockPlatform;
use crate::guest::{
    ConfigAccess, DevicePower, GuestError, InterruptStep, InterruptsRefused, PowerAccess, PowerRefused,
};

/// The COMMAND register and its Memory bit.
const COMMAND: u16 = 0x04;
const MEMORY: u32 = 1 << 1;

/// How far a function got.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// When the guest kernel began to scan it.
    pub started: Time,
    /// When the guest kernel was done with it.
    pub ended: Time,
    /// When its driver could use it: when the last write that turned Memory on had completed, or D0 was answered; for a
    /// function without memory BARs, when the driver's probe was done.
    pub ready: Option<Time>,
    /// Why it is not ready.
    pub error: Option<GuestError>,
}

impl Progress {
    /// The function was brought into use.
    pub(super) fn booted(&mut self) {
        self.ready.get_or_insert(self.ended);
    }
}

/// Config space and power of one function; every access takes the virtual time its traps take.
pub struct FunctionAccess<'a> {
    platform: &'a MockPlatform,
    slot: Slot,
    memory: bool,
    enabled: Option<Time>,
}

impl<'a> FunctionAccess<'a> {
    /// Access to the function at `slot`.
    pub fn new(platform: &'a MockPlatform, slot: Slot) -> FunctionAccess<'a> {
        FunctionAccess { platform, slot, memory: false, enabled: None }
    }

    /// How far the function got, having been begun at `started`.
    pub fn progress(&self, started: Time) -> Progress {
        Progress { started, ended: self.platform.now(), ready: self.enabled, error: None }
    }
}

impl ConfigAccess for FunctionAccess<'_> {
    async fn read(&mut self, offset: u16, width: Width) -> u32 {
        let _ = self.platform.step(PlatformStep::ConfigAccess);
        self.platform.config_free().await;
        let value = driver::config_read(self.platform, self.slot, offset, width.bytes().into());
        self.platform.config_free().await;
        value
    }

    async fn write(&mut self, offset: u16, width: Width, value: u32) {
        let _ = self.platform.step(PlatformStep::ConfigAccess);
        self.platform.config_free().await;
        driver::config_write(self.platform, self.slot, offset, width.bytes().into(), value);
        self.platform.config_free().await;
        if offset == COMMAND {
            let memory = value & MEMORY != 0;
            if memory && !self.memory {
                self.enabled = Some(self.platform.now());
            }
            self.memory = memory;
        }
    }

    async fn delay(&mut self, duration: Duration) {
        let clock = &self.platform.vm.clock;
        clock.sleep_until(clock.now().after(duration)).await;
    }

    fn driver_bound(&mut self, bound: bool) {
        driver::function_bound(self.platform, self.slot, bound);
    }

    async fn interrupts(&mut self, step: InterruptStep) -> Result<(), InterruptsRefused> {
        self.platform.interrupt_step(self.slot, step).await
    }
}

impl PowerAccess for FunctionAccess<'_> {
    async fn set_power(&mut self, state: DevicePower) -> Result<(), PowerRefused> {
        let on = state == DevicePower::D0;
        if on {
            driver::power_on(self.platform, self.slot).await.map_err(|_| PowerRefused)?;
            self.enabled = Some(self.platform.now());
        } else {
            driver::power_off(self.platform, self.slot).await.map_err(|_| PowerRefused)?;
        }
        Ok(())
    }
}
