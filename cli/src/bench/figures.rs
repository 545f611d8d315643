//! What was measured: a row for each figure.

use std::fmt;
use std::time::Duration;

/// What the server used during a scenario.
#[derive(Debug, Default)]
pub(super) struct Use {
    /// Resident memory, look by look, in kibibytes.
    pub(super) memory: Vec<u64>,
    /// Size of the database's log of writes, look by look, in kibibytes.
    pub(super) wal: Vec<u64>,
    /// Processors that were busy, on average.
    pub(super) cores: f64,
}

/// All rows, in the order they were measured.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    unit: &'static str,
    count: usize,
    p50: f64,
    p99: f64,
    max: f64,
}

impl Figures {
    /// Adds a row of times, shown in milliseconds.
    pub(super) fn times(&mut self, what: impl Into<String>, times: &[Duration]) {
        let millis = times
            .iter()
            .map(|time| time.as_secs_f64() * 1000.0)
            .collect();
        self.add(what.into(), "ms", millis);
    }

    /// Adds a row of sizes, shown in mebibytes.
    pub(super) fn sizes(&mut self, what: impl Into<String>, kibibytes: &[u64]) {
        let mebibytes = kibibytes.iter().map(|&size| size as f64 / 1024.0).collect();
        self.add(what.into(), "MiB", mebibytes);
    }

    /// Adds a row of rates, one for each second (or part of one) of the scenario.
    pub(super) fn rates(&mut self, what: impl Into<String>, per_second: Vec<f64>) {
        self.add(what.into(), "/s", per_second);
    }

    /// Adds rows of what the server used.
    pub(super) fn used(&mut self, what: &str, used: Use) {
        self.sizes(format!("{what}: memory of the server"), &used.memory);
        self.sizes(format!("{what}: log of writes"), &used.wal);
        self.add(format!("{what}: processor"), "core", vec![used.cores]);
    }

    /// Adds a row of any values.
    pub(super) fn add(&mut self, what: String, unit: &'static str, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().saturating_sub(1);
            let index = (last as f64 * share).round() as usize;
            values.get(index).copied().unwrap_or(f64::NAN)
        };
        let (p50, p99, max) = (at(0.50), at(0.99), at(1.0));
        self.rows.push(Row {
            what,
            unit,
            count: values.len(),
            p50,
            p99,
            max,
        });
        if let Some(row) = self.rows.last() {
            eprintln!("{row}");
        }
    }

    /// The rows as one JSON object, for programs.
    pub(super) fn json(&self) -> serde_json::Value {
        let row = |row: &Row| {
            serde_json::json!({
                "what": row.what, "unit": row.unit, "count": row.count,
                "p50": row.p50, "p99": row.p99, "max": row.max,
            })
        };
        serde_json::json!({ "figures": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            unit,
            count,
            p50,
            p99,
            max,
        } = self;
        write!(
            f,
            "{what:<58} {p50:>9.2} {p99:>9.2} {max:>9.2}  {unit:<4} {count:>6}"
        )
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, p50, p99, max, unit, count) = ("", "p50", "p99", "max", "unit", "count");
        writeln!(
            f,
            "{what:<58} {p50:>9} {p99:>9} {max:>9}  {unit:<4} {count:>6}"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut figures = Figures::default();
        figures.times(
            "waits",
            &(1..=100).map(Duration::from_millis).collect::<Vec<_>>(),
        );
        let row = &figures.rows[0];
        assert_eq!((row.p50, row.p99, row.max), (51.0, 99.0, 100.0));
    }
}
