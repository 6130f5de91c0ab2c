//! Tests of the engine against a scripted host.

mod bringup;
mod failures;
mod host;
mod hostile;
mod hotplug;
mod interrupts;
mod order;
mod recreate;
mod requests;
mod resume;
mod rig;
mod sweep;
mod tells;
