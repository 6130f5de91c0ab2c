//! The interrupt-retarget hypercall (`reference/protocol.md` section 9), so far as a vPCI host sees it.

use alloc::vec::Vec;

use super::packet::Reader;
use super::{BusId, Delivery, Host};

/// Flags of the target: the processors are a set of banks.
const FLAG_VP_SET: u32 = 1 << 1;
/// The only interrupt source: MSI.
const SOURCE_MSI: u32 = 1;
/// The most banks of 64 processors.
const MOST_BANKS: u32 = 64;

/// Why the hypercall failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HypercallError {
    /// The input makes no sense: length, partition, source, flags, or no processor.
    InvalidParameter,
    /// No function with an open channel has this device id.
    InvalidDevice,
    /// The function has no interrupt with this address and data.
    InvalidInterrupt,
}

impl Host {
    /// HVCALL_RETARGET_INTERRUPT with `input` and the variable header size of the control word, in units of 8 bytes.
    /// Returns the bus of the device.
    pub fn retarget(&mut self, input: &[u8], variable_header: u16) -> Result<BusId, HypercallError> {
        let call = parse(input, variable_header).ok_or(HypercallError::InvalidParameter)?;
        let mut failure = HypercallError::InvalidDevice;
        for bus in self.buses.iter_mut().filter(|bus| bus.is_open()) {
            let (id, instance) = (bus.id, bus.instance);
            // The id holds the function number, not the device number: functions of one bus may share it.
            for (_, function) in
                bus.functions.iter_mut().filter(|(slot, _)| instance.logical_device_id(**slot) == call.device_id)
            {
                failure = HypercallError::InvalidInterrupt;
                for interrupt in &mut function.interrupts {
                    match interrupt.index_of(u64::from(call.address), call.data) {
                        Some(0) => (interrupt.vector, interrupt.processors) = (call.vector, call.processors),
                        Some(index) => {
                            let aim = Delivery { vector: call.vector, processors: call.processors };
                            interrupt.aimed.insert(index, aim);
                        }
                        None => continue,
                    }
                    return Ok(id);
                }
            }
        }
        Err(failure)
    }
}

struct Retarget {
    device_id: u64,
    address: u32,
    data: u32,
    vector: u32,
    processors: Vec<u16>,
}

fn parse(input: &[u8], variable_header: u16) -> Option<Retarget> {
    let mut reader = Reader::new(input);
    let (partition, device_id) = (reader.u64()?, reader.u64()?);
    let (source, _reserved) = (reader.u32()?, reader.u32()?);
    let (address, data) = (reader.u32()?, reader.u32()?);
    reader.u64()?;
    let (vector, flags) = (reader.u32()?, reader.u32()?);
    if partition != u64::MAX || source != SOURCE_MSI {
        return None;
    }
    let mut processors = Vec::new();
    let first = reader.u64()?;
    if flags & FLAG_VP_SET == 0 {
        if variable_header != 0 {
            return None;
        }
        add_bank(&mut processors, 0, first);
    } else {
        let banks = reader.u64()?;
        // Format 0 is the sparse set; the header counts the valid-banks word and the banks.
        if first != 0 || u32::from(variable_header) != banks.count_ones().saturating_add(1) {
            return None;
        }
        for bank in (0..MOST_BANKS).filter(|bank| (banks >> bank) & 1 == 1) {
            add_bank(&mut processors, bank, reader.u64()?);
        }
    }
    (!processors.is_empty()).then_some(Retarget { device_id, address, data, vector, processors })
}

fn add_bank(processors: &mut Vec<u16>, bank: u32, mask: u64) {
    for bit in (0..64).filter(|bit| (mask >> bit) & 1 == 1) {
        processors.push(u16::try_from(bank.saturating_mul(64).saturating_add(bit)).unwrap_or(u16::MAX));
    }
}
