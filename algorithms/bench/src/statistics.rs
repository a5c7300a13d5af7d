//! Quantiles, ranks and paired tests.

/// Quantile by linear interpolation between order statistics (type 7); infinite values sort last. Empty gives NaN.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    if low == high || place.fract() == 0.0 { low } else { low + (high - low) * place.fract() }
}

/// Median.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Ranks from 1 for the smallest value; equal values share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |i: &usize| values[*i] == values[order[start]];
        let length = order[start..].iter().take_while(|i| same(i)).count().max(1);
        // Places start..start+length hold the ranks start+1..=start+length.
        let shared = start as f64 + f64::midpoint(length as f64, 1.0);
        order[start..start + length].iter().for_each(|i| ranks[*i] = shared);
        start += length;
    }
    ranks
}

/// A paired comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// Pairs in which the first is smaller.
    pub first: usize,
    /// Pairs in which the second is smaller.
    pub second: usize,
    /// Equal pairs; they take no part in the tests.
    pub equal: usize,
    /// Two-sided p-value of Wilcoxon's signed-rank test.
    pub signed_rank: f64,
    /// Two-sided p-value of the sign test.
    pub sign: f64,
}

/// Compares pairs; smaller is better, infinite against infinite is equal.
pub fn paired(pairs: &[(f64, f64)]) -> Paired {
    let differences: Vec<f64> = pairs.iter().filter(|(a, b)| a != b).map(|(a, b)| a - b).collect();
    let first = differences.iter().filter(|d| **d < 0.0).count();
    let second = differences.len() - first;
    Paired {
        first,
        second,
        equal: pairs.len() - differences.len(),
        signed_rank: signed_rank(&differences),
        sign: sign_test(first, second),
    }
}

/// Number of differences up to which the signed-rank test is exact.
const EXACT: usize = 30;

/// Wilcoxon's signed-rank test (1945), two-sided; zero differences must be left out.
///
/// Exact up to 30 differences by counting all signs over the actual ranks (doubled, so that shared ranks stay integers);
/// beyond that the normal approximation with the variance of the actual ranks and a continuity correction.
fn signed_rank(differences: &[f64]) -> f64 {
    if differences.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    let doubled: Vec<usize> = ranks(&sizes).iter().map(|rank| (2.0 * rank).round() as usize).collect();
    let total: usize = doubled.iter().sum();
    let positive: usize =
        doubled.iter().zip(differences).filter(|(_, d)| **d > 0.0).map(|(rank, _)| *rank).sum();
    let smaller = positive.min(total - positive);
    if differences.len() <= EXACT {
        let mut ways = vec![0.0_f64; total + 1];
        ways[0] = 1.0;
        for rank in &doubled {
            for sum in (*rank..=total).rev() {
                ways[sum] += ways[sum - rank];
            }
        }
        let tail: f64 = ways[..=smaller].iter().sum();
        return (2.0 * tail / 2_f64.powi(differences.len() as i32)).min(1.0);
    }
    approximate(&doubled, smaller)
}

/// The same test by the normal approximation: doubled ranks, and the smaller of the two doubled rank sums.
fn approximate(doubled: &[usize], smaller: usize) -> f64 {
    let total: usize = doubled.iter().sum();
    let variance: f64 = doubled.iter().map(|rank| (*rank as f64 / 2.0).powi(2)).sum::<f64>() / 4.0;
    let distance = (total as f64 / 4.0 - smaller as f64 / 2.0 - 0.5).max(0.0);
    2.0 * normal_tail(distance / variance.sqrt())
}

/// Sign test, two-sided and exact.
fn sign_test(first: usize, second: usize) -> f64 {
    let n = first + second;
    let smaller = first.min(second);
    // Terms of the binomial distribution from logarithms, so that a thousand pairs do not overflow.
    let mut log_ways = 0.0_f64;
    let mut tail = 0.0;
    for k in 0..=smaller {
        if k > 0 {
            log_ways += ((n - k + 1) as f64 / k as f64).ln();
        }
        tail += (log_ways - n as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * tail).min(1.0)
}

/// Probability that a standard normal exceeds `z >= 0`, by the rational form 7.1.26 of Abramowitz and Stegun (1964), error
/// below 1e-7.
fn normal_tail(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    0.5 * polynomial * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_and_carry_infinity() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.25), 1.75);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, f64::INFINITY, 2.0]), 2.0);
        assert_eq!(median(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert_eq!(median(&[f64::INFINITY, f64::INFINITY]), f64::INFINITY);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[0.3, 0.1, 0.3, 0.2]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(ranks(&[f64::INFINITY, 1.0, f64::INFINITY]), [2.5, 1.0, 2.5]);
        assert!(ranks(&[]).is_empty());
    }

    /// Reference values: scipy.stats.wilcoxon(mode="exact") and binomtest, version 1.17.
    #[test]
    fn signed_rank_test_is_exact_for_small_samples() {
        let pairs = |differences: &[f64]| differences.iter().map(|d| (*d, 0.0)).collect::<Vec<_>>();
        // All five of one sign: 2 / 2^5.
        assert_eq!(paired(&pairs(&[-1.0, -2.0, -3.0, -4.0, -5.0])).signed_rank, 0.0625);
        // W = 1 of n = 6: two of 64 sign patterns on each side.
        assert_eq!(paired(&pairs(&[1.0, -2.0, -3.0, -4.0, -5.0, -6.0])).signed_rank, 0.0625);
        // W = 3 of n = 8: five patterns (0, 1, 2, 3, 1+2) of 256 on each side.
        let found = paired(&pairs(&[-1.0, -2.0, 3.0, -4.0, -5.0, -6.0, -7.0, -8.0]));
        assert_eq!((found.first, found.second, found.signed_rank), (7, 1, 10.0 / 256.0));
        assert_eq!(found.sign, 2.0 * 9.0 / 256.0);
        let equal = paired(&[(1.0, 1.0), (f64::INFINITY, f64::INFINITY)]);
        assert_eq!((equal.equal, equal.signed_rank, equal.sign), (2, 1.0, 1.0));
        assert_eq!(paired(&pairs(&[1.0, -1.0])).signed_rank, 1.0);
    }

    #[test]
    fn large_samples_are_close_to_the_exact_answer() {
        let signed = |n: i32| (1..=n).map(|i| f64::from(if i % 3 == 0 { i } else { -i })).collect::<Vec<_>>();
        // Positive ranks 3, 6, ..., 30 of 30: the sum is 165 of 465.
        let doubled: Vec<usize> = (1..=30).map(|rank| 2 * rank).collect();
        let (exact, normal) = (signed_rank(&signed(30)), approximate(&doubled, 330));
        assert!((exact - normal).abs() < 0.005, "{exact} {normal}");
        // 165 of 496 with a standard deviation of sqrt(2604): 2 * P(Z > 82.5 / 51.03).
        assert!((signed_rank(&signed(31)) - 0.105_94).abs() < 1e-4);
        assert!((normal_tail(1.959_964) - 0.025).abs() < 1e-6);
        assert!((sign_test(400, 600) - 2.7e-10).abs() < 1e-10);
    }
}
