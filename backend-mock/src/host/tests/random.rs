//! Whatever a guest sends and touches, the host lives and its books balance.

use hvpci_core::wire::Version;
use hvpci_core::{Slot, Time};
use proptest::prelude::*;

use super::guest::{WINDOW, assigned, create2, delete, instance, power, slotted};
use crate::host::packet::{Descriptor, MessageType, Writer};
use crate::host::{
    BusId, BusSpec, ChannelState, Fault, FaultPlan, FunctionSpec, Host, HostOptions, PacketKind, Trigger,
};

#[derive(Clone, Debug)]
enum Step {
    Send { wants: bool, id: u64, payload: Vec<u8> },
    Load { offset: u32, bytes: u32 },
    Store { offset: u32, bytes: u32, value: u32 },
    Memory { address: u64, value: u32 },
    Hypercall(Vec<u8>, u16),
    Drain,
    Open,
    Close,
    Rescind,
    Offer,
    Crash,
    Eject(u32),
    Remove(u32),
    Add(u32),
    Pass(u64),
}

/// Packets that get somewhere, and packets that do not.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let slot = prop_oneof![4 => Just(0u32), 1 => any::<u32>()];
    let descriptor = prop_oneof![
        Just(Descriptor::default()),
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| Descriptor::memory(a, b))
    ];
    prop_oneof![
        any::<u32>().prop_map(|low| Writer::starting(0x4249_0013).u32(0x1_0000 | low & 7).finish()),
        Just(Writer::starting(MessageType::QUERY_PROTOCOL_VERSION.0).u32(Version::V1_6.0).finish()),
        Just(Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(WINDOW).finish()),
        Just(Writer::starting(MessageType::FDO_D0EXIT.0).finish()),
        (slot.clone(), prop::array::uniform6(descriptor), 0x10u32..0x1B).prop_map(|(slot, list, kind)| assigned(
            MessageType(0x4249_0000 | kind),
            slot,
            list
        )),
        (slot.clone(), any::<u8>(), 0u16..40).prop_map(|(slot, vector, count)| create2(slot, vector, count)),
        (slot.clone(), 0u64..8).prop_map(|(slot, n)| delete(slot, 0xFEE0_0000 + 4 * n, 0)),
        (slot.clone(), 0u32..6).prop_map(|(slot, state)| power(slot, state)),
        (slot, 0u32..0x20).prop_map(|(slot, kind)| slotted(MessageType(0x4249_0000 | kind), slot)),
        (0u32..0x20, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(kind, body)| Writer::starting(
            0x4249_0000 | kind
        )
        .raw(&body)
        .finish()),
        prop::collection::vec(any::<u8>(), 0..64),
    ]
}

fn access() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        Just((0, 4)),
        Just((0x1004, 2)),
        (0u32..0x100).prop_map(|at| (0x1000 + at * 4, 4)),
        (0u32..0x2010, 0u32..9),
        (any::<u32>(), any::<u32>()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![Just(0u32), Just(2), Just(u32::MAX), any::<u32>()];
    prop_oneof![
        10 => (any::<bool>(), 0u64..20, payload()).prop_map(|(wants, id, payload)| Step::Send { wants, id, payload }),
        3 => access().prop_map(|(offset, bytes)| Step::Load { offset, bytes }),
        6 => (access(), value.clone()).prop_map(|((offset, bytes), value)| Step::Store { offset, bytes, value }),
        1 => (any::<u64>(), value).prop_map(|(address, value)| Step::Memory { address, value }),
        1 => (prop::collection::vec(any::<u8>(), 0..90), any::<u16>()).prop_map(|(input, size)| Step::Hypercall(input, size)),
        4 => Just(Step::Drain),
        2 => Just(Step::Open),
        1 => Just(Step::Close),
        1 => Just(Step::Rescind),
        1 => Just(Step::Offer),
        1 => Just(Step::Crash),
        1 => (0u32..3).prop_map(Step::Eject),
        1 => (0u32..3).prop_map(Step::Remove),
        1 => (0u32..3).prop_map(Step::Add),
        1 => any::<u32>().prop_map(|by| Step::Pass(u64::from(by))),
    ]
}

fn fault() -> impl Strategy<Value = (Trigger, Fault)> {
    let fault = prop_oneof![
        Just(Fault::Drop),
        Just(Fault::LoseRequest),
        Just(Fault::Refuse(0xC000_0001)),
        any::<usize>().prop_map(Fault::Truncate),
        any::<usize>().prop_map(Fault::Extend),
        Just(Fault::Duplicate),
        Just(Fault::Garbage),
        Just(Fault::UnknownMessage),
        Just(Fault::WrongTransactionId),
        Just(Fault::Rescind),
        Just(Fault::CloseChannel),
        Just(Fault::DeviceGone(Slot::ZERO)),
    ];
    ((0u64..30).prop_map(Trigger::Step), fault)
}

fn take(host: &mut Host, bus: BusId, now: &mut Time, step: Step) {
    match step {
        Step::Send { wants, id, payload } => {
            let _ = host.guest_packet(bus, *now, PacketKind::InBand, wants, id, &payload);
        }
        Step::Load { offset, bytes } => *now = host.window_page_load(bus, *now, offset, bytes).1,
        Step::Store { offset, bytes, value } => *now = host.window_page_store(bus, *now, offset, bytes, value),
        Step::Memory { address, value } => {
            host.memory_read(*now, address);
            host.memory_write(*now, address, value);
        }
        Step::Hypercall(input, size) => {
            let _ = host.retarget(&input, size);
        }
        Step::Drain => while host.next_packet(bus, *now).is_some() {},
        Step::Open => _ = host.open_channel(bus, *now),
        Step::Close => host.close_channel(bus, *now),
        Step::Rescind => host.rescind(bus, *now),
        Step::Offer => host.offer(bus),
        Step::Crash => host.crash(bus),
        Step::Eject(slot) => host.eject(bus, *now, Slot::from_wire(slot).unwrap()),
        Step::Remove(slot) => _ = host.remove_function(bus, *now, Slot::from_wire(slot).unwrap()),
        Step::Add(slot) => {
            let spec = if slot == 0 { FunctionSpec::nvme() } else { FunctionSpec::gpu(1 << 30) };
            host.add_function(bus, *now, spec.at(Slot::from_wire(slot).unwrap()));
        }
        Step::Pass(by) => *now = Time::from_nanos(now.as_nanos().saturating_add(by)),
    }
}

/// What holds at every moment: a function that decodes was mapped once more often than unmapped.
fn balanced(host: &Host, bus: BusId) {
    for slot in 0..3 {
        let slot = Slot::from_wire(slot).unwrap();
        let ledger = host.ledger(bus, slot);
        let decodes = host.function(bus, slot).is_some_and(|function| function.decodes);
        assert_eq!(ledger.maps, ledger.unmaps + ledger.host_unmaps + u64::from(decodes), "{ledger:?}");
    }
    assert_eq!(host.timeline().len() as u64, host.total_ledger().maps);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(400)))]

    #[test]
    fn arbitrary_guests_never_panic(
        steps in prop::collection::vec(step(), 0..80),
        faults in prop::collection::vec(fault(), 0..3),
        openvmm in any::<bool>(),
    ) {
        let mut host = Host::new(if openvmm { HostOptions::openvmm() } else { HostOptions::default() });
        let bus = host.add_bus(BusSpec::single(instance(), FunctionSpec::nvme()));
        host.set_faults(bus, faults.into_iter().fold(FaultPlan::default(), |plan, (when, what)| plan.and(when, what)));
        let mut now = Time::ZERO;
        host.open_channel(bus, now);
        for step in steps {
            take(&mut host, bus, &mut now, step);
            balanced(&host, bus);
        }
        host.close_channel(bus, now);
        balanced(&host, bus);
        prop_assert!(host.channel(bus) != ChannelState::Open);
        // Once the channel is rescinded nothing is held, whatever happened before, a crash included.
        host.rescind(bus, now);
        balanced(&host, bus);
        for slot in host.slots(bus) {
            let function = host.function(bus, slot).unwrap();
            prop_assert!(!function.assigned && !function.decodes && function.interrupts.is_empty());
        }
        prop_assert_eq!(host.window_address(bus), None);
        prop_assert_eq!(host.next_packet(bus, Time::from_nanos(u64::MAX)), None);
    }

    #[test]
    fn arbitrary_config_accesses_never_panic(
        accesses in prop::collection::vec((0u16..4096, 0usize..3, any::<u32>()), 0..200),
    ) {
        let mut device = FunctionSpec::gpu(128 << 30).device;
        for (offset, width, value) in accesses {
            let bytes = [1u16, 2, 4][width];
            let offset = offset & !(bytes - 1);
            let identity = device.read(0, 4, &crate::host::Quirks::default());
            device.write(offset, bytes, value);
            prop_assert_eq!(device.read(0, 4, &crate::host::Quirks::default()), identity);
            let read = device.read(offset, bytes, &crate::host::Quirks::default());
            prop_assert!(bytes == 4 || read < 1 << (8 * u32::from(bytes)));
        }
    }
}
