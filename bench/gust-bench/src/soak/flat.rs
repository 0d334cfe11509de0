//! When a course of values counts as flat.
//!
//! A straight line is fitted to the values after warm-up. The course is flat if the line rises over 100,000 invocations
//! by less than a part of the mean, or by less than the noise around the line lets one tell (twice the standard
//! error of the slope). Falling is fine.

/// The part of the mean by which a value may rise in 100,000 invocations.
pub const RISE_MAX: f64 = 0.02;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The mean after warm-up.
    pub mean: f64,
    /// The rise of the fitted line in 100,000 invocations.
    pub rise: f64,
    /// Twice its standard error.
    pub noise: f64,
    /// Whether that is flat.
    pub is_flat: bool,
}

/// Judges `values` at `invokes`, both of the part after warm-up.
pub fn judge(invokes: &[f64], values: &[f64]) -> Verdict {
    let count = values.len().min(invokes.len()) as f64;
    if count < 3.0 {
        return Verdict { mean: values.first().copied().unwrap_or(0.0), rise: 0.0, noise: 0.0, is_flat: true };
    }
    let mean_of = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (mean_x, mean) = (mean_of(invokes), mean_of(values));
    let spread: f64 = invokes.iter().map(|x| (x - mean_x).powi(2)).sum();
    let slope = invokes.iter().zip(values).map(|(x, y)| (x - mean_x) * (y - mean)).sum::<f64>() / spread.max(1e-9);
    let residue: f64 = invokes.iter().zip(values).map(|(x, y)| (y - mean - slope * (x - mean_x)).powi(2)).sum();
    let error = (residue / (count - 2.0) / spread.max(1e-9)).sqrt();
    let (rise, noise) = (slope * 100_000.0, error * 200_000.0);
    Verdict { mean, rise, noise, is_flat: rise <= mean * RISE_MAX || rise <= noise }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(value: impl Fn(f64) -> f64) -> Verdict {
        let invokes: Vec<f64> = (0..80).map(|step| 200_000.0 + 10_000.0 * f64::from(step)).collect();
        let values: Vec<f64> = invokes.iter().map(|at| value(*at)).collect();
        judge(&invokes, &values)
    }

    #[test]
    fn a_leak_is_seen_below_noise_of_single_values() {
        // 100 MB, 5 MB more in 100,000 invocations, and noise of 3 MB.
        let noise = |at: f64| (at / 7_919.0).sin() * 3.0;
        let leak = course(|at| 100.0 + 5.0 * at / 100_000.0 + noise(at));
        assert!(!leak.is_flat && (leak.rise - 5.0).abs() < 1.0, "{leak:?}");
        assert!(course(|at| 100.0 + noise(at)).is_flat);
        assert!(course(|at| 100.0 - at / 100_000.0).is_flat);
        assert!(course(|_| 0.0).is_flat);
    }

    #[test]
    fn one_more_in_each_hundred_thousand_is_seen_where_nothing_else_moves() {
        assert!(!course(|at| 20.0 + (at / 100_000.0).floor()).is_flat);
    }

    #[test]
    fn too_few_values_prove_nothing() {
        assert!(judge(&[1.0, 2.0], &[1.0, 9.0]).is_flat);
    }
}
