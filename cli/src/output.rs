//! Tables for people, JSON for programs.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// A table with a header and left-aligned columns, without borders.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.map(str::to_uppercase));
    table
}

/// The lines of a table without the blanks that fill up its last column.
pub(crate) fn lines(table: &Table) -> String {
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Aligns the given columns to the right.
pub(crate) fn right<const N: usize>(table: &mut Table, columns: [usize; N]) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A number with at most six significant digits.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..7.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = (5.0 - magnitude).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Seconds as `12 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=99 => format!("{whole} s"),
        100..=5999 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A JSON object as `name=value name=value`.
pub(crate) fn point(json: &str) -> String {
    let Ok(serde_json::Value::Object(values)) = serde_json::from_str(json) else { return json.to_owned() };
    let show = |value: &serde_json::Value| match value {
        serde_json::Value::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    values.iter().map(|(name, value)| format!("{name}={}", show(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_size() {
        assert_eq!(number(0.001), "0.001");
        assert_eq!(number(0.793_412_34), "0.793412");
        assert_eq!(number(1e-9), "1.000e-9");
        assert_eq!(number(120.0), "120");
        assert_eq!(number(-3.25), "-3.25");
    }

    #[test]
    fn durations_and_points_read_well() {
        assert_eq!(duration(61.2), "61 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(point(r#"{"lr":0.01,"arm":"fm"}"#), "arm=fm lr=0.01");
    }
}
