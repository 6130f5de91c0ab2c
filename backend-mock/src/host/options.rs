//! How a host answers, what it charges, and which oddities it has.

use core::time::Duration;

use alloc::vec;
use alloc::vec::Vec;

use hvpci_core::wire::Version;

/// What the host charges for its work, in virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CostModel {
    /// The time to map 128 GiB of BARs; a map takes its share of it by the page-rounded bytes of all BARs of the function.
    pub map_128_gib: Duration,
    /// How many maps the host runs at once; further ones queue. 0 counts as 1.
    pub parallel: u32,
    /// One access to either page of the config window.
    pub trap: Duration,
    /// One message round trip: from the guest's packet to the answer being in the ring.
    pub message: Duration,
}

impl Default for CostModel {
    /// 1.8 s for 128 GiB, one map at a time, 20 µs a trap, 200 µs a message round trip.
    fn default() -> CostModel {
        CostModel {
            map_128_gib: Duration::from_millis(1800),
            parallel: 1,
            trap: Duration::from_micros(20),
            message: Duration::from_micros(200),
        }
    }
}

impl CostModel {
    /// A model in which nothing takes any time.
    pub const FREE: CostModel =
        CostModel { map_128_gib: Duration::ZERO, parallel: 1, trap: Duration::ZERO, message: Duration::ZERO };

    /// How long a map of `bytes` takes on a free lane.
    pub fn map_time(&self, bytes: u64) -> Duration {
        let nanos = self.map_128_gib.as_nanos().saturating_mul(u128::from(bytes)) >> 37;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Which version the reply to QUERY_PROTOCOL_VERSION carries. Guests must ignore it (`reference/protocol.md` section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionReply {
    /// The highest version the host knows.
    HighestKnown,
    /// Always the same: OpenVMM says 1.3.
    Fixed(Version),
}

/// What the host does with RESET_DEVICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetSupport {
    /// Answers NOT_SUPPORTED, as OpenVMM does.
    NotSupported,
    /// Resets the function: COMMAND, BARs and capabilities take their reset values.
    Real,
}

/// How long the reply to POWER_STATE_CHANGE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerReply {
    /// The status alone, 4 bytes, as OpenVMM sends it.
    Short,
    /// Status, slot, resultant state, reserved: 16 bytes.
    Full,
}

/// Oddities that hosts are known to have; each is named in `reference/protocol.md` sections 5 and 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quirks {
    /// COMMAND.Memory reads 0 whatever it holds.
    pub memory_bit_reads_zero: bool,
    /// The attribute bits of a BAR read 0 until all ones were written to it.
    pub bar_attributes_late: bool,
    /// Bytes 0x3C and 0x3D read garbage.
    pub intx_bytes_garbage: bool,
    /// WRITE_BLOCK is refused without 4 bytes after the data (hosts of about 2018).
    pub write_block_slack: bool,
    /// RELEASED is never completed, asked or not.
    pub released_never_completes: bool,
}

/// Everything that can be chosen about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// The versions the host accepts; all others get REVISION_MISMATCH.
    pub versions: Vec<Version>,
    /// The version named in the reply.
    pub version_reply: VersionReply,
    /// What things cost.
    pub cost: CostModel,
    /// Whether the relations that D0ENTRY triggers come before its completion (OpenVMM) or after it.
    pub relations_before_d0: bool,
    /// Whether D0EXIT turns decode off; the recorded host leaves that to RELEASED and to closing the channel.
    pub d0_exit_clears_decode: bool,
    /// The length of the power reply.
    pub power_reply: PowerReply,
    /// RESET_DEVICE.
    pub reset: ResetSupport,
    /// Whether the translated interrupts in a reply to RESOURCES_ASSIGNED3 take 72 bytes each, as OpenVMM sends them,
    /// instead of 80.
    pub short_assigned3_entries: bool,
    /// The status D0ENTRY fails with while a dead kernel's state is left over.
    pub leftover_status: u32,
    /// Whether the channel is rescinded once EJECTION_COMPLETE emptied the bus.
    pub rescind_after_eject: bool,
    /// How long a guest may take over an EJECT before the host removes the function by force.
    pub eject_limit: Duration,
    /// The bytes of each ring, descriptors included: what the guest has not yet read, and what the host has not.
    pub ring_bytes: usize,
    /// Oddities.
    pub quirks: Quirks,
}

impl Default for HostOptions {
    /// A host as the documents describe Hyper-V: versions 1.1 to 1.6, the highest of them named in the reply.
    fn default() -> HostOptions {
        HostOptions {
            versions: vec![Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6],
            version_reply: VersionReply::HighestKnown,
            cost: CostModel::default(),
            relations_before_d0: true,
            d0_exit_clears_decode: true,
            power_reply: PowerReply::Full,
            reset: ResetSupport::Real,
            short_assigned3_entries: true,
            leftover_status: crate::host::packet::status::UNSUCCESSFUL,
            rescind_after_eject: true,
            eject_limit: Duration::from_secs(60),
            ring_bytes: 20 * 1024,
            quirks: Quirks::default(),
        }
    }
}

impl HostOptions {
    /// A host that answers as the recorded one (OpenVMM) did.
    pub fn openvmm() -> HostOptions {
        HostOptions {
            versions: vec![Version::V1_2, Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6],
            version_reply: VersionReply::Fixed(Version::V1_3),
            d0_exit_clears_decode: false,
            power_reply: PowerReply::Short,
            reset: ResetSupport::NotSupported,
            ..HostOptions::default()
        }
    }

    /// The same host offering `versions` only.
    #[must_use]
    pub fn with_versions(mut self, versions: &[Version]) -> HostOptions {
        self.versions = versions.to_vec();
        self
    }

    /// The same host with other costs.
    #[must_use]
    pub fn with_cost(mut self, cost: CostModel) -> HostOptions {
        self.cost = cost;
        self
    }
}
