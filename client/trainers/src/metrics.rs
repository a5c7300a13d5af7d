//! Ranking and probability metrics of binary predictions, exactly as a held-out set defines them.

/// Clip of probabilities in the logarithmic loss.
const PROBABILITY_FLOOR: f64 = 1e-7;

/// Area under the ROC curve by mid-ranks, or nothing where one class is missing.
///
/// AUC = (sum of mid-ranks of the positives - P (P + 1) / 2) / (P N), ties get the average rank
/// (Hanley and `McNeil` 1982; the Mann-Whitney statistic). Scores of shape (n,) must not be NaN.
pub fn area_under_curve(labels: &[u8], scores: &[f32]) -> Option<f64> {
    debug_assert_eq!(labels.len(), scores.len());
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    let mut rank_sum = 0.0_f64;
    let mut start = 0;
    while start < order.len() {
        let score = scores[order[start] as usize];
        let mut end = start;
        let mut positives = 0_u32;
        while end < order.len() && scores[order[end] as usize] == score {
            positives += u32::from(labels[order[end] as usize]);
            end += 1;
        }
        // Ranks count from 1, so positions start..end share the rank (start + 1 + end) / 2.
        rank_sum += f64::from(positives) * (start + 1 + end) as f64 / 2.0;
        start = end;
    }
    let positives = labels.iter().map(|&label| f64::from(label)).sum::<f64>();
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// Mean negative log-likelihood of probabilities clipped to [1e-7, 1 - 1e-7], summed in f64; `None` for no rows.
pub fn log_loss(labels: &[u8], probabilities: &[f32]) -> Option<f64> {
    debug_assert_eq!(labels.len(), probabilities.len());
    if labels.is_empty() {
        return None;
    }
    let total: f64 = labels
        .iter()
        .zip(probabilities)
        .map(|(&label, &probability)| {
            let p = f64::from(probability).clamp(PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR);
            if label == 1 { -p.ln() } else { -(1.0 - p).ln() }
        })
        .sum();
    Some(total / labels.len() as f64)
}

/// Mean of the groups' AUC weighted by group size; groups with one class are skipped together with their rows.
pub fn grouped_area_under_curve(labels: &[u8], scores: &[f32], groups: &[u32]) -> Option<f64> {
    debug_assert_eq!(labels.len(), groups.len());
    let mut order: Vec<u32> = (0..groups.len() as u32).collect();
    order.sort_by_key(|&row| groups[row as usize]);
    let (mut weighted, mut weight) = (0.0_f64, 0.0_f64);
    for group in order.chunk_by(|&a, &b| groups[a as usize] == groups[b as usize]) {
        let group_labels: Vec<u8> = group.iter().map(|&row| labels[row as usize]).collect();
        let group_scores: Vec<f32> = group.iter().map(|&row| scores[row as usize]).collect();
        if let Some(value) = area_under_curve(&group_labels, &group_scores) {
            weighted += value * group.len() as f64;
            weight += group.len() as f64;
        }
    }
    (weight > 0.0).then(|| weighted / weight)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LABELS: [u8; 8] = [1, 0, 1, 0, 1, 0, 0, 1];
    const SCORES: [f32; 8] = [0.9, 0.8, 0.7, 0.7, 0.6, 0.4, 0.3, 0.1];

    #[test]
    fn golden_vectors() {
        assert!((area_under_curve(&LABELS, &SCORES).unwrap() - 0.53125).abs() < 1e-12);
        assert!((log_loss(&LABELS, &SCORES).unwrap() - 0.869_545).abs() < 1e-6);
        let groups = [0, 0, 0, 0, 1, 1, 1, 1];
        assert!((grouped_area_under_curve(&LABELS, &SCORES, &groups).unwrap() - 0.5625).abs() < 1e-12);
    }

    #[test]
    fn one_class_has_no_area_and_certain_errors_stay_finite() {
        assert_eq!(area_under_curve(&[1, 1], &[0.1, 0.2]), None);
        assert_eq!(area_under_curve(&[], &[]), None);
        assert_eq!(log_loss(&[], &[]), None);
        assert!((log_loss(&[1], &[0.0]).unwrap() + (1e-7_f64).ln()).abs() < 1e-12);
        assert_eq!(grouped_area_under_curve(&[1, 0], &[0.1, 0.2], &[0, 1]), None);
    }

    #[test]
    fn grouping_does_not_depend_on_row_order() {
        let groups = [1, 0, 1, 0, 1, 0, 1, 0];
        let direct = grouped_area_under_curve(&LABELS, &SCORES, &groups).unwrap();
        let mut rows: Vec<usize> = (0..8).collect();
        rows.reverse();
        let pick = |values: &[f32]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let labels: Vec<u8> = rows.iter().map(|&row| LABELS[row]).collect();
        let reversed_groups: Vec<u32> = rows.iter().map(|&row| groups[row]).collect();
        let reversed = grouped_area_under_curve(&labels, &pick(&SCORES), &reversed_groups).unwrap();
        assert!((direct - reversed).abs() < 1e-12);
    }
}
