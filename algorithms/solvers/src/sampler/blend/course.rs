//! How fast a search improves.

/// The course of one search: its two best values and what it had cost when it found them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Course {
    /// Best value; infinite before the first.
    pub(super) best: f64,
    /// Cost when it came.
    best_cost: f64,
    /// The best value before it, and the cost when that one came.
    second: Option<(f64, f64)>,
    /// Cost by now.
    pub(super) cost: f64,
}

impl Course {
    pub(super) fn new() -> Self {
        Self { best: f64::INFINITY, best_cost: 0.0, second: None, cost: 0.0 }
    }

    /// Takes in a trial; a failure has an infinite value.
    pub(super) fn add(&mut self, value: f64, cost: f64) {
        self.cost += cost;
        if value < self.best {
            self.second = self.best.is_finite().then_some((self.best, self.best_cost));
            (self.best, self.best_cost) = (value, self.cost);
        }
    }

    /// Improvement per cost since the second best value, with some cost still to come; none before two values.
    pub(super) fn speed(&self, pending: f64) -> Option<f64> {
        let (value, cost) = self.second?;
        Some((value - self.best) / (self.cost + pending - cost))
    }

    /// The course of a search that starts from what this one has found: as fast as this one is by now.
    pub(super) fn branch(&self, value: f64) -> Self {
        let second = self.second.map(|(second, cost)| (value + (second - self.best), cost));
        Self { best: value, best_cost: self.cost, second, cost: self.cost }
    }

    /// Cost since the best value.
    pub(super) fn stalled(&self) -> f64 {
        self.cost - self.best_cost
    }

    /// Estimated cost of the next improvement: the longer of the time since the last one and the time that it took.
    pub(super) fn cost_of_improvement(&self) -> f64 {
        let took = self.best_cost - self.second.map_or(0.0, |(_, cost)| cost);
        took.max(self.stalled())
    }
}

/// Predicted value of a search once it has spent more: its best less its speed times the cost (Wang et al., "Economical
/// hyperparameter optimization with blended search strategy", ICLR 2021, section 3.2).
pub(super) fn priority(best: f64, speed: f64, cost: f64) -> f64 {
    best - speed * cost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_the_last_improvement_over_the_cost_since_the_value_before() {
        let mut course = Course::new();
        assert_eq!(course.speed(0.0), None);
        course.add(10.0, 2.0);
        assert_eq!((course.speed(0.0), course.cost_of_improvement()), (None, 2.0));
        course.add(f64::INFINITY, 1.0);
        course.add(4.0, 3.0);
        // From 10 at cost 2 to 4 at cost 6.
        assert_eq!((course.speed(0.0), course.cost_of_improvement()), (Some(6.0 / 4.0), 4.0));
        course.add(5.0, 6.0);
        assert_eq!(
            (course.speed(0.0), course.speed(2.0)),
            (Some(0.6), Some(0.5)),
            "it slows down without improving"
        );
        assert_eq!((course.best, course.cost_of_improvement()), (4.0, 6.0));
        assert_eq!(priority(course.best, 0.6, 5.0), 1.0);
    }
}
