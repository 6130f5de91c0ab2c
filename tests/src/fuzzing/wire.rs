//! Any bytes into every parser of the wire.

use hvpci_core::wire::{
    AssignedForm, CreateInterruptReply, GetResourcesReply, GuestMessage, HostMessage, PacketDescriptor,
    PowerStateReply, QueryProtocolVersionReply, ReadBlockReply, ResourceRequirementsReply, ResourcesAssignedReply,
    StatusReply, TdispReply, WriteBlockReply,
};

/// No parser panics, and what was parsed means the same after it was written and read again.
pub fn wire(bytes: &[u8]) {
    let mut buf = vec![0; bytes.len() + 8192];
    if let Ok(message) = GuestMessage::parse(bytes)
        && let Ok(length) = message.encode(&mut buf)
    {
        assert_eq!(GuestMessage::parse(&buf[..length]).as_ref(), Ok(&message));
    }
    if let Ok(message) = HostMessage::parse(bytes) {
        if let HostMessage::BusRelations(list) = &message {
            assert_eq!(list.iter().count(), list.len());
        }
        if let Ok(length) = message.encode(&mut buf) {
            assert_eq!(HostMessage::parse(&buf[..length]).as_ref(), Ok(&message));
        }
    }
    macro_rules! replies {
        ($($parse:expr),* $(,)?) => {$(
            if let Ok(reply) = $parse(bytes) && let Ok(length) = reply.encode(&mut buf) {
                assert_eq!($parse(&buf[..length]).as_ref(), Ok(&reply));
            }
        )*};
    }
    replies!(
        StatusReply::parse,
        QueryProtocolVersionReply::parse,
        ResourceRequirementsReply::parse,
        GetResourcesReply::parse,
        PowerStateReply::parse,
        CreateInterruptReply::parse,
        WriteBlockReply::parse,
    );
    for requested in [0, 1, 7, 128, u32::MAX] {
        if let Ok(reply) = ReadBlockReply::parse(bytes, requested) {
            assert!(reply.data.len() as u64 <= u64::from(requested));
        }
    }
    for form in [AssignedForm::V1, AssignedForm::V2, AssignedForm::V3] {
        if let Ok(reply) = ResourcesAssignedReply::parse(form, bytes)
            && let Ok(length) = reply.encode(&mut buf)
        {
            // An empty list remembers the form it came in; its content is what counts.
            let again = ResourcesAssignedReply::parse(form, &buf[..length]).expect("as written");
            assert_eq!((again.status, again.slot, again.bars), (reply.status, reply.slot, reply.bars));
            assert!(again.translated.iter().eq(reply.translated.iter()));
        }
    }
    let _ = TdispReply::parse(bytes);
    if let Ok(descriptor) = PacketDescriptor::parse(bytes) {
        let payload = descriptor.payload(bytes);
        assert!(payload.is_ok_and(|payload| payload.len() <= bytes.len()) || descriptor.payload(bytes).is_err());
    }
}
