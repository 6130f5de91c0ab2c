//! The lines for the machine: `@@ case ...`, `@@ host MOMENT KIND key=value ...`, `@@ driver MOMENT key=value ...`, `@@ bad ...`.

use std::collections::HashMap;

/// `key=value` words of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(HashMap<String, String>);

impl Fields {
    fn parse(text: &str) -> Fields {
        let pair = |word: &str| word.split_once('=').map(|(key, value)| (key.to_string(), value.to_string()));
        Fields(text.split_ascii_whitespace().filter_map(pair).collect())
    }

    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// A number; `u64::MAX` where there is none, which no check expects.
    pub fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or(u64::MAX)
    }

    /// Numbers separated by commas.
    pub fn numbers(&self, key: &str) -> Vec<i64> {
        self.text(key).split(',').filter_map(|word| word.parse().ok()).collect()
    }
}

/// The books at one moment of a case.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The host's sums.
    pub total: Fields,
    /// Ranges the guest holds.
    pub mmio_held: u64,
    /// One line per function with a driver.
    pub drivers: Vec<Fields>,
    pub violations: Vec<String>,
    pub leaks: Vec<String>,
}

impl Moment {
    /// From the offer until the last driver was bound; `u64::MAX` where none is.
    pub fn microseconds(&self) -> u64 {
        let last = self.drivers.iter().map(|driver| driver.number("bound_ns")).max();
        last.map_or(u64::MAX, |last| last.saturating_sub(self.total.number("started_ns")) / 1_000)
    }
}

/// One case of a run.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The line that was run.
    pub line: String,
    pub moments: Vec<(String, Moment)>,
    pub bad: Vec<String>,
    /// `@@ result NAME ...` lines.
    pub results: Vec<(String, Fields)>,
}

impl Case {
    /// The last moment of that name.
    pub fn moment(&self, name: &str) -> Option<&Moment> {
        self.moments(name).last()
    }

    /// All moments of that name: a case that starts over has one each time.
    pub fn moments(&self, name: &str) -> impl Iterator<Item = &Moment> {
        self.moments.iter().filter(move |(at, _)| at == name).map(|(_, moment)| moment)
    }

    fn moment_mut(&mut self, name: &str) -> Option<&mut Moment> {
        if self.moments.last().is_none_or(|(last, _)| last != name) {
            self.moments.push((name.to_string(), Moment::default()));
        }
        self.moments.last_mut().map(|(_, moment)| moment)
    }
}

/// All cases of a serial log, in order.
pub fn parse(log: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    // A kernel message may have been printed into the middle of a line: then "@@" is not at its start.
    for line in log.lines().filter_map(|line| line.find("@@ ").map(|at| line.split_at(at + 3).1)) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "case" {
            cases.push(Case { line: rest.to_string(), ..Case::default() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "bad" => case.bad.push(rest.to_string()),
            "result" => case.results.push((name.to_string(), Fields::parse(text))),
            "driver" => {
                if let Some(moment) = case.moment_mut(name) {
                    moment.drivers.push(Fields::parse(text));
                }
            }
            "host" => {
                let Some(moment) = case.moment_mut(name) else { continue };
                match text.split_once(' ') {
                    Some(("total", sums)) => moment.total = Fields::parse(sums),
                    Some(("mmio", held)) => moment.mmio_held = Fields::parse(held).number("held"),
                    Some(("violation", what)) => moment.violations.push(what.to_string()),
                    Some(("leak", what)) => moment.leaks.push(what.to_string()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[    1.0] booting\n\
        @@ kernel release=6.12 cpus=1\n\
        @@ case bring_up one stock 1 buses=1\n\
        @@ host bound mmio held=2\n\
        @@ host bound bus=0 channel=Open functions=1 maps=1\n\
        @@ host bound total started_ns=5 errors=0 maps=1 traps=362\n\
        @@ driver bound pci=1001:00:00.0 bound_ns=9 counts=1,0,-1\n\
        [    2.0] noise @@ bad one: 0 of 1 bound\n\
        @@ host unloaded leak bus=0 PowerUp\n\
        @@ case other\n\
        @@ result steps done=12\n";

    #[test]
    fn a_log_falls_into_cases_and_moments() {
        let cases = parse(LOG);
        assert_eq!(cases.len(), 2);
        let bound = cases[0].moment("bound").unwrap();
        assert_eq!((bound.mmio_held, bound.total.number("traps")), (2, 362));
        assert_eq!(bound.drivers[0].numbers("counts"), [1, 0, -1]);
        assert_eq!(cases[0].bad, ["one: 0 of 1 bound"]);
        assert_eq!(cases[0].moment("unloaded").unwrap().leaks.len(), 1);
        assert_eq!(cases[1].results, [("steps".to_string(), Fields::parse("done=12"))]);
    }

    #[test]
    fn what_is_missing_is_no_number_a_check_would_want() {
        assert_eq!(Fields::parse("a=1 b=x").number("b"), u64::MAX);
        assert_eq!(Fields::parse("").number("a"), u64::MAX);
        assert!(parse("@@ bad before any case\nno lines").is_empty());
    }
}
