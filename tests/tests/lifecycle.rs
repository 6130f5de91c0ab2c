//! Lives of buses from offer to the end, whole stack on the virtual clock. Each ends with nothing left anywhere, no
//! violation at the host, and both sides counting alike.

use hvpci_core::backend::Platform;
use hvpci_core::bus::BusStatus;
use hvpci_core::decode::Policy;
use hvpci_core::driver;
use hvpci_core::wire::Version;
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::device::BarSpec;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{CostModel, Fault, FaultPlan, FunctionSpec, HostOptions};
use hvpci_tests::bench::{Bench, GIB, function, is_ready, slot};

const STYLES: [GuestKind; 2] = [GuestKind::Linux612, GuestKind::Windows];

/// Every guest and policy that go together.
fn pairs() -> impl Iterator<Item = (GuestKind, Policy)> {
    let linux = GuestKind::ALL.into_iter().filter(|guest| *guest != GuestKind::Windows);
    let linux = linux.flat_map(|guest| Policy::ALL.map(|policy| (guest, policy)));
    linux.filter(|(_, policy)| *policy != Policy::Eager).chain([(GuestKind::Windows, Policy::Deferred)])
}

fn gpus(count: usize) -> Vec<FunctionSpec> {
    vec![FunctionSpec::gpu(GIB); count]
}

#[test]
fn every_version_in_both_styles() {
    for guest in STYLES {
        for version in Version::SPOKEN {
            let mut bench = Bench::on(HostOptions::default().with_versions(&[version]), guest);
            bench.highest = Version::V1_6;
            let bus = bench.boot(gpus(2));
            let mut spoken = None;
            bus.with_bus(&mut |bus, _| spoken = bus.version());
            assert_eq!(spoken, Some(version));
            assert!(is_ready(&bus, slot(0)) && is_ready(&bus, slot(1)), "{guest} {version}: {}", bench.troubles());
            assert_eq!(bus.ledger().maps, 2, "{guest} {version}");
            bench.shut_down();
            assert_eq!(bus.status(), BusStatus::Stopped);
        }
    }
}

#[test]
fn every_guest_and_policy_on_both_hosts() {
    for (guest, policy) in pairs() {
        for host in [HostOptions::default(), HostOptions::openvmm()] {
            let mut bench = Bench::on(host, guest).with_policy(policy);
            let functions = [FunctionSpec::gpu(GIB), FunctionSpec::nvme(), FunctionSpec::gpu_with_bars(&[])];
            let bus = bench.boot(functions);
            assert!((0..3).all(|n| is_ready(&bus, slot(n))), "{guest} {policy}: {}", bench.troubles());
            bench.shut_down();
        }
    }
}

#[test]
fn any_number_of_functions() {
    for guest in STYLES {
        for count in [1, 2, 14, 256] {
            let cost = if count == 256 { CostModel::FREE } else { CostModel::default() };
            let mut bench = Bench::on(HostOptions::default().with_cost(cost), guest);
            bench.max_functions = 256;
            let spec = FunctionSpec::gpu_with_bars(&[BarSpec::wide(0, 1 << 20)]);
            let bus = bench.boot(vec![spec; count]);
            assert_eq!(bus.progress().values().filter(|p| p.ready.is_some()).count(), count, "{guest}");
            assert_eq!(bus.ledger().maps, count as u64, "{guest}");
            bench.shut_down();
        }
    }
}

#[test]
fn several_buses_at_once() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let buses: Vec<_> = (0..6).map(|n| bench.offer(gpus(1 + n % 3))).collect();
        buses.iter().for_each(|bus| bench.start(bus));
        for bus in &buses {
            bench.wait(bus, async |bus| bus.booted().await);
            assert!(is_ready(bus, slot(0)));
        }
        bench.shut_down();
    }
}

#[test]
fn a_stopped_bus_starts_again() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(2));
        bench.stop_all();
        bench.start(&bus);
        bench.wait(&bus, async |bus| bus.booted().await);
        bench.shut_down();
        assert_eq!(bus.status(), BusStatus::Stopped);
    }
}

#[test]
fn functions_are_added_to_a_live_bus() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(1));
        for n in 1..4 {
            let spec = FunctionSpec::gpu(n << 30).at(slot(n as u32)).with_serial(77);
            assert!(bus.on_host(|host, id, now| host.add_function(id, now, spec)));
            bench.wait_until(&bus, move |bus| is_ready(bus, slot(n as u32)));
            assert!(function(&bus, slot(n as u32)).expect("it is there").bars[0].is_some());
        }
        assert_eq!(bus.ledger().maps, 4);
        bench.shut_down();
    }
}

/// Each hot-added function may need a window of its own: there must be room for all of them.
#[test]
fn many_functions_are_added_one_by_one() {
    for guest in STYLES {
        let mut bench = Bench::on(HostOptions::default().with_cost(CostModel::FREE), guest);
        bench.max_functions = 64;
        let bus = bench.boot(gpus(1));
        for n in 1..40u32 {
            let bars = [BarSpec::wide(0, 1 << 20), BarSpec::narrow(2, 1 << 16)];
            let spec = FunctionSpec::gpu_with_bars(&bars).at(slot(n)).with_serial(n);
            assert!(bus.on_host(|host, id, now| host.add_function(id, now, spec)));
            bench.wait_until(&bus, move |bus| bus.progress().contains_key(&slot(n)));
            assert!(is_ready(&bus, slot(n)), "{guest}, function {n}: {}", bench.troubles());
        }
        bench.shut_down();
    }
}

#[test]
fn a_function_is_ejected() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(2));
        bus.on_host(|host, id, now| {
            host.eject(id, now, slot(1));
            host.eject(id, now, slot(1)); // asked twice
        });
        bench.wait_until(&bus, |bus| function(bus, slot(1)).is_none());
        assert!(is_ready(&bus, slot(0)));
        assert_eq!(bus.status(), BusStatus::Running);
        assert_eq!(bus.counters().duplicate_ejects, 1);
        bench.shut_down();
    }
}

#[test]
fn ejecting_the_last_function_ends_in_a_rescind() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(1));
        bus.on_host(|host, id, now| host.eject(id, now, slot(0)));
        assert_eq!(bench.run_out(), Ok(()), "{}", bench.troubles());
        assert_eq!(bus.status(), BusStatus::Gone);
        bench.assert_clean();
    }
}

/// An eject that arrives at any moment of the bring-up of two functions.
#[test]
fn an_eject_at_every_step_of_the_bring_up() {
    for guest in STYLES {
        for step in 4..40 {
            let mut bench = Bench::new(guest);
            let bus = bench.offer(gpus(2));
            bus.at_message(step, |bus| bus.on_host(|host, id, now| host.eject(id, now, slot(1))));
            bench.start(&bus);
            bench.wait_until(&bus, |bus| is_ready(bus, slot(0)));
            bench.pass(5);
            if bus.on_host(|host, id, _| host.bus_ledger(id)).messages < step {
                bench.shut_down();
                break; // the bring-up has fewer steps
            }
            assert_eq!(bus.status(), BusStatus::Running, "{guest}, step {step}: {}", bench.troubles());
            assert_eq!(
                bus.on_host(|host, id, _| host.slots(id)),
                [slot(0)],
                "{guest}, step {step}: {}",
                bench.troubles()
            );
            bench.shut_down();
        }
    }
}

#[test]
fn a_function_is_gone_without_a_word() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(3));
        assert!(bus.on_host(|host, id, now| host.remove_function(id, now, slot(1))));
        bench.wait_until(&bus, |bus| function(bus, slot(1)).is_none());
        assert_eq!(bus.status(), BusStatus::Running);
        bench.shut_down();
    }
}

#[test]
fn another_function_in_the_same_slot() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(2));
        bus.on_host(|host, id, now| {
            host.remove_function(id, now, slot(1));
            host.add_function(id, now, FunctionSpec::nvme().at(slot(1)));
        });
        let is_nvme = |bus: &hvpci_mock::sim::MockPlatform| {
            function(bus, slot(1)).is_some_and(|f| f.description.device == 0xC03E)
        };
        bench.wait_until(&bus, is_nvme);
        bench.pass(5);
        assert_eq!(bus.ledger().maps, 3);
        assert_eq!(bus.status(), BusStatus::Running);
        bench.shut_down();
    }
}

#[test]
fn suspend_and_resume() {
    for (guest, policy) in pairs() {
        let mut bench = Bench::new(guest).with_policy(policy);
        let bus = bench.boot(gpus(2));
        let before = [0, 1].map(|n| function(&bus, slot(n)));
        for _ in 0..2 {
            bench.wait(&bus, async |bus| bus.suspend_functions().await);
            driver::suspend(bus.as_ref());
            bench.wait_for(&bus, BusStatus::Suspended);
            let windows = bench.machine.vm().mmio().taken().count();
            assert!(windows >= 1, "{guest}: the windows are kept");
            driver::resume(bus.as_ref());
            bench.wait_for(&bus, BusStatus::Running);
            bench.wait(&bus, async |bus| bus.resume_functions().await);
            assert_eq!([0, 1].map(|n| function(&bus, slot(n))), before);
            assert!((0..2).all(|n| bus.progress()[&slot(n)].error.is_none()), "{guest} {policy}: {}", bench.troubles());
            let decodes =
                |n| bus.on_host(|host, id, _| host.function(id, slot(n)).is_some_and(|function| function.decodes));
            assert!(decodes(0) && decodes(1), "{guest} {policy}: decode is back on after the resume");
        }
        bench.shut_down();
    }
}

/// A function that was added, and one that was taken away, while the bus slept.
#[test]
fn functions_change_while_suspended() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(2));
        bench.wait(&bus, async |bus| bus.suspend_functions().await);
        driver::suspend(bus.as_ref());
        bench.wait_for(&bus, BusStatus::Suspended);
        bus.on_host(|host, id, now| {
            host.remove_function(id, now, slot(0));
            host.add_function(id, now, FunctionSpec::nvme().at(slot(2)));
        });
        driver::resume(bus.as_ref());
        bench.wait_until(&bus, |bus| is_ready(bus, slot(2)) && function(bus, slot(0)).is_none());
        bench.wait(&bus, async |bus| bus.resume_functions().await);
        assert_eq!(bus.status(), BusStatus::Running);
        bench.shut_down();
    }
}

/// EJECT comes when the host has taken the functions' resources back already: the driver lets go of its function without a
/// config access, which would end nowhere.
#[test]
fn a_function_is_ejected_while_the_bus_falls_asleep() {
    for guest in STYLES {
        for (at, nth) in
            [(MessageType::RESOURCES_RELEASED, 1), (MessageType::RESOURCES_RELEASED, 2), (MessageType::FDO_D0EXIT, 1)]
        {
            let mut bench = Bench::new(guest);
            let bus = bench.boot(gpus(2));
            bench.wait(&bus, async |bus| bus.suspend_functions().await);
            bus.on_host(|host, id, _| host.set_faults(id, FaultPlan::at(at, nth, Fault::Eject(slot(1)))));
            driver::suspend(bus.as_ref());
            bench.wait_for(&bus, BusStatus::Suspended);
            assert_eq!(bench.errors(), [], "{guest}, at {at:?} {nth}");
            assert_eq!(bus.on_host(|host, id, _| host.slots(id)), [slot(0)], "{guest}, at {at:?} {nth}");
            driver::resume(bus.as_ref());
            bench.wait_for(&bus, BusStatus::Running);
            bench.wait(&bus, async |bus| bus.resume_functions().await);
            assert!(is_ready(&bus, slot(0)) && function(&bus, slot(1)).is_none(), "{guest}: {}", bench.troubles());
            // What the host says of the function while the channel closes is lost, so the messages are not compared.
            bench.stop_all();
            bench.assert_nothing_left();
            assert_eq!(bench.errors(), []);
        }
    }
}

#[test]
fn a_suspended_bus_is_stopped() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(2));
        driver::suspend(bus.as_ref());
        bench.wait_for(&bus, BusStatus::Suspended);
        bench.shut_down();
        assert_eq!(bus.status(), BusStatus::Stopped);
    }
}

/// The first kernel died with the bus in D0, its functions decoding and holding interrupts.
#[test]
fn a_kdump_kernel_takes_over() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let first = bench.boot(gpus(2));
        first.on_host(|host, id, _| host.crash(id));
        let mut second = Bench::second_kernel(bench, guest);
        let bus = second.boot_again(first.id);
        assert!(is_ready(&bus, slot(0)) && is_ready(&bus, slot(1)), "{guest}: {}", second.troubles());
        second.stop_all();
        assert_eq!(second.errors(), []);
        second.assert_nothing_left();
        assert_eq!(bus.status(), BusStatus::Stopped);
    }
}

#[test]
fn decode_left_on_costs_at_most_one_unmap_each() {
    for guest in [GuestKind::Linux61, GuestKind::Linux612, GuestKind::LinuxBatched, GuestKind::Windows] {
        let mut bench = Bench::new(guest);
        let bus = bench.offer(gpus(2));
        bus.on_host(|host, id, _| {
            host.set_leftover(id, slot(0), true, &[(0, 0x20_0000_0000)]);
            host.set_leftover(id, slot(1), true, &[(0, 0x20_4000_0000)]);
        });
        bench.start(&bus);
        bench.wait(&bus, async |bus| bus.booted().await);
        assert!(is_ready(&bus, slot(0)) && is_ready(&bus, slot(1)), "{guest}: {}", bench.troubles());
        let ledger = bus.on_host(|host, id, _| host.bus_ledger(id));
        assert!(ledger.unmaps <= 2, "{guest}: {ledger:?}");
        assert_eq!(ledger.maps, 2, "{guest}");
        assert_eq!(bench.errors(), [], "{guest}");
        bench.shut_down();
    }
}

#[test]
fn a_rescinded_bus_is_offered_again() {
    for guest in STYLES {
        let mut bench = Bench::new(guest);
        let bus = bench.boot(gpus(2));
        bus.on_host(|host, id, now| host.rescind(id, now));
        assert_eq!(bench.run_out(), Ok(()));
        assert_eq!(bus.status(), BusStatus::Gone);
        bus.on_host(|host, id, _| host.offer(id));
        let again = bench.offered_again(&bus);
        bench.start(&again);
        bench.wait(&again, async |bus| bus.booted().await);
        assert!(is_ready(&again, slot(0)));
        bench.shut_down();
    }
}
