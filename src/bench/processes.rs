//! What processes have used of the processors, from `/proc`.

use super::BenchError;

/// Ticks of a processor in a second, as Linux counts them for programs.
const TICKS: f64 = 100.0;

/// What `/proc/…/stat` tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Process {
    /// Who has started it.
    pub(super) parent: u32,
    /// Seconds of a processor, user and system, without children.
    pub(super) seconds: f64,
    /// The same of children that have ended.
    pub(super) of_ended: f64,
}

impl Process {
    /// The process with a number, or `self`.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn read(process: &str) -> Result<Self, BenchError> {
        let path = format!("/proc/{process}/stat");
        let failed = |error| BenchError::Target(format!("cannot read {path}: {error}"));
        Ok(Self::parse(&std::fs::read_to_string(&path).map_err(failed)?))
    }

    /// How often the threads of a process have given up the processor to wait for something. What threads that have ended
    /// waited for is not in it.
    ///
    /// # Errors
    /// If there is no such process.
    pub(super) fn waits(process: &str) -> Result<u64, BenchError> {
        let path = format!("/proc/{process}/task");
        let failed = |error: std::io::Error| BenchError::Target(format!("cannot read {path}: {error}"));
        let mut waits = 0;
        for thread in std::fs::read_dir(&path).map_err(failed)? {
            // A thread may end between the listing and the look.
            let status = std::fs::read_to_string(thread.map_err(failed)?.path().join("status")).unwrap_or_default();
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            waits += count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(waits)
    }

    /// The second field, the name, is in brackets and may hold blanks.
    fn parse(stat: &str) -> Self {
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field =
            |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
        let seconds = |user, system| f64::from(field(user) + field(system)) / TICKS;
        Self { parent: field(4), seconds: seconds(14, 15), of_ended: seconds(16, 17) }
    }

    /// Seconds of a process and of everything that it has started, ended or not.
    ///
    /// # Errors
    /// If there is no such process.
    pub(super) fn seconds_of_family(parent: u32) -> Result<f64, BenchError> {
        let own = Self::read(&parent.to_string())?;
        let entries = std::fs::read_dir("/proc").map_err(|error| BenchError::Target(error.to_string()))?;
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let numbers = numbers.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // Whoever has ended since the listing counts with its parent.
        let children = numbers.filter_map(|number| Self::read(&number).ok()).filter(|it| it.parent == parent);
        Ok(own.seconds + own.of_ended + children.map(|child| child.seconds).sum::<f64>())
    }
}

/// What all processors together have done since the machine started, in seconds of one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Processors {
    pub(super) busy: f64,
    /// Idle while something waited for a disk.
    pub(super) waiting: f64,
    pub(super) idle: f64,
}

impl Processors {
    /// Now.
    ///
    /// # Errors
    /// If the machine does not tell.
    pub(super) fn read() -> Result<Self, BenchError> {
        let text = std::fs::read_to_string("/proc/stat").map_err(|error| BenchError::Target(error.to_string()))?;
        Ok(Self::parse(text.lines().next().unwrap_or_default()))
    }

    /// user, nice, system, idle, iowait, irq, softirq, steal, and two that are in user already.
    fn parse(line: &str) -> Self {
        let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|text| text.parse().ok()).collect();
        let tick = |number: usize| ticks.get(number).copied().unwrap_or_default() / TICKS;
        let busy = [0, 1, 2, 5, 6, 7].map(tick).iter().sum();
        Self { busy, waiting: tick(4), idle: tick(3) }
    }

    /// With so many times another count.
    pub(super) fn plus(self, other: Self, times: f64) -> Self {
        Self {
            busy: self.busy + times * other.busy,
            waiting: self.waiting + times * other.waiting,
            idle: self.idle + times * other.idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let stat = "17 (a (b) c) S 4 17 17 0 -1 4194304 1 2 3 4 150 50 300 100 20 0 1 0 5";
        assert_eq!(Process::parse(stat), Process { parent: 4, seconds: 2.0, of_ended: 4.0 });
        assert_eq!(Process::parse(""), Process::default());
        let processors = Processors::parse("cpu  100 100 100 5000 700 50 50 100 999 999");
        assert_eq!(processors, Processors { busy: 5.0, waiting: 7.0, idle: 50.0 });
    }

    #[test]
    fn a_process_uses_the_processor_and_so_does_its_family() {
        let own = Process::read("self").unwrap();
        assert!(own.parent > 0);
        assert!(Process::waits("self").is_ok());
        assert!(Process::seconds_of_family(own.parent).unwrap() >= own.seconds);
    }
}
