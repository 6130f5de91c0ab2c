use super::*;
use hvpci_core::decode::Policy;

fn error(text: &str) -> String {
    Scenario::parse("vm.toml", text).unwrap_err().to_string()
}

#[track_caller]
fn assert_error(text: &str, parts: &[&str]) {
    let shown = error(text);
    for part in parts {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    assert!(shown.contains("allowed: "), "{shown}");
    assert!(shown.lines().count() <= 8 && shown.lines().all(|line| line.len() < 240), "not one screen:\n{shown}");
}

#[test]
fn the_presets_are_what_they_say() {
    let azure = Scenario::load("azure-14-gpu").unwrap();
    assert_eq!((azure.name.as_str(), azure.functions(), azure.buses().len()), ("azure-14-gpu", 14, 14));
    assert_eq!(azure.groups[0].bars, [BarSpec { size: 128 << 30, is_64bit: true, prefetchable: true }]);
    assert_eq!(azure.host, HostPlan::default());
    assert_eq!(azure.compare.len(), 8);
    assert_eq!(azure.compare[0], RunSpec { guest: "linux-5.18", policy: Policy::Eager });
    for name in presets::NAMES {
        assert_eq!(Scenario::load(name).unwrap().name, name);
    }
    assert_eq!(Scenario::load("nvme-8").unwrap().functions(), 8);
    assert_eq!(Scenario::load("mixed").unwrap().buses().len(), 8 + 4 + 2);
}

#[test]
fn everything_can_be_said() {
    let scenario = Scenario::parse(
        "dir/vm.toml",
        r#"
        compare = ["linux-6.1+prefetch"]
        [host]
        parallel = 4
        seconds_per_128g = 2
        trap_us = 12.5
        message_us = 0
        versions = ["1.4", "1.1", "1.4"]
        [[group]]
        name = "accelerator"
        functions = 5
        per_bus = 2
        bars = ["1G", "16 32-bit"]
        [[group]]
        device = "nvme"
        "#,
    )
    .unwrap();
    assert_eq!(scenario.name, "vm");
    assert_eq!(scenario.compare, [RunSpec { guest: "linux-6.1", policy: Policy::Prefetch }]);
    assert_eq!(
        scenario.host,
        HostPlan {
            parallel: 4,
            map_per_128g: Duration::from_secs(2),
            trap: Duration::from_nanos(12_500),
            message: Duration::ZERO,
            versions: vec![Version::V1_1, Version::V1_4],
        }
    );
    let buses: Vec<(u32, u32)> = scenario.buses().iter().map(|bus| (bus.first_function, bus.functions)).collect();
    assert_eq!(buses, [(0, 2), (2, 2), (4, 1), (5, 1)]);
    assert_eq!(scenario.function_names()[4..], ["accelerator 4".to_string(), "nvme 0".to_string()]);
}

#[test]
fn errors_name_file_line_column_and_what_is_allowed() {
    assert_error(
        "[[group]]\ndevice = \"gpu\"\nbars = [\"128G\", \"100G\"]\n",
        &["vm.toml:3:17", "100 GiB is no power of two", "64 GiB or 128 GiB", "^^^^^^"],
    );
    assert_error(
        "[[group]]\nfunctons = 3\n",
        &[
            "vm.toml:2:1",
            "unknown key `functons` in [[group]]",
            "did you mean `functions`?",
            "device, functions, per_bus",
        ],
    );
    assert_error(
        "[[group]]\nbars=[]\n[hots]\n",
        &["vm.toml:3:2", "unknown key `hots`", "`host`", "name, compare, host, group"],
    );
    assert_error(
        "[[group]]\nbars=[]\nfunctions = 0\n",
        &["vm.toml:3:13", "`functions` = 0 is out of range", "1 to 1024"],
    );
    assert_error("[[group]]\nbars=[]\nfunctions = -4\n", &["= -4 is out of range", "1 to 1024"]);
    assert_error("[[group]]\nbars=[]\nfunctions = \"4\"\n", &["`functions` is a string", "1 to 1024"]);
    assert_error("[[group]]\nbars=[]\nper_bus = 257\n", &["`per_bus` = 257", "1 to 256"]);
    assert_error("[[group]]\nbars=\"1G\"\n", &["`bars` is a string", "array of strings"]);
    assert_error("[[group]]\nbars=[1024]\n", &["`bars` holds an integer", "array of strings"]);
    assert_error(
        "[[group]]\ndevice = \"gpuu\"\n",
        &["vm.toml:2:10", "unknown device `gpuu`", "gpu, nvme, nic, custom"],
    );
    assert_error("[[group]]\nfunctions = 1\n", &["custom device without `bars`"]);
    assert_error("[group]\nfunctions = 1\n", &["write [[group]]"]);
    assert_error("name = \"x\"\n", &["vm.toml:1:1", "no [[group]]"]);
    assert_error("", &["vm.toml:1:1", "no [[group]]"]);
    assert_error("group = []\n", &["`group` is empty"]);
    assert_error("host = 3\n[[group]]\nbars=[]\n", &["vm.toml:1:8", "[host] is no table"]);
    assert_error("[[group]\n", &["vm.toml:1:", "not TOML"]);
    assert_error("a = 1\na = 2\n", &["vm.toml:2:1", "not TOML"]);
    assert_error("name = \"\"\n[[group]]\nbars=[]", &["not a usable name"]);
}

#[test]
fn hosts_and_pairs_are_checked() {
    let group = "[[group]]\nbars = []\n";
    assert_error(&format!("{group}[host]\nparallel = 0"), &["`parallel` = 0", "1 to 1024"]);
    assert_error(&format!("{group}[host]\nseconds_per_128g = -1.0"), &["-1.0 is out of range", "0 to 3600"]);
    assert_error(&format!("{group}[host]\nseconds_per_128g = nan"), &["nan is out of range"]);
    assert_error(&format!("{group}[host]\ntrap_us = true"), &["`trap_us` is a boolean"]);
    assert_error(&format!("{group}[host]\nversions = [\"1.0\"]"), &["version `1.0`", "1.1, 1.2, 1.3, 1.4, 1.5, 1.6"]);
    assert_error(&format!("{group}[host]\nversions = []"), &["accepts no version"]);
    assert_error(
        &format!("compare = [\"linux-9+eager\"]\n{group}"),
        &["vm.toml:1:12", "unknown guest `linux-9`", "linux-5.18, linux-6.1, linux-6.12, linux-batched, windows"],
    );
    assert_error(
        &format!("compare = [\"windows+lazy\"]\n{group}"),
        &["unknown policy `lazy`", "eager, deferred, absorbing, prefetch"],
    );
    assert_error(&format!("compare = []\n{group}"), &["nothing to compare"]);
}

#[test]
fn what_no_vm_can_have() {
    assert_error(
        "[[group]]\nbars = [\"1G\",\"1G\",\"1G\",\"4K 32-bit\"]\n",
        &["vm.toml:2:8", "take 7 registers", "6 registers"],
    );
    assert!(Scenario::parse("f", "[[group]]\nfunctions = 511\nbars = [\"128G\"]\n").is_ok());
    assert_error("[[group]]\nfunctions = 512\nbars = [\"128G\"]\n", &["vm.toml:3:8", "need 64 TiB", "63.99 TiB"]);
    assert_error("[[group]]\nbars = [\"64T\"]\n", &["need 64 TiB"]);
    assert_error("[[group]]\nbars = [\"2G 32-bit\"]\n", &["32-bit BARs need 2 GiB", "1.87 GiB below 4 GiB"]);
    let many = "[[group]]\nbars = []\nfunctions = 1000\n".repeat(2);
    assert_error(&many, &["2000 functions in all", "1 to 1024"]);
}

#[test]
fn flags_change_a_scenario() {
    let mut scenario = Scenario::load("azure-14-gpu").unwrap();
    let bar = BarSpec::parse("1G").unwrap();
    let flags = Overrides {
        functions: Some(6),
        per_bus: Some(4),
        bar: Some(bar),
        host_parallel: Some(3),
        guests: vec!["linux-6.12"],
        ..Overrides::default()
    };
    scenario.apply(&flags).unwrap();
    assert_eq!((scenario.functions(), scenario.buses().len(), scenario.host.parallel), (6, 2, 3));
    assert_eq!(scenario.groups[0].bars, [bar]);
    let pairs: Vec<String> = scenario.compare.iter().map(ToString::to_string).collect();
    assert_eq!(pairs, ["linux-6.12+deferred", "linux-6.12+absorbing", "linux-6.12+prefetch"]);
}

#[test]
fn named_guest_and_policy_are_exactly_what_runs() {
    let mut scenario = Scenario::load("azure-14-gpu").unwrap();
    let flags = Overrides { guests: vec!["windows"], policies: vec![Policy::Absorbing], ..Overrides::default() };
    scenario.apply(&flags).unwrap();
    assert_eq!(scenario.compare, [RunSpec { guest: "windows", policy: Policy::Absorbing }]);

    let mut scenario = Scenario::parse("f", "compare = [\"windows+deferred\"]\n[[group]]\nbars = []\n").unwrap();
    scenario.apply(&Overrides { policies: vec![Policy::Eager], ..Overrides::default() }).unwrap();
    // Windows was not asked for, and cannot.
    assert_eq!(scenario.compare.len(), GUESTS.len() - 1);
}

#[test]
fn flags_that_cannot_apply_are_refused() {
    let refuse =
        |preset: &str, flags: Overrides| Scenario::load(preset).unwrap().apply(&flags).unwrap_err().to_string();
    let shown = refuse("mixed", Overrides { functions: Some(2), ..Overrides::default() });
    assert!(shown.contains("--functions") && shown.contains("3 groups (gpu, nvme, nic)"), "{shown}");
    let shown = refuse("azure-14-gpu", Overrides { functions: Some(0), ..Overrides::default() });
    assert!(shown.contains("--functions 0") && shown.contains("1 to 1024"), "{shown}");
    let shown = refuse("azure-14-gpu", Overrides { per_bus: Some(300), ..Overrides::default() });
    assert!(shown.contains("--per-bus 300") && shown.contains("1 to 256"), "{shown}");
    let shown = refuse("azure-14-gpu", Overrides { functions: Some(1000), ..Overrides::default() });
    assert!(shown.contains("need 125 TiB"), "{shown}");
}

#[test]
fn files_that_cannot_be_read() {
    let shown = Scenario::load("no/such/vm.toml").unwrap_err().to_string();
    assert!(
        shown.contains("no/such/vm.toml: no such file") && shown.contains("azure-14-gpu, nvme-8, mixed"),
        "{shown}"
    );
    let shown = Scenario::load(".").unwrap_err().to_string();
    assert!(shown.starts_with("error: .: "), "{shown}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(crate::tests::cases(256)))]

    /// Whatever stands in a file, it is a scenario or one screen of error.
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        if let Err(error) = Scenario::parse("vm.toml", &text) {
            proptest::prop_assert!(error.to_string().lines().count() <= 12);
        }
    }

    /// Presets with a piece replaced come much further into the reader.
    #[test]
    fn no_damaged_preset_panics(at in 0..900usize, gone in 0..40usize, put in "[-=\\[\\]\"{}a-z0-9.\n é]{0,8}", which in 0..3usize) {
        let text: Vec<char> = presets::text(presets::NAMES[which]).unwrap().chars().collect();
        let at = at.min(text.len());
        let after = (at + gone).min(text.len());
        let damaged: String = text[..at].iter().copied().chain(put.chars()).chain(text[after..].iter().copied()).collect();
        match Scenario::parse("vm.toml", &damaged) {
            Ok(scenario) => {
                proptest::prop_assert!((1..=MAX_FUNCTIONS).contains(&scenario.functions()));
                proptest::prop_assert!(scenario.buses().iter().all(|bus| (1..=MAX_PER_BUS).contains(&bus.functions)));
            }
            Err(error) => proptest::prop_assert!(error.place.is_some(), "{}", error),
        }
    }
}
