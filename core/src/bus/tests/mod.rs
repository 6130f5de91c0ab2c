//! Tests of the engine against a scripted host.

mod bringup;
mod failures;
mod hands;
mod host;
mod hostile;
mod hotplug;
mod interrupts;
mod leaving;
mod order;
mod phases;
mod places;
mod records;
mod recreate;
mod refusals;
mod requests;
mod resume;
mod rig;
mod ring;
mod sweep;
mod tells;
