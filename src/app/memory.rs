//! Memory that the process has no use for.

use domain::numbers::PhoneNumber;

/// Gives back to the system what the start needed for a moment, some 8 MiB. By itself glibc gives back the end of its heap
/// alone, and something that lives on stands there (malloc_trim(3)). Other threads may have to wait for memory meanwhile.
pub(super) fn give_back() {
    // Waits until the tables of numbering plans are read, which takes more than they keep.
    PhoneNumber::prepare();
    trim();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator has no other interface")]
fn trim() {
    // SAFETY: it may be called at any time from any thread, takes the locks of the allocator itself, and touches only
    // pages that hold nothing.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators are asked for nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;
    const MADE: usize = 128 * MIB;

    /// Resident memory in bytes that no file stands behind.
    fn own_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Set in the process in which the test measures.
    const ALONE: &str = "GES_TEST_ALONE";

    /// Other tests take memory meanwhile, so it runs in a process of its own.
    #[test]
    fn holes_between_what_lives_on_are_given_back() {
        if std::env::var_os(ALONE).is_none() {
            let alone = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "app::memory::tests::holes_between_what_lives_on_are_given_back", "--test-threads=1"])
                .env(ALONE, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&alone.stdout);
            assert!(alone.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let made: Vec<Box<[u8]>> = (0..MADE / 1024).map(|_| vec![1; 1024].into_boxed_slice()).collect();
        let lives_on: Vec<_> = made.into_iter().step_by(1024).collect();
        let before = own_bytes();
        give_back();
        let after = own_bytes();
        assert!(before.saturating_sub(after) > MADE / 2, "{before} bytes before, {after} after");
        assert_eq!(lives_on.len(), MADE / MIB);
        assert!(lives_on.iter().flatten().all(|byte| *byte == 1));
    }
}
