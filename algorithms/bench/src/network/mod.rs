//! A reader and interpreter of small ONNX networks: the operators of YAHPO's surrogates, row by row, nothing else.
//!
//! A decision record says why no inference crate is used (docs/decisions/2026-11-26-onnx-surrogates.md).

mod message;
mod operators;
mod tensor;

use std::collections::HashMap;
use std::path::Path;

use prost::Message;

use crate::error::BenchError;
use message::{Model, Node};
use tensor::Tensor;

/// A network that is ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Network {
    /// Weights and constants by slot; none where a node writes.
    fixed: Vec<Option<Tensor>>,
    steps: Vec<Step>,
    inputs: HashMap<String, usize>,
    output: usize,
}

#[derive(Debug, Clone)]
struct Step {
    node: Node,
    operands: Vec<usize>,
    result: usize,
}

/// An input of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// Real numbers.
    Floats(&'a [f32]),
    /// Codes.
    Integers(&'a [i32]),
}

impl Network {
    /// Reads a file.
    ///
    /// # Errors
    /// `Read` and `Content`, which name the file.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let content = crate::tables::read(path)?;
        Self::decode(&content).map_err(|reason| BenchError::Content { path: path.to_owned(), reason })
    }

    fn decode(content: &[u8]) -> Result<Self, String> {
        let graph = Model::decode(content).map_err(|error| error.to_string())?.graph.ok_or("no graph")?;
        let output = graph.outputs.first().ok_or("no output")?.name.clone();
        let mut slots: HashMap<String, usize> = HashMap::new();
        let mut slot = |name: &str| {
            let next = slots.len();
            *slots.entry(name.to_owned()).or_insert(next)
        };
        let mut fixed: HashMap<usize, Tensor> = HashMap::new();
        for array in &graph.initializers {
            fixed.insert(
                slot(&array.name),
                Tensor::read(array).map_err(|why| format!("{}: {why}", array.name))?,
            );
        }
        let mut steps = Vec::new();
        for node in graph.nodes {
            let [result] = &node.outputs[..] else {
                return Err(format!("{}: not one result", node.operator));
            };
            let result = slot(result);
            if node.operator == "Constant" {
                fixed.insert(result, operators::apply(&node, &[])?);
                continue;
            }
            let operands = node.inputs.iter().map(|name| slot(name)).collect();
            steps.push(Step { node, operands, result });
        }
        let output = slot(&output);
        let written: Vec<usize> = steps.iter().map(|step| step.result).collect();
        let count = slots.len();
        let open = |slot: &usize| !fixed.contains_key(slot) && !written.contains(slot);
        let inputs = slots.into_iter().filter(|(_, slot)| open(slot)).collect();
        let fixed = (0..count).map(|slot| fixed.remove(&slot)).collect();
        Ok(Self { fixed, steps, inputs, output })
    }

    /// The first output for one row of each named input.
    ///
    /// # Errors
    /// A text that names the operator or the input that does not fit.
    pub fn evaluate(&self, inputs: &[(&str, Input<'_>)]) -> Result<Vec<f32>, String> {
        let mut computed: Vec<Option<Tensor>> = vec![None; self.fixed.len()];
        for (name, input) in inputs {
            let slot = *self.inputs.get(*name).ok_or_else(|| format!("no input `{name}`"))?;
            let (values, is_integer) = match input {
                Input::Floats(values) => (values.to_vec(), false),
                Input::Integers(codes) => (codes.iter().map(|code| *code as f32).collect(), true),
            };
            computed[slot] = Some(Tensor::new(vec![1, values.len()], values, is_integer)?);
        }
        for step in &self.steps {
            let of = |slot: &usize| self.fixed[*slot].as_ref().or(computed[*slot].as_ref());
            let operands: Option<Vec<&Tensor>> = step.operands.iter().map(of).collect();
            let named = |why: String| format!("{}: {why}", step.node.operator);
            let operands = operands.ok_or_else(|| named("reads what was not given".into()))?;
            let result = operators::apply(&step.node, &operands).map_err(named)?;
            computed[step.result] = Some(result);
        }
        let output = computed.swap_remove(self.output).ok_or("nothing writes the output")?;
        Ok(output.values)
    }
}
