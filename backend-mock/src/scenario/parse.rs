//! From TOML to a [`Scenario`].

use core::ops::Range;
use core::time::Duration;

use hvpci_core::decode::Policy;
use hvpci_core::wire::Version;
use toml::Spanned;
use toml::de::DeValue;

use super::limits::{self, MAX_FUNCTIONS, MAX_PER_BUS, Problem};
use super::reader::{Section, Source};
use super::{BarSpec, DeviceKind, Diagnostic, GUESTS, Group, HostPlan, RunSpec, Scenario, pair, size};

const TOP_KEYS: [&str; 4] = ["name", "compare", "host", "group"];
const HOST_KEYS: [&str; 5] = ["parallel", "seconds_per_128g", "trap_us", "message_us", "versions"];
const GROUP_KEYS: [&str; 5] = ["name", "device", "functions", "per_bus", "bars"];

/// The longest name: a table must hold it.
const MAX_NAME: usize = 40;

/// Where the parts of a group stand.
struct GroupSpans {
    header: Range<usize>,
    functions: Option<Range<usize>>,
    bars: Option<Range<usize>>,
}

pub(super) fn scenario(file: &str, text: &str) -> Result<Scenario, Diagnostic> {
    let source = Source { file, text };
    let root = source.parse()?;
    let top = Section { source, table: root.get_ref(), title: "the scenario" };
    top.only(&TOP_KEYS)?;

    let name = name(&top)?.unwrap_or_else(|| stem(file));
    let host = match top.get("host") {
        Some(value) => host(section(source, value, "[host]", "a table: [host]")?)?,
        None => HostPlan::default(),
    };
    let compare = top.list("compare", "guest+policy pairs such as \"linux-6.12+deferred\"", |text| {
        text.parse::<RunSpec>().map_err(|error| (error.to_string(), error.allowed()))
    })?;
    if let (Some(compare), Some(value)) = (&compare, top.get("compare"))
        && compare.is_empty()
    {
        let allowed = format!(
            "at least one pair; guests: {}; policies: {}",
            GUESTS.join(", "),
            Policy::ALL.map(Policy::name).join(", ")
        );
        return Err(source.error(value.span(), "nothing to compare", allowed));
    }
    let (groups, spans) = groups(&top)?;
    let scenario = Scenario { name, groups, host, compare: compare.unwrap_or_else(|| pair::DEFAULT.to_vec()) };
    limits::check(&scenario).map_err(|problem| place(source, problem, &spans))?;
    Ok(scenario)
}

/// The file's name without folders and extension.
fn stem(file: &str) -> String {
    let stem = std::path::Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario");
    stem.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

fn section<'a>(
    source: Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
    title: &'static str,
    allowed: &str,
) -> Result<Section<'a>, Diagnostic> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(Section { source, table, title }),
        _ => Err(source.error(value.span(), format!("{title} is no table"), allowed)),
    }
}

fn name(section: &Section<'_>) -> Result<Option<String>, Diagnostic> {
    let allowed = format!("a string of 1 to {MAX_NAME} printable characters");
    let Some(found) = section.string("name", &allowed)? else { return Ok(None) };
    let length = found.value.chars().count();
    if length == 0 || length > MAX_NAME || found.value.chars().any(char::is_control) {
        return Err(section.source.error(found.span, "not a usable name", allowed));
    }
    Ok(Some(found.value.into()))
}

fn host(section: Section<'_>) -> Result<HostPlan, Diagnostic> {
    section.only(&HOST_KEYS)?;
    let default = HostPlan::default();
    let versions = section.list("versions", "protocol versions such as \"1.4\"", version)?;
    if let (Some([]), Some(value)) = (versions.as_deref(), section.get("versions")) {
        return Err(section.source.error(value.span(), "the host accepts no version at all", version_names()));
    }
    let versions = versions.map(|mut versions| {
        versions.sort_unstable();
        versions.dedup();
        versions
    });
    let micros = |key, most| -> Result<Option<Duration>, Diagnostic> {
        Ok(section.number(key, 0.0..=most)?.map(|us| Duration::from_secs_f64(us / 1e6)))
    };
    Ok(HostPlan {
        parallel: section.integer("parallel", limits::PARALLEL)?.unwrap_or(default.parallel),
        map_per_128g: section
            .number("seconds_per_128g", 0.0..=3600.0)?
            .map_or(default.map_per_128g, Duration::from_secs_f64),
        trap: micros("trap_us", 1e6)?.unwrap_or(default.trap),
        message: micros("message_us", 1e7)?.unwrap_or(default.message),
        versions: versions.unwrap_or(default.versions),
    })
}

fn version_names() -> String {
    let mut names = Version::SPOKEN.map(|version| version.to_string());
    names.sort_unstable();
    names.join(", ")
}

fn version(text: &str) -> Result<Version, (String, String)> {
    Version::SPOKEN
        .into_iter()
        .find(|version| version.to_string() == text)
        .ok_or_else(|| (format!("unknown protocol version `{text}`"), version_names()))
}

fn groups(top: &Section<'_>) -> Result<(Vec<Group>, Vec<GroupSpans>), Diagnostic> {
    let source = top.source;
    let allowed = "at least one [[group]] of functions, such as: [[group]] device = \"gpu\" functions = 14";
    let Some(value) = top.get("group") else {
        return Err(source.error(0..0, "no functions: the scenario has no [[group]]", allowed));
    };
    let DeValue::Array(items) = value.get_ref() else {
        return Err(source.error(value.span(), "`group` is no array of tables: write [[group]], not [group]", allowed));
    };
    if items.is_empty() {
        return Err(source.error(value.span(), "no functions: `group` is empty", allowed));
    }
    let mut groups = Vec::new();
    let mut spans = Vec::new();
    for item in items {
        let section = section(source, item, "[[group]]", allowed)?;
        groups.push(group(&section, item.span())?);
        let span = |key| section.get(key).map(Spanned::span);
        spans.push(GroupSpans { header: item.span(), functions: span("functions"), bars: span("bars") });
    }
    Ok((groups, spans))
}

fn group(section: &Section<'_>, header: Range<usize>) -> Result<Group, Diagnostic> {
    section.only(&GROUP_KEYS)?;
    let kinds = DeviceKind::ALL.map(DeviceKind::name).join(", ");
    let device = match section.string("device", &kinds)? {
        None => DeviceKind::Custom,
        Some(found) => DeviceKind::named(found.value).ok_or_else(|| {
            let near = super::diagnostic::did_you_mean(found.value, &DeviceKind::ALL.map(DeviceKind::name));
            section.source.error(found.span, format!("unknown device `{}`{near}", found.value), kinds)
        })?,
    };
    let bars = section.list("bars", size::ALLOWED, |text| {
        BarSpec::parse(text).map_err(|error| (error.to_string(), error.allowed()))
    })?;
    let bars = bars.or_else(|| device.default_bars()).ok_or_else(|| {
        section.source.error(
            header,
            "a custom device without `bars`",
            "bars = [\"128G\"] or another list of sizes; [] for a function without BARs",
        )
    })?;
    Ok(Group {
        name: name(section)?.unwrap_or_else(|| device.name().into()),
        device,
        functions: section.integer("functions", 1..=MAX_FUNCTIONS)?.unwrap_or(1),
        per_bus: section.integer("per_bus", 1..=MAX_PER_BUS)?.unwrap_or(1),
        bars,
    })
}

/// Gives a problem of the whole its place.
fn place(source: Source<'_>, problem: Problem, spans: &[GroupSpans]) -> Diagnostic {
    let group = problem.group.and_then(|group| spans.get(group)).or(spans.last());
    let span = group.map_or(0..0, |spans| {
        let part = match problem.part {
            limits::Part::Functions => spans.functions.clone(),
            limits::Part::Bars => spans.bars.clone(),
        };
        part.unwrap_or_else(|| spans.header.clone())
    });
    source.error(span, problem.message, problem.allowed)
}
