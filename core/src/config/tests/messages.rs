//! Message interrupts through config space.

use super::*;
use crate::wire::MsiEntry;

/// MSI-X with its table in BAR 0.
fn msi_x() -> Rig {
    let mut rig = Rig::with(messages(Policy::Deferred), 1);
    rig.host.functions[0].config[0x44 / 4] = 0x2000;
    rig
}

/// MSI of 8 messages with a 64-bit address at 0x40, in the place of MSI-X.
fn msi(control: u32) -> Rig {
    let mut rig = Rig::with(messages(Policy::Deferred), 1);
    rig.host.functions[0].config[0x40 / 4] = 0x4C05 | control << 16;
    rig
}

fn entry(address: u64, data: u32) -> MsiEntry {
    MsiEntry { address, data, message_count: 1, reserved: 0 }
}

#[test]
fn msi_x_is_found_switched_on_and_off() {
    let mut rig = msi_x();
    let found = rig.space.message_capability(&mut rig.host, slot(0));
    let wanted = MessageCapability::MsiX { at: 0x40, messages: 64, bar: 0, offset: 0x2000 };
    assert_eq!(found, Some(wanted));
    assert_eq!(wanted.messages(), 64);
    let before = rig.host.writes.len();
    rig.space.enable_messages(&mut rig.host, slot(0), wanted, &entry(0xFEE0_0000, 1), 64).unwrap();
    rig.space.disable_messages(&mut rig.host, slot(0), wanted);
    rig.space.disable_messages(&mut rig.host, slot(0), wanted);
    assert_eq!(rig.host.writes[before..], [(0, 0x42, 0x803F), (0, 0x42, 0x003F)], "nothing is switched off twice");
    rig.check();
}

#[test]
fn a_table_outside_its_bar_is_none() {
    // BAR 4 is not there; the last entry would lie behind the 1 MiB of BAR 0; BAR 2 is too small; BIR 7 is reserved.
    for table in [0x4, 0xF_FC10, 0x2, 0x7] {
        let mut rig = msi_x();
        rig.host.functions[0].config[0x44 / 4] = table;
        assert_eq!(rig.space.message_capability(&mut rig.host, slot(0)), None, "{table:#x}");
    }
    let mut rig = msi_x();
    rig.host.functions[0].config[0x44 / 4] = 0xF_FC00;
    assert!(rig.space.message_capability(&mut rig.host, slot(0)).is_some(), "it just fits");
}

#[test]
fn msi_gets_its_message_before_it_is_switched_on() {
    let mut rig = msi(0x0086);
    let found = rig.space.message_capability(&mut rig.host, slot(0)).unwrap();
    assert_eq!(found, MessageCapability::Msi { at: 0x40, messages: 8, is_64bit: true });
    let before = rig.host.writes.len();
    rig.space.enable_messages(&mut rig.host, slot(0), found, &entry(0x1_FEE0_0000, 0x1234), 4).unwrap();
    let wanted = [(0, 0x44, 0xFEE0_0000), (0, 0x48, 1), (0, 0x4C, 0x1234), (0, 0x42, 0x00A7)];
    assert_eq!(rig.host.writes[before..], wanted);
}

#[test]
fn a_message_that_does_not_fit_is_refused_and_nothing_written() {
    let mut rig = msi(0x0000);
    let found = rig.space.message_capability(&mut rig.host, slot(0)).unwrap();
    assert_eq!(found, MessageCapability::Msi { at: 0x40, messages: 1, is_64bit: false });
    let before = rig.host.writes.len();
    for odd in [entry(0x1_FEE0_0000, 0), entry(0xFEE0_0000, 0x1_0000)] {
        let refused = rig.space.enable_messages(&mut rig.host, slot(0), found, &odd, 1);
        assert_eq!(refused, Err(MessagesRefused::DoesNotFit(slot(0))));
    }
    assert_eq!(rig.host.writes.len(), before);
    rig.space.enable_messages(&mut rig.host, slot(0), found, &entry(0xFEE0_0000, 7), 1).unwrap();
    assert_eq!(rig.host.writes[before..], [(0, 0x44, 0xFEE0_0000), (0, 0x48, 7), (0, 0x42, 1)]);
}

#[test]
fn a_function_that_is_gone_gets_nothing() {
    let mut rig = msi_x();
    let found = rig.space.message_capability(&mut rig.host, slot(0)).unwrap();
    rig.host.functions[0].gone = true;
    rig.space.function_gone(slot(0));
    let before = rig.host.writes.len();
    assert_eq!(rig.space.message_capability(&mut rig.host, slot(0)), None);
    let refused = rig.space.enable_messages(&mut rig.host, slot(0), found, &entry(0, 0), 1);
    assert_eq!(refused, Err(MessagesRefused::Silent(slot(0))));
    rig.space.disable_messages(&mut rig.host, slot(0), found);
    assert_eq!(rig.host.writes.len(), before);
}

/// Message Control as the host has it and as the guest reads it.
fn control(rig: &mut Rig) -> (u32, u32) {
    let guest = rig.space.read(&mut rig.host, slot(0), 0x42, 2);
    assert_eq!(rig.space.read(&mut rig.host, slot(0), 0x40, 4) >> 16, guest);
    assert_eq!(rig.space.read(&mut rig.host, slot(0), 0x42, 1), guest & 0xFF);
    (rig.host.functions[0].config[0x40 / 4] >> 16, guest)
}

#[test]
fn enable_is_withheld_however_it_is_written_and_seen_as_written() {
    for (offset, bytes, on, off) in
        [(0x42, 2, 0x00A7, 0x00A6), (0x42, 1, 0xA7, 0xA6), (0x40, 4, 0x00A7_0000, 0x00A6_0000)]
    {
        let mut rig = msi(0x0086);
        rig.space.withhold_messages(&mut rig.host, slot(0));
        let before = rig.host.writes.len();
        rig.space.write(&mut rig.host, slot(0), offset, bytes, on);
        assert_eq!(rig.host.writes[before..], [(0, offset, off)], "everything but Enable is the guest's");
        assert_eq!(rig.space.read(&mut rig.host, slot(0), 0x42, 2) & 1, 1);
        rig.space.pass_messages(&mut rig.host, slot(0));
        assert_eq!(rig.host.functions[0].config[0x40 / 4] >> 16 & 1, 1, "what the guest wrote has its effect now");
        rig.space.write(&mut rig.host, slot(0), offset, bytes, off);
        assert_eq!(control(&mut rig), (0x00A6, 0x00A6));
        rig.check();
    }
}

#[test]
fn messages_under_way_are_stopped_and_come_back() {
    let mut rig = msi(0x0087);
    rig.space.withhold_messages(&mut rig.host, slot(0));
    assert_eq!(control(&mut rig), (0x0086, 0x0087));
    // Once more is nothing, and the guest may go on writing what is no Enable.
    rig.space.withhold_messages(&mut rig.host, slot(0));
    rig.space.write(&mut rig.host, slot(0), 0x44, 4, 0xFEE0_0000);
    assert_eq!(control(&mut rig), (0x0086, 0x0087));
    rig.space.pass_messages(&mut rig.host, slot(0));
    assert_eq!(control(&mut rig), (0x0087, 0x0087));
    // Nothing is switched on that the guest has switched off meanwhile.
    rig.space.withhold_messages(&mut rig.host, slot(0));
    rig.space.write(&mut rig.host, slot(0), 0x42, 2, 0x0086);
    rig.space.pass_messages(&mut rig.host, slot(0));
    assert_eq!(control(&mut rig), (0x0086, 0x0086));
    rig.space.pass_messages(&mut rig.host, slot(0));
    rig.space.write(&mut rig.host, slot(0), 0x42, 2, 0x0087);
    assert_eq!(control(&mut rig), (0x0087, 0x0087));
    rig.check();
}

#[test]
fn what_is_withheld_outlasts_a_reset_but_not_the_function() {
    let mut rig = msi(0x0087);
    rig.space.withhold_messages(&mut rig.host, slot(0));
    rig.space.host_lost_state(Functions::All);
    rig.host.functions[0].config[0x40 / 4] &= !0x0001_0000;
    assert_eq!(control(&mut rig), (0x0086, 0x0086), "after a reset Enable is off, and seen so");
    // The PCI core restores it.
    rig.space.write(&mut rig.host, slot(0), 0x42, 2, 0x0087);
    assert_eq!(control(&mut rig), (0x0086, 0x0087));
    rig.space.detach(&mut rig.host, slot(0), Reach::Gone);
    rig.attach(0);
    rig.space.write(&mut rig.host, slot(0), 0x42, 2, 0x0087);
    assert_eq!(control(&mut rig), (0x0087, 0x0087));
}

#[test]
fn a_function_without_msi_or_without_an_answer_is_left_alone() {
    let mut rig = msi_x();
    rig.space.withhold_messages(&mut rig.host, slot(0));
    let before = rig.host.writes.len();
    rig.space.write(&mut rig.host, slot(0), 0x42, 2, 0x803F);
    rig.space.pass_messages(&mut rig.host, slot(0));
    assert_eq!(rig.host.writes[before..], [(0, 0x42, 0x803F)], "MSI-X is not touched");
    // Nobody is at home while it is withheld: it is withheld all the same.
    let mut rig = msi(0x0086);
    rig.host.functions[0].gone = true;
    rig.space.withhold_messages(&mut rig.host, slot(0));
    rig.host.functions[0].gone = false;
    rig.space.write(&mut rig.host, slot(0), 0x42, 2, 0x0087);
    assert_eq!(control(&mut rig), (0x0086, 0x0087));
    rig.host.functions[0].gone = true;
    let before = rig.host.writes.len();
    rig.space.pass_messages(&mut rig.host, slot(0));
    assert_eq!(rig.host.writes.len(), before, "nothing is written where nobody answers");
    for empty in [slot(1), slot(255)] {
        rig.space.withhold_messages(&mut rig.host, empty);
        rig.space.pass_messages(&mut rig.host, empty);
    }
}
