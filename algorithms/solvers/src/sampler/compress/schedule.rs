//! From how many results something is chosen: a function of the results so far.

/// Fewest results that a choice is made of.
pub(super) const FIRST: usize = 10;
/// Results without a new best one after which a study stagnates.
const STAGNANT: usize = 10;

/// When a choice is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    Growth,
    Improvement,
    Stagnation,
}

impl Refresh {
    pub(super) fn read(word: &str) -> Self {
        match word {
            "improvement" => Self::Improvement,
            "stagnation" => Self::Stagnation,
            _ => Self::Growth,
        }
    }

    /// Of how many of the first results the current choice is made; zero before [`FIRST`]. Losses are in the order in which
    /// they became visible; the length never falls as more follow.
    pub(super) fn length(self, losses: &[f64]) -> usize {
        if losses.len() < FIRST {
            return 0;
        }
        let mut length = FIRST;
        let mut best = losses[..FIRST].iter().copied().fold(f64::INFINITY, f64::min);
        let mut waited = 0;
        for (index, loss) in losses.iter().enumerate().skip(FIRST) {
            let improves = *loss < best;
            best = best.min(*loss);
            waited = if improves { 0 } else { waited + 1 };
            let due = match self {
                Self::Growth => index + 1 >= length + length.div_ceil(4),
                Self::Improvement => improves,
                Self::Stagnation => waited == STAGNANT,
            };
            if due {
                length = index + 1;
                waited = 0;
            }
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Refresh; 3] = [Refresh::Growth, Refresh::Improvement, Refresh::Stagnation];

    #[test]
    fn lengths_follow_growth_improvements_and_stagnation() {
        // Best results at 3, 15 and 40.
        let losses: Vec<f64> = (1..=60)
            .map(|k| {
                if k >= 40 {
                    0.5
                } else if k == 15 {
                    1.0
                } else if k == 3 {
                    2.0
                } else {
                    9.0
                }
            })
            .collect();
        let lengths = |refresh: Refresh| {
            let mut found: Vec<usize> = (0..=60).map(|count| refresh.length(&losses[..count])).collect();
            found.dedup();
            found
        };
        assert_eq!(lengths(Refresh::Growth), [0, 10, 13, 17, 22, 28, 35, 44, 55]);
        assert_eq!(lengths(Refresh::Improvement), [0, 10, 15, 40]);
        assert_eq!(lengths(Refresh::Stagnation), [0, 10, 25, 35, 50, 60]);
    }

    #[test]
    fn without_results_nothing_is_chosen() {
        for refresh in ALL {
            assert_eq!((refresh.length(&[]), refresh.length(&[1.0; FIRST - 1])), (0, 0));
            assert_eq!(refresh.length(&[1.0; FIRST]), FIRST);
        }
    }
}
