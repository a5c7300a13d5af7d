//! From a declaration to a checked space.
//!
//! A declaration is first laid flat: the arm parameter, the shared parameters, then each arm's own under their full
//! names. A subspace is the same list with the arm parameter made constant and the other arms' parameters marked absent.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::condition::Condition;
use super::domain::Codec;
use super::expression::{Kind, Resolved, parse};
use super::rules::{Input, Relation, Rules};
use super::{
    Column, ConditionSpec, Dimension, Domain, OneOrMany, Parameter, SearchSpace, Slot, SpaceError, SpaceSpec,
    Value,
};

/// Most parameters of a space, arms included.
const MAX_PARAMETERS: usize = 10_000;

/// Most nested `all` and `any`.
const MAX_CONDITION_DEPTH: usize = 64;

fn fault(field: impl Into<String>, reason: impl Into<String>) -> SpaceError {
    SpaceError::Field { field: field.into(), reason: reason.into() }
}

impl SpaceSpec {
    /// Checks the declaration; the error names the first field that is wrong.
    pub fn check(&self) -> Result<SearchSpace, SpaceError> {
        compile(&Arc::new(self.clone()), None)
    }
}

/// Part of a space: the joint one, or one arm's own.
struct Part<'a> {
    /// Arm, for an arm's own part.
    arm: Option<&'a str>,
    /// Path of the part in the declaration: empty, or `arms.choices.NAME.`.
    path: String,
    spec: &'a SpaceSpec,
}

impl Part<'_> {
    fn full_name(&self, name: &str) -> String {
        self.arm.map_or_else(|| name.to_owned(), |arm| format!("{arm}.{name}"))
    }
}

/// A parameter laid flat.
struct Draft<'a> {
    name: String,
    field: String,
    domain: Domain,
    default: Option<&'a Value>,
    when: Option<&'a ConditionSpec>,
    part: usize,
    /// Left out of this subspace.
    absent: bool,
}

/// Form of a draft once its domain is checked.
enum Form {
    Variable { codec: Codec, default: f64 },
    Constant(Value),
}

impl Form {
    fn kind(&self) -> Kind {
        match self {
            Self::Variable { codec, .. } => codec.value_kind(),
            Self::Constant(value) => Kind::of(value),
        }
    }
}

/// Everything that conditions and rules are compiled against.
struct Context<'a> {
    parts: Vec<Part<'a>>,
    drafts: Vec<Draft<'a>>,
    forms: Vec<Form>,
    index: HashMap<String, usize>,
}

/// Compiles the joint space, or the subspace of one arm.
pub(super) fn compile(spec: &Arc<SpaceSpec>, only: Option<&str>) -> Result<SearchSpace, SpaceError> {
    let parts = parts(spec)?;
    let drafts = lay_flat(spec, &parts, only)?;
    let mut index = HashMap::with_capacity(drafts.len());
    for (i, draft) in drafts.iter().enumerate() {
        if index.insert(draft.name.clone(), i).is_some() {
            return Err(fault(
                format!("{}.name", draft.field),
                format!("`{}` is declared twice", draft.name),
            ));
        }
    }
    let forms = drafts.iter().map(form).collect::<Result<Vec<_>, _>>()?;
    let context = Context { parts, drafts, forms, index };
    let order = context.order()?;
    let conditions = context.conditions(&order)?;
    context.assemble(spec, only, &order, conditions)
}

fn parts(spec: &SpaceSpec) -> Result<Vec<Part<'_>>, SpaceError> {
    let mut parts = vec![Part { arm: None, path: String::new(), spec }];
    let Some(arms) = &spec.arms else {
        if spec.parameters.is_empty() {
            return Err(fault("parameters", "a space needs at least one parameter, or arms"));
        }
        return Ok(parts);
    };
    if arms.choices.is_empty() {
        return Err(fault("arms.choices", "at least one arm is required"));
    }
    for (name, own) in &arms.choices {
        check_name(name).map_err(|reason| fault("arms.choices", format!("arm `{name}`: {reason}")))?;
        if own.arms.is_some() {
            return Err(fault(format!("arms.choices.{name}.arms"), "an arm has no arms of its own"));
        }
        parts.push(Part { arm: Some(name), path: format!("arms.choices.{name}."), spec: own });
    }
    Ok(parts)
}

fn lay_flat<'a>(
    spec: &SpaceSpec,
    parts: &[Part<'a>],
    only: Option<&str>,
) -> Result<Vec<Draft<'a>>, SpaceError> {
    let mut drafts = Vec::new();
    if let Some(arms) = &spec.arms {
        check_name(&arms.parameter).map_err(|reason| fault("arms.parameter", reason))?;
        let choices = arms.choices.keys().map(|name| Value::from(name.as_str())).collect();
        let domain = match only {
            None => Domain::Categorical { choices, weights: None },
            Some(arm) => Domain::Constant { value: arm.into() },
        };
        drafts.push(Draft {
            name: arms.parameter.clone(),
            field: "arms.parameter".into(),
            domain,
            default: None,
            when: None,
            part: 0,
            absent: false,
        });
    }
    for (number, part) in parts.iter().enumerate() {
        let absent = only.is_some() && part.arm.is_some() && part.arm != only;
        for (i, parameter) in part.spec.parameters.iter().enumerate() {
            let field = format!("{}parameters[{i}]", part.path);
            check_name(&parameter.name).map_err(|reason| fault(format!("{field}.name"), reason))?;
            drafts.push(Draft {
                name: part.full_name(&parameter.name),
                field,
                domain: parameter.domain.clone(),
                default: parameter.default.as_ref(),
                when: parameter.when.as_ref(),
                part: number,
                absent,
            });
            if drafts.len() > MAX_PARAMETERS {
                return Err(fault("parameters", format!("a space has at most {MAX_PARAMETERS} parameters")));
            }
        }
    }
    Ok(drafts)
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name is empty".into());
    }
    match name.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-'))) {
        Some('.') => Err(format!("`{name}` contains a dot, which only separates an arm from its parameter")),
        Some(bad) => Err(format!("`{name}` contains {bad:?}; letters, digits, `_` and `-` are allowed")),
        None => Ok(()),
    }
}

fn form(draft: &Draft<'_>) -> Result<Form, SpaceError> {
    let at = |(name, reason): (&str, String)| fault(format!("{}.{name}", draft.field), reason);
    let Some(codec) = Codec::new(&draft.domain).map_err(at)? else {
        let Domain::Constant { value } = &draft.domain else {
            return Err(fault(draft.field.clone(), "not a constant"));
        };
        return match draft.default {
            Some(default) if !default.same(value) => {
                Err(at(("default", "a constant has no other default".into())))
            }
            _ => Ok(Form::Constant(value.clone())),
        };
    };
    let default = match draft.default {
        Some(value) => codec.encode(value).map_err(|reason| at(("default", reason)))?,
        None => codec.middle(),
    };
    Ok(Form::Variable { codec, default })
}

impl Context<'_> {
    /// Parameter that `name` stands for inside a part: its own first, then any by full name.
    fn find(&self, part: usize, name: &str) -> Option<usize> {
        let own = self.parts[part].arm.and_then(|arm| self.index.get(&format!("{arm}.{name}")));
        own.or_else(|| self.index.get(name)).copied()
    }

    fn parents(&self, parameter: usize) -> Result<Vec<usize>, SpaceError> {
        let draft = &self.drafts[parameter];
        let mut found = Vec::new();
        if self.arm_test(parameter).is_some() {
            found.push(0);
        }
        if let Some(when) = draft.when {
            self.collect_parents(draft.part, when, &format!("{}.when", draft.field), 0, &mut found)?;
        }
        Ok(found)
    }

    fn collect_parents(
        &self,
        part: usize,
        spec: &ConditionSpec,
        field: &str,
        depth: usize,
        found: &mut Vec<usize>,
    ) -> Result<(), SpaceError> {
        if depth > MAX_CONDITION_DEPTH {
            return Err(fault(field, format!("nested more than {MAX_CONDITION_DEPTH} deep")));
        }
        match spec {
            ConditionSpec::Equals { parameter, .. } | ConditionSpec::In { parameter, .. } => {
                let parent = self.find(part, parameter).ok_or_else(|| {
                    fault(format!("{field}.parameter"), format!("unknown parameter `{parameter}`"))
                })?;
                found.push(parent);
            }
            ConditionSpec::All { all: inner } | ConditionSpec::Any { any: inner } => {
                let word = if matches!(spec, ConditionSpec::All { .. }) { "all" } else { "any" };
                if inner.is_empty() {
                    return Err(fault(format!("{field}.{word}"), "at least one condition is required"));
                }
                for (i, condition) in inner.iter().enumerate() {
                    self.collect_parents(part, condition, &format!("{field}.{word}[{i}]"), depth + 1, found)?;
                }
            }
        }
        Ok(())
    }

    /// Parameters ordered so that parents stand before what depends on them, otherwise as declared.
    fn order(&self) -> Result<Vec<usize>, SpaceError> {
        let parents = (0..self.drafts.len()).map(|i| self.parents(i)).collect::<Result<Vec<_>, _>>()?;
        let mut children = vec![Vec::new(); self.drafts.len()];
        let mut waits = vec![0_usize; self.drafts.len()];
        for (child, list) in parents.iter().enumerate() {
            for parent in list {
                children[*parent].push(child);
                waits[child] += 1;
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            waits.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| Reverse(i)).collect();
        let mut order = Vec::with_capacity(self.drafts.len());
        while let Some(Reverse(next)) = ready.pop() {
            order.push(next);
            for child in &children[next] {
                waits[*child] -= 1;
                if waits[*child] == 0 {
                    ready.push(Reverse(*child));
                }
            }
        }
        let Some(mut at) = waits.iter().position(|n| *n > 0) else { return Ok(order) };
        // Every waiting parameter has a waiting parent, so walking up ends on a cycle.
        let mut seen = HashSet::new();
        while seen.insert(at) {
            at = parents[at].iter().copied().find(|parent| waits[*parent] > 0).unwrap_or(at);
        }
        let draft = &self.drafts[at];
        Err(fault(format!("{}.when", draft.field), format!("`{}` depends on itself", draft.name)))
    }

    /// The value that the arm parameter must have for a parameter of an arm.
    fn arm_test(&self, parameter: usize) -> Option<Value> {
        self.parts[self.drafts[parameter].part].arm.map(Value::from)
    }

    /// Conditions by parameter; tests are numbered by parameter.
    fn conditions(&self, order: &[usize]) -> Result<Vec<Condition>, SpaceError> {
        let mut conditions = vec![Condition::Never; self.drafts.len()];
        for &i in order {
            let draft = &self.drafts[i];
            let mut parts = Vec::new();
            if let Some(arm) = self.arm_test(i) {
                parts.push(self.test(0, &[&arm], "arms.parameter", &conditions)?);
            }
            if let Some(when) = draft.when {
                parts.push(self.condition(
                    draft.part,
                    when,
                    &format!("{}.when", draft.field),
                    &conditions,
                )?);
            }
            conditions[i] = if draft.absent { Condition::Never } else { Condition::all(parts) };
        }
        Ok(conditions)
    }

    fn condition(
        &self,
        part: usize,
        spec: &ConditionSpec,
        field: &str,
        done: &[Condition],
    ) -> Result<Condition, SpaceError> {
        let unknown = |name: &str| fault(format!("{field}.parameter"), format!("unknown parameter `{name}`"));
        Ok(match spec {
            ConditionSpec::Equals { parameter, equals } => {
                let parent = self.find(part, parameter).ok_or_else(|| unknown(parameter))?;
                self.test(parent, &[equals], &format!("{field}.equals"), done)?
            }
            ConditionSpec::In { parameter, values } => {
                let parent = self.find(part, parameter).ok_or_else(|| unknown(parameter))?;
                if values.is_empty() {
                    return Err(fault(format!("{field}.in"), "at least one value is required"));
                }
                self.test(parent, &values.iter().collect::<Vec<_>>(), &format!("{field}.in"), done)?
            }
            ConditionSpec::All { all } => {
                let inner = all.iter().enumerate();
                let inner = inner.map(|(i, c)| self.condition(part, c, &format!("{field}.all[{i}]"), done));
                Condition::all(inner.collect::<Result<Vec<_>, _>>()?)
            }
            ConditionSpec::Any { any } => {
                let inner = any.iter().enumerate();
                let inner = inner.map(|(i, c)| self.condition(part, c, &format!("{field}.any[{i}]"), done));
                Condition::any(inner.collect::<Result<Vec<_>, _>>()?)
            }
        })
    }

    /// The test that a parameter is active and has one of some values.
    fn test(
        &self,
        parent: usize,
        values: &[&Value],
        field: &str,
        done: &[Condition],
    ) -> Result<Condition, SpaceError> {
        match &self.forms[parent] {
            // A constant may have another value than the one asked for: that part of the space is switched off.
            Form::Constant(constant) => Ok(if values.iter().any(|value| constant.same(value)) {
                done[parent].clone()
            } else {
                Condition::Never
            }),
            Form::Variable { codec, .. } => {
                let units = values.iter().map(|value| codec.encode(value)).collect::<Result<Vec<_>, _>>();
                let units = units.map_err(|reason| {
                    fault(field, format!("parameter `{}`: {reason}", self.drafts[parent].name))
                })?;
                if done[parent] == Condition::Never {
                    return Ok(Condition::Never);
                }
                Ok(Condition::OneOf { column: parent, units })
            }
        }
    }

    /// Numbers the dimensions and puts the space together.
    fn assemble(
        &self,
        spec: &Arc<SpaceSpec>,
        only: Option<&str>,
        order: &[usize],
        mut conditions: Vec<Condition>,
    ) -> Result<SearchSpace, SpaceError> {
        let mut rules = self.rules(&conditions)?;
        let mut numbers = vec![usize::MAX; self.drafts.len()];
        let mut next = 0;
        for (i, form) in self.forms.iter().enumerate() {
            if matches!(form, Form::Variable { .. }) && conditions[i] != Condition::Never {
                numbers[i] = next;
                next += 1;
            }
        }
        for condition in &mut conditions {
            condition.renumber(&numbers);
        }
        rules.renumber(&numbers);
        let (mut dimensions, mut columns, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
        for (i, condition) in conditions.into_iter().enumerate() {
            let draft = &self.drafts[i];
            let slot = match &self.forms[i] {
                _ if condition == Condition::Never => Slot::Never,
                Form::Constant(value) => Slot::Constant(value.clone()),
                Form::Variable { codec, default } => {
                    dimensions.push(Dimension {
                        name: draft.name.clone(),
                        kind: codec.kind(),
                        conditional: condition != Condition::Always,
                    });
                    columns.push(Column {
                        codec: codec.clone(),
                        default: *default,
                        condition: condition.clone(),
                    });
                    Slot::Dimension(columns.len() - 1)
                }
            };
            if !draft.absent {
                parameters.push(Parameter { name: draft.name.clone(), slot, condition });
            }
        }
        let index = parameters.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        let mut space = SearchSpace {
            spec: Arc::clone(spec),
            only_arm: only.map(str::to_owned),
            arms: match only {
                None => self.parts.iter().filter_map(|part| part.arm.map(str::to_owned)).collect(),
                Some(_) => Vec::new(),
            },
            dimensions,
            columns,
            parameters,
            index,
            column_order: order.iter().map(|i| numbers[*i]).filter(|column| *column != usize::MAX).collect(),
            rules,
            hash: String::new(),
        };
        space.hash = space.compute_hash();
        Ok(space)
    }

    fn rules(&self, conditions: &[Condition]) -> Result<Rules, SpaceError> {
        let mut rules = Rules::default();
        for (number, part) in self.parts.iter().enumerate() {
            let label = part.arm.map_or_else(String::new, |arm| format!("{arm}: "));
            for (i, clause) in part.spec.forbidden.iter().enumerate() {
                let field = format!("{}forbidden[{i}]", part.path);
                if clause.is_empty() {
                    return Err(fault(field, "a forbidden clause names at least one parameter"));
                }
                let mut tests = Vec::new();
                for (name, values) in clause {
                    let parent = self
                        .find(number, name)
                        .ok_or_else(|| fault(field.as_str(), format!("unknown parameter `{name}`")))?;
                    let values: Vec<&Value> = match values {
                        OneOrMany::One(value) => vec![value],
                        OneOrMany::Many(values) => values.iter().collect(),
                    };
                    if values.is_empty() {
                        return Err(fault(format!("{field}.{name}"), "at least one value is required"));
                    }
                    tests.push(self.test(parent, &values, &format!("{field}.{name}"), conditions)?);
                }
                let text = serde_json::to_string(clause).unwrap_or_else(|_| field.clone());
                rules.forbid(format!("{label}forbidden {text}"), Condition::all(tests));
            }
            for (i, text) in part.spec.relations.iter().enumerate() {
                let field = format!("{}relations[{i}]", part.path);
                let resolve = |name: &str| {
                    self.find(number, name).map(|parameter| {
                        let kind = self.forms[parameter].kind();
                        if conditions[parameter] == Condition::Never {
                            Resolved::Absent(kind)
                        } else {
                            Resolved::Parameter(parameter, kind)
                        }
                    })
                };
                let parsed = parse(text, &resolve).map_err(|reason| fault(field, reason))?;
                if parsed.names_absent {
                    continue;
                }
                let inputs = parsed.parameters.iter().map(|parameter| match &self.forms[*parameter] {
                    Form::Variable { .. } => Input::Dimension(*parameter),
                    Form::Constant(value) => Input::Constant(value.clone(), conditions[*parameter].clone()),
                });
                let inputs = inputs.collect();
                rules.relate(Relation { text: format!("{label}{text}"), node: parsed.node, inputs });
            }
        }
        Ok(rules)
    }
}
