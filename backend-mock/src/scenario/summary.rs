//! A scenario in one line.

use super::{BarSpec, Scenario, format_size};

impl Scenario {
    /// What is booted and what the host charges, for the line under the title.
    pub fn summary(&self) -> String {
        let plural = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
        let functions = match self.groups.as_slice() {
            [group] => {
                let functions = plural(group.functions as usize, "function", "functions");
                let each = if group.functions == 1 { "" } else { " each" };
                match group.bars.as_slice() {
                    [] => format!("{functions} without BARs"),
                    [bar] => format!("{functions} with one {} BAR{each}", format_size(bar.size)),
                    bars => {
                        let total = bars.iter().fold(0, |sum: u64, bar: &BarSpec| sum.saturating_add(bar.size));
                        format!("{functions} with {} BARs{each} ({} together)", bars.len(), format_size(total))
                    }
                }
            }
            groups => groups.iter().map(|g| format!("{} {}", g.functions, g.name)).collect::<Vec<_>>().join(", "),
        };
        let buses = plural(self.buses().len(), "bus", "buses");
        let parallel = match self.host.parallel {
            1 => "one at a time".to_string(),
            n => format!("up to {n} at once"),
        };
        let seconds = self.host.map_per_128g.as_secs_f64();
        format!("{functions}, on {buses}; the host maps {parallel}, {seconds} s per 128 GiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_booted() {
        let summary = |name: &str| Scenario::load(name).unwrap().summary();
        assert_eq!(
            summary("azure-14-gpu"),
            "14 functions with one 128 GiB BAR each, on 14 buses; the host maps one at a time, 1.8 s per 128 GiB"
        );
        assert_eq!(
            summary("nvme-8"),
            "8 functions with 2 BARs each (68 KiB together), on 8 buses; the host maps one at a time, 1.8 s per 128 GiB"
        );
        assert_eq!(
            summary("mixed"),
            "8 gpu, 4 nvme, 4 nic, on 14 buses; the host maps up to 2 at once, 1.8 s per 128 GiB"
        );
    }
}
