//! What the service tells about itself: log lines and traces, metrics.

pub mod alarms;
pub mod lag;
pub mod metrics;
pub mod tracing;
