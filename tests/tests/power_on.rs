//! Message style, whole stack: a power-on that fails half way is in nobody's way.

use hvpci_core::driver;
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::device::BarSpec;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{Fault, FaultPlan, FunctionSpec, HostOptions, Trigger};
use hvpci_tests::bench::{Bench, function, slot};

/// The host refuses the new addresses of a function that was moved to where another one is. The other one can be powered on
/// there: its range is not kept for a power-on that will not come.
#[test]
fn a_refused_assignment_gives_the_range_back() {
    let mut bench = Bench::on(HostOptions::default(), GuestKind::Windows);
    let small = || FunctionSpec::gpu_with_bars(&[BarSpec::wide(0, 1 << 20)]);
    let bus = bench.boot([small(), small()]);
    let (moved, other) = bench.wait(&bus, async |bus| {
        for n in 0..2 {
            driver::power_off(bus.as_ref(), slot(n)).await.unwrap();
        }
        let place = function(bus, slot(1)).unwrap().bars[0].unwrap();
        driver::config_write(bus.as_ref(), slot(0), 0x10, 4, place as u32);
        driver::config_write(bus.as_ref(), slot(0), 0x14, 4, (place >> 32) as u32);
        let refusal =
            FaultPlan::default().and(Trigger::Every(MessageType::RESOURCES_ASSIGNED2), Fault::Refuse(0xC000_0001));
        bus.on_host(|host, id, _| host.set_faults(id, refusal));
        let moved = driver::power_on(bus.as_ref(), slot(0)).await;
        bus.on_host(|host, id, _| host.set_faults(id, FaultPlan::default()));
        (moved, driver::power_on(bus.as_ref(), slot(1)).await)
    });
    assert!(moved.is_err(), "{}", bench.troubles());
    assert_eq!(other, Ok(()), "{}", bench.troubles());
    bench.shut_down();
}
