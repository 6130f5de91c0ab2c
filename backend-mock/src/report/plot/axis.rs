//! The time axis.

/// Ticks at round times.
#[derive(Debug)]
pub(super) struct Axis {
    /// The time at the right end, in seconds; more than 0.
    pub largest: f64,
    pub ticks: Vec<Tick>,
    pub title: &'static str,
}

/// A labelled time.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub seconds: f64,
    pub label: String,
}

impl Axis {
    /// An axis from 0 to `largest` seconds.
    pub(super) fn to(largest: f64) -> Axis {
        let largest = if largest.is_finite() && largest > 0.0 { largest } else { 1.0 };
        // Below a second, milliseconds read better.
        let (factor, unit, title) = if largest >= 1.0 {
            (1.0, "s", "seconds since the host offered the channels")
        } else {
            (1e3, "ms", "milliseconds since the host offered the channels")
        };
        let step = round_step(largest * factor / 8.0);
        let count = (largest * factor / step).floor() as u32;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let ticks = (0..=count)
            .map(|index| f64::from(index) * step)
            .map(|at| Tick {
                seconds: at / factor,
                label: if at == 0.0 { "0".into() } else { format!("{at:.decimals$} {unit}") },
            })
            .collect();
        Axis { largest, ticks, title }
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= least * 0.999)
        .unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(largest: f64) -> Vec<String> {
        Axis::to(largest).ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels(201.7), ["0", "50 s", "100 s", "150 s", "200 s"]);
        assert_eq!(labels(25.2), ["0", "5 s", "10 s", "15 s", "20 s", "25 s"]);
        assert_eq!(labels(1.8)[1..3], ["0.5 s", "1.0 s"]);
        assert_eq!(labels(0.021)[1..3], ["5 ms", "10 ms"]);
        for largest in [1e-9, 0.3, 7.0, 99.0, 1e6, f64::NAN, 0.0, -1.0] {
            assert!((2..=10).contains(&labels(largest).len()), "{largest}: {:?}", labels(largest));
        }
    }
}
