use crate::report::{Lane, Report, Span, SpanKind, fixture};

/// The picture of the whole table, written where `HVPCI_TEST_SVG` says, to be looked at.
#[test]
fn a_lane_per_function_and_a_panel_per_run() {
    let report = fixture::azure();
    let svg = report.to_svg();
    if let Ok(folder) = std::env::var("HVPCI_TEST_SVG") {
        std::fs::write(format!("{folder}/azure.svg"), &svg).unwrap();
        let runs = vec![
            fixture::run("linux-6.12", "deferred", 14, 1, 1, 1.8),
            fixture::run("linux-6.12", "prefetch", 14, 1, 14, 1.8),
        ];
        std::fs::write(format!("{folder}/two.svg"), Report { runs, ..report.clone() }.to_svg()).unwrap();
        let runs = vec![fixture::run("windows", "deferred", 3, 1, 1, 0.004)];
        std::fs::write(format!("{folder}/one.svg"), Report { runs, ..report.clone() }.to_svg()).unwrap();
    }
    let filled = |hex: &str| svg.matches(&format!("fill=\"{hex}\"/>")).count();
    // Every map of every function, and the legend's patch.
    assert_eq!(filled("#DB4A14"), 14 * (8 + 3 + 5) + 1);
    assert_eq!(filled("#0E8AA3"), 14 + 1);
    for words in
        ["azure-14-gpu: from the channel offer", "linux-5.18", "201.6 s", "25.2 s", "8.0x faster", "112 maps", "150 s"]
    {
        assert!(svg.contains(words), "{words}");
    }
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("prefers-color-scheme:dark"));
}

#[test]
fn names_are_escaped_and_odd_timelines_do_no_harm() {
    let mut report = fixture::azure();
    report.scenario = "<a&b>".into();
    let spans = vec![
        Span { start_s: 5.0, end_s: 1.0, kind: SpanKind::Map },
        Span { start_s: f64::NAN, end_s: 1.0, kind: SpanKind::Map },
        Span { start_s: 0.0, end_s: f64::INFINITY, kind: SpanKind::Scan },
    ];
    report.runs[0].timeline = vec![Lane { name: "x<y".into(), spans, ready_s: None }];
    let svg = report.to_svg();
    assert!(svg.contains("&lt;a&amp;b&gt;") && !svg.contains("<a&b>"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    report.runs.clear();
    assert!(report.to_svg().contains("</svg>"));
}

#[test]
fn a_thousand_functions_still_make_a_picture() {
    let runs = vec![fixture::run("linux-6.12", "deferred", 1024, 1, 1, 1.8)];
    let svg = Report { scenario: "s".into(), subtitle: String::new(), runs }.to_svg();
    assert!(svg.len() < 1 << 20, "{}", svg.len());
}
