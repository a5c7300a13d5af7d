//! Pieces of statement text. Only names and placeholders go in; values are always bound.

use super::link::Arg;

/// Most values of one list.
pub(crate) const LIST: usize = 512;

/// `$first, $first+1, ...`
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let marks: Vec<String> = (first..first + count).map(|index| format!("${index}")).collect();
    marks.join(", ")
}

/// Chunks of a list of ids, each padded to a power of two by repeating its last id, so that few statement texts exist
/// and the engines find them prepared.
pub(crate) fn padded(ids: &[i64]) -> impl Iterator<Item = Vec<Arg>> + '_ {
    ids.chunks(LIST).map(|chunk| {
        let mut arguments: Vec<Arg> = chunk.iter().map(|id| Arg::from(*id)).collect();
        let last = arguments[arguments.len() - 1].clone();
        arguments.resize(chunk.len().next_power_of_two(), last);
        arguments
    })
}

/// Most rows for which a statement of that very length is kept prepared.
const EXACT: usize = 32;

/// Chunks of rows for statements with many rows: any length up to [`EXACT`], powers of two above it, at most `most`. Few
/// statement texts exist, and most groups of rows take one statement.
pub(crate) fn chunks<T>(mut rows: Vec<T>, most: usize) -> Vec<Vec<T>> {
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let size = if rows.len() <= EXACT { rows.len() } else { (rows.len() + 1).next_power_of_two() / 2 };
        let rest = rows.split_off(size.min(most));
        chunks.push(rows);
        rows = rest;
    }
    chunks
}

/// `($1, $2), ($3, $4), ...`
pub(crate) fn value_rows(rows: usize, columns: usize) -> String {
    let marks: Vec<String> =
        (0..rows).map(|row| format!("({})", placeholders(row * columns + 1, columns))).collect();
    marks.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_few_lengths_and_keep_every_row() {
        for length in 0..300_usize {
            let chunks = chunks((0..length).collect(), 64);
            assert!(chunks.iter().all(|chunk| chunk.len() <= EXACT || chunk.len() == 64));
            assert_eq!(chunks.concat(), (0..length).collect::<Vec<_>>());
        }
        let ids: Vec<i64> = (0..700).collect();
        let lengths: Vec<usize> = padded(&ids).map(|chunk| chunk.len()).collect();
        assert_eq!(lengths, [512, 256]);
        assert_eq!(value_rows(2, 2), "($1, $2), ($3, $4)");
    }
}
