//! What follows the columns of an event line.

use hvpci_core::InstanceId;
use hvpci_core::backend::Width;

use super::super::event::{
    ChannelId, CommandNote, ConfigRead, ConfigWrite, Descriptor, Direction, EventKind, Packet, Retarget,
};
use super::{Fault, hex, number, word};

/// The longest VP list a retarget line may carry: the hypercall reaches 64 banks of 64.
const MAX_VPS: usize = 4096;

/// The kind of an event. A line that begins like a known kind must be well-formed; any other line is kept as
/// [`EventKind::Other`].
pub(super) fn kind(channel: Option<ChannelId>, text: &str) -> Result<EventKind, Fault> {
    let of_channel = || channel.ok_or_else(|| Fault::new(text, "a channel column `[3f5ae738]` before this event"));
    if let Some(rest) = text.strip_prefix("CFG SLOT ") {
        return select(of_channel()?, rest);
    }
    if let Some(rest) = text.strip_prefix("CFG RD ") {
        return config_read(of_channel()?, rest);
    }
    if let Some(rest) = text.strip_prefix("CFG WR ") {
        return config_write(of_channel()?, rest);
    }
    if let Some(rest) = text.strip_prefix("G->H ") {
        return packet(of_channel()?, Direction::GuestToHost, rest);
    }
    if let Some(rest) = text.strip_prefix("H->G ") {
        return packet(of_channel()?, Direction::HostToGuest, rest);
    }
    if let Some(rest) = text.strip_prefix("HOST set_bars") {
        return set_bars(of_channel()?, rest);
    }
    if let Some(rest) = text.strip_prefix("HOST set_power(") {
        return set_power(of_channel()?, rest);
    }
    if let Some(rest) = text.strip_prefix("HOST config space mapped at ") {
        return Ok(EventKind::HostConfigMapped { gpa: address(word(rest).0)? });
    }
    if text.starts_with("HOST config space unmapped") {
        return Ok(EventKind::HostConfigUnmapped);
    }
    if let Some(rest) = text.strip_prefix("HVCALL RETARGET_INTERRUPT ") {
        return retarget(rest);
    }
    if let Some(rest) = text.strip_prefix("HV hypercall page at ") {
        return Ok(EventKind::HypercallPage { gpa: address(word(rest).0)? });
    }
    if let Some(rest) = text.strip_prefix("CHANNEL open ") {
        return Ok(EventKind::ChannelOpen(instance(rest)?));
    }
    if let Some(rest) = text.strip_prefix("CHANNEL close ") {
        return Ok(EventKind::ChannelClose(instance(rest)?));
    }
    Ok(EventKind::Other { channel, text: text.to_owned() })
}

fn address(text: &str) -> Result<u64, Fault> {
    number(text).ok_or_else(|| Fault::new(text, "an address such as `0xf8000000`"))
}

fn instance(text: &str) -> Result<InstanceId, Fault> {
    let guid = word(text).0;
    guid.parse().map_err(|_| Fault::new(text, "a GUID such as `3f5ae738-5c79-8781-8549-40abcf2714df`"))
}

/// `<- 0x0`
fn select(channel: ChannelId, text: &str) -> Result<EventKind, Fault> {
    let value =
        text.strip_prefix("<- ").and_then(|rest| number(word(rest).0)).and_then(|value| u32::try_from(value).ok());
    let value = value.ok_or_else(|| Fault::new(text, "`CFG SLOT <- 0x0`, a 32-bit number"))?;
    Ok(EventKind::Select { channel, value })
}

/// `off=0x004 len=2 -> 0000`, up to the arrow, and what follows the arrow.
fn access<'a>(text: &'a str, arrow: &str) -> Result<(u16, Width, u32, &'a str), Fault> {
    let (offset, rest) = word(text);
    let (len, rest) = word(rest);
    let (found_arrow, rest) = word(rest);
    let (digits, rest) = word(rest);
    let offset = offset.strip_prefix("off=").and_then(number).and_then(|offset| u16::try_from(offset).ok());
    let offset = offset.filter(|&offset| offset < 0x1000);
    let offset = offset.ok_or_else(|| Fault::new(text, "`off=` and an offset from 0x000 to 0xfff"))?;
    let width = len.strip_prefix("len=").and_then(|len| Width::from_bytes(len.parse().ok()?));
    let width = width.ok_or_else(|| Fault::new(text, "`len=1`, `len=2` or `len=4`"))?;
    if offset + width.bytes() > 0x1000 {
        return Err(Fault::new(text, "an access that stays within the config page, which ends at 0xfff"));
    }
    let value = Some(digits).filter(|_| found_arrow == arrow).and_then(hex).and_then(|value| u32::try_from(value).ok());
    let value = value.filter(|&value| value <= width.all_ones());
    let value = value.ok_or_else(|| {
        Fault::new(text, format!("`{arrow}` and a value of {} hex digits after the length", width.bytes() * 2))
    })?;
    Ok((offset, width, value, rest))
}

fn config_read(channel: ChannelId, text: &str) -> Result<EventKind, Fault> {
    let (offset, width, value, _) = access(text, "->")?;
    Ok(EventKind::ConfigRead(ConfigRead { channel, offset, width, value }))
}

fn config_write(channel: ChannelId, text: &str) -> Result<EventKind, Fault> {
    let (offset, width, value, rest) = access(text, "<-")?;
    let note = match rest.strip_prefix("COMMAND ") {
        Some(note) => Some(command_note(note)?),
        None => None,
    };
    Ok(EventKind::ConfigWrite(ConfigWrite { channel, offset, width, value, note }))
}

/// `device-had=0x0000 new-low-byte=0x02 mem 0->1 [guest totals ..]`
fn command_note(text: &str) -> Result<CommandNote, Fault> {
    // Of a whole dword the upper half is Status.
    let had = word(text).0.strip_prefix("device-had=").and_then(number).and_then(|had| u32::try_from(had).ok());
    let device_had = had.and_then(|had| u16::try_from(had & 0xFFFF).ok());
    let device_had = device_had.ok_or_else(|| Fault::new(text, "`COMMAND device-had=0x0000` and a number"))?;
    let transition = match text.split_once(" mem ") {
        None => None,
        Some((_, rest)) => Some(match word(rest).0 {
            "0->0" => (false, false),
            "0->1" => (false, true),
            "1->0" => (true, false),
            "1->1" => (true, true),
            _ => return Err(Fault::new(rest, "`mem` and one of 0->0, 0->1, 1->0, 1->1")),
        }),
    };
    Ok(CommandNote { device_had, transition })
}

/// `desc(type=6 off8=2 len8=3 flags=1 txid=0x1) NAME len=8 : 13004942 04000100`
fn packet(channel: ChannelId, direction: Direction, text: &str) -> Result<EventKind, Fault> {
    let shape = "`desc(type=6 off8=2 len8=3 flags=1 txid=0x1) NAME len=8 : 13004942 04000100`";
    let fault = || Fault::new(text, shape);
    let (fields, rest) = text.strip_prefix("desc(").and_then(|rest| rest.split_once(')')).ok_or_else(fault)?;
    let field = |name: &str| {
        let value = fields.split_ascii_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
        number(value.split('/').next().unwrap_or(value))
    };
    let small = |name: &str| field(name).and_then(|value| u16::try_from(value).ok());
    let descriptor = Descriptor {
        packet_type: small("type").ok_or_else(fault)?,
        flags: small("flags").ok_or_else(fault)?,
        transaction_id: field("txid").ok_or_else(fault)?,
    };
    let (head, bytes) = match rest.split_once(" :") {
        Some((head, bytes)) => (head, bytes.trim()),
        None => (rest, ""),
    };
    let (name, len) = head.rsplit_once("len=").ok_or_else(fault)?;
    let len: usize = len.trim().parse().map_err(|_| fault())?;
    let payload = payload(bytes)?;
    if payload.len() != len {
        let found = format!("{} bytes of payload", payload.len());
        return Err(Fault { found, allowed: format!("as many as `len={len}` says") });
    }
    Ok(EventKind::Packet(Packet { channel, direction, descriptor, name: name.trim().to_owned(), payload }))
}

/// Hex bytes in memory order, in groups of any length.
fn payload(text: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for group in text.split_ascii_whitespace() {
        let fault = || Fault::new(group, "payload bytes as pairs of hex digits, grouped by four bytes");
        for pair in group.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2).ok_or_else(fault)?;
            bytes.push(hex(pair).and_then(|byte| u8::try_from(byte).ok()).ok_or_else(fault)?);
        }
    }
    Ok(bytes)
}

/// ` [00000000, 00000000, ..]`, six numbers.
fn set_bars(channel: ChannelId, text: &str) -> Result<EventKind, Fault> {
    let fault = || Fault::new(text, "`HOST set_bars [00000000, ..]`, six BAR registers of eight hex digits");
    let list = text.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(fault)?.0;
    let mut bars = [0; 6];
    let mut values = list.split(',').map(str::trim);
    for bar in &mut bars {
        let value = values.next().and_then(hex).and_then(|value| u32::try_from(value).ok());
        *bar = value.ok_or_else(fault)?;
    }
    if values.next().is_some() {
        return Err(fault());
    }
    Ok(EventKind::HostSetBars { channel, bars })
}

/// `mem-enable=false)`
fn set_power(channel: ChannelId, text: &str) -> Result<EventKind, Fault> {
    let memory = match text.split_once(')').map(|(argument, _)| argument) {
        Some("mem-enable=true") => true,
        Some("mem-enable=false") => false,
        _ => return Err(Fault::new(text, "`HOST set_power(mem-enable=true)` or `false`")),
    };
    Ok(EventKind::HostSetPower { channel, memory })
}

/// `devid=0x5c798780 addr=0xfee00000 data=0x0 vector=0x24 multicast=false vps=[0] -> Ok(())`
fn retarget(text: &str) -> Result<EventKind, Fault> {
    let fault = || Fault::new(text, "`devid=0x.. addr=0x.. data=0x.. vector=0x.. multicast=false vps=[0] -> Ok(())`");
    let (arguments, result) = match text.split_once(" -> ") {
        Some((arguments, result)) => (arguments, Some(result.trim().to_owned())),
        None => (text, None),
    };
    let field = |name: &str| {
        number(arguments.split_ascii_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?)
    };
    let small = |name: &str| field(name).and_then(|value| u32::try_from(value).ok());
    let list = arguments.split_once("vps=[").and_then(|(_, rest)| rest.split_once(']')).ok_or_else(fault)?.0;
    let vps = list.split(',').map(str::trim).filter(|vp| !vp.is_empty()).take(MAX_VPS);
    let vps = vps.map(|vp| number(vp).and_then(|vp| u32::try_from(vp).ok())).collect::<Option<Vec<u32>>>();
    Ok(EventKind::RetargetHypercall(Retarget {
        device_id: field("devid").ok_or_else(fault)?,
        address: field("addr").ok_or_else(fault)?,
        data: small("data").ok_or_else(fault)?,
        vector: small("vector").ok_or_else(fault)?,
        vps: vps.ok_or_else(fault)?,
        result,
    }))
}
