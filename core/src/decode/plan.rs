//! What must be written to the host, in order.

use arrayvec::ArrayVec;

/// Why a COMMAND write goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Decode goes off, or is made sure to be off: the guest asked, BARs are about to change, or the range is wanted.
    Clear,
    /// Decode goes on: this is the write that maps.
    Set,
    /// Decode stays what it is; other bits may change.
    Bits,
}

/// One write to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A 32-bit write of a BAR register (0-5), attribute bits included.
    WriteBar {
        /// The register.
        register: u8,
        /// The value.
        value: u32,
    },
    /// A 16-bit write of COMMAND.
    WriteCommand {
        /// The value, Memory included.
        value: u16,
        /// What it is for.
        why: Why,
    },
}

/// A list of writes: at most a clear, six BAR registers and a set.
pub type Plan = ArrayVec<Step, 8>;

/// Whether a plan turns the host's decode on.
pub fn maps(plan: &Plan) -> bool {
    plan.iter().any(|step| matches!(step, Step::WriteCommand { why: Why::Set, .. }))
}

/// What a step, or an answer of the host, did to the host's decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Decode went on.
    Map,
    /// Decode went off.
    Unmap,
    /// Neither.
    None,
}
