//! Random spaces: every type, log scales, steps, weights, nested conditions in any order, arms, rules.

use std::collections::BTreeMap;

use boxwood_core::space::{
    ArmsSpec, ConditionSpec, Domain, OneOrMany, ParameterSpec, Point, Scale, SpaceSpec, Value,
};
use boxwood_core::{Seed, SeedRng};
use rand_chacha::rand_core::Rng;

/// What a random space may contain.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) finite: bool,
    pub(crate) arms: bool,
    pub(crate) rules: bool,
}

pub(crate) struct Generator {
    rng: SeedRng,
    wanted: Wanted,
}

impl Generator {
    pub(crate) fn new(seed: u64, wanted: Wanted) -> Self {
        Self { rng: Seed(seed).derive("random space", 0).rng(), wanted }
    }

    pub(crate) fn below(&mut self, count: u64) -> u64 {
        self.rng.next_u64() % count
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn space(&mut self) -> SpaceSpec {
        let mut spec = self.plain(if self.wanted.finite { 4 } else { 8 });
        if self.wanted.arms && self.chance(50) {
            let names = ["zeta", "alpha", "fm-2"];
            let count = 1 + self.below(3) as usize;
            let choices = names[..count].iter().map(|name| ((*name).to_owned(), self.plain(3))).collect();
            spec.arms = Some(ArmsSpec { parameter: "model".into(), choices });
        }
        spec
    }

    fn plain(&mut self, most: u64) -> SpaceSpec {
        let count = 1 + self.below(most) as usize;
        let mut parameters: Vec<ParameterSpec> = (0..count)
            .map(|i| {
                let domain = self.domain();
                let default = self.chance(30).then(|| self.value(&domain));
                let default = default.filter(|_| !matches!(domain, Domain::Constant { .. }));
                ParameterSpec { name: format!("p{i}"), domain, default, when: None }
            })
            .collect();
        for i in 1..count {
            if self.chance(50) {
                let parents = parameters[..i].to_vec();
                parameters[i].when = Some(self.condition(&parents, 0));
            }
        }
        // Children may be declared before their parents.
        for last in (1..count).rev() {
            let other = self.below(last as u64 + 1) as usize;
            parameters.swap(last, other);
        }
        let mut spec = SpaceSpec { parameters, ..SpaceSpec::default() };
        if self.wanted.rules {
            self.rules(&mut spec);
        }
        spec
    }

    fn rules(&mut self, spec: &mut SpaceSpec) {
        if self.chance(40) {
            let mut clause = BTreeMap::new();
            for _ in 0..=self.below(2) {
                let parameter = spec.parameters[self.below(spec.parameters.len() as u64) as usize].clone();
                let value = self.value(&parameter.domain);
                let test = if self.chance(50) { OneOrMany::One(value) } else { OneOrMany::Many(vec![value]) };
                clause.insert(parameter.name, test);
            }
            spec.forbidden.push(clause);
        }
        let numeric = |p: &&ParameterSpec| matches!(p.domain, Domain::Float { .. } | Domain::Integer { .. });
        let names: Vec<String> = spec.parameters.iter().filter(numeric).map(|p| p.name.clone()).collect();
        if names.len() > 1 && self.chance(40) {
            spec.relations.push(format!("{} <= 2 * {} + 1 or not true", names[0], names[1]));
        }
    }

    fn domain(&mut self) -> Domain {
        let choices = |count: u64| -> Vec<Value> { (0..count).map(|i| format!("c{i}").into()).collect() };
        loop {
            return match self.below(if self.wanted.finite { 6 } else { 9 }) {
                0 => Domain::Boolean,
                1 => Domain::Constant { value: Value::Integer(self.below(5) as i64) },
                2 => {
                    let count = 1 + self.below(4);
                    let weights = self.chance(40).then(|| (0..count).map(|_| 0.1 + self.uniform()).collect());
                    Domain::Categorical { choices: choices(count), weights }
                }
                3 => Domain::Ordinal { choices: (0..=self.below(3) as i64).map(Value::from).collect() },
                4 => {
                    let low = self.below(9) as i64 - 4;
                    let log = self.chance(40);
                    let low = if log { low.abs() + 1 } else { low };
                    let most = if self.wanted.finite { 4 } else { 2000 };
                    Domain::Integer {
                        low,
                        high: low + self.below(most) as i64,
                        scale: if log { Scale::Log } else { Scale::Linear },
                        step: (!log && self.chance(30)).then(|| 1 + self.below(3) as i64),
                    }
                }
                5 => {
                    let step = [0.1, 0.25, 1.0 / 3.0, 7.0][self.below(4) as usize];
                    let low = (self.below(20) as f64 - 10.0) / 10.0;
                    let high = low + step * (self.below(4) as f64 + 0.3 * self.uniform());
                    Domain::Float { low, high, scale: Scale::Linear, step: Some(step) }
                }
                6 | 7 => {
                    let exponent = self.below(40) as i32 - 20;
                    let low = (self.uniform() - 0.5) * 10_f64.powi(exponent);
                    let range = self.uniform() * 10_f64.powi(exponent + self.below(6) as i32 - 3);
                    Domain::Float { low, high: low + range, scale: Scale::Linear, step: None }
                }
                _ => {
                    let low = 10_f64.powf(self.uniform() * 30.0 - 20.0);
                    let high = low * 10_f64.powf(self.uniform() * 12.0);
                    if !high.is_finite() {
                        continue;
                    }
                    Domain::Float { low, high, scale: Scale::Log, step: None }
                }
            };
        }
    }

    fn value(&mut self, domain: &Domain) -> Value {
        match domain {
            Domain::Boolean => self.chance(50).into(),
            Domain::Constant { value } => value.clone(),
            Domain::Categorical { choices, .. } | Domain::Ordinal { choices } => {
                choices[self.below(choices.len() as u64) as usize].clone()
            }
            Domain::Integer { low, high, step, .. } => {
                let step = step.unwrap_or(1);
                (low + step * self.below(((high - low) / step) as u64 + 1) as i64).into()
            }
            Domain::Float { low, high, step: Some(step), .. } => {
                let level = low + step * self.below(((high - low) / step + 1e-9) as u64 + 1) as f64;
                // A rounding error beside zero means zero; `close` compares relative to the values.
                (if level.abs() < 1e-9 * step { 0.0 } else { level }).into()
            }
            Domain::Float { low, high, .. } => (low + self.uniform() * (high - low)).min(*high).into(),
        }
    }

    fn condition(&mut self, parents: &[ParameterSpec], depth: u32) -> ConditionSpec {
        let parent = parents[self.below(parents.len() as u64) as usize].clone();
        match self.below(if depth < 2 { 4 } else { 2 }) {
            0 => ConditionSpec::Equals { equals: self.value(&parent.domain), parameter: parent.name },
            1 => {
                let values = (0..=self.below(3)).map(|_| self.value(&parent.domain)).collect();
                ConditionSpec::In { parameter: parent.name, values }
            }
            2 => ConditionSpec::All {
                all: (0..=self.below(2)).map(|_| self.condition(parents, depth + 1)).collect(),
            },
            _ => ConditionSpec::Any {
                any: (0..=self.below(2)).map(|_| self.condition(parents, depth + 1)).collect(),
            },
        }
    }
}

/// Whether a condition holds for a point, straight from the declaration; `prefix` is `arm.` inside an arm.
pub(crate) fn holds(condition: &ConditionSpec, prefix: &str, point: &Point) -> bool {
    let is_one_of = |parameter: &str, values: &[Value]| {
        let value = point.get(&format!("{prefix}{parameter}"));
        value.is_some_and(|value| values.iter().any(|wanted| close(value, wanted)))
    };
    match condition {
        ConditionSpec::Equals { parameter, equals } => is_one_of(parameter, std::slice::from_ref(equals)),
        ConditionSpec::In { parameter, values } => is_one_of(parameter, values),
        ConditionSpec::All { all } => all.iter().all(|inner| holds(inner, prefix, point)),
        ConditionSpec::Any { any } => any.iter().any(|inner| holds(inner, prefix, point)),
    }
}

/// The same value up to the rounding of canonical floats.
pub(crate) fn close(a: &Value, b: &Value) -> bool {
    match (a.as_number(), b.as_number()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-10 * a.abs().max(b.abs()),
        _ => a.same(b),
    }
}
