//! The figures of all runs, and the two shapes they are shown in: a table for people and JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::column::{Column, Look, median};

/// What a row is about. Rows of several runs that are about the same become one line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    pub scenario: &'static str,
    /// The scenario's name again, or which part of it this is.
    pub part: &'static str,
    pub database: &'static str,
}

/// What one part of a scenario gave in one run.
pub struct Row {
    pub subject: Subject,
    figures: Vec<(Column, f64)>,
    curve_ms: Vec<f64>,
    complaints: Vec<String>,
    failed: bool,
}

impl Row {
    pub fn new(subject: Subject) -> Self {
        Self { subject, figures: Vec::new(), curve_ms: Vec::new(), complaints: Vec::new(), failed: false }
    }

    pub fn set(&mut self, column: Column, figure: f64) {
        self.figures.push((column, figure));
    }

    /// The latency at each of [`crate::latency::shares`].
    pub fn set_curve(&mut self, curve_ms: Vec<f64>) {
        self.curve_ms = curve_ms;
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

    /// How many times the other row's deliveries per second these are.
    pub fn compare(&mut self, other: &Self) {
        if let (Some(this), Some(that)) = (self.figure(Column::Delivered), other.figure(Column::Delivered)) {
            self.set(Column::Ratio, this / that);
        }
    }

    /// How many times the other row's 99th percentile this one's is.
    pub fn compare_p99(&mut self, other: &Self) {
        if let (Some(this), Some(that)) = (self.figure(Column::P99Ms), other.figure(Column::P99Ms)) {
            self.set(Column::P99Ratio, this / that);
        }
    }

    pub fn figure(&self, column: Column) -> Option<f64> {
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

    /// Each once, in the order they were measured.
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for row in &self.rows {
            if !subjects.contains(&row.subject) {
                subjects.push(row.subject);
            }
        }
        subjects
    }

    pub fn over_runs(&self, subject: Subject, column: Column) -> Option<f64> {
        column.over_runs(self.runs(subject).filter_map(|row| row.figure(column)).collect())
    }

    /// The median, share by share, of the latency curves of all runs; empty when there is none.
    pub fn curve_ms(&self, subject: Subject) -> Vec<f64> {
        let curve = |place: usize| {
            let at_place = self.runs(subject).filter_map(|row| row.curve_ms.get(place).copied());
            median(at_place.collect())
        };
        (0..).map_while(curve).collect()
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
        let mut text = format!("{:<12}  {:<8}", "scenario", "database");
        for column in &columns {
            let _ = write!(text, "  {:>8}", column.look().title);
        }
        for subject in self.subjects() {
            let _ = write!(text, "\n{:<12}  {:<8}", subject.part, subject.database);
            for column in &columns {
                let Look { title, decimals, .. } = column.look();
                let width = title.len().max(8);
                let _ = match self.over_runs(subject, *column) {
                    Some(figure) => write!(text, "  {figure:>width$.decimals$}"),
                    None => write!(text, "  {:>width$}", "-"),
                };
            }
        }
        Some(text)
    }

    /// Under each part of a scenario the figures over all runs and those of each run.
    pub fn json(&self) -> Value {
        let scenarios: Vec<Value> = self
            .subjects()
            .into_iter()
            .map(|subject| {
                let mut object = figures(|column| self.over_runs(subject, column));
                object.insert("scenario".into(), subject.scenario.into());
                object.insert("part".into(), subject.part.into());
                object.insert("database".into(), subject.database.into());
                let runs = self.runs(subject).map(|row| Value::Object(figures(|column| row.figure(column))));
                object.insert("each_run".into(), runs.collect());
                Value::Object(object)
            })
            .collect();
        json!({"scenarios": scenarios, "complaints": self.complaints(), "failed": self.has_failed()})
    }

    /// One line each, some with the server's last words beneath.
    pub fn complaints(&self) -> Vec<String> {
        self.rows
            .iter()
            .flat_map(|row| {
                let Subject { part, database, .. } = row.subject;
                row.complaints.iter().map(move |complaint| format!("{part}, {database}: {complaint}"))
            })
            .collect()
    }

    fn runs(&self, subject: Subject) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.subject == subject)
    }
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
