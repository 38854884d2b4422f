//! The figures there are: what each is called in the table and in the JSON, and how those of several runs become one.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Accepted,
    Delivered,
    Requests,
    P50Ms,
    P99Ms,
    Ratio,
    P99Ratio,
    CpuUs,
    ServerCpuUs,
    DatabaseCpuUs,
    BenchCpuUs,
    ResidentMib,
    ResidentPeakMib,
    DatabaseMib,
    Queued,
    QueuedPerSecond,
    Left,
    Connections,
    InFlight,
    OutageMs,
    LastMs,
    HeldPercent,
    DrainMs,
    StartMs,
    Refused,
    Missing,
    Duplicates,
    Unasked,
}

/// How a column is called and shown.
pub struct Look {
    pub title: &'static str,
    pub key: &'static str,
    pub decimals: usize,
}

const fn look(title: &'static str, key: &'static str, decimals: usize) -> Look {
    Look { title, key, decimals }
}

impl Column {
    pub const ALL: [Self; 28] = [
        Self::Accepted,
        Self::Delivered,
        Self::Requests,
        Self::P50Ms,
        Self::P99Ms,
        Self::Ratio,
        Self::P99Ratio,
        Self::CpuUs,
        Self::ServerCpuUs,
        Self::DatabaseCpuUs,
        Self::BenchCpuUs,
        Self::ResidentMib,
        Self::ResidentPeakMib,
        Self::DatabaseMib,
        Self::Queued,
        Self::QueuedPerSecond,
        Self::Left,
        Self::Connections,
        Self::InFlight,
        Self::OutageMs,
        Self::LastMs,
        Self::HeldPercent,
        Self::DrainMs,
        Self::StartMs,
        Self::Refused,
        Self::Missing,
        Self::Duplicates,
        Self::Unasked,
    ];

    pub const fn look(self) -> Look {
        match self {
            Self::Accepted => look("accepted/s", "accepted_per_s", 0),
            Self::Delivered => look("delivered/s", "delivered_per_s", 0),
            Self::Requests => look("requests/s", "requests_per_s", 0),
            Self::P50Ms => look("p50 ms", "p50_ms", 2),
            Self::P99Ms => look("p99 ms", "p99_ms", 2),
            Self::Ratio => look("ratio", "ratio", 2),
            Self::P99Ratio => look("p99 ratio", "p99_ratio", 2),
            Self::CpuUs => look("CPU us", "cpu_us", 1),
            Self::ServerCpuUs => look("server us", "server_cpu_us", 1),
            Self::DatabaseCpuUs => look("db us", "database_cpu_us", 1),
            Self::BenchCpuUs => look("bench us", "bench_cpu_us", 1),
            Self::ResidentMib => look("RSS MiB", "resident_mib", 1),
            Self::ResidentPeakMib => look("peak MiB", "resident_peak_mib", 1),
            Self::DatabaseMib => look("db MiB", "database_mib", 1),
            Self::Queued => look("queued", "queued", 0),
            Self::QueuedPerSecond => look("queued/s", "queued_per_s", 0),
            Self::Left => look("left", "left", 0),
            Self::Connections => look("conns", "connections_peak", 0),
            Self::InFlight => look("in flight", "in_flight_at_kill", 0),
            Self::OutageMs => look("outage ms", "outage_ms", 0),
            Self::LastMs => look("last ms", "last_after_kill_ms", 0),
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
    pub fn over_runs(self, values: Vec<f64>) -> Option<f64> {
        let counts_faults = matches!(self, Self::Refused | Self::Missing | Self::Duplicates | Self::Unasked);
        if counts_faults && !values.is_empty() {
            return Some(values.iter().sum());
        }
        median(values)
    }
}

/// Nothing when there are no values.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// A count as a figure. The bench counts nothing beyond four thousand million.
pub fn exact(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
