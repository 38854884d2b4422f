//! What the kernel says that programs have used. Linux only: the figures come from `/proc`.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// The kernel counts CPU time for user space in hundredths of a second on every architecture Signet runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time used so far, by whom.
pub struct Cpu {
    pub servers: Duration,
    /// Nothing when the database is part of the server.
    pub database: Option<Duration>,
    pub bench: Duration,
}

/// What `/proc` says of one program's times.
struct Times {
    parent: u32,
    /// User and system time of all threads, those that have ended included.
    own: Duration,
    /// The same of all children that have ended.
    ended_children: Duration,
}

impl Times {
    fn of(pid: u32) -> Result<Self, Failure> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The command's name may hold spaces, so fields are counted from the bracket that ends it.
        let (_, fields) = stat.rsplit_once(')').ok_or("unreadable /proc stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |place: usize| -> Result<u32, Failure> {
            let field = fields.get(place).ok_or("short /proc stat")?;
            Ok(field.parse()?)
        };
        Ok(Self {
            parent: field(1)?,
            own: TICK * (field(11)? + field(12)?),
            ended_children: TICK * (field(13)? + field(14)?),
        })
    }
}

pub fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    Ok(Times::of(pid)?.own)
}

/// CPU time of a program and all its children, those that have ended included.
pub fn family_cpu_time(pid: u32) -> Result<Duration, Failure> {
    let parent = Times::of(pid)?;
    let mut sum = parent.own + parent.ended_children;
    for (_, child) in children(pid)? {
        sum += child.own + child.ended_children;
    }
    Ok(sum)
}

/// Memory of a program and all its children. What several share counts once, which is why this is no sum of resident
/// sizes.
pub fn family_mib(pid: u32) -> Result<f64, Failure> {
    let mut sum = field_mib(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")?;
    for (child, _) in children(pid)? {
        // One that has ended meanwhile holds nothing.
        if let Ok(rollup) = fs::read_to_string(format!("/proc/{child}/smaps_rollup")) {
            sum += field_mib(&rollup, "Pss:").unwrap_or(0.0);
        }
    }
    Ok(sum)
}

pub fn resident_mib(pid: u32) -> Result<f64, Failure> {
    field_mib(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")
}

pub fn resident_peak_mib(pid: u32) -> Result<f64, Failure> {
    field_mib(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmHWM:")
}

/// Those that live now.
fn children(parent: u32) -> Result<Vec<(u32, Times)>, Failure> {
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = pids.filter_map(|pid| Some((pid, Times::of(pid).ok()?)));
    Ok(children.filter(|(_, times)| times.parent == parent).collect())
}

fn field_mib(text: &str, field: &str) -> Result<f64, Failure> {
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or_else(|| format!("/proc has no {field}"))?
        .parse()?;
    Ok(kib / 1024.0)
}
