//! What a function's driver does with its bus: the bus interface, and configuration by IRP.

use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::io::Irp;
use crate::nt::status;
use crate::rule;
use crate::wdf::field;
use crate::world::with;

/// GUID_BUS_INTERFACE_STANDARD, {496B8280-6F25-11D0-BEAF-08002BE2092F}.
pub const BUS_INTERFACE_STANDARD: [u8; 16] =
    [0x80, 0x82, 0x6B, 0x49, 0x25, 0x6F, 0xD0, 0x11, 0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F];

/// A BUS_INTERFACE_STANDARD that a driver holds a reference to.
pub struct BusInterface {
    bytes: Box<[u64; 8]>,
}

impl BusInterface {
    /// Queries it from a PDO, as IRP_MN_QUERY_INTERFACE does.
    pub fn query(pdo: usize) -> Option<BusInterface> {
        let found = with(|world| {
            let device = world.wdf.devices.get(&pdo)?;
            device.interfaces.iter().find(|interface| interface.guid == BUS_INTERFACE_STANDARD).cloned()
        })?;
        rule!(found.bytes.len() == 64, "BUS_INTERFACE_STANDARD of {} bytes", found.bytes.len());
        let mut bytes = Box::new([0_u64; 8]);
        for (word, chunk) in bytes.iter_mut().zip(found.bytes.chunks(8)) {
            *word = chunk.try_into().map_or(0, u64::from_le_bytes);
        }
        if found.process != 0 {
            type Process = unsafe extern "win64" fn(usize, *const u8, *mut u64, usize) -> i32;
            // SAFETY: EVT_WDF_DEVICE_PROCESS_QUERY_INTERFACE_REQUEST, as the driver registered it.
            let process: Process = unsafe { std::mem::transmute(found.process) };
            let guid = BUS_INTERFACE_STANDARD;
            let result = irql::at(PASSIVE, "EvtDeviceProcessQueryInterfaceRequest", || unsafe {
                process(pdo, guid.as_ptr(), bytes.as_mut_ptr(), 0)
            });
            if result < 0 {
                return None;
            }
        }
        let interface = BusInterface { bytes };
        interface.plain(2, "InterfaceReference");
        Some(interface)
    }

    fn word(&self, index: usize) -> usize {
        // SAFETY: the interface has 8 words.
        unsafe { field(self.bytes.as_ptr().cast(), index * 8) }
    }

    fn plain(&self, index: usize, name: &str) {
        // SAFETY: PINTERFACE_REFERENCE or PINTERFACE_DEREFERENCE of this interface.
        let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(self.word(index)) };
        irql::at(PASSIVE, name, || unsafe { routine(self.word(1)) });
    }

    fn transfer(&self, index: usize, name: &str, buffer: &mut [u8], offset: u32) -> u32 {
        type Transfer = unsafe extern "win64" fn(usize, u32, *mut u8, u32, u32) -> u32;
        // SAFETY: PGET_SET_DEVICE_DATA of this interface; the buffer has the length given.
        let routine: Transfer = unsafe { std::mem::transmute(self.word(index)) };
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let done =
            irql::at(DISPATCH, name, || unsafe { routine(self.word(1), 0, buffer.as_mut_ptr(), offset, length) });
        rule!(done <= length, "{name} claims {done} bytes of {length}");
        done
    }

    /// GetBusData of config space at DISPATCH_LEVEL: the bytes that were read.
    pub fn read(&self, offset: u32, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0xEE; bytes];
        let done = self.transfer(7, "GetBusData", &mut buffer, offset);
        buffer.truncate(done as usize);
        buffer
    }

    /// SetBusData of config space at DISPATCH_LEVEL: how many bytes were written.
    pub fn write(&self, offset: u32, data: &[u8]) -> u32 {
        self.transfer(6, "SetBusData", &mut data.to_vec(), offset)
    }

    /// GetDmaAdapter.
    pub fn dma_adapter(&self) -> usize {
        type Get = unsafe extern "win64" fn(usize, *mut u8, *mut u32) -> usize;
        // SAFETY: PGET_DMA_ADAPTER of this interface; the description is 64 bytes, longer than any version of it.
        let routine: Get = unsafe { std::mem::transmute(self.word(5)) };
        let (mut description, mut registers) = ([0_u8; 64], 0_u32);
        irql::at(PASSIVE, "GetDmaAdapter", || unsafe {
            routine(self.word(1), description.as_mut_ptr(), &raw mut registers)
        })
    }

    /// Gives the interface back.
    pub fn release(self) {
        self.plain(3, "InterfaceDereference");
    }
}

/// IRP_MN_READ_CONFIG (0x0F) or IRP_MN_WRITE_CONFIG (0x10): status, and how many bytes were moved.
pub fn config_irp(pdo: usize, minor: u8, buffer: &mut [u8], offset: u32) -> (i32, u64) {
    const PNP: u8 = 0x1B;
    let routine = with(|world| {
        let device = world.wdf.devices.get(&pdo)?;
        let takes = |entry: &&(usize, u8, Vec<u8>)| entry.1 == PNP && (entry.2.is_empty() || entry.2.contains(&minor));
        device.init.preprocess.iter().find(takes).map(|entry| entry.0)
    });
    let Some(routine) = routine else { return (status::NOT_SUPPORTED, 0) };
    let length = buffer.len() as u64;
    let irp = Irp::new(PNP, minor, &[0, buffer.as_mut_ptr() as u64, offset.into(), length]);
    let address = &raw const *irp as usize;
    // SAFETY: EVT_WDFDEVICE_WDM_IRP_PREPROCESS, as the driver registered it.
    let routine: unsafe extern "win64" fn(usize, usize) -> i32 = unsafe { std::mem::transmute(routine) };
    let result = irql::at(PASSIVE, "EvtDeviceWdmIrpPreprocess", || unsafe { routine(pdo, address) });
    rule!(irp.finish(), "IRP minor {minor:#x} was never completed");
    let (status, information) = irp.outcome();
    rule!(result == status, "the IRP's status is {status:#x}, its preprocess callback returned {result:#x}");
    (status, information)
}

/// GUID_VPCI_INTERFACE_STANDARD, {12E65E71-B651-4067-831A-1383203CB0CB}.
const VPCI_INTERFACE_STANDARD: [u8; 16] =
    [0x71, 0x5E, 0xE6, 0x12, 0x51, 0xB6, 0x67, 0x40, 0x83, 0x1A, 0x13, 0x83, 0x20, 0x3C, 0xB0, 0xCB];

/// A VPCI_INTERFACE_STANDARD that a driver holds a reference to: the seven words of vpci.h.
#[derive(Clone, Copy)]
pub struct BlockInterface([usize; 7]);

impl BlockInterface {
    /// Queries it from a PDO, as IRP_MN_QUERY_INTERFACE does.
    pub fn query(pdo: usize) -> Option<BlockInterface> {
        let found = with(|world| {
            let device = world.wdf.devices.get(&pdo)?;
            device.interfaces.iter().find(|interface| interface.guid == VPCI_INTERFACE_STANDARD).cloned()
        })?;
        rule!(found.bytes.len() == 56, "VPCI_INTERFACE_STANDARD of {} bytes", found.bytes.len());
        let mut words = [0; 7];
        for (word, chunk) in words.iter_mut().zip(found.bytes.chunks(8)) {
            *word = chunk.try_into().map_or(0, u64::from_le_bytes) as usize;
        }
        let interface = BlockInterface(words);
        interface.plain(2, "InterfaceReference");
        Some(interface)
    }

    fn plain(&self, index: usize, name: &str) {
        // SAFETY: PINTERFACE_REFERENCE or PINTERFACE_DEREFERENCE of this interface.
        let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(self.0[index]) };
        irql::at(PASSIVE, name, || unsafe { routine(self.0[1]) });
    }

    fn transfer(&self, index: usize, name: &str, block: u32, buffer: *mut u8, length: usize) -> i32 {
        type Transfer = unsafe extern "win64" fn(usize, u32, *mut u8, u32) -> i32;
        // SAFETY: VPCI_READ_BLOCK or VPCI_WRITE_BLOCK of this interface; the buffer has the length given.
        let routine: Transfer = unsafe { std::mem::transmute(self.0[index]) };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        // The highest IRQL that vpci.h allows.
        irql::at(irql::APC, name, || unsafe { routine(self.0[1], block, buffer, length) })
    }

    /// ReadVfConfigBlock at APC_LEVEL.
    pub fn read(&self, block: u32, bytes: usize) -> Result<Vec<u8>, i32> {
        // In memory of its own, that ends where the buffer ends.
        let guarded = crate::guard::allocate(bytes.max(1));
        let status = self.transfer(5, "ReadVfConfigBlock", block, guarded.at as *mut u8, bytes);
        // SAFETY: the block has that many bytes.
        let data = unsafe { std::slice::from_raw_parts(guarded.at as *const u8, bytes) }.to_vec();
        rule!(!guarded.damaged(), "ReadVfConfigBlock wrote outside its buffer");
        guarded.retire();
        if status < 0 { Err(status) } else { Ok(data) }
    }

    /// WriteVfConfigBlock at APC_LEVEL.
    pub fn write(&self, block: u32, data: &[u8]) -> i32 {
        self.transfer(4, "WriteVfConfigBlock", block, data.as_ptr().cast_mut(), data.len())
    }

    /// The serial number of the function.
    pub fn serial(&self) -> u32 {
        self.0[6] as u32
    }

    /// Gives the interface back.
    pub fn release(self) {
        self.plain(3, "InterfaceDereference");
    }
}
