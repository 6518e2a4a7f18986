//! What the kernel says about this process.

use std::fs;

/// Ticks per second in `/proc`: fixed at 100 in Linux' interface to programs, whatever the kernel uses inside.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    /// Since the epoch.
    pub(super) started_at_seconds: f64,
}

/// None where there is no `/proc`.
pub(super) fn read() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything, also brackets and spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<f64>().ok();
    let boot = line_of("/proc/stat", "btime")?;
    Some(Process {
        cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        resident_bytes: line_of("/proc/self/status", "VmRSS:")? * 1024.0,
        started_at_seconds: boot + ticks(22)? / TICKS_PER_SECOND,
    })
}

/// The memory that this process may use: the limit of its control group, or else the machine's.
pub(super) fn memory_limit_bytes() -> Option<f64> {
    let of_group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    of_group.or_else(|| line_of("/proc/meminfo", "MemTotal:").map(|kilobytes| kilobytes * 1024.0))
}

/// The first number after `name` at the beginning of a line.
fn line_of(path: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        let process = read().unwrap();
        assert!(process.resident_bytes > 1e6 && process.resident_bytes < 1e11, "{}", process.resident_bytes);
        assert!(process.cpu_seconds >= 0.0 && process.started_at_seconds > 1.6e9);
        assert!(memory_limit_bytes().unwrap() > 1e6);
    }
}
