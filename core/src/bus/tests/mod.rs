//! Tests of the engine against a scripted host.

mod bringup;
mod failures;
mod host;
mod hostile;
mod hotplug;
mod interrupts;
mod order;
mod phases;
mod records;
mod recreate;
mod requests;
mod resume;
mod rig;
mod sweep;
mod tells;
