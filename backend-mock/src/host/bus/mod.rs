//! One bus: its channel, its functions, and where in the protocol it is.

mod blocks;
mod decode;
mod interrupts;
mod life;
mod order;
mod power;
mod receive;
mod resources;
mod send;
mod window;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use hvpci_core::decode::Ledger;
use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Slot};

use super::fault::Faults;
use super::function::Function;
use super::ring::Ring;
use super::{BusId, ChannelState, FunctionSpec};

pub(super) use window::CONFIG_PAGE;

/// A bus as a test wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSpec {
    /// The GUID of the instance.
    pub instance: InstanceId,
    /// Its functions; of several at one slot the last stays.
    pub functions: Vec<FunctionSpec>,
}

impl BusSpec {
    /// A bus of one function, whose serial number is the first dword of the instance GUID, as OpenVMM has it.
    pub fn single(instance: InstanceId, function: FunctionSpec) -> BusSpec {
        BusSpec { instance, functions: Vec::from([function.with_serial(instance.first_dword())]) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Bus {
    pub(super) id: BusId,
    pub(super) instance: InstanceId,
    pub(super) functions: BTreeMap<Slot, Function>,
    /// Slots whose function was taken away: messages for them are late, not wrong.
    pub(super) departed: BTreeSet<Slot>,
    pub(super) channel: ChannelState,
    pub(super) ring: Ring,
    pub(super) faults: Faults,
    pub(super) version: Option<Version>,
    /// Between D0ENTRY and D0EXIT.
    pub(super) in_d0: bool,
    /// D0EXIT was the last of the two.
    pub(super) exited: bool,
    /// The last D0ENTRY was refused.
    pub(super) refused: bool,
    /// A dead kernel's state is left over.
    pub(super) leftover: bool,
    /// The guest gets relations when functions come and go.
    pub(super) subscribed: bool,
    /// Where the config window is.
    pub(super) window: Option<u64>,
    /// What the selector page holds; `None` before the first write.
    pub(super) selected: Option<u32>,
    /// Where BARs may lie: base and size; no check while empty.
    pub(super) apertures: Vec<(u64, u64)>,
    pub(super) ledgers: BTreeMap<Slot, Ledger>,
    /// What belongs to no function.
    pub(super) own_ledger: Ledger,
}

impl Bus {
    pub(super) fn new(id: BusId, spec: BusSpec) -> Bus {
        Bus {
            id,
            instance: spec.instance,
            functions: spec
                .functions
                .into_iter()
                .map(|function| (function.description.slot, Function::new(function)))
                .collect(),
            departed: BTreeSet::new(),
            channel: ChannelState::Offered,
            ring: Ring::default(),
            faults: Faults::default(),
            version: None,
            in_d0: false,
            exited: false,
            refused: false,
            leftover: false,
            subscribed: false,
            window: None,
            selected: None,
            apertures: Vec::new(),
            ledgers: BTreeMap::new(),
            own_ledger: Ledger::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel == ChannelState::Open
    }

    /// The ledger of the function at a slot of a message or the selector; the bus's own where there is and was none.
    pub(super) fn ledger_of(&mut self, wslot: Option<u32>) -> &mut Ledger {
        match wslot.and_then(Slot::from_wire) {
            Some(slot) if self.functions.contains_key(&slot) || self.departed.contains(&slot) => {
                self.ledgers.entry(slot).or_default()
            }
            _ => &mut self.own_ledger,
        }
    }
}
