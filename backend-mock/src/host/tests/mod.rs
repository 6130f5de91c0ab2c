//! Tests of the mock host, with packets written by hand from `reference/protocol.md` and with recorded ones.

mod bring_up;
mod codec;
mod device;
mod faults;
mod guest;
mod interrupts;
mod kdump;
mod lifecycle;
mod maps;
mod messages;
mod packets;
mod random;
mod recording;
mod storm;
mod violations;
