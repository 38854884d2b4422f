//! The figures of a run, the median of several, and the two shapes they are shown in: a table for people and JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Accepted,
    Delivered,
    P50Ms,
    P99Ms,
    ServerCpuUs,
    BenchCpuUs,
    ResidentMib,
    ResidentPeakMib,
    HeldPercent,
    DrainMs,
    StartMs,
    Refused,
    Missing,
    Duplicates,
    Unasked,
}

/// How a column is called and shown.
struct Look {
    title: &'static str,
    key: &'static str,
    decimals: usize,
}

const fn look(title: &'static str, key: &'static str, decimals: usize) -> Look {
    Look { title, key, decimals }
}

impl Column {
    const ALL: [Self; 15] = [
        Self::Accepted,
        Self::Delivered,
        Self::P50Ms,
        Self::P99Ms,
        Self::ServerCpuUs,
        Self::BenchCpuUs,
        Self::ResidentMib,
        Self::ResidentPeakMib,
        Self::HeldPercent,
        Self::DrainMs,
        Self::StartMs,
        Self::Refused,
        Self::Missing,
        Self::Duplicates,
        Self::Unasked,
    ];

    const fn look(self) -> Look {
        match self {
            Self::Accepted => look("accepted/s", "accepted_per_s", 0),
            Self::Delivered => look("delivered/s", "delivered_per_s", 0),
            Self::P50Ms => look("p50 ms", "p50_ms", 2),
            Self::P99Ms => look("p99 ms", "p99_ms", 2),
            Self::ServerCpuUs => look("CPU us", "server_cpu_us_per_delivery", 1),
            Self::BenchCpuUs => look("bench us", "bench_cpu_us_per_delivery", 1),
            Self::ResidentMib => look("RSS MiB", "resident_mib", 1),
            Self::ResidentPeakMib => look("peak MiB", "resident_peak_mib", 1),
            Self::HeldPercent => look("held %", "held_percent", 1),
            Self::DrainMs => look("drain ms", "drain_ms", 0),
            Self::StartMs => look("start ms", "start_ms", 0),
            Self::Refused => look("refused", "refused", 0),
            Self::Missing => look("missing", "missing", 0),
            Self::Duplicates => look("twice", "duplicates", 0),
            Self::Unasked => look("unasked", "unasked", 0),
        }
    }

    /// Faults add up over the runs: the median of many good runs would hide the bad one.
    fn over_runs(self, mut values: Vec<f64>) -> Option<f64> {
        let counts_faults = matches!(self, Self::Refused | Self::Missing | Self::Duplicates | Self::Unasked);
        if counts_faults && !values.is_empty() {
            return Some(values.iter().sum());
        }
        values.sort_unstable_by(f64::total_cmp);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get(values.len().saturating_sub(1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }
}

/// What one scenario gave in one run.
pub struct Row {
    pub scenario: &'static str,
    figures: Vec<(Column, f64)>,
    complaints: Vec<String>,
    failed: bool,
}

impl Row {
    pub fn new(scenario: &'static str) -> Self {
        Self { scenario, figures: Vec::new(), complaints: Vec::new(), failed: false }
    }

    pub fn set(&mut self, column: Column, figure: f64) {
        self.figures.push((column, figure));
    }

    /// Something the reader should know about the figures.
    pub fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    /// Something that makes the whole bench fail.
    pub fn fail(&mut self, complaint: String) {
        self.failed = true;
        self.complain(complaint);
    }

    fn figure(&self, column: Column) -> Option<f64> {
        let found = self.figures.iter().find(|(other, _)| *other == column);
        found.map(|(_, figure)| *figure)
    }
}

/// All rows of all runs, in the order they were measured.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.failed)
    }

    /// Nothing when no scenario came to figures.
    pub fn text(&self) -> Option<String> {
        let columns: Vec<Column> = Column::ALL
            .into_iter()
            .filter(|column| self.rows.iter().any(|row| row.figure(*column).is_some()))
            .collect();
        if columns.is_empty() {
            return None;
        }
        let mut text = format!("{:<12}", "scenario");
        for column in &columns {
            let _ = write!(text, "  {:>8}", column.look().title);
        }
        for scenario in self.scenarios() {
            let _ = write!(text, "\n{scenario:<12}");
            for column in &columns {
                let Look { title, decimals, .. } = column.look();
                let width = title.len().max(8);
                let _ = match self.over_runs(scenario, *column) {
                    Some(figure) => write!(text, "  {figure:>width$.decimals$}"),
                    None => write!(text, "  {:>width$}", "-"),
                };
            }
        }
        Some(text)
    }

    /// Under each scenario the figures over all runs and, where there are several, those of each run.
    pub fn json(&self) -> Value {
        let scenarios: Vec<Value> = self
            .scenarios()
            .into_iter()
            .map(|scenario| {
                let mut object = figures(|column| self.over_runs(scenario, column));
                object.insert("scenario".into(), scenario.into());
                let runs = self.rows.iter().filter(|row| row.scenario == scenario);
                let runs = runs.map(|row| Value::Object(figures(|column| row.figure(column))));
                object.insert("each_run".into(), runs.collect());
                Value::Object(object)
            })
            .collect();
        json!({"scenarios": scenarios, "complaints": self.complaints(), "failed": self.has_failed()})
    }

    fn scenarios(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.scenario) {
                names.push(row.scenario);
            }
        }
        names
    }

    fn over_runs(&self, scenario: &str, column: Column) -> Option<f64> {
        let rows = self.rows.iter().filter(|row| row.scenario == scenario);
        column.over_runs(rows.filter_map(|row| row.figure(column)).collect())
    }

    /// One line each, some with the server's last words beneath.
    pub fn complaints(&self) -> Vec<String> {
        self.rows
            .iter()
            .flat_map(|row| {
                let lines = row.complaints.iter();
                lines.map(|complaint| format!("{}: {complaint}", row.scenario))
            })
            .collect()
    }
}

/// A count as a figure. The bench counts nothing beyond four thousand million.
pub fn exact(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Every column that has a figure, rounded to what can be meant.
fn figures(figure: impl Fn(Column) -> Option<f64>) -> Map<String, Value> {
    Column::ALL
        .into_iter()
        .filter_map(|column| {
            let rounded = (figure(column)? * 1000.0).round() / 1000.0;
            Some((column.look().key.to_owned(), json!(rounded)))
        })
        .collect()
}
