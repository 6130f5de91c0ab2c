//! A recording in words.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hvpci_core::Slot;

use super::event::{ChannelId, Direction, Event, EventKind, Packet, Recording, Section};
use super::totals::{Tally, Totals};

mod messages;
mod registers;
mod values;

use registers::Layout;

/// Explains a recording message by message and access by access, for a reader who knows PCI.
///
/// Register names beyond the standard header come from the capability chain as the recording itself shows it. Writes that
/// turn memory decode on or off are marked `MAP` and `UNMAP`: they are what a host pays for. A selection of the slot that is
/// selected already is counted but not printed.
pub fn show(recording: &Recording, out: &mut dyn Write) -> io::Result<()> {
    let sections = recording.sections.len();
    writeln!(out, "{}: {sections} {}", recording.file, if sections == 1 { "section" } else { "sections" })?;
    let mut all = Totals::default();
    for section in &recording.sections {
        writeln!(out)?;
        all += show_section(section, out)?;
    }
    if sections > 1 {
        writeln!(out)?;
        writeln!(out, "whole file")?;
        summary(&all, out)?;
    }
    Ok(())
}

/// One section; returns what it adds up to.
fn show_section(section: &Section, out: &mut dyn Write) -> io::Result<Totals> {
    let channels = section.channels();
    writeln!(out, "section {}: {} events on {} channel(s)", section.name, section.events.len(), channels.len())?;
    let layouts = Layout::learn(section);
    let mut teller =
        Teller { layouts, tally: Tally::default(), shown_slot: BTreeMap::new(), requests: BTreeMap::new() };
    for event in &section.events {
        if let Some(text) = teller.tell(event) {
            let channel = event.kind.channel().map_or_else(|| " ".repeat(10), |channel| format!("[{channel}]"));
            writeln!(out, "{:>6} {:>11.6}s {channel} {text}", event.number, event.time.as_secs_f64())?;
        }
    }
    writeln!(out, "  section {} in sum", section.name)?;
    let totals = teller.tally.totals;
    summary(&totals, out)?;
    if channels.len() > 1 {
        for channel in channels {
            writeln!(out, "  of which channel {channel}")?;
            summary(&Totals::of(section.events_of(channel).map(|(_, event)| event)), out)?;
        }
    }
    Ok(totals)
}

fn summary(totals: &Totals, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "    config window  {} reads + {} writes + {} slot selections = {} traps",
        totals.reads,
        totals.writes,
        totals.selections,
        totals.traps()
    )?;
    writeln!(out, "    memory decode  {} maps, {} unmaps by guest writes", totals.maps, totals.unmaps)?;
    if totals.host_maps + totals.host_unmaps > 0 {
        writeln!(
            out,
            "                   {} maps, {} unmaps by the host itself",
            totals.host_maps, totals.host_unmaps
        )?;
    }
    writeln!(
        out,
        "    messages       {} from the guest, {} from the host; {} interrupt retargets",
        totals.guest_packets, totals.host_packets, totals.retargets
    )?;
    if totals.others > 0 {
        writeln!(out, "    other lines    {}", totals.others)?;
    }
    Ok(())
}

/// What telling one event needs to know of those before it.
struct Teller {
    layouts: BTreeMap<(ChannelId, u32), Layout>,
    tally: Tally,
    shown_slot: BTreeMap<ChannelId, u32>,
    /// Requests whose completion is awaited, by channel and transaction id: the type of the request.
    requests: BTreeMap<(ChannelId, u64), u32>,
}

impl Teller {
    /// The text for an event; `None` if it is not worth a line.
    fn tell(&mut self, event: &Event) -> Option<String> {
        let transition = self.tally.add(&event.kind);
        Some(match &event.kind {
            EventKind::ChannelOpen(id) => format!("the guest opens the channel of {id}"),
            EventKind::ChannelClose(id) => format!("the guest closes the channel of {id}"),
            EventKind::Packet(packet) => self.tell_packet(packet),
            EventKind::Select { channel, value } => {
                if self.shown_slot.insert(*channel, *value) == Some(*value) {
                    return None;
                }
                format!("select {}", slot_name(*value))
            }
            EventKind::ConfigRead(read) => {
                let layout = self.layout(read.channel);
                let name = layout.name(read.offset, read.width);
                let meaning = values::meaning(layout, read.offset, read.width, read.value);
                line("read ", &name, &values::digits(read.width, read.value), &meaning, None)
            }
            EventKind::ConfigWrite(write) => {
                let layout = self.layout(write.channel);
                let name = layout.name(write.offset, write.width);
                let meaning = values::meaning_of_write(layout, write.offset, write.width, write.value);
                let totals = self.tally.totals;
                let mark = match transition {
                    Some((false, true)) => Some(format!(">>> MAP {} (memory decode 0->1)", totals.maps)),
                    Some((true, false)) => Some(format!("<<< UNMAP {} (memory decode 1->0)", totals.unmaps)),
                    _ => None,
                };
                line("write", &name, &values::digits(write.width, write.value), &meaning, mark.as_deref())
            }
            EventKind::HostConfigMapped { gpa } => format!("host: config window appears at {gpa:#x}"),
            EventKind::HostConfigUnmapped => "host: config window is gone".to_owned(),
            EventKind::HostSetBars { bars, .. } => {
                let bars: Vec<String> = bars.iter().map(|bar| format!("{bar:08x}")).collect();
                format!("host: sets the BARs by itself to {}", bars.join(" "))
            }
            EventKind::HostSetPower { memory, .. } => {
                format!("host: turns memory decode {} by itself", if *memory { "on" } else { "off" })
            }
            EventKind::RetargetHypercall(call) => {
                let vps: Vec<String> = call.vps.iter().map(u32::to_string).collect();
                let result = call.result.as_ref().map_or_else(String::new, |result| format!(": {result}"));
                format!(
                    "hypercall: retarget the interrupt of device {:#x} with address {:#x}, data {:#x} to vector {:#x} on \
                     VP {}{result}",
                    call.device_id,
                    call.address,
                    call.data,
                    call.vector,
                    vps.join(", ")
                )
            }
            EventKind::HypercallPage { gpa } => format!("the hypercall page is laid over {gpa:#x}"),
            EventKind::Other { text, .. } => format!("(not decoded) {text}"),
        })
    }

    fn layout(&self, channel: ChannelId) -> &Layout {
        self.layouts.get(&(channel, self.tally.slot(channel))).unwrap_or(&registers::UNKNOWN)
    }

    fn tell_packet(&mut self, packet: &Packet) -> String {
        let key = (packet.channel, packet.descriptor.transaction_id);
        let arrow = match packet.direction {
            Direction::GuestToHost => "guest ->",
            Direction::HostToGuest => "host  ->",
        };
        if packet.descriptor.is_completion() {
            let request = self.requests.remove(&key);
            return format!(
                "{arrow} reply to {}: {}",
                messages::request_name(request),
                messages::reply(request, packet)
            );
        }
        if packet.descriptor.wants_completion() && packet.direction == Direction::GuestToHost {
            self.requests.insert(key, packet.u32_at(0).unwrap_or(0));
        }
        format!("{arrow} {}", messages::message(packet))
    }
}

/// One access, in columns that line up for common registers.
fn line(verb: &str, name: &str, digits: &str, meaning: &str, mark: Option<&str>) -> String {
    let mut text = format!("  {verb} {name:<28} {digits:>8}");
    for part in [meaning, mark.unwrap_or("")] {
        if !part.is_empty() {
            text.push_str("  ");
            text.push_str(part);
        }
    }
    text
}

/// `00.0`, or the bare number where it can be no slot.
pub(super) fn slot_name(wslot: u32) -> String {
    Slot::from_wire(wslot).map_or_else(|| format!("{wslot:#x} (no slot)"), |slot| format!("slot {slot}"))
}
