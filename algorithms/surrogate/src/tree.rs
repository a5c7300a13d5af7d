//! One regression tree.

use crate::{Kind, Layout};
use boxwood_numeric::Rows;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Rows that go down a tree together.
const LANES: usize = 8;

/// Where a number is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// At one random place of its range among the node's rows (Geurts et al., 2006).
    Random,
    /// Where it explains most, at a random place between the neighbours.
    Best,
    /// Where it explains most, half-way between the neighbours.
    Halfway,
}

/// How a tree is grown; `forest` and `boosted` document what each of them chooses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TreeOptions {
    /// Share of the columns tried at each split, rounded up.
    pub(crate) column_share: f64,
    /// Fewest rows of a node that is split.
    pub(crate) split_rows: usize,
    /// Fewest rows on each side of a split.
    pub(crate) leaf_rows: usize,
    /// Deepest split.
    pub(crate) depth: usize,
    /// Where numbers are cut.
    pub(crate) cuts: Cuts,
}

/// What a leaf predicts, on the model scale, and from how many rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    pub(crate) count: f64,
}

impl Leaf {
    /// The leaf with one more row in it (Welford, 1962).
    fn with(self, value: f64) -> Self {
        let count = self.count + 1.0;
        let mean = self.mean + (value - self.mean) / count;
        let squares = self.variance * self.count + (value - self.mean) * (value - mean);
        Self { mean, variance: squares / count, count }
    }
}

/// Small, because a prediction waits for nothing but nodes.
///
/// A leaf is a cut that every row passes to the left, where the leaf itself stands: a row that has arrived stays.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Bits of the threshold up to which values go left; of a subset, its index.
    test: u64,
    /// Column, [`SUBSET`] and [`INACTIVE_LEFT`].
    column: u32,
    /// Index of the left child, which the right one follows.
    left: u32,
}

/// Marks a node whose codes are looked up in a subset.
const SUBSET: u32 = 1 << 31;
/// Marks a cut whose inactive values go left.
const INACTIVE_LEFT: u32 = 1 << 30;

impl Node {
    fn leaf(at: usize) -> Self {
        Self { test: f64::INFINITY.to_bits(), column: INACTIVE_LEFT, left: at as u32 }
    }
}

/// Nodes in an arena, of which the root is the first, and the leaves, which alone change when rows are added.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Arc<[Node]>,
    /// Index of each node among the leaves; zero for the other nodes.
    leaf_of: Arc<[u32]>,
    /// Codes that go left, by subset; the last entry is the inactive code.
    subsets: Arc<[Box<[bool]>]>,
    leaves: Vec<Leaf>,
}

/// A split of a node's rows with the sum of squares that it explains.
struct Split {
    gain: f64,
    rule: Rule,
}

enum Rule {
    Cut { column: usize, threshold: f64, inactive_left: bool },
    Subset { column: usize, goes_left: Vec<bool> },
}

impl Rule {
    fn goes_left(&self, row: &[f64]) -> bool {
        match self {
            Rule::Cut { column, threshold, inactive_left } => {
                cut_left(row[*column], *threshold, *inactive_left)
            }
            Rule::Subset { column, goes_left } => goes_left[code(row[*column], goes_left.len() - 1)],
        }
    }
}

/// Without a branch, which would be mispredicted half the time.
fn cut_left(value: f64, threshold: f64, inactive_left: bool) -> bool {
    (value <= threshold) | (value.is_nan() & inactive_left)
}

/// The choice of a value, `choices` when inactive.
fn code(value: f64, choices: usize) -> usize {
    if value.is_nan() { choices } else { Layout::bin(value, choices) }
}

impl Tree {
    pub(crate) fn grow(
        layout: &Layout,
        rows: &Rows,
        values: &[f64],
        chosen: Vec<usize>,
        options: &TreeOptions,
        rng: &mut impl Rng,
    ) -> Self {
        let (mut nodes, mut leaf_of) = (vec![Node::leaf(0)], vec![0]);
        let (mut leaves, mut subsets) = (Vec::new(), Vec::new());
        let mut open = vec![(0, chosen, 0)];
        while let Some((at, members, depth)) = open.pop() {
            let leaf = summarize(values, &members);
            let splittable =
                members.len() >= options.split_rows.max(2) && depth < options.depth && leaf.variance > 1e-16;
            let split =
                if splittable { best_split(layout, rows, values, &members, options, rng) } else { None };
            let parts = split.map(|rule| {
                let (left, right): (Vec<usize>, Vec<usize>) =
                    members.iter().partition(|&&index| rule.goes_left(rows.row(index)));
                (rule, left, right)
            });
            let Some((rule, left_members, right_members)) =
                parts.filter(|(_, left, right)| !left.is_empty() && !right.is_empty())
            else {
                leaf_of[at] = leaves.len() as u32;
                leaves.push(leaf);
                continue;
            };
            let left = nodes.len();
            nodes.extend([Node::leaf(left), Node::leaf(left + 1)]);
            leaf_of.extend([0, 0]);
            let (column, test) = match rule {
                Rule::Cut { column, threshold, inactive_left } => {
                    let mark = if inactive_left { INACTIVE_LEFT } else { 0 };
                    (column as u32 | mark, threshold.to_bits())
                }
                Rule::Subset { column, goes_left } => {
                    subsets.push(goes_left.into_boxed_slice());
                    (column as u32 | SUBSET, subsets.len() as u64 - 1)
                }
            };
            nodes[at] = Node { test, column, left: left as u32 };
            open.push((left, left_members, depth + 1));
            open.push((left + 1, right_members, depth + 1));
        }
        Self { nodes: nodes.into(), leaf_of: leaf_of.into(), subsets: subsets.into(), leaves }
    }

    /// Passes the leaf of every row to `visit`, in order of the rows.
    ///
    /// Rows go down [`LANES`] at a time: one alone waits for each node before it can ask for the next.
    pub(crate) fn leaves(&self, rows: &Rows, mut visit: impl FnMut(usize, &Leaf)) {
        self.indices(rows, |row, leaf| visit(row, &self.leaves[leaf]));
    }

    /// Adds rows to their leaves; the splits stay.
    pub(crate) fn absorb(&mut self, rows: &Rows, values: &[f64]) {
        let mut leaves = std::mem::take(&mut self.leaves);
        self.indices(rows, |row, leaf| leaves[leaf] = leaves[leaf].with(values[row]));
        self.leaves = leaves;
    }

    fn indices(&self, rows: &Rows, mut visit: impl FnMut(usize, usize)) {
        let mut first = 0;
        while first < rows.len() {
            let count = LANES.min(rows.len() - first);
            let lanes: [&[f64]; LANES] = std::array::from_fn(|lane| rows.row(first + lane.min(count - 1)));
            let mut at = [0_usize; LANES];
            // A root alone asks for no column, of which there may be none.
            let mut moving = self.nodes.len() > 1;
            while moving {
                moving = false;
                for (at, row) in at.iter_mut().zip(lanes) {
                    let next = self.child(self.nodes[*at], row);
                    moving |= next != *at;
                    *at = next;
                }
            }
            for (lane, at) in at[..count].iter().enumerate() {
                visit(first + lane, self.leaf_of[*at] as usize);
            }
            first += count;
        }
    }

    fn child(&self, node: Node, row: &[f64]) -> usize {
        let value = row[(node.column & !(SUBSET | INACTIVE_LEFT)) as usize];
        let goes_left = if node.column & SUBSET == 0 {
            cut_left(value, f64::from_bits(node.test), node.column & INACTIVE_LEFT != 0)
        } else {
            let goes_left = &self.subsets[node.test as usize];
            goes_left[code(value, goes_left.len() - 1)]
        };
        node.left as usize + usize::from(!goes_left)
    }
}

fn summarize(values: &[f64], members: &[usize]) -> Leaf {
    let count = members.len().max(1) as f64;
    let mean = members.iter().map(|&index| values[index]).sum::<f64>() / count;
    let variance = members.iter().map(|&index| (values[index] - mean).powi(2)).sum::<f64>() / count;
    Leaf { mean, variance, count }
}

/// The best rule over a random share of the columns; nothing when no column separates the rows.
fn best_split(
    layout: &Layout,
    rows: &Rows,
    values: &[f64],
    members: &[usize],
    options: &TreeOptions,
    rng: &mut impl Rng,
) -> Option<Rule> {
    let width = layout.len();
    let tried = ((options.column_share * width as f64).ceil() as usize).clamp(1.min(width), width);
    let mut columns: Vec<usize> = (0..width).collect();
    let mut best: Option<Split> = None;
    for k in 0..width {
        // Beyond the share, columns are tried only while none has separated the rows.
        if k >= tried && best.is_some() {
            break;
        }
        let chosen = rng.random_range(k..width);
        columns.swap(k, chosen);
        let column = columns[k];
        let place = rng.random::<f64>();
        let split = match layout.dimensions[column].kind {
            Kind::Categorical { choices } => subset_split(rows, values, members, column, choices, options),
            Kind::Numeric | Kind::Integer { .. } | Kind::Ordinal { .. } => match options.cuts {
                Cuts::Random => random_cut(rows, values, members, column, place, options),
                Cuts::Best => cut_split(rows, values, members, column, place, options),
                Cuts::Halfway => cut_split(rows, values, members, column, 0.5, options),
            },
        };
        if let Some(split) = split
            && best.as_ref().is_none_or(|known| split.gain > known.gain)
        {
            best = Some(split);
        }
    }
    best.map(|split| split.rule)
}

/// `sum^2 / n` of both sides: what a split explains, up to a constant of the node.
fn explained(left: (f64, usize), right: (f64, usize)) -> f64 {
    left.0 * left.0 / left.1 as f64 + right.0 * right.0 / right.1 as f64
}

fn cut_split(
    rows: &Rows,
    values: &[f64],
    members: &[usize],
    column: usize,
    place: f64,
    options: &TreeOptions,
) -> Option<Split> {
    let (mut active, mut inactive) = (Vec::with_capacity(members.len()), (0.0, 0));
    for &index in members {
        let value = rows.row(index)[column];
        if value.is_nan() {
            inactive = (inactive.0 + values[index], inactive.1 + 1);
        } else {
            active.push((value, values[index]));
        }
    }
    active.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = active.iter().map(|pair| pair.1).sum();
    let leaf_rows = options.leaf_rows.max(1);
    let mut best: Option<Split> = None;
    let mut left = 0.0;
    for cut in 1..=active.len() {
        left += active[cut - 1].1;
        let last = cut == active.len();
        if !last && active[cut - 1].0 == active[cut].0 {
            continue;
        }
        let sides = [(left, cut), (total - left, active.len() - cut)];
        for inactive_left in [false, true] {
            // Without inactive rows, unseen ones will follow the larger side.
            if inactive.1 == 0 && inactive_left != (cut * 2 >= active.len()) {
                continue;
            }
            let mut sides = sides;
            let side = &mut sides[usize::from(!inactive_left)];
            *side = (side.0 + inactive.0, side.1 + inactive.1);
            if sides[0].1 < leaf_rows || sides[1].1 < leaf_rows {
                continue;
            }
            let gain = explained(sides[0], sides[1]);
            if best.as_ref().is_none_or(|known| gain > known.gain) {
                let threshold = if last {
                    f64::INFINITY
                } else {
                    let (low, high) = (active[cut - 1].0, active[cut].0);
                    // Rounding could reach the upper neighbour, which must stay on the right.
                    let between = low + place * (high - low);
                    if between < high { between } else { low }
                };
                best = Some(Split { gain, rule: Rule::Cut { column, threshold, inactive_left } });
            }
        }
    }
    best
}

/// A cut at a random place of the column's range among the rows.
fn random_cut(
    rows: &Rows,
    values: &[f64],
    members: &[usize],
    column: usize,
    place: f64,
    options: &TreeOptions,
) -> Option<Split> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &index in members {
        let value = rows.row(index)[column];
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        return None;
    }
    let between = low + place * (high - low);
    let threshold = if between < high { between } else { low };
    let (mut left, mut right, mut inactive) = ((0.0, 0), (0.0, 0), (0.0, 0));
    for &index in members {
        let value = rows.row(index)[column];
        let side = if value.is_nan() {
            &mut inactive
        } else if value <= threshold {
            &mut left
        } else {
            &mut right
        };
        *side = (side.0 + values[index], side.1 + 1);
    }
    // Without inactive rows, unseen ones will follow the larger side.
    let ways = if inactive.1 == 0 { vec![left.1 >= right.1] } else { vec![false, true] };
    let add = |a: (f64, usize), b: (f64, usize)| (a.0 + b.0, a.1 + b.1);
    let mut splits: Vec<Split> = ways
        .into_iter()
        .filter_map(|inactive_left| {
            let sides =
                if inactive_left { (add(left, inactive), right) } else { (left, add(right, inactive)) };
            let large = sides.0.1.min(sides.1.1) >= options.leaf_rows.max(1);
            let rule = Rule::Cut { column, threshold, inactive_left };
            large.then(|| Split { gain: explained(sides.0, sides.1), rule })
        })
        .collect();
    if inactive.1 > 0
        && left.1 + right.1 >= options.leaf_rows.max(1)
        && inactive.1 >= options.leaf_rows.max(1)
    {
        let rule = Rule::Cut { column, threshold: f64::INFINITY, inactive_left: false };
        splits.push(Split { gain: explained(add(left, right), inactive), rule });
    }
    splits.into_iter().max_by(|a, b| a.gain.total_cmp(&b.gain))
}

fn subset_split(
    rows: &Rows,
    values: &[f64],
    members: &[usize],
    column: usize,
    choices: usize,
    options: &TreeOptions,
) -> Option<Split> {
    let mut groups = vec![(0.0, 0_usize); choices + 1];
    for &index in members {
        let group = &mut groups[code(rows.row(index)[column], choices)];
        *group = (group.0 + values[index], group.1 + 1);
    }
    let mut order: Vec<usize> = (0..=choices).filter(|&code| groups[code].1 > 0).collect();
    let mean = |code: usize| groups[code].0 / groups[code].1 as f64;
    order.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)).then(a.cmp(&b)));
    let total: f64 = groups.iter().map(|group| group.0).sum();
    let leaf_rows = options.leaf_rows.max(1);
    let mut best: Option<(f64, usize, bool)> = None;
    let mut left = (0.0, 0);
    for cut in 1..order.len() {
        let group = groups[order[cut - 1]];
        left = (left.0 + group.0, left.1 + group.1);
        let right = (total - left.0, members.len() - left.1);
        if left.1 < leaf_rows || right.1 < leaf_rows {
            continue;
        }
        let gain = explained(left, right);
        if best.is_none_or(|(known, ..)| gain > known) {
            best = Some((gain, cut, left.1 >= right.1));
        }
    }
    let (gain, cut, unseen_left) = best?;
    let mut goes_left = vec![unseen_left; choices + 1];
    for (position, &code) in order.iter().enumerate() {
        goes_left[code] = position < cut;
    }
    Some(Split { gain, rule: Rule::Subset { column, goes_left } })
}
