//! The operators of ONNX that the surrogates of YAHPO consist of (operator set 13).

use super::message::Node;
use super::tensor::{Tensor, broadcast, is_float, place};

/// Result of an operator on its operands; the reason when it cannot be had.
pub(super) fn apply(node: &Node, operands: &[&Tensor]) -> Result<Tensor, String> {
    let operand =
        |index: usize| operands.get(index).copied().ok_or_else(|| format!("operand {index} is missing"));
    let integer = |name: &str| node.attributes.iter().find(|given| given.name == name).map(|a| a.integer);
    let float = |name: &str| node.attributes.iter().find(|given| given.name == name).map(|a| a.float);
    let unary = |value: fn(f32) -> f32| Ok(operand(0)?.map(value));
    let both = |value: fn(f32, f32) -> f32| broadcast(operand(0)?, operand(1)?, value);
    match node.operator.as_str() {
        "Add" => both(|a, b| a + b),
        "Sub" => both(|a, b| a - b),
        "Mul" => both(|a, b| a * b),
        "Div" if operand(0)?.is_integer => both(|a, b| (a / b).trunc()),
        "Div" => both(|a, b| a / b),
        "Neg" => unary(|x| -x),
        "Exp" => unary(f32::exp),
        "Log" => unary(f32::ln),
        "Round" => unary(f32::round_ties_even),
        "Relu" => unary(|x| x.max(0.0)),
        "Sigmoid" => unary(|x| 1.0 / (1.0 + (-x).exp())),
        "Constant" => {
            let given = node.attributes.iter().find_map(|given| given.array.as_ref());
            Tensor::read(given.ok_or("no value")?)
        }
        "Cast" => {
            let is_integer = integer("to").is_some_and(|kind| !is_float(kind));
            let value = |x: f32| if is_integer { x.trunc() } else { x };
            Ok(Tensor { is_integer, ..operand(0)?.map(value) })
        }
        "Shape" => {
            let shape = &operand(0)?.shape;
            Tensor::new(vec![shape.len()], shape.iter().map(|size| *size as f32).collect(), true)
        }
        "Gather" => gather(operand(0)?, operand(1)?, integer("axis").unwrap_or(0)),
        "Concat" => concat(operands, integer("axis").unwrap_or(0)),
        "Unsqueeze" => unsqueeze(operand(0)?, operand(1)?),
        "Slice" => slice(operands),
        "Gemm" => {
            let factors = [float("alpha").unwrap_or(1.0), float("beta").unwrap_or(1.0)];
            let transposed = ["transA", "transB"].map(|name| integer(name).unwrap_or(0) != 0);
            if transposed[0] {
                return Err("a transposed left matrix".into());
            }
            matrix_product(operand(0)?, operand(1)?, operands.get(2).copied(), factors, transposed[1])
        }
        "BatchNormalization" => normalize(operands, float("epsilon").unwrap_or(1e-5)),
        _ => Err("is not known here".into()),
    }
}

fn gather(data: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor, String> {
    let axis = data.axis(axis)?;
    let (before, along, behind) = data.around(axis);
    let mut values = Vec::with_capacity(before * indices.values.len() * behind);
    for outer in 0..before {
        for index in &indices.values {
            let index = place(*index as i64, along).ok_or_else(|| format!("index {index} of {along}"))?;
            let start = (outer * along + index) * behind;
            values.extend_from_slice(&data.values[start..start + behind]);
        }
    }
    let shape = [&data.shape[..axis], &indices.shape, &data.shape[axis + 1..]].concat();
    Tensor::new(shape, values, data.is_integer)
}

fn concat(parts: &[&Tensor], axis: i64) -> Result<Tensor, String> {
    let first = parts.first().ok_or("nothing to join")?;
    let axis = first.axis(axis)?;
    let fits = |part: &&&Tensor| {
        part.shape.len() == first.shape.len()
            && part.shape[..axis] == first.shape[..axis]
            && part.shape[axis + 1..] == first.shape[axis + 1..]
    };
    if let Some(odd) = parts.iter().find(|part| !fits(part)) {
        return Err(format!("shapes {:?} and {:?}", first.shape, odd.shape));
    }
    let (before, ..) = first.around(axis);
    let mut values = Vec::new();
    for outer in 0..before {
        for part in parts {
            let (_, along, behind) = part.around(axis);
            values.extend_from_slice(&part.values[outer * along * behind..(outer + 1) * along * behind]);
        }
    }
    let mut shape = first.shape.clone();
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    Tensor::new(shape, values, first.is_integer)
}

fn unsqueeze(data: &Tensor, axes: &Tensor) -> Result<Tensor, String> {
    let rank = data.shape.len() + axes.values.len();
    let mut is_new = vec![false; rank];
    for axis in &axes.values {
        is_new[place(*axis as i64, rank).ok_or_else(|| format!("axis {axis} of {rank}"))?] = true;
    }
    let mut old = data.shape.iter().copied();
    let shape = is_new.iter().map(|new| if *new { 1 } else { old.next().unwrap_or(1) }).collect();
    Tensor::new(shape, data.values.clone(), data.is_integer)
}

/// One axis, forward, with step one.
fn slice(operands: &[&Tensor]) -> Result<Tensor, String> {
    let single = |index: usize| match operands.get(index).map(|operand| operand.values.as_slice()) {
        Some([value]) => Ok(*value as i64),
        _ => Err("is known along one axis only".to_owned()),
    };
    let data = operands.first().ok_or("nothing to cut")?;
    if operands.len() > 4 && single(4)? != 1 {
        return Err("is known with step one only".into());
    }
    let axis = data.axis(if operands.len() > 3 { single(3)? } else { 0 })?;
    let (before, along, behind) = data.around(axis);
    let bound =
        |bound: i64| (bound + if bound < 0 { along as i64 } else { 0 }).clamp(0, along as i64) as usize;
    let (start, end) = (bound(single(1)?), bound(single(2)?));
    let end = end.max(start);
    let cut = |outer: usize| &data.values[(outer * along + start) * behind..(outer * along + end) * behind];
    let values = (0..before).flat_map(|outer| cut(outer).iter().copied()).collect();
    let mut shape = data.shape.clone();
    shape[axis] = end - start;
    Tensor::new(shape, values, data.is_integer)
}

/// `alpha A B + beta C` for A `(m, k)`, B `(k, n)` or transposed, C broadcast to `(m, n)`.
fn matrix_product(
    a: &Tensor,
    b: &Tensor,
    c: Option<&Tensor>,
    [alpha, beta]: [f32; 2],
    transposed: bool,
) -> Result<Tensor, String> {
    let ((rows, depth), (b_rows, b_columns)) = (a.matrix()?, b.matrix()?);
    let (b_depth, columns) = if transposed { (b_columns, b_rows) } else { (b_rows, b_columns) };
    if depth != b_depth {
        return Err(format!("shapes {:?} and {:?}", a.shape, b.shape));
    }
    let mut values = vec![0.0; rows * columns];
    for row in 0..rows {
        let left = &a.values[row * depth..(row + 1) * depth];
        for (column, sum) in values[row * columns..(row + 1) * columns].iter_mut().enumerate() {
            let product: f32 = if transposed {
                let right = &b.values[column * depth..(column + 1) * depth];
                left.iter().zip(right).map(|(x, y)| x * y).sum()
            } else {
                let right = b.values[column..].iter().step_by(columns);
                left.iter().zip(right).map(|(x, y)| x * y).sum()
            };
            *sum = alpha * product;
        }
    }
    let product = Tensor::new(vec![rows, columns], values, false)?;
    match c {
        Some(c) => broadcast(&product, c, |x, y| x + beta * y),
        None => Ok(product),
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` along the second axis.
fn normalize(operands: &[&Tensor], epsilon: f32) -> Result<Tensor, String> {
    let [data, parts @ ..] = operands else { return Err("nothing to normalize".into()) };
    let (_, width) = data.matrix()?;
    let [scale, bias, mean, variance] = parts else { return Err("not five operands".into()) };
    if parts.iter().any(|part| part.values.len() != width) {
        return Err(format!("statistics that do not fit a width of {width}"));
    }
    let value = |(index, x): (usize, &f32)| {
        let k = index % width;
        (x - mean.values[k]) / (variance.values[k] + epsilon).sqrt() * scale.values[k] + bias.values[k]
    };
    Tensor::new(data.shape.clone(), data.values.iter().enumerate().map(value).collect(), false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::message::Attribute;
    use super::*;

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), values.to_vec(), false).unwrap()
    }

    fn integers(values: &[f32]) -> Tensor {
        Tensor { is_integer: true, ..tensor(&[values.len()], values) }
    }

    fn node(operator: &str, attributes: &[(&str, i64, f32)]) -> Node {
        let attribute = |(name, integer, float): &(&str, i64, f32)| Attribute {
            name: (*name).to_owned(),
            integer: *integer,
            float: *float,
            array: None,
        };
        let attributes = attributes.iter().map(attribute).collect();
        Node { operator: operator.to_owned(), attributes, ..Node::default() }
    }

    fn values(
        operator: &str,
        attributes: &[(&str, i64, f32)],
        operands: &[&Tensor],
    ) -> (Vec<usize>, Vec<f32>) {
        let result = apply(&node(operator, attributes), operands).unwrap();
        (result.shape, result.values)
    }

    #[test]
    fn operators_do_what_their_specification_says() {
        let m = tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let row = tensor(&[3], &[10.0, 20.0, 30.0]);
        let column = tensor(&[2, 1], &[1.0, -1.0]);
        assert_eq!(values("Add", &[], &[&m, &row]).1, [11.0, 22.0, 33.0, 14.0, 25.0, 36.0]);
        assert_eq!(values("Mul", &[], &[&column, &m]).1, [1.0, 2.0, 3.0, -4.0, -5.0, -6.0]);
        assert_eq!(values("Sub", &[], &[&column, &row]).0, [2, 3]);
        assert_eq!(values("Div", &[], &[&integers(&[-7.0]), &integers(&[2.0])]).1, [-3.0]);
        assert_eq!(values("Round", &[], &[&tensor(&[3], &[0.5, 1.5, -2.5])]).1, [0.0, 2.0, -2.0]);
        assert_eq!(values("Relu", &[], &[&column]).1, [1.0, 0.0]);
        assert_eq!(values("Sigmoid", &[], &[&tensor(&[1], &[0.0])]).1, [0.5]);
        assert_eq!(values("Cast", &[("to", 7, 0.0)], &[&tensor(&[1], &[2.7])]).1, [2.0]);
        assert_eq!(values("Shape", &[], &[&m]).1, [2.0, 3.0]);
        assert_eq!(
            values("Gather", &[("axis", 1, 0.0)], &[&m, &integers(&[-1.0])]),
            (vec![2, 1], vec![3.0, 6.0])
        );
        assert_eq!(values("Unsqueeze", &[], &[&row, &integers(&[1.0])]).0, [3, 1]);
        assert_eq!(
            values("Concat", &[("axis", 1, 0.0)], &[&column, &m]),
            (vec![2, 4], vec![1.0, 1.0, 2.0, 3.0, -1.0, 4.0, 5.0, 6.0])
        );
        let cut = [integers(&[1.0]), integers(&[1e9]), integers(&[-1.0])];
        assert_eq!(
            values("Slice", &[], &[&m, &cut[0], &cut[1], &cut[2]]),
            (vec![2, 2], vec![2.0, 3.0, 5.0, 6.0])
        );
    }

    #[test]
    fn products_and_norms_agree_with_hand_computed_ones() {
        let m = tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let (bias, w) = (tensor(&[2], &[1.0, -1.0]), tensor(&[2, 3], &[1.0, 0.0, 1.0, 0.0, 2.0, 0.0]));
        let plain = tensor(&[3, 2], &[1.0, 0.0, 0.0, 2.0, 1.0, 0.0]);
        let expected = [9.0, 7.0, 21.0, 19.0];
        let factors = [("alpha", 0, 2.0), ("beta", 0, 1.0)];
        let transposed = [factors[0], factors[1], ("transB", 1, 0.0)];
        assert_eq!(values("Gemm", &transposed, &[&m, &w, &bias]).1, expected);
        assert_eq!(values("Gemm", &factors, &[&m, &plain, &bias]).1, expected);
        let statistics = [[2.0, 1.0], [0.5, 0.0], [1.0, 0.0], [3.0, 0.0]].map(|values| tensor(&[2], &values));
        let [scale, bias, mean, variance] = &statistics;
        let data = tensor(&[1, 2], &[5.0, 3.0]);
        let found =
            values("BatchNormalization", &[("epsilon", 0, 1.0)], &[&data, scale, bias, mean, variance]);
        assert_eq!(found.1, [4.5, 3.0]);
    }

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        let (m, row) = (tensor(&[2, 2], &[0.0; 4]), tensor(&[3], &[0.0; 3]));
        for (operator, operands) in [
            ("Add", vec![&m, &row]),
            ("Gemm", vec![&m, &row]),
            ("Concat", vec![&m, &row]),
            ("Gather", vec![&m]),
        ] {
            assert!(apply(&node(operator, &[]), &operands).is_err(), "{operator}");
        }
        assert!(apply(&node("Conv", &[]), &[&m]).unwrap_err().contains("not known"));
        assert!(apply(&node("Gather", &[]), &[&m, &integers(&[2.0])]).is_err());
        assert!(Tensor::new(vec![usize::MAX, 2], Vec::new(), false).is_err());
    }
}
