//! The JSON form.

use serde::Serializer;

use super::Report;

pub(super) fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

/// Sums of binary fractions end in noise: the virtual clock has nanoseconds, so that is what is written.
pub(super) fn nanosecond_precision<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !seconds.is_finite() {
        return Err(serde::ser::Error::custom("a time that is no number"));
    }
    serializer.serialize_f64((seconds * 1e9).round() / 1e9)
}

#[cfg(test)]
mod tests {
    use crate::report::{Report, fixture};

    #[test]
    fn one_object_with_exactly_these_keys_in_this_order() {
        let mut run = fixture::run("linux-5.18", "eager", 14, 8, 1, 1.8);
        run.host_map_seconds = 0.1 + 0.2;
        run.ready_seconds = 201.6;
        let report = Report { scenario: "s".into(), subtitle: "not shown".into(), runs: vec![run] };
        let expected = r#"{
  "scenario": "s",
  "runs": [
    {
      "guest": "linux-5.18",
      "policy": "eager",
      "functions": 14,
      "maps": 112,
      "unmaps": 98,
      "host_unmaps": 0,
      "traps": 3360,
      "messages": 168,
      "host_map_seconds": 0.3,
      "ready_seconds": 201.6
    }
  ]
}
"#;
        assert_eq!(report.to_json().unwrap(), expected);
    }

    #[test]
    fn a_time_that_is_no_number_is_an_error_not_a_null() {
        let mut report = fixture::azure();
        report.runs[0].ready_seconds = f64::NAN;
        assert!(report.to_json().is_err());
    }
}
