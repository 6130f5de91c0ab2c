//! No allocation on the packet and config paths, and small futures: what `docs/writing-a-backend.md` promises.

use std::cell::RefCell;
use std::mem::size_of_val;

use allocation_counter::measure;
use hvpci_core::backend::{ConfigPort, PacketPort, Platform, SelectError, SendError, Width};
use hvpci_core::bus::{Packet, PacketKind, Request, Transmit};
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::wire::VpSet;
use hvpci_core::{Slot, driver};
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::FunctionSpec;
use hvpci_tests::bench::{Bench, Bus, GIB, slot};

/// What the documentation promises of a future.
const FUTURE_BYTES: usize = 1024;

/// A channel that takes everything and remembers the last request. Allocates nothing.
#[derive(Default)]
struct Sink {
    last: Option<u64>,
}

impl PacketPort for Sink {
    fn send(&mut self, packet: &Transmit, _payload: &[u8]) -> Result<(), SendError> {
        if packet.wants_completion {
            self.last = Some(packet.transaction_id);
        }
        Ok(())
    }
}

/// A window of a function whose registers all hold 0. Allocates nothing.
struct Zeros;

impl ConfigPort for Zeros {
    fn select(&mut self, _slot: Slot) -> Result<(), SelectError> {
        Ok(())
    }

    fn read(&mut self, _offset: u16, _width: Width) -> u32 {
        0
    }

    fn write(&mut self, _offset: u16, _width: Width, _value: u32) {}
}

fn booted() -> (Bench, Bus) {
    let mut bench = Bench::new(GuestKind::Linux612);
    let bus = bench.boot([FunctionSpec::gpu(GIB), FunctionSpec::gpu(GIB)]);
    (bench, bus)
}

#[track_caller]
fn assert_no_allocation(what: &str, f: impl FnOnce()) {
    let info = measure(f);
    assert_eq!((info.count_total, info.bytes_total), (0, 0), "{what} allocates");
}

#[test]
fn the_packet_path_does_not_allocate() {
    let (_bench, bus) = booted();
    bus.with_bus(&mut |bus, _| bus.reserve_interrupts(4).expect("there is memory"));
    let done = RefCell::new(0);
    bus.with_bus(&mut |bus, _| {
        let now = hvpci_core::Time::from_nanos(1 << 40);
        let mut sink = Sink::default();
        assert_no_allocation("the packet path", || {
            // Requests of each kind: submitted, sent, answered, polled.
            let wanted = InterruptRequest::single(slot(0), 0x40, VpSet::single(1));
            let requests = [
                Request::CreateInterrupt(wanted),
                Request::ReadBlock { slot: slot(0), block: 1, bytes: 64 },
                Request::WriteBlock { slot: slot(1), block: 1, data: [7; 16].into_iter().collect() },
                Request::GetResources { slot: slot(1) },
            ];
            for request in requests {
                let ticket = bus.submit(now, request).expect("it is taken");
                bus.transmit(now, &mut sink);
                let transaction_id = sink.last.take().expect("it was sent");
                for payload in [&[0u8; 2][..], &[0u8; 200], &[0u8; 200]] {
                    bus.handle_packet(now, Packet { kind: PacketKind::Completion, transaction_id, payload });
                }
                *done.borrow_mut() += u32::from(bus.poll_reply(ticket).is_ready());
            }
            // One given up, and its late answer.
            let ticket = bus.submit(now, Request::CreateInterrupt(wanted)).expect("it is taken");
            bus.transmit(now, &mut sink);
            bus.withdraw(ticket);
            let transaction_id = sink.last.take().expect("it was sent");
            bus.handle_packet(now, Packet { kind: PacketKind::Completion, transaction_id, payload: &[0; 24] });
            // What the host sends by itself: relations, eject, invalidation, and what nobody knows.
            for id in 0x4249_0000u32..0x4249_0040 {
                for length in [0, 3, 4, 8, 16, 64, 400] {
                    let mut payload = [0xFFu8; 400];
                    payload[..4].copy_from_slice(&id.to_le_bytes());
                    let payload = &payload[..length];
                    bus.handle_packet(now, Packet { kind: PacketKind::InBand, transaction_id: 0, payload });
                    bus.transmit(now, &mut sink);
                }
            }
            while bus.poll_report().is_some() {}
            bus.handle_timeout(now.after(std::time::Duration::from_secs(600)));
            bus.channel_rescinded(now);
            bus.transmit(now, &mut sink);
        });
    });
    assert_eq!(*done.borrow(), 4, "every request was answered");
}

#[test]
fn the_config_path_does_not_allocate() {
    let (_bench, bus) = booted();
    bus.with_config(&mut |config, _| {
        assert_no_allocation("the config path", || {
            for offset in (0..4100u16).step_by(2) {
                for bytes in [1, 2, 4] {
                    config.read(&mut Zeros, slot(0), offset, bytes);
                }
            }
            config.set_bound(&mut Zeros, slot(0), false);
            for command in [0, 6, 0, 2, 0x406, 0] {
                config.write(&mut Zeros, slot(0), 0x04, 2, command);
                config.write(&mut Zeros, slot(0), 0x10, 4, u32::MAX);
                config.write(&mut Zeros, slot(0), 0x10, 4, 0x4000_0000);
            }
            for offset in (0..256u16).step_by(4) {
                config.write(&mut Zeros, slot(1), offset, 4, 0xFFFF_FFFF);
            }
            config.alive(&mut Zeros, slot(0));
            while config.take_report().is_some() {}
        });
    });
}

/// The futures a backend polls, and those the driver makes for callers: `async` blocks are as large as their values.
#[test]
fn the_drivers_futures_are_small() {
    let (_bench, bus) = booted();
    let platform: &dyn Platform = bus.as_ref();
    let sizes = [
        ("pump", size_of_val(&driver::pump(platform))),
        ("publisher", size_of_val(&driver::publisher(platform))),
        ("request", size_of_val(&driver::request(platform, Request::ResetDevice { slot: slot(0) }))),
        ("power_on", size_of_val(&driver::power_on(platform, slot(0)))),
        ("power_off", size_of_val(&driver::power_off(platform, slot(0)))),
    ];
    println!("{sizes:?}");
    for (name, bytes) in sizes {
        assert!(bytes < FUTURE_BYTES, "{name}: {bytes} bytes");
    }
}
