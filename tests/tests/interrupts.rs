//! Interrupts end to end: created by message, written into the MSI-X table through the BAR, aimed by hypercall, delivered by
//! the host, deleted when the driver lets go.

use hvpci_core::bus::BusStatus;
use hvpci_core::driver;
use hvpci_core::wire::Version;
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::{Delivery, FunctionSpec, HostOptions, NotDelivered};
use hvpci_mock::sim::MockPlatform;
use hvpci_tests::bench::{Bench, GIB, slot};

/// Vectors of the GPU's MSI-X table.
const VECTORS: u16 = 6;

/// Every vector of the function arrives where its driver wants it.
#[track_caller]
fn assert_delivered(bus: &MockPlatform, n: u32) {
    let held = bus.interrupts(slot(n));
    assert_eq!(held.len(), usize::from(VECTORS));
    for (vector, interrupt) in (0..).zip(&held) {
        let delivered = bus.on_host(|host, id, _| host.deliver(id, slot(n), vector));
        let wanted = Delivery { vector: interrupt.vector, processors: vec![interrupt.processor] };
        assert_eq!(delivered, Ok(wanted), "vector {vector} of function {n}");
    }
    let past = bus.on_host(|host, id, _| host.deliver(id, slot(n), VECTORS));
    assert_eq!(past, Err(NotDelivered::NoSuchVector));
}

#[test]
fn every_vector_arrives_at_every_version() {
    for version in Version::SPOKEN {
        let mut bench = Bench::on(HostOptions::default().with_versions(&[version]), GuestKind::Linux612);
        bench.highest = Version::V1_6;
        let bus = bench.boot([FunctionSpec::gpu(GIB), FunctionSpec::gpu(GIB)]);
        assert_delivered(&bus, 0);
        assert_delivered(&bus, 1);
        bench.shut_down();
        assert!(bus.interrupts(slot(0)).is_empty());
    }
}

#[test]
fn all_linux_kernels_get_their_interrupts_again_after_a_resume() {
    for guest in GuestKind::ALL.into_iter().filter(|guest| *guest != GuestKind::Windows) {
        let mut bench = Bench::new(guest);
        let bus = bench.boot([FunctionSpec::gpu(GIB), FunctionSpec::gpu(GIB)]);
        let handles: Vec<_> = bus.interrupts(slot(1)).iter().map(|interrupt| interrupt.handle).collect();
        bench.wait(&bus, async |bus| bus.suspend_functions().await);
        driver::suspend(bus.as_ref());
        bench.wait_for(&bus, BusStatus::Suspended);
        driver::resume(bus.as_ref());
        bench.wait_for(&bus, BusStatus::Running);
        bench.wait(&bus, async |bus| bus.resume_functions().await);
        assert_delivered(&bus, 0);
        assert_delivered(&bus, 1);
        let after: Vec<_> = bus.interrupts(slot(1)).iter().map(|interrupt| interrupt.handle).collect();
        assert_eq!(after, handles, "a resume changes messages, not handles");
        bench.shut_down();
    }
}

#[test]
fn a_masked_vector_and_a_message_of_nobody_are_not_delivered() {
    let mut bench = Bench::new(GuestKind::Linux612);
    let bus = bench.boot([FunctionSpec::gpu(GIB)]);
    let deliver = |vector| bus.on_host(|host, id, _| host.deliver(id, slot(0), vector));
    let table = hvpci_tests::bench::function(&bus, slot(0)).and_then(|f| f.bars[0]).expect("it has a BAR");
    bus.on_host(|host, _, now| {
        assert!(host.memory_write(now, table + 12, 1)); // vector 0: masked
        assert!(host.memory_write(now, table + 16, 0xFEE0_0000 | 0xF_F000)); // vector 1: another address
    });
    assert_eq!(deliver(0), Err(NotDelivered::Masked));
    assert!(matches!(deliver(1), Err(NotDelivered::UnknownMessage { .. })));
    assert!(deliver(2).is_ok());
    bench.shut_down();
}

#[test]
fn a_rescan_gives_interrupts_back_and_takes_new_ones() {
    let mut bench = Bench::new(GuestKind::Linux612);
    let bus = bench.boot([FunctionSpec::gpu(GIB)]);
    for _ in 0..3 {
        let seen = hvpci_tests::bench::function(&bus, slot(0)).expect("it is there");
        assert_eq!(bench.wait(&bus, async move |bus| bus.remove_and_rescan(&seen).await), Ok(()));
        assert_delivered(&bus, 0);
        let created = bus.on_host(|host, id, _| host.function(id, slot(0)).map(|f| f.interrupts.len()));
        assert_eq!(created, Some(usize::from(VECTORS)), "the old ones are deleted");
    }
    bench.shut_down();
}
