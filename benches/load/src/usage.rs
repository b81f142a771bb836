//! What watched processes use: CPU time and resident memory, from `/proc`.

use std::fs;
use std::str::FromStr;

use nix::unistd::{SysconfVar, sysconf};
use serde_json::{Value, json};

/// A process to watch, written `NAME=PID`.
#[derive(Debug, Clone)]
pub struct Watched {
    /// How it is called in the report.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("write NAME=PID")?;
        let pid = pid.parse().map_err(|_| format!("{pid:?} is not a process id"))?;
        Ok(Self { name: name.to_owned(), pid })
    }
}

/// One look at a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time since it started, in seconds. The kernel counts exactly and tells hundredths.
    pub cpu: f64,
    /// Resident now, in KiB.
    pub resident: u64,
    /// Resident at most so far, in KiB.
    pub peak: u64,
}

/// Reads what a process has used; zeros if it is gone.
pub fn read(pid: u32) -> Usage {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // Fields 14 and 15, counted behind the name, which may hold blanks and parentheses itself.
    let mut fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default().split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let cpu = (ticks() + ticks()) / ticks_per_second();
    Usage { cpu, resident: kib(&status, "VmRSS:"), peak: kib(&status, "VmHWM:") }
}

/// Looks at all watched processes, and at this one, from a first moment to a second.
pub struct Meter {
    watched: Vec<Watched>,
    start: Vec<Usage>,
    end: Vec<Usage>,
    highest: Vec<u64>,
}

impl Meter {
    /// Starts with a first look, so that idle memory is known.
    pub fn new(mut watched: Vec<Watched>) -> Self {
        watched.push(Watched { name: "load".to_owned(), pid: std::process::id() });
        let start: Vec<Usage> = watched.iter().map(|process| read(process.pid)).collect();
        let highest = start.iter().map(|usage| usage.resident).collect();
        Self { end: start.clone(), watched, start, highest }
    }

    /// CPU time counts from here; memory still from [`Meter::new`].
    pub fn begin(&mut self) {
        for (process, usage) in self.watched.iter().zip(&mut self.start) {
            usage.cpu = read(process.pid).cpu;
        }
    }

    /// Notes the memory in use now.
    pub fn sample(&mut self) {
        for (process, highest) in self.watched.iter().zip(&mut self.highest) {
            *highest = (*highest).max(read(process.pid).resident);
        }
    }

    /// CPU time counts up to here.
    pub fn end(&mut self) {
        self.sample();
        self.end = self.watched.iter().map(|process| read(process.pid)).collect();
    }

    /// CPU seconds of each process up to now, in order.
    pub fn cpu_now(&self) -> Vec<f64> {
        self.watched.iter().map(|process| read(process.pid).cpu).collect()
    }

    /// One object for each process; `units` is what CPU time is divided by.
    pub fn json(&self, units: u64) -> Value {
        let mut all = serde_json::Map::new();
        for (((process, start), end), highest) in self.watched.iter().zip(&self.start).zip(&self.end).zip(&self.highest)
        {
            let cpu = end.cpu - start.cpu;
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
            let each = if units == 0 { Value::Null } else { json!((cpu * 1e9 / units as f64).round() / 1e3) };
            let facts = json!({
                "pid": process.pid, "cpu_seconds": (cpu * 100.0).round() / 100.0, "cpu_us_each": each,
                "rss_before_kib": start.resident, "rss_highest_kib": highest, "rss_after_kib": end.resident,
                "rss_peak_ever_kib": end.peak,
            });
            all.insert(process.name.clone(), facts);
        }
        Value::Object(all)
    }

    /// The names in the order of [`Meter::cpu_now`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.watched.iter().map(|process| process.name.as_str())
    }
}

fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn ticks_per_second() -> f64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| i32::try_from(ticks).ok());
    ticks.map_or(100.0, f64::from)
}
