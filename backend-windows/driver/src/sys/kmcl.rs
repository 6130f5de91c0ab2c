//! The VMBus Kernel Mode Client Library, as far as the driver uses it: imported from vmbkmcl.sys by name, declared from
//! Microsoft's page of each function (vmbuskernelmodeclientlibapi.h). wdk-sys does not bind that header.
#![allow(non_snake_case)]

use core::ffi::c_void;

use wdk_sys::{BOOLEAN, GUID, NTSTATUS, PDEVICE_OBJECT, PMDL, ULONG};

/// A VMBus channel.
#[repr(C)]
pub struct ChannelObject {
    _private: [u8; 0],
}
/// A packet to the host.
#[repr(C)]
pub struct PacketObject {
    _private: [u8; 0],
}
/// A packet from the host, to be completed.
#[repr(C)]
pub struct CompletionObject {
    _private: [u8; 0],
}

/// `EVT_VMB_CHANNEL_PROCESS_PACKET`: at most DISPATCH_LEVEL; the buffer may be shared with the host.
pub type ProcessPacket = unsafe extern "C" fn(*mut ChannelObject, *mut CompletionObject, *mut c_void, u32, u32);
/// `EVT_VMB_CHANNEL_PROCESSING_COMPLETE`.
pub type ProcessingComplete = unsafe extern "C" fn(*mut ChannelObject, u32);
/// `EVT_VMB_PACKET_COMPLETION_ROUTINE`: at most DISPATCH_LEVEL.
pub type PacketCompletion = unsafe extern "C" fn(*mut PacketObject, NTSTATUS, *mut c_void, u32);
/// A callback of [`StateChangeCallbacks`].
pub type StateChange = unsafe extern "C" fn(*mut ChannelObject);

/// `VMBUS_CHANNEL_FORMAT_FLAG_WAIT_FOR_COMPLETION`: the packet completes when the host has answered it. The value is not
/// on Microsoft's pages: **not verified**.
pub const FORMAT_FLAG_WAIT_FOR_COMPLETION: u32 = 1;

/// `VMB_CHANNEL_STATE_CHANGE_CALLBACKS`.
#[repr(C)]
pub struct StateChangeCallbacks {
    pub Version: ULONG,
    pub Size: ULONG,
    pub EvtChannelOpened: Option<StateChange>,
    pub EvtChannelClosed: Option<StateChange>,
    pub EvtChannelSuspend: Option<StateChange>,
    pub EvtChannelStarted: Option<StateChange>,
    pub EvtChannelPostStarted: Option<StateChange>,
}

/// The version that `VMB_CHANNEL_STATE_CHANGE_CALLBACKS_INIT` puts in. Not on Microsoft's pages: **not verified**. A
/// refusal is tolerated.
pub const STATE_CHANGE_VERSION: ULONG = 1;

#[link(name = "vmbkmcl")]
unsafe extern "C" {
    pub fn VmbChannelAllocate(parent: PDEVICE_OBJECT, is_server: BOOLEAN, channel: *mut *mut ChannelObject)
    -> NTSTATUS;
    pub fn VmbChannelCleanup(channel: *mut ChannelObject);
    pub fn VmbChannelEnable(channel: *mut ChannelObject) -> NTSTATUS;
    pub fn VmbChannelDisable(channel: *mut ChannelObject);
    pub fn VmbChannelInitSetMaximumPacketSize(channel: *mut ChannelObject, size: u32) -> NTSTATUS;
    pub fn VmbChannelInitSetProcessPacketCallbacks(
        channel: *mut ChannelObject,
        process: Option<ProcessPacket>,
        complete: Option<ProcessingComplete>,
    ) -> NTSTATUS;
    pub fn VmbChannelInitSetStateChangeCallbacks(
        channel: *mut ChannelObject,
        callbacks: *mut StateChangeCallbacks,
    ) -> NTSTATUS;
    pub fn VmbClientChannelInitSetRingBufferPageCount(
        channel: *mut ChannelObject,
        incoming: u32,
        outgoing: u32,
    ) -> NTSTATUS;
    pub fn VmbClientChannelInitSetTargetPnp(
        channel: *mut ChannelObject,
        interface_type: *const GUID,
        interface_instance: *const GUID,
        failure: *const c_void,
    ) -> NTSTATUS;
    pub fn VmbChannelSetPointer(channel: *mut ChannelObject, pointer: *mut c_void);
    pub fn VmbChannelGetPointer(channel: *mut ChannelObject) -> *mut c_void;
    pub fn VmbChannelPacketComplete(packet: *mut CompletionObject, buffer: *mut c_void, length: u32);
    pub fn VmbPacketAllocate(channel: *mut ChannelObject) -> *mut PacketObject;
    pub fn VmbPacketFree(packet: *mut PacketObject);
    pub fn VmbPacketSetCompletionRoutine(packet: *mut PacketObject, routine: Option<PacketCompletion>);
    pub fn VmbPacketSetPointer(packet: *mut PacketObject, pointer: *mut c_void);
    pub fn VmbPacketGetPointer(packet: *mut PacketObject) -> *mut c_void;
    pub fn VmbPacketSend(
        packet: *mut PacketObject,
        buffer: *mut c_void,
        length: u32,
        mdl: PMDL,
        flags: u32,
    ) -> NTSTATUS;
}
