//! A host that sends nonsense.

use proptest::prelude::*;

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::interrupt::Architecture;
use crate::wire::*;

#[test]
fn odd_packets_are_counted_reported_and_ignored() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let message = |kind: MessageType, rest: &[u8]| [&kind.0.to_le_bytes(), rest].concat();
    rig.deliver(PacketKind::InBand, 0, &[]);
    rig.deliver(PacketKind::InBand, 0, &[1, 2, 3]);
    rig.deliver(PacketKind::InBand, 0, &message(MessageType::EJECT, &[0]));
    // Counts that do not fit: one entry promised, none there; more than there are slots.
    rig.deliver(PacketKind::InBand, 0, &message(MessageType::BUS_RELATIONS2, &[1, 0, 0, 0]));
    rig.deliver(PacketKind::InBand, 0, &message(MessageType::BUS_RELATIONS2, &[0xFF; 4]));
    assert_eq!(rig.bus.counters().malformed, 5);
    rig.deliver(PacketKind::InBand, 0, &message(MessageType(0x4249_0077), &[0; 40]));
    rig.deliver(PacketKind::InBand, 0, &message(MessageType::QUERY_STOP, &[0; 12]));
    // What only a guest says.
    rig.deliver(PacketKind::InBand, 0, &message(MessageType::FDO_D0EXIT, &[0; 4]));
    assert_eq!(rig.bus.counters().unknown_messages, 3);
    rig.deliver(PacketKind::Completion, 0, &[0; 8]);
    rig.deliver(PacketKind::Completion, 1, &[0; 8]);
    rig.deliver(PacketKind::Completion, u64::MAX, &[0; 8]);
    let counters = *rig.bus.counters();
    assert_eq!((counters.unknown_completions, counters.duplicate_completions), (2, 1));
    // A bad slot, and the same slot twice, inside a list that is otherwise good.
    let mut buf = vec![0; 256];
    let twice = [function(0), function(0), function(1)];
    let length = Relations::encode_list(RelationsForm::V2, &twice, &mut buf).unwrap();
    buf[8 + 2 * 28 + 12..][..4].copy_from_slice(&0x100u32.to_le_bytes());
    rig.deliver(PacketKind::InBand, 0, &buf[..length]);
    rig.run();
    let counters = *rig.bus.counters();
    assert_eq!((counters.duplicate_slots, counters.bad_slots), (1, 1));
    assert!(rig.reports.contains(&Report::Odd(Odd::Malformed(3))));
    assert_eq!((rig.bus.status(), rig.shown.clone()), (BusStatus::Running, vec![slot(0)]));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_completion_that_is_too_short_answers_nothing() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.bus.reserve_interrupts(1).unwrap();
    rig.host.ignore = |said| matches!(said, Said::Create(..));
    let ticket = rig.submit(create(0));
    rig.run();
    let id = rig.host.ignored[0].0;
    for short in [0, 3, 4, 8, 23] {
        rig.deliver(PacketKind::Completion, id, &vec![0; short]);
        assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Pending);
    }
    assert_eq!(rig.bus.counters().malformed_completions, 5);
    rig.deliver(PacketKind::Completion, id, &[0; 24]);
    assert!(matches!(rig.bus.poll_reply(ticket), core::task::Poll::Ready(Ok(_))));
}

#[test]
fn a_guessed_id_is_not_believed() {
    // The host completes a request that the ring has not taken yet.
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.host.ring_full = usize::MAX;
    let ticket = rig.submit(Request::GetResources { slot: slot(0) });
    rig.run();
    let next = rig.host.ids.last().unwrap() + 1;
    rig.deliver(PacketKind::Completion, next, &[0; 128]);
    assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Pending);
    // The deadline runs although nothing was ever taken.
    rig.wait(60);
    assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Ready(Err(RequestError::Timeout)));
}

#[test]
fn a_flood_of_oddities_fills_no_memory() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    for id in 0..10_000 {
        rig.deliver(PacketKind::Completion, u64::MAX - id, &[]);
        rig.deliver(PacketKind::InBand, 0, &[0xFF; 64]);
    }
    assert!(rig.bus.counters().reports_dropped > 19_000);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Running);
}

#[test]
fn packets_of_a_closed_channel_are_ignored() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.deliver(PacketKind::InBand, 0, &[0; 64]);
    let mut rig = rig.up();
    rig.stop();
    rig.deliver(PacketKind::InBand, 0, &[0; 64]);
    assert_eq!(rig.bus.counters().ignored_messages, 2);
}

#[derive(Clone, Debug)]
enum Deed {
    Raw(bool, u64, Vec<u8>),
    Typed(u32, Vec<u8>),
    Status(u64, u32, usize),
    List(Vec<(u32, u32)>),
    Eject(u32),
    Turn(u8),
    Wait(u8),
    Read(u32),
    Create(u32),
    Power(u32, u32),
    Withdraw(usize),
    Poll(usize),
    Suspend,
    Start,
    Stop,
    Stuck(bool),
    Full(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        1 => (any::<bool>(), 0..64u64, prop::collection::vec(any::<u8>(), 0..160))
            .prop_map(|(kind, id, bytes)| Deed::Raw(kind, id, bytes)),
        2 => (0..0x20u32, prop::collection::vec(0..4u8, 0..100)).prop_map(|(kind, bytes)| Deed::Typed(kind, bytes)),
        3 => (0..64u64, prop_oneof![Just(0u32), Just(0xC000_0059), any::<u32>()], 0..40usize)
            .prop_map(|(id, status, length)| Deed::Status(id, status, length)),
        2 => prop::collection::vec((0..4u32, 0..2u32), 0..4).prop_map(Deed::List),
        2 => (0..4u32).prop_map(Deed::Eject),
        8 => (1..12u8).prop_map(Deed::Turn),
        1 => (1..70u8).prop_map(Deed::Wait),
        1 => (0..4u32).prop_map(Deed::Read),
        1 => (0..4u32).prop_map(Deed::Create),
        1 => (0..4u32, 1..5u32).prop_map(|(s, p)| Deed::Power(s, p)),
        1 => (0..8usize).prop_map(Deed::Withdraw),
        1 => (0..8usize).prop_map(Deed::Poll),
        1 => Just(Deed::Suspend),
        1 => Just(Deed::Start),
        1 => Just(Deed::Stop),
        1 => any::<bool>().prop_map(Deed::Stuck),
        1 => (0..4u8).prop_map(Deed::Full),
    ]
}

fn act(rig: &mut Rig, tickets: &mut Vec<Ticket>, deed: Deed) {
    let submit = |rig: &mut Rig, tickets: &mut Vec<Ticket>, request| {
        tickets.extend(rig.bus.submit(rig.now, request));
    };
    match deed {
        Deed::Raw(in_band, id, bytes) => {
            let kind = if in_band { PacketKind::InBand } else { PacketKind::Completion };
            rig.deliver(kind, id, &bytes);
        }
        Deed::Typed(kind, bytes) => {
            let code = (MessageType::BASE + kind).to_le_bytes();
            rig.deliver(PacketKind::InBand, 0, &[&code[..], &bytes].concat());
        }
        Deed::Status(id, status, length) => {
            let mut bytes = status.to_le_bytes().to_vec();
            bytes.resize(length, 0);
            rig.deliver(PacketKind::Completion, id, &bytes);
        }
        Deed::List(functions) => {
            let list: Vec<_> =
                functions.iter().map(|(s, serial)| FunctionDescription { serial: *serial, ..function(*s) }).collect();
            rig.host.list(&list);
        }
        Deed::Eject(wslot) => rig.host.message(HostMessage::Eject { slot: wslot }),
        Deed::Turn(turns) => (0..turns).for_each(|_| {
            rig.turn();
        }),
        Deed::Wait(seconds) => rig.wait(seconds.into()),
        Deed::Read(s) => submit(rig, tickets, Request::ReadBlock { slot: slot(s), block: 0, bytes: 8 }),
        Deed::Create(s) => submit(rig, tickets, create(s)),
        Deed::Power(s, p) => submit(rig, tickets, Request::PowerState { slot: slot(s), state: PowerState(p) }),
        Deed::Withdraw(at) => {
            if let Some(ticket) = tickets.get(at) {
                rig.bus.withdraw(*ticket);
            }
        }
        Deed::Poll(at) => {
            if let Some(ticket) = tickets.get(at) {
                let _ = rig.bus.poll_reply(*ticket);
            }
        }
        Deed::Suspend => rig.bus.request_suspend(rig.now),
        Deed::Start => rig.bus.request_start(rig.now),
        Deed::Stop => rig.bus.request_stop(rig.now),
        Deed::Stuck(stuck) => rig.publisher_stuck = stuck,
        Deed::Full(attempts) => rig.host.ring_full = attempts.into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(400)))]

    #[test]
    fn nothing_a_host_sends_breaks_a_bus(
        messages: bool,
        prefetch: bool,
        deeds in prop::collection::vec(deed(), 0..120),
        rescind: bool,
    ) {
        let style = if messages { GuestStyle::Messages } else { GuestStyle::ConfigSpace };
        let policy = if prefetch { crate::decode::Policy::Prefetch } else { crate::decode::Policy::Deferred };
        let options = BusOptions { policy, outstanding: 4, max_functions: 4, ..BusOptions::new(style, Architecture::X86) };
        let mut rig = Rig::with(options).functions(&[(0, PROBED), (1, PROBED)]);
        rig.bus.reserve_interrupts(3).unwrap();
        rig.bus.request_start(rig.now);
        let mut tickets = vec![];
        for deed in deeds {
            act(&mut rig, &mut tickets, deed);
        }
        rig.publisher_stuck = false;
        rig.host.ring_full = 0;
        if rescind {
            rig.rescind();
            rig.run_out();
            prop_assert_eq!(rig.bus.status(), BusStatus::Gone);
        } else {
            rig.stop();
        }
        rig.assert_nothing_left();
        for ticket in tickets {
            let ended = rig.bus.poll_reply(ticket);
            prop_assert_ne!(ended, core::task::Poll::Pending);
        }
        if !rescind {
            // The bus is as good as new.
            rig.host.functions = vec![(function(0), PROBED)];
            rig.bus.request_start(rig.now);
            rig.run_out();
            prop_assert_eq!(rig.bus.status(), BusStatus::Running);
            prop_assert_eq!(&rig.shown, &vec![slot(0)]);
        }
    }
}
