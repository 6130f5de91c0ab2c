//! What a hostile host says: everything it should, the same again from the same seed, and no more than it was told to.

use alloc::vec::Vec;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use hvpci_core::Time;

use crate::host::{Foul, FoulPacket, HostPacket, PacketKind, Storm};

const GENUINE: &[u8] = &[0, 0, 0, 0, 1, 2, 3, 4];

/// A storm that has heard an honest host answer `ids`.
fn storm(seed: u64) -> Storm {
    let mut storm = Storm::new(seed);
    for id in 1..9 {
        storm.asked(id);
        storm.heard(&HostPacket { kind: PacketKind::Completion, transaction_id: id, payload: GENUINE.to_vec() });
    }
    storm
}

/// Everything it sends, and when.
fn all(mut storm: Storm, packets: u64) -> (Storm, Vec<(Time, FoulPacket)>) {
    storm.send(Time::ZERO, packets);
    let mut said = Vec::new();
    while let Some(due) = storm.next_due() {
        let packet = storm.next(due).expect("it is due");
        assert!(said.len() < 30_000, "more than it was told to");
        said.push((due, packet));
    }
    (storm, said)
}

fn id_in(packet: &FoulPacket) -> u64 {
    packet.bytes.get(8..16).map_or(packet.transaction_id, |id| u64::from_le_bytes(id.try_into().unwrap()))
}

#[test]
fn it_says_as_much_as_it_was_told_to_and_of_every_kind() {
    let (storm, said) = all(storm(1), 20_000);
    assert_eq!((said.len(), storm.sent(), storm.left()), (20_000, 20_000, 0));
    let mut kinds: BTreeMap<Foul, usize> = BTreeMap::new();
    for (_, packet) in &said {
        *kinds.entry(packet.kind).or_default() += 1;
        assert!(packet.bytes.len() >= 8 && packet.bytes.len() % 8 == 0);
        assert_eq!(id_in(packet), packet.transaction_id);
    }
    assert_eq!(kinds.len(), 9);
    assert!(kinds.values().all(|count| *count > 1500), "{kinds:?}");
    // More at once than a guest reads in one go, and pauses in which something else can happen.
    assert!(storm.most_in_a_row() > 1024, "{}", storm.most_in_a_row());
    assert!(said.iter().map(|(due, _)| *due).collect::<BTreeSet<_>>().len() > 100);
}

#[test]
fn the_seed_decides() {
    assert_eq!(all(storm(7), 500).1, all(storm(7), 500).1);
    assert_ne!(all(storm(7), 500).1, all(storm(8), 500).1);
    assert_eq!(all(Storm::new(0), 100).1.len(), 100);
}

#[test]
fn what_it_sends_is_made_from_what_went_by() {
    let said = all(storm(3), 20_000).1;
    let of = |kind: Foul| said.iter().map(|(_, packet)| packet).filter(move |packet| packet.kind == kind);
    assert!(of(Foul::Replayed).all(|packet| packet.bytes[16..] == *GENUINE && (1..9).contains(&packet.transaction_id)));
    assert!(of(Foul::UnknownId).all(|packet| packet.bytes[16..] == *GENUINE));
    assert!(of(Foul::UnknownId).all(|packet| !(1..9).contains(&packet.transaction_id)));
    let flipped = |packet: &&FoulPacket| packet.bytes.len() == 24 && packet.bytes[16..] != *GENUINE;
    assert!(of(Foul::Flipped).filter(flipped).count() > 1500);
    let lengths: BTreeSet<usize> = of(Foul::Sized).map(|packet| packet.bytes.len()).collect();
    assert!(*lengths.first().unwrap() == 16 && *lengths.last().unwrap() > 8192 + 16);
    // Answers to requests that may be waiting: most of them.
    let known = of(Foul::Forged).filter(|packet| (1..=9).contains(&packet.transaction_id)).count();
    assert!(known > 1500, "{known}");
    // Lengths in the descriptor that are not those of the packet, and packets that end in it.
    let untrue = |packet: &&FoulPacket| packet.bytes.get(2..4) != Some(&[2, 0]);
    assert!(of(Foul::Descriptor).filter(untrue).count() > 500);
    assert!(of(Foul::Descriptor).any(|packet| packet.bytes.len() == 8));
}

#[test]
fn before_anything_was_heard_it_makes_everything_up() {
    let (_, said) = all(Storm::new(5), 2000);
    let kinds: BTreeSet<Foul> = said.iter().map(|(_, packet)| packet.kind).collect();
    assert!(!kinds.contains(&Foul::Replayed) && kinds.contains(&Foul::Noise) && kinds.contains(&Foul::Forged));
}

#[test]
fn nothing_comes_before_its_time() {
    let mut storm = storm(11);
    assert_eq!((storm.next_due(), storm.next(Time::ZERO)), (None, None));
    let start = Time::ZERO.after(Duration::from_secs(1));
    storm.send(start, 3000);
    assert_eq!(storm.next(Time::ZERO), None);
    let mut at = start;
    while storm.next(at).is_some() {}
    // The first burst is over.
    let due = storm.next_due().unwrap();
    assert!(due > at, "{due:?}");
    at = due;
    assert!(storm.next(at).is_some());
}
