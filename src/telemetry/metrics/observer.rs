//! From facts to instruments.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::callback::Promise;
use domain::event::{ActorKind, Event, Failure};
use domain::ids::QueueName;
use domain::ports::Observer;
use domain::push::PushResult;
use opentelemetry::KeyValue;

use super::{LAGGING, Metrics, NO_TENANT, labelled, rough};

impl Observer for Metrics {
    fn note(&self, event: Event) {
        let to = &self.instruments;
        match event {
            Event::TenantKnown { tenant } => self.note_known(&tenant),
            Event::Booked { tenant } => to.callbacks_created.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInOpened { tenant } => to.callin_created.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInNothingFree { tenant } => to.callin_nothing_free.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInMatched { tenant } => to.callin_matched.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInMissed { tenant } => to.callin_missed.add(1, &[labelled("tenant", &tenant)]),
            Event::Moved { tenant, from, to: state } => {
                let labels = [
                    labelled("tenant", &tenant),
                    KeyValue::new("from", from.name()),
                    KeyValue::new("to", state.name()),
                ];
                to.callback_moves.add(1, &labels);
            }
            Event::Saved { cause } => to.callback_saves.add(1, &[KeyValue::new("cause", cause.name())]),
            Event::Fired { lateness } => {
                to.start_lateness.record(lateness.as_secs_f64(), &[]);
                if lateness > LAGGING {
                    to.monitor_lagging_behind.add(1, &[]);
                }
            }
            Event::SubmitFailed => to.cb_submit_failed.add(1, &[]),
            Event::Parked { tenant } => to.callbacks_parked.add(1, &[labelled("tenant", &tenant)]),
            Event::ActorStarted(kind) => self.count_running(kind, 1),
            Event::ActorStopped(kind) => self.count_running(kind, -1),
            Event::Handled { kind, took, waiting } => self.note_handled(kind, took, waiting),
            Event::Restarted { supervisor, child, reason } => self.note_restarted(supervisor, child, reason),
            Event::PanicCaught => to.uncaught_exception.add(1, &[]),
            Event::Probed { dependency, up } => {
                let mut dependencies = self.dependencies.lock();
                dependencies.insert(dependency, up);
                self.tell_dependencies(&dependencies);
            }
            Event::WorkLists { monitor_active, monitor_total, ping_active, ping_total } => self.note_work_lists([
                ("activeMonitor", monitor_active),
                ("totalMonitor", monitor_total),
                ("activePing", ping_active),
                ("totalPing", ping_total),
            ]),
            Event::Answered { tenant, method, route, status, took } => {
                self.note_answered(tenant.as_ref(), method, route, status, took);
            }
            Event::BodyTooLong => to.invalid_content_length.add(1, &[]),
            Event::Shed => to.shed_requests.add(1, &[]),
            Event::SlotFull { tenant } => to.slot_full.add(1, &[labelled("tenant", &tenant)]),
            Event::DuplicateLimitReached { tenant } => {
                to.cb_enqueue_limit_reached.add(1, &[labelled("tenant", &tenant)])
            }
            Event::Throttled { tenant, rule } => {
                to.cb_ttl_limit_reached.add(1, &[labelled("tenant", &tenant)]);
                to.bookings_throttled.add(1, &[labelled("tenant", &tenant), KeyValue::new("rule", rule)]);
            }
            Event::HoldRefused { tenant, bound } => {
                to.holds_refused.add(1, &[labelled("tenant", &tenant), KeyValue::new("bound", bound.name())]);
            }
            Event::OverRate { tenant } => to.requests_over_rate.add(1, &[labelled("tenant", &tenant)]),
            Event::OverShare { tenant } => to.requests_over_share.add(1, &[labelled("tenant", &tenant)]),
            Event::BatchesWaited { batches } => to.commit_batches_waited.record(rough(batches), &[]),
            Event::TurnsWaited { turns } => to.read_turns_waited.record(rough(turns), &[]),
            Event::NumberRefused { tenant, rule } => {
                to.numbers_refused.add(1, &[labelled("tenant", &tenant), KeyValue::new("rule", rule)]);
            }
            Event::Committed { commands, took } => {
                to.commit.record(took.as_secs_f64(), &[]);
                to.commit_commands.record(rough(commands), &[]);
            }
            Event::Purged { callbacks } => to.purged_callbacks.add(callbacks, &[]),
            Event::CaptchaAsked { tenant, end } => {
                to.captcha_checks.add(1, &[labelled("tenant", &tenant), KeyValue::new("end", end.name())]);
            }
            Event::PushEnded { tenant, result } => {
                let labels = [labelled("tenant", &tenant), KeyValue::new("result", result.name())];
                to.push_notifications_sent.add(1, &labels);
            }
            Event::MessageTried { tenant, result } => {
                to.webhook_tries.add(1, &[labelled("tenant", &tenant), KeyValue::new("result", result.name())]);
            }
            Event::EndpointDisabled { tenant } => {
                to.webhook_endpoints_disabled.add(1, &[labelled("tenant", &tenant)]);
            }
            Event::Owed(owed) => {
                let channel = [KeyValue::new("channel", owed.channel.name())];
                to.notices_due.record(rough(owed.due), &channel);
                to.notices_oldest.record(owed.oldest.as_secs_f64(), &channel);
            }
            Event::BusEnded { end, count } => to.bus_messages.add(count, &[KeyValue::new("end", end.name())]),
            Event::CalledOut { to: callee, end, took } => {
                let callee = KeyValue::new("to", callee.name());
                to.outward_calls.add(1, &[callee.clone(), KeyValue::new("end", end.name())]);
                to.outward_call.record(took.as_secs_f64(), &[callee]);
            }
            Event::GwsFailed => to.gws_server_error.add(1, &[]),
            Event::GwsClientRefused => to.gws_incorrect_client_credentials.add(1, &[]),
            Event::VirtualQueuesNotRead => to.rbac_create_vq_proxy_error.add(1, &[]),
            Event::LookupFailed => to.dns_failure.add(1, &[]),
            Event::Promised { tenant, queue, promise } => self.note_promise(&tenant, &queue, promise),
            Event::SignalAnswered { event, took } => {
                to.signal_lag.record(took.as_secs_f64(), &[KeyValue::new("event", event)]);
            }
            Event::Swept { taken, oldest } => {
                to.taken_over.add(taken, &[]);
                to.work_oldest.record(oldest.as_secs_f64(), &[]);
            }
            Event::Beaten { living, skew } => {
                to.nodes.record(rough(living), &[]);
                // Exact up to 24 days, which is wrong enough.
                let milliseconds = i32::try_from(skew.num_milliseconds()).unwrap_or(i32::MAX);
                to.clock_skew.record(f64::from(milliseconds) / 1e3, &[]);
            }
            Event::Woken { late } => {
                to.runtime_lag.record(late.as_secs_f64(), &[]);
                if self.settings.node_metrics {
                    to.nodejs_eventloop_lag.record(late.as_secs_f64(), &[]);
                }
            }
        }
    }
}

impl Metrics {
    fn note_known(&self, tenant: &Arc<str>) {
        let label = [labelled("tenant", tenant)];
        let to = &self.instruments;
        let counters = [
            &to.callbacks_created,
            &to.callin_created,
            &to.webhook_endpoints_disabled,
            &to.callbacks_parked,
            &to.slot_full,
            &to.requests_over_rate,
            &to.requests_over_share,
            &to.callin_matched,
            &to.callin_missed,
            &to.callin_nothing_free,
        ];
        for counter in counters {
            counter.add(0, &label);
        }
        let [label] = label;
        for result in PushResult::ALL {
            to.push_notifications_sent.add(0, &[label.clone(), KeyValue::new("result", result.name())]);
        }
    }

    /// The other ends appear at 0 with the first of them, so that an increase can be seen.
    fn note_promise(&self, tenant: &Arc<str>, queue: &QueueName, promise: Promise) {
        let queue = KeyValue::new("queue", queue.as_str().to_owned());
        for end in Promise::ALL {
            let labels = [labelled("tenant", tenant), queue.clone(), KeyValue::new("result", end.name())];
            self.instruments.promises.add(u64::from(end == promise), &labels);
        }
    }

    fn note_answered(
        &self,
        tenant: Option<&Arc<str>>,
        method: &'static str,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let to = &self.instruments;
        let tenant = tenant.map_or_else(|| KeyValue::new("tenant", NO_TENANT), |tenant| labelled("tenant", tenant));
        let path = KeyValue::new("path", route);
        let code = i64::from(status);
        if status >= 400 {
            to.http_failed_requests.add(1, &[tenant.clone(), path.clone(), KeyValue::new("httpCode", code)]);
        }
        to.http_requests.add(1, &[tenant, path]);
        let labels = [KeyValue::new("method", method), KeyValue::new("route", route), KeyValue::new("code", code)];
        to.http_request_duration.record(took.as_secs_f64(), &labels);
    }

    fn note_restarted(&self, supervisor: ActorKind, child: ActorKind, reason: Failure) {
        let labels = [
            KeyValue::new("supervisor", supervisor.name()),
            KeyValue::new("child", child.name()),
            KeyValue::new("reason", reason.name()),
        ];
        self.instruments.supervisor_restarts.add(1, &labels);
    }

    fn note_work_lists(&self, sizes: [(&'static str, u64); 4]) {
        for (list, size) in sizes {
            self.instruments.monitor_size.record(rough(size), &[KeyValue::new("type", list)]);
        }
    }

    fn note_handled(&self, kind: ActorKind, took: Duration, waiting: usize) {
        if let Some(of_kind) = self.kinds.get(&kind) {
            self.instruments.actor_handle.record(took.as_secs_f64(), &of_kind.label);
            self.instruments.mailbox_depth.record(rough(waiting), &of_kind.label);
        }
    }

    fn count_running(&self, kind: ActorKind, change: i64) {
        if let Some(of_kind) = self.kinds.get(&kind) {
            of_kind.running.fetch_add(change, Ordering::Relaxed);
        }
    }
}
