//! What the kernel says a process has used. Linux only: the figures come from `/proc`.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// The kernel counts CPU time for user space in hundredths of a second on every architecture Signet runs on.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads, those that have ended included.
pub fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name may hold spaces, so fields are counted from the bracket that ends it.
    let (_, fields) = stat.rsplit_once(')').ok_or("unreadable /proc stat")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || -> Result<u32, Failure> {
        let field = times.next().ok_or("short /proc stat")?;
        Ok(field.parse()?)
    };
    Ok(TICK * (next()? + next()?))
}

pub fn resident_mib(pid: u32) -> Result<f64, Failure> {
    status_mib(pid, "VmRSS:")
}

pub fn resident_peak_mib(pid: u32) -> Result<f64, Failure> {
    status_mib(pid, "VmHWM:")
}

fn status_mib(pid: u32, field: &str) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or_else(|| format!("/proc status has no {field}"))?
        .parse()?;
    Ok(kib / 1024.0)
}
