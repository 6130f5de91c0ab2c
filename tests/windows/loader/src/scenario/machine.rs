//! The machine a scenario runs on: the driver loaded, a host with buses, and the checks at the end.

use hvpci_core::instance::InstanceId;
use hvpci_core::{Slot, Time};
use hvpci_mock::host::device::BarSpec;
use hvpci_mock::host::{BusId, BusSpec, Event, FunctionSpec, Host, HostOptions, Severity};

use crate::fail::{Verdict, fail};
use crate::irql::{self, PASSIVE};
use crate::kmcl::deliver;
use crate::world::{Step, World, spawn, wait, with};
use crate::{expect, fault, nt, pe, pnp, resolve, stub, trace};

/// Bytes of a GPU's BAR: what the project's figures are about.
pub const GPU_BAR: u64 = 128 << 30;

/// A loaded driver.
pub struct Machine {
    object: Box<[usize; 42]>,
    path: Box<(u16, u16, u32, Vec<u16>)>,
    entry: *const u8,
    /// What the driver imports.
    pub imports: Vec<(String, String)>,
}

impl Machine {
    /// Maps the driver and starts the machine's own threads.
    pub fn load(file: &str) -> Machine {
        let bytes = std::fs::read(file).unwrap_or_else(|error| fail(Verdict::Expectation, &format!("{file}: {error}")));
        let image =
            pe::load(&bytes, |dll, name| resolve(dll, name).unwrap_or_else(|| stub::missing(format!("{dll}!{name}"))));
        let image = image.unwrap_or_else(|error| fail(Verdict::Expectation, &format!("{file}: {error}")));
        fault::watch(image.base, image.size);
        deliver::start();
        pnp::child::start();
        follow_vmbus();
        let name: Vec<u16> = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\hvpci".encode_utf16().collect();
        let bytes = u16::try_from(name.len() * 2).unwrap_or(0);
        Machine {
            object: Box::new([0; 42]),
            path: Box::new((bytes, bytes, 0, name)),
            entry: image.entry,
            imports: image.imports,
        }
    }

    /// Calls DriverEntry.
    pub fn enter(&mut self) -> Result<(), i32> {
        #[repr(C)]
        struct UnicodeString(u16, u16, *const u16);
        let path = UnicodeString(self.path.0, self.path.1, self.path.3.as_ptr());
        // SAFETY: the image's entry point is a DRIVER_INITIALIZE; a DRIVER_OBJECT has 42 words.
        let entry: unsafe extern "win64" fn(*mut usize, *const UnicodeString) -> i32 =
            unsafe { std::mem::transmute(self.entry) };
        let object = self.object.as_mut_ptr();
        let status = irql::at(PASSIVE, "DriverEntry", || unsafe { entry(object, &raw const path) });
        if status < 0 { Err(status) } else { Ok(()) }
    }

    /// Unloads the driver.
    pub fn unload(&mut self) {
        let evt = with(|world| world.wdf.driver.map_or(0, |driver| driver.unload));
        if evt != 0 {
            let handle = with(|world| world.wdf.driver.map_or(0, |driver| driver.handle));
            // SAFETY: EVT_WDF_DRIVER_UNLOAD, as the driver registered it.
            let evt: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(evt) };
            irql::at(PASSIVE, "EvtDriverUnload", || unsafe { evt(handle) });
        }
        // DriverUnload of DRIVER_OBJECT, at 0x68.
        let routine = self.object[13];
        expect!(routine != 0, "the driver set no unload routine");
        // SAFETY: PDRIVER_UNLOAD, as the driver's entry library set it.
        let routine: unsafe extern "win64" fn(*mut usize) = unsafe { std::mem::transmute(routine) };
        let object = self.object.as_mut_ptr();
        irql::at(PASSIVE, "DriverUnload", || unsafe { routine(object) });
    }
}

/// Hands on what VMBus tells the guest by itself.
fn follow_vmbus() {
    spawn("VMBus", || {
        loop {
            let event = wait("VMBus", |world| world.host.poll_event().map_or(Step::Sleep, Step::Done));
            match event {
                Event::Offered(_) => {}
                Event::Rescinded(bus) => {
                    trace!("bus {} is rescinded", bus.0);
                    deliver::channel_lost(bus);
                    pnp::remove_bus(bus, true);
                }
                Event::ChannelDied(bus) => deliver::channel_lost(bus),
            }
            with(World::changed);
        }
    });
}

/// Makes a host of `buses` buses with `functions` functions each.
pub fn host(options: HostOptions, buses: u32, functions: u8, bar: u64) -> Vec<BusId> {
    let specs = (0..buses).map(|number| BusSpec {
        instance: instance(number),
        functions: (0..functions).filter_map(|at| function(number, at, bar)).collect(),
    });
    let specs: Vec<BusSpec> = specs.collect();
    let ids = with(|world| {
        world.host = Host::new(options);
        specs.into_iter().map(|spec| world.host.add_bus(spec)).collect::<Vec<BusId>>()
    });
    ids.iter().copied().for_each(pnp::offer);
    ids
}

/// A function of a bus: a GPU.
pub fn function(bus: u32, at: u8, bar: u64) -> Option<FunctionSpec> {
    let slot = Slot::new(at / 8, at % 8)?;
    Some(FunctionSpec::gpu_with_bars(&[BarSpec::wide(0, bar)]).at(slot).with_serial(bus * 256 + u32::from(at) + 1))
}

fn instance(number: u32) -> InstanceId {
    let mut bytes = [0x11; 16];
    bytes[..4].copy_from_slice(&(0xB0B0_0000 + number).to_le_bytes());
    InstanceId::from_bytes(bytes)
}

/// The maps the host made for a bus so far.
pub fn maps(bus: BusId) -> u64 {
    with(|world| world.host.bus_ledger(bus).maps)
}

/// The time of the machine.
pub fn now() -> Time {
    with(|world| world.time())
}

/// What must hold when the driver is gone: nothing left allocated, and nothing done that a host does not like.
pub fn check_the_end() {
    check_the_guest();
    check_the_host();
}

/// The same with a host that lost or spoiled messages: what it thinks of the guest proves nothing.
pub fn check_the_guest() {
    let idle = nt::work::idle(1_000_000_000);
    expect!(idle, "work is still under way after the driver was unloaded");
    let given_up = nt::debug::wrongly_given_up();
    expect!(given_up.is_empty(), "{}", given_up.join("; "));
    let leaks = with(|world| {
        let mut leaks = world.nt.pool.leaks();
        leaks.extend(world.wdf.objects.leaks());
        leaks.extend(world.kmcl.leaks());
        leaks.extend(world.mmio.leaks());
        leaks.extend(world.nt.work.leaks());
        if world.nt.time.count() > 0 {
            leaks.push(format!("{} timer(s) still set", world.nt.time.count()));
        }
        if nt::debug::providers() > 0 {
            leaks.push(format!("{} trace provider(s)", nt::debug::providers()));
        }
        leaks
    });
    if !leaks.is_empty() {
        fail(Verdict::Leak, &leaks.join("; "));
    }
}

/// What the driver did that the host does not like, and what it still held when it closed a channel.
pub fn check_the_host() {
    let (violations, held) = with(|world| {
        let bad = world.host.violations().iter().filter(|violation| violation.severity() == Severity::Error);
        (bad.map(ToString::to_string).collect::<Vec<String>>(), format!("{:?}", world.host.leaks()))
    });
    if !violations.is_empty() {
        fail(Verdict::Host, &violations.join("; "));
    }
    if held != "[]" {
        fail(Verdict::Host, &format!("held when the channel was closed: {held}"));
    }
}
