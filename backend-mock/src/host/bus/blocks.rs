//! READ_BLOCK and WRITE_BLOCK.

use alloc::vec::Vec;

use hvpci_core::Slot;

use super::Bus;
use super::send::Call;
use crate::host::packet::{Writer, status};
use crate::host::shared::Shared;

/// The 4 bytes that hosts of about 2018 wanted after the data (`reference/protocol.md` section 5, WRITE_BLOCK).
const SLACK_BYTES: usize = 4;

impl Bus {
    pub(super) fn read_block(&mut self, shared: &Shared, call: &Call, slot: Slot, block: u32, bytes: u32) {
        let data = self.functions.get(&slot).and_then(|function| function.blocks.get(&block));
        let Some(data) = data else {
            self.complete_status(shared, call, status::BAD_DATA);
            return;
        };
        let length = data.len().min(usize::try_from(bytes).unwrap_or(0));
        let reply = Writer::starting(status::SUCCESS).raw(data.get(..length).unwrap_or(&[]));
        self.complete(shared, call, call.now, reply.finish());
    }

    pub(super) fn write_block(
        &mut self,
        shared: &Shared,
        call: &Call,
        slot: Slot,
        block: u32,
        data: &[u8],
        slack: usize,
    ) {
        let refused = shared.options.quirks.write_block_slack && slack < SLACK_BYTES;
        let result = match self.functions.get_mut(&slot) {
            Some(function) if !refused => {
                function.blocks.insert(block, Vec::from(data));
                status::SUCCESS
            }
            _ => status::BAD_DATA,
        };
        self.complete_status(shared, call, result);
    }
}
