//! The fake ntoskrnl: what a driver imports from it, with its rules enforced.

pub mod debug;
pub mod etw;
pub mod io;
pub mod memory;
pub mod pool;
pub mod sync;
pub mod time;
pub mod work;

/// ntoskrnl's objects.
#[derive(Debug, Default)]
pub struct State {
    /// Pool blocks.
    pub pool: pool::Pool,
    /// Events, spin locks and whatever else can be waited for.
    pub sync: sync::State,
    /// Timers and the work they start.
    pub time: time::State,
    /// Work under way.
    pub work: work::State,
    /// Device objects, IRPs and adapters.
    pub io: io::State,
}

/// Status codes the fakes return (ntstatus.h).
pub mod status {
    /// STATUS_SUCCESS.
    pub const SUCCESS: i32 = 0;
    /// STATUS_TIMEOUT.
    pub const TIMEOUT: i32 = 0x102;
    /// STATUS_PENDING.
    pub const PENDING: i32 = 0x103;
    /// STATUS_UNSUCCESSFUL.
    pub const UNSUCCESSFUL: i32 = 0xC000_0001_u32.cast_signed();
    /// STATUS_NOT_IMPLEMENTED.
    pub const NOT_IMPLEMENTED: i32 = 0xC000_0002_u32.cast_signed();
    /// STATUS_INVALID_PARAMETER.
    pub const INVALID_PARAMETER: i32 = 0xC000_000D_u32.cast_signed();
    /// STATUS_OBJECT_NAME_NOT_FOUND.
    pub const OBJECT_NAME_NOT_FOUND: i32 = 0xC000_0034_u32.cast_signed();
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub const INSUFFICIENT_RESOURCES: i32 = 0xC000_009A_u32.cast_signed();
    /// STATUS_NOT_SUPPORTED.
    pub const NOT_SUPPORTED: i32 = 0xC000_00BB_u32.cast_signed();
    /// STATUS_DELETE_PENDING.
    pub const DELETE_PENDING: i32 = 0xC000_0056_u32.cast_signed();
    /// STATUS_CANCELLED.
    pub const CANCELLED: i32 = 0xC000_0120_u32.cast_signed();
    /// STATUS_DEVICE_NOT_READY.
    pub const DEVICE_NOT_READY: i32 = 0xC000_00A3_u32.cast_signed();
    /// STATUS_NO_SUCH_DEVICE.
    pub const NO_SUCH_DEVICE: i32 = 0xC000_000E_u32.cast_signed();
    /// STATUS_NO_MORE_ENTRIES.
    pub const NO_MORE_ENTRIES: i32 = 0x8000_001A_u32.cast_signed();
    /// STATUS_DEVICE_REMOVED.
    pub const DEVICE_REMOVED: i32 = 0xC000_02B6_u32.cast_signed();
}
