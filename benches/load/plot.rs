//! The figures as pictures: for each scenario the latency that every share of its deliveries did not exceed, and for all
//! of them together what was delivered per second.

use std::path::Path;

use crate::Failure;
use crate::column::{Column, exact};
use crate::latency::{self, WHOLE};
use crate::svg::{Anchor, Svg};
use crate::table::{Subject, Table};

/// Told apart with any kind of sight, as far as six colors can be.
const COLORS: [&str; 6] = ["#2a78d6", "#e0692b", "#1a9a6c", "#7a4fc4", "#c94f86", "#9a7b13"];
const GRID: &str = "#ddd";

const LEFT: f64 = 70.0;
const RIGHT: f64 = 730.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 370.0;
const LINE: f64 = 18.0;

/// Shares that are marked, in ten-thousandths, with their words.
const SHARES: [(u32, &str); 6] =
    [(0, "0 %"), (5_000, "50 %"), (9_000, "90 %"), (9_900, "99 %"), (9_990, "99.9 %"), (9_999, "99.99 %")];
/// Latencies that are marked, where the curves go so far. Nothing the bench waits for takes longer than the last.
const MARKS_MS: [f64; 8] = [0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5];

const BAR_LEFT: f64 = 190.0;
const BAR_RIGHT: f64 = 660.0;
const BAR: f64 = 16.0;

/// Writes all plots that there are figures for.
pub fn draw(table: &Table, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let subjects = table.subjects();
    let mut scenarios: Vec<&str> = subjects.iter().map(|subject| subject.scenario).collect();
    scenarios.dedup();
    for scenario in scenarios {
        let of_scenario = subjects.iter().filter(|subject| subject.scenario == scenario);
        let curves: Vec<(Subject, Vec<f64>)> = of_scenario
            .map(|subject| (*subject, table.curve_ms(*subject)))
            .filter(|(_, curve)| !curve.is_empty())
            .collect();
        if !curves.is_empty() {
            std::fs::write(folder.join(format!("latency-{scenario}.svg")), latencies(scenario, &curves))?;
        }
    }
    let delivered = |subject: &Subject| Some((*subject, table.over_runs(*subject, Column::Delivered)?));
    let bars: Vec<(Subject, f64)> = subjects.iter().filter_map(delivered).collect();
    if !bars.is_empty() {
        std::fs::write(folder.join("throughput.svg"), throughput(&bars))?;
    }
    Ok(())
}

/// Both axes are logarithmic: what is rare and slow is what matters.
fn latencies(scenario: &str, curves: &[(Subject, Vec<f64>)]) -> String {
    let height = BOTTOM + 50.0 + LINE * exact(curves.len());
    let mut svg = Svg::page(height, &format!("{scenario}: latency in ms, by share of deliveries"));
    let x = |share: u32| {
        let rest = f64::from(WHOLE - share) / f64::from(WHOLE);
        LEFT - rest.log10() / 4.0 * (RIGHT - LEFT)
    };
    let all = || curves.iter().flat_map(|(_, curve)| curve.iter().copied());
    let lowest = all().fold(f64::MAX, f64::min);
    let highest = all().fold(0.0, f64::max);
    let floor = MARKS_MS.into_iter().rfind(|mark| *mark <= lowest).unwrap_or(0.001);
    let ceiling = MARKS_MS.into_iter().find(|mark| *mark >= highest).unwrap_or(1e6);
    let y = |ms: f64| BOTTOM - (ms.max(floor) / floor).log10() / (ceiling / floor).log10() * (BOTTOM - TOP);
    for (share, words) in SHARES {
        svg.line(&[(x(share), TOP), (x(share), BOTTOM)], GRID, 1.0);
        svg.text((x(share), BOTTOM + LINE), Anchor::Middle, words);
    }
    for mark in MARKS_MS.into_iter().filter(|mark| (floor..=ceiling).contains(mark)) {
        svg.line(&[(LEFT, y(mark)), (RIGHT, y(mark))], GRID, 1.0);
        svg.text((LEFT - 8.0, y(mark) + 4.0), Anchor::End, mark);
    }
    for (place, ((subject, curve), color)) in curves.iter().zip(COLORS.into_iter().cycle()).enumerate() {
        let points: Vec<(f64, f64)> = latency::shares().map(x).zip(curve.iter().copied().map(y)).collect();
        svg.line(&points, color, 2.0);
        let below = BOTTOM + 48.0 + LINE * exact(place);
        svg.bar((LEFT, below - 6.0), (20.0, 3.0), color);
        svg.text((LEFT + 28.0, below), Anchor::Start, called(*subject));
    }
    svg.finish()
}

/// A bar for each part of each scenario, colored by database.
fn throughput(bars: &[(Subject, f64)]) -> String {
    let height = TOP + 20.0 + (BAR + 8.0) * exact(bars.len());
    let mut svg = Svg::page(height, "Deliveries per second");
    let highest = bars.iter().map(|(_, figure)| *figure).fold(f64::MIN_POSITIVE, f64::max);
    let mut databases: Vec<&str> = Vec::new();
    for (place, (subject, figure)) in bars.iter().enumerate() {
        if !databases.contains(&subject.database) {
            databases.push(subject.database);
        }
        let color = databases.iter().zip(COLORS).find(|(database, _)| **database == subject.database);
        let top = TOP + (BAR + 8.0) * exact(place);
        let width = figure / highest * (BAR_RIGHT - BAR_LEFT);
        svg.bar((BAR_LEFT, top), (width.max(1.0), BAR), color.map_or(GRID, |(_, color)| color));
        svg.text((BAR_LEFT - 8.0, top + BAR - 4.0), Anchor::End, called(*subject));
        svg.text((BAR_LEFT + width + 6.0, top + BAR - 4.0), Anchor::Start, format!("{figure:.0}"));
    }
    svg.finish()
}

fn called(Subject { part, database, .. }: Subject) -> String {
    format!("{part}, {database}")
}
