//! Generated click data with planted interactions: a task on which the arms have a known order.

use super::raw::{Column, Entity, RawData};
use crate::TrainerError;
use crate::random::{Purpose, fill_normal, mix, stream, uniform};

/// Number of categorical fields.
const FIELDS: usize = 8;
/// Distinct values per field.
const VALUES: usize = 50;
/// Planted pairs of fields, each the product of one hidden number per value.
const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)];
/// Planted triples of fields, likewise.
const TRIPLES: [(usize, usize, usize); 2] = [(1, 5, 7), (2, 6, 7)];
/// Standard deviation of each linear, pair and triple term of the logit.
const SCALES: (f64, f64, f64) = (0.35, 0.7, 0.6);
/// Fewest rows that leave both classes in every part with near certainty.
const FEWEST_ROWS: u32 = 200;

/// `rows` rows of 8 fields x 50 ids; logit = linear part + 6 pair terms + 2 triple terms.
pub(crate) fn generate(rows: u32, seed: u64) -> Result<RawData, TrainerError> {
    if rows < FEWEST_ROWS {
        return Err(TrainerError::request("data.rows", format!("{rows} is below {FEWEST_ROWS}")));
    }
    let hidden = |part: usize, deviation: f64| {
        let mut values = vec![0.0_f32; VALUES];
        fill_normal(&mut stream(seed, Purpose::Synthetic, part as u64), deviation, &mut values);
        values
    };
    let linear: Vec<Vec<f32>> = (0..FIELDS).map(|field| hidden(field, SCALES.0)).collect();
    let pairs: Vec<[Vec<f32>; 2]> = (0..PAIRS.len())
        .map(|pair| [hidden(100 + 2 * pair, SCALES.1), hidden(101 + 2 * pair, 1.0)])
        .collect();
    let triples: Vec<[Vec<f32>; 3]> = (0..TRIPLES.len())
        .map(|triple| {
            [hidden(200 + 3 * triple, SCALES.2), hidden(201 + 3 * triple, 1.0), hidden(202 + 3 * triple, 1.0)]
        })
        .collect();

    let mut generator = stream(seed, Purpose::Synthetic, 1000);
    let mut columns: [Vec<u32>; FIELDS] = std::array::from_fn(|_| Vec::with_capacity(rows as usize));
    let mut labels = Vec::with_capacity(rows as usize);
    for _ in 0..rows {
        let values: [usize; FIELDS] =
            std::array::from_fn(|_| (uniform(&mut generator) * VALUES as f64) as usize);
        let mut logit: f32 = values.iter().zip(&linear).map(|(&value, weights)| weights[value]).sum();
        for (&(a, b), [left, right]) in PAIRS.iter().zip(&pairs) {
            logit += left[values[a]] * right[values[b]];
        }
        for (&(a, b, c), [first, second, third]) in TRIPLES.iter().zip(&triples) {
            logit += first[values[a]] * second[values[b]] * third[values[c]];
        }
        let probability = 1.0 / (1.0 + f64::from(-logit).exp());
        labels.push(u8::from(uniform(&mut generator) < probability));
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value as u32);
        }
    }
    let columns = columns
        .into_iter()
        .enumerate()
        .map(|(field, codes)| (format!("field_{field}"), Column::Token { codes, distinct: VALUES }))
        .collect();
    Ok(RawData {
        entities: vec![Entity { columns, rows: rows as usize, reference: None }],
        hashes: (0..u64::from(rows)).map(mix).collect(),
        times: Some((0..rows).map(f64::from).collect()),
        labels,
        groups: None,
    })
}
