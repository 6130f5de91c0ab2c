//! The bus device: what the PnP and power managers ask of it.

use core::str::FromStr;
use core::sync::atomic::Ordering;

use hvpci_core::InstanceId;
use hvpci_windows::resources::{self, Memory};
use hvpci_windows::settings::Settings;
use wdk_sys::{NTSTATUS, STATUS_UNSUCCESSFUL};

use crate::bus::{Parts, WindowsBus};
use crate::sys::bus::Bus;
use crate::sys::resources::{AddedTo, Assigned, Requirements};
use crate::sys::setup::Setup;
use crate::{channel, events, lists};

impl Bus for Parts {
    fn new(setup: &Setup<'_>) -> Result<Parts, NTSTATUS> {
        Parts::new(instance_of(setup), settings_of(setup))
    }

    fn placed(bus: &WindowsBus) {
        bus.initialise();
    }

    fn filter_requirements(bus: &WindowsBus, requirements: &Requirements<'_>) -> Result<(), NTSTATUS> {
        bus.added_resources.store(0, Ordering::Relaxed);
        let added = lists::add_requirements(&bus.settings, requirements)?;
        bus.added_resources.store(added, Ordering::Relaxed);
        Ok(())
    }

    /// What `filter_requirements` added is the function driver's alone. It comes out of both lists again before VMBus sees them;
    /// EvtDevicePrepareHardware gets the whole ones.
    ///
    /// A requirement and its alternatives become one assigned resource, and assigned resources stand in the order of the
    /// requirements, so that the last ones are those that were appended.
    fn remove_added(bus: &WindowsBus, list: &mut AddedTo<'_>) -> Result<(), NTSTATUS> {
        list.remove_last(bus.added_resources.load(Ordering::Relaxed));
        Ok(())
    }

    fn prepare_hardware(bus: &WindowsBus, translated: Assigned<'_>) -> Result<(), NTSTATUS> {
        bus.ranges.with(|ranges| ranges.clear());
        for memory in translated.iter().filter_map(|descriptor| resources::decode_cm(&descriptor)) {
            if !bus.ranges.with(|ranges| ranges.give(memory)) {
                let Memory { base, size } = memory;
                let why = format_args!(
                    "{size:#x} bytes of memory at {base:#x} are not used: less than a page, or one too many"
                );
                bus.report_line(events::WARNING, why);
            }
        }
        bus.install_channel(channel::allocate(bus)?);
        Ok(())
    }

    fn release_hardware(bus: &WindowsBus) {
        bus.bring_down();
        // Dropped here, without the lock.
        drop(bus.remove_channel());
    }

    fn d0_entry(bus: &WindowsBus) -> Result<(), NTSTATUS> {
        bus.bring_up()
    }

    fn d0_exit(bus: &WindowsBus, final_exit: bool) {
        if final_exit {
            bus.bring_down();
        } else {
            bus.suspend();
        }
    }

    /// The VMBus device is gone: the host rescinded the channel.
    fn surprise_removal(bus: &WindowsBus) {
        hvpci_core::driver::channel_rescinded(bus);
    }

    /// The PnP manager removes the children first: nothing stands against it then.
    fn query_remove(_bus: &WindowsBus) -> Result<(), NTSTATUS> {
        Ok(())
    }

    /// A bus cannot be moved to other resources while its functions' BARs lie in these: rebalancing is refused.
    fn query_stop(_bus: &WindowsBus) -> Result<(), NTSTATUS> {
        Err(STATUS_UNSUCCESSFUL)
    }

    fn task_ended(bus: &WindowsBus) {
        bus.lifecycle.wake();
    }

    fn retries(bus: &WindowsBus) {
        bus.pump.point.signal();
        bus.pump.poll_soon();
        bus.children.report_unreported(bus);
    }
}

/// The settings in the driver's Parameters key; what is not there has its default.
fn settings_of(setup: &Setup<'_>) -> Settings {
    let mut settings = Settings::default();
    let Some(parameters) = setup.parameters() else { return settings };
    for value in Settings::VALUES {
        let mut units = [0u16; 32];
        let used = units.iter_mut().zip(value.name.encode_utf16()).map(|(place, unit)| *place = unit).count();
        if let Some(number) = parameters.number(units.get(..used).unwrap_or_default()) {
            (value.set)(&mut settings, number);
        }
    }
    settings
}

/// The GUID of the channel instance: the last part of the device's instance id. It names the bus in events only, so a device
/// that has none is called by zeroes.
fn instance_of(setup: &Setup<'_>) -> InstanceId {
    let mut units = [0u16; 200];
    let mut text = [0u8; 38];
    if setup.instance_id(&mut units) {
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        let name = units.get(..end).unwrap_or_default().rsplit(|unit| *unit == u16::from(b'\\')).next();
        for (place, unit) in text.iter_mut().zip(name.unwrap_or_default()) {
            *place = u8::try_from(*unit).unwrap_or(0);
        }
    }
    let text = core::str::from_utf8(&text).unwrap_or_default();
    InstanceId::from_str(text).unwrap_or(InstanceId::from_bytes([0; 16]))
}
