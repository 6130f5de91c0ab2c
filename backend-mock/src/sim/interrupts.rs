//! The interrupts of a function as the guest kernel holds them: created by message, written into the MSI-X table, aimed by
//! hypercall.

use hvpci_core::backend::Platform;
use hvpci_core::bus::{InterruptHandle, Reply, Request};
use hvpci_core::interrupt::{Architecture, InterruptRequest, Retarget, VpSpread};
use hvpci_core::wire::{MsiEntry, VpSet};
use hvpci_core::{Slot, driver};

use super::hook::PlatformStep;
use super::platform::{MockPlatform, lock};
use crate::guest::{InterruptStep, InterruptsRefused};

/// Virtual processors of the VM.
const PROCESSORS: u16 = 4;
/// The APIC vectors that the guest kernel gives to devices.
const FIRST_VECTOR: u32 = 0x30;
const LAST_VECTOR: u32 = 0xEF;
/// Bytes of an MSI-X table entry, and where its vector control is.
const ENTRY_BYTES: u64 = 16;
const VECTOR_CONTROL: u64 = 12;
const MASKED: u32 = 1;

/// Which processor and which vector the guest kernel takes next, over all its devices.
#[derive(Debug, Default)]
pub struct Vectors {
    spread: VpSpread,
    taken: u32,
}

impl Vectors {
    fn next(&mut self) -> (u16, u32) {
        let vector = FIRST_VECTOR + self.taken % (LAST_VECTOR - FIRST_VECTOR + 1);
        self.taken = self.taken.wrapping_add(1);
        (self.spread.pick(0..PROCESSORS).unwrap_or(0), vector)
    }
}

/// One interrupt that a driver of the guest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldInterrupt {
    /// The engine's name of it.
    pub handle: InterruptHandle,
    /// What the host gave last.
    pub entry: MsiEntry,
    /// The vector it shall arrive as.
    pub vector: u32,
    /// The processor it shall arrive at.
    pub processor: u16,
}

/// The interrupts of one function.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) interrupts: Vec<HeldInterrupt>,
    table: Option<u64>,
    /// Records that the engine has room for.
    room: u16,
}

impl MockPlatform {
    /// The interrupts that the driver of a function holds.
    pub fn interrupts(&self, slot: Slot) -> Vec<HeldInterrupt> {
        lock(&self.held).get(&slot).map(|held| held.interrupts.clone()).unwrap_or_default()
    }

    /// Does what the guest kernel does about a function's vectors.
    pub(super) async fn interrupt_step(&self, slot: Slot, step: InterruptStep) -> Result<(), InterruptsRefused> {
        match step {
            InterruptStep::Allocate { vectors, table } => {
                let allocated = self.allocate(slot, vectors, table).await;
                if allocated.is_err() {
                    self.free(slot);
                }
                allocated
            }
            InterruptStep::Request => {
                self.aim(slot);
                self.write_table(slot, 0);
                Ok(())
            }
            InterruptStep::Restore => {
                self.write_table(slot, 0);
                self.aim(slot);
                Ok(())
            }
            InterruptStep::Free => {
                self.free(slot);
                Ok(())
            }
        }
    }

    async fn allocate(&self, slot: Slot, vectors: u16, table: Option<u64>) -> Result<(), InterruptsRefused> {
        let more = {
            let mut held = lock(&self.held);
            let held = held.entry(slot).or_default();
            held.table = table;
            vectors.saturating_sub(held.room)
        };
        let mut reserved = Ok(());
        self.with_bus(&mut |bus, _| reserved = bus.reserve_interrupts(more));
        reserved.map_err(|_| InterruptsRefused)?;
        lock(&self.held).entry(slot).or_default().room += more;
        for _ in 0..vectors {
            let (processor, vector) = lock(&self.vm.vectors).next();
            let wanted = InterruptRequest::single(slot, vector, VpSet::single(processor));
            let reply = driver::request(self, Request::CreateInterrupt(wanted)).await;
            let Ok(Reply::Interrupt { handle, entry }) = reply else { return Err(InterruptsRefused) };
            let interrupt = HeldInterrupt { handle, entry, vector, processor };
            lock(&self.held).entry(slot).or_default().interrupts.push(interrupt);
        }
        self.write_table(slot, MASKED);
        Ok(())
    }

    /// Writes the messages into the MSI-X table, through the BAR it lies in.
    fn write_table(&self, slot: Slot, control: u32) {
        let held = lock(&self.held).get(&slot).cloned().unwrap_or_default();
        let Some(table) = held.table else { return };
        let (now, mut host) = (self.vm.clock.now(), self.vm.host());
        for (place, interrupt) in (table..).step_by(ENTRY_BYTES as usize).zip(&held.interrupts) {
            let [low, high] = [interrupt.entry.address as u32, (interrupt.entry.address >> 32) as u32];
            host.memory_write(now, place, low);
            host.memory_write(now, place + 4, high);
            host.memory_write(now, place + 8, interrupt.entry.data);
            host.memory_write(now, place + VECTOR_CONTROL, control);
        }
    }

    /// Aims the interrupts of a function where the guest kernel wants them. A function on its way out is not there any
    /// more for the hypercall, which is to be ignored.
    fn aim(&self, slot: Slot) {
        let mut version = None;
        self.with_bus(&mut |bus, _| version = bus.version());
        let Some(version) = version else { return };
        let instance = self.instance();
        for HeldInterrupt { entry, vector, processor, .. } in self.interrupts(slot) {
            let mut input = [0; Retarget::MAX_BYTES];
            let retarget = Retarget { instance, slot, entry, vector, multicast: false };
            let vps = std::iter::once(u32::from(processor));
            let Ok(call) = retarget.encode(Architecture::X86, version, vps, &mut input) else { continue };
            let aimed = self.vm.host().retarget(input.get(..call.length).unwrap_or_default(), call.variable_header);
            if let Err(error) = aimed {
                lock(&self.hypercall_errors).push(error);
            }
        }
    }

    fn free(&self, slot: Slot) {
        if self.step(PlatformStep::FreeInterrupts(slot)).is_err() {
            return;
        }
        let interrupts = match lock(&self.held).get_mut(&slot) {
            Some(held) => std::mem::take(&mut held.interrupts),
            None => return,
        };
        for interrupt in interrupts {
            // Refused for a function that is gone, and its interrupts with it.
            let _ = driver::submit(self, Request::DeleteInterrupt { slot, entry: interrupt.entry });
        }
    }

    /// After a resume: the driver's interrupt has a new message. The table is written when the function's config space
    /// is restored, as on Linux: until then its BARs are not mapped.
    pub(super) fn recreated(&self, handle: InterruptHandle, slot: Slot, entry: MsiEntry) {
        let mut held = lock(&self.held);
        let interrupts = held.get_mut(&slot).into_iter().flat_map(|held| &mut held.interrupts);
        for interrupt in interrupts.filter(|interrupt| interrupt.handle == handle) {
            interrupt.entry = entry;
        }
    }
}
