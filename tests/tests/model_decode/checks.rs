//! What the guest must find when it looks, and what must hold after every step.

use super::device::{BUS_MASTER, Broken, MEMORY, MOST, PLACES, registers};
use super::mutants::Mutant;
use super::world::{World, slot};

/// What a driver has in COMMAND, and the PCI core restores after a reset.
const IN_USE: u16 = MEMORY | BUS_MASTER;

impl World {
    fn read_command(&mut self, at: usize) -> u16 {
        if self.is_mutant(Mutant::CommandFromHost) {
            return self.host.devices[at].command;
        }
        self.space.read(&mut self.host, slot(at), 0x04, 2) as u16
    }

    fn read_bar(&mut self, at: usize, register: usize) -> u32 {
        self.space.read(&mut self.host, slot(at), 0x10 + 4 * register as u16, 4)
    }

    /// Reads must give what was written (I4).
    pub fn read(&mut self, at: usize) {
        if self.read_command(at) != self.command[at] {
            self.host.breaks(Broken::I4);
        }
        for (register, attributes) in [(0, 0xC), (1, 0)] {
            if self.read_bar(at, register) != self.written[at][register] | attributes {
                self.host.breaks(Broken::I4);
            }
        }
    }

    pub fn restore(&mut self, at: usize) {
        let home = registers(PLACES[at]);
        for (register, attributes) in [(1, 0), (0, 0xC)] {
            if self.read_bar(at, register) != home[register] | attributes {
                self.write_bar(at, register, home[register]);
            }
        }
        let read = if self.is_mutant(Mutant::RestoreSkipped) { IN_USE } else { self.read_command(at) };
        if read != IN_USE {
            self.write_command(at, IN_USE);
        } else if !self.host.devices[at].memory() {
            // The PCI core takes the function for restored, and it is dead.
            self.host.breaks(Broken::I7);
        }
    }

    pub fn ask_whether_alive(&mut self, at: usize) {
        self.host.asked_for_ids = false;
        let remembered = self.was_alive[at].filter(|_| self.is_mutant(Mutant::AliveFromCache));
        let alive = remembered.unwrap_or_else(|| self.space.alive(&mut self.host, slot(at)));
        if self.is_mutant(Mutant::AliveFromCache) {
            self.was_alive[at] = Some(alive);
        }
        if alive == self.host.devices[at].silent || !self.host.asked_for_ids {
            self.host.breaks(Broken::I9);
        }
        self.seen_dead[at] = !alive;
    }

    /// Holds the invariants against the state after a step.
    pub fn finish(&mut self) {
        self.space.forget_statistics();
        for at in 0..self.functions {
            let device = self.host.devices[at];
            let used = self.guest_memory(at) && !self.suspended && !device.silent;
            if used && (!device.memory() || device.address() != self.latched[at]) {
                self.host.breaks(Broken::I1);
            }
            if !self.attached[at] && !self.departing[at] && device.memory() {
                self.host.breaks(Broken::I5);
            }
        }
        let counted = !self.alarmed;
        self.host.undone = None;
        for at in 0..MOST {
            let reference = &mut self.reference[at];
            let (maps, unmaps) = (&mut self.host.maps[at], &mut self.host.unmaps[at]);
            if !counted {
                (*maps, *unmaps, reference.maps, reference.unmaps) = (0, 0, 0, 0);
                continue;
            }
            if *maps > reference.maps || *unmaps > reference.unmaps {
                self.host.broken |= 1 << Broken::I6 as u16;
            }
            // Only the distance to the reference matters for what is to come.
            let (least_maps, least_unmaps) = ((*maps).min(reference.maps), (*unmaps).min(reference.unmaps));
            *maps -= least_maps;
            *unmaps -= least_unmaps;
            reference.maps -= least_maps;
            reference.unmaps -= least_unmaps;
        }
        (self.host.set_sent, self.host.asked_for_ids) = (false, false);
    }
}
