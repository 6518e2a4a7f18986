//! What the contract's prose says, row by row, and the test that fails when it does not hold.

use std::collections::BTreeSet;
use std::fs;

const DOOR: &str = "src/front_door/tests.rs";
const STATUSES: &str = "src/front_door/tests/statuses.rs";
const CREATE: &str = "src/front_door/tests/create.rs";
const FREE: &str = "src/front_door/tests/availability.rs";
const HOURS: &str = "src/front_door/tests/hours.rs";
const WAITS: &str = "src/front_door/tests/waits.rs";
const CALL_IN: &str = "src/front_door/tests/call_in.rs";
const STATISTICS: &str = "src/front_door/tests/statistics.rs";
const LIMITS: &str = "src/front_door/tests/limits.rs";
const CORS: &str = "src/front_door/tests/cors.rs";
const SERVER: &str = "src/front_door/server/tests.rs";
const TIME: &str = "src/front_door/wire/time.rs";
const QUERY: &str = "src/front_door/wire/query.rs";
const BOOKING: &str = "domain/src/booking/tests.rs";
const REPLAY: &str = "tests/it/clients.rs";

const REPLAYED: &str = "what_official_clients_send_is_answered_as_they_read";
const NOTICED: &str = "what_a_client_stumbles_over_is_noticed";

type Row = (&'static str, &'static str, &'static str);

/// Section 1: rules common to all operations.
const COMMON: &[Row] = &[
    ("base path, and the prefix of 2018 is gone", REPLAY, REPLAYED),
    ("only the listed paths can be reached from outside", DOOR, "other_paths_and_methods_get_the_envelope"),
    ("the key in any case of its header, any text, several of a tenant", DOOR, "keys_and_scopes_open_the_door"),
    ("ccid and ContactCenterID are refused from outside", DOOR, "nobody_outside_names_a_tenant"),
    ("cookies are neither needed nor minded", REPLAY, REPLAYED),
    ("request type with and without charset, also without a body", DOOR, "only_json_is_read"),
    ("answers are JSON, whatever the status", STATUSES, "every_operation_answers_every_status_of_the_contract"),
    (
        "the envelope; code a number, message, corrId a UUID",
        STATUSES,
        "every_operation_answers_every_status_of_the_contract",
    ),
    ("success is 200, never 201 or 204", REPLAY, NOTICED),
    ("errors are read by nobody but people: code and rule", DOOR, "an_id_that_is_none_is_named"),
    ("unknown parameters and members are ignored", CREATE, "the_least_that_can_be_booked"),
    ("the cache-buster of the JavaScript client", REPLAY, REPLAYED),
    ("absent values are left out", CALL_IN, "the_answer_leaves_out_what_is_not_there"),
    ("booleans are booleans", REPLAY, REPLAYED),
    ("numbers in every form, in queries", QUERY, "numbers_come_in_every_form"),
    ("numbers in every form, in bodies", CREATE, "everything_that_can_be_said"),
    ("an answer within the patience of clients", DOOR, "every_request_has_a_deadline"),
    ("statuses are counted for alerts", DOOR, "every_answer_is_reported_once_with_a_closed_set_of_routes"),
    ("two listeners", SERVER, "both_listeners_serve_and_keep_connections"),
    ("a longest body, above 100 kB", DOOR, "a_body_over_the_limit_is_refused_by_its_length_and_by_its_bytes"),
    ("100 kB of user data in one field", REPLAY, REPLAYED),
    ("times in: every documented form", TIME, "every_documented_form_is_read"),
    ("times in: anything else is refused", TIME, "anything_else_is_refused"),
    ("times out: milliseconds and Z, and what goes out comes in", TIME, "what_goes_out_comes_in"),
    (
        "codes: 501, 7030, 7036, 7037, 7040, 7042, 7043, 422",
        CREATE,
        "every_refusal_of_the_desk_has_its_status_and_code",
    ),
    ("codes: 1103", DOOR, "keys_and_scopes_open_the_door"),
    ("codes: 7041", LIMITS, "a_counted_rule_is_named_with_its_number_and_its_end"),
    (
        "codes: 403, 404, 413, 415, 422, 500, each where it can be",
        STATUSES,
        "every_operation_answers_every_status_of_the_contract",
    ),
    ("codes: 405", DOOR, "other_paths_and_methods_get_the_envelope"),
    ("codes: 408", DOOR, "every_request_has_a_deadline"),
    ("codes: 431 is the one answer without an envelope", SERVER, "oversized_heads_and_bodies_are_refused"),
    ("codes: 409 with HTTP 400", DOOR, "a_cancel_echoes_the_id_or_says_why_not"),
];

/// Section 2: operation by operation.
const OPERATIONS: &[Row] = &[
    ("create: every member", CREATE, "everything_that_can_be_said"),
    ("create: members of old clients", CREATE, "what_old_clients_send_is_understood"),
    ("create: what breaks a rule of form", CREATE, "a_booking_that_breaks_a_rule_of_form_is_told_which"),
    (
        "create: names of user data that are no identifiers",
        "src/front_door/wire/user_data.rs",
        "names_that_are_no_identifiers_are_dropped",
    ),
    ("create: user data never logged", "tests/it/secrets_in_output.rs", "planted_secrets_appear_in_no_output"),
    ("create: slots of a 429 are texts by instants", CREATE, "a_full_slot_proposes_others"),
    (
        "create: the nearest ones, ascending, at most ten",
        "domain/src/slots/tests.rs",
        "proposals_are_the_nearest_free_slots_in_open_hours",
    ),
    ("create: a time that has come is now", BOOKING, "a_time_that_has_come_is_now_unless_capacity_is_always_checked"),
    ("create: alwaysCheckCapacity", BOOKING, "a_callback_that_must_not_slide_is_refused_if_the_wait_outlasts_its_slot"),
    ("create: 14 days ahead at most", BOOKING, "the_last_bookable_instant_is_booked"),
    ("create: outside the hours", BOOKING, "every_rule_refuses"),
    (
        "create: a number that waits already",
        "actors/tests/callbacks/limits.rs",
        "a_number_that_waits_is_refused_until_it_waits_no_more",
    ),
    (
        "create: numbers are read in the region of the service",
        "domain/src/numbers/tests.rs",
        "numbers_of_many_countries",
    ),
    (
        "create: a captcha that is refused",
        "actors/tests/callbacks/captcha.rs",
        "a_token_is_judged_after_every_other_rule_and_counts_once",
    ),
    ("create: devices needed where customers call", BOOKING, "who_calls_in_has_to_name_a_device_and_http_an_endpoint"),
    ("cancel: 404, 409, and again 200", REPLAY, REPLAYED),
    ("cancel: text that is no UUID", DOOR, "an_id_that_is_none_is_named"),
    ("cancel, retrieve, call-in: another tenant's id", REPLAY, REPLAYED),
    ("retrieve: members by state; -1 when unknown", DOOR, "each_state_shows_what_the_contract_wants_in_it"),
    (
        "retrieve: place and wait in active states only",
        "actors/tests/callbacks/flow.rs",
        "the_view_shows_place_and_wait_in_active_states_only",
    ),
    (
        "retrieve: 14 days from the desired time",
        "tests/it/store_contract/work.rs",
        "a_purge_takes_only_settled_and_old",
    ),
    ("availability: every parameter", FREE, "every_parameter_is_read_in_all_its_forms"),
    ("availability: exclusive ones, zones, numbers", FREE, "what_breaks_a_rule_is_named"),
    ("availability: names are decoded after routing", FREE, "names_in_the_path_are_decoded"),
    ("availability: unknown service is 400", FREE, "refusals_are_the_contracts"),
    (
        "availability: zero-length, past, far windows",
        "domain/src/availability/tests.rs",
        "windows_are_cut_as_they_should",
    ),
    (
        "availability: busy slots do not count",
        "domain/src/availability/tests.rs",
        "busy_slots_are_shown_on_request_and_never_counted",
    ),
    (
        "availability: slots are laid out in UTC",
        "domain/src/slots/tests.rs",
        "repeated_hours_have_their_own_slots_and_skipped_ones_none",
    ),
    (
        "availability: from the window and bookings alone",
        "tests/it/availability.rs",
        "free_times_follow_bookings_and_hours",
    ),
    (
        "open-for: both kinds of names, zero when closed, 14 days at most",
        HOURS,
        "open_for_counts_the_seconds_until_closing",
    ),
    (
        "open-for: holidays and exceptions count",
        "domain/src/hours/tests/special.rs",
        "exceptions_close_open_add_and_remove",
    ),
    ("open-for: unknown names are 400", HOURS, "open_for_names_what_it_cannot_read"),
    ("queue-status: its three members, -1", WAITS, "a_queue_tells_what_it_offers"),
    (
        "queue-status: forecast before closing",
        "actors/tests/callbacks/waits.rs",
        "a_queue_offers_what_can_be_made_before_it_closes",
    ),
    (
        "queue-status: names of services and queues",
        "actors/tests/callbacks/waits.rs",
        "a_queue_is_found_by_each_of_its_names",
    ),
    ("queue-status: unknown queue is 400", WAITS, "names_of_queues_are_decoded_after_routing"),
    ("estimated-wait-time: order, duplicates, unknown queues", WAITS, "waits_come_in_the_order_of_the_request"),
    ("estimated-wait-time: split after decoding", "src/front_door/wire/waits.rs", "names_are_split_after_decoding"),
    ("estimated-wait-time: at most 100 names", "src/front_door/wire/waits.rs", "what_cannot_be_read_is_named"),
    ("estimated-wait-time: missing names, unknown mode", WAITS, "bad_questions_are_refused"),
    ("estimated-wait-time: the three modes, calls on hold", "domain/src/wait/tests.rs", "each_mode_has_its_figure"),
    ("estimated-wait-time: result codes", "domain/src/wait/tests.rs", "result_codes_are_the_contracts"),
    ("call-in: members as clients send them", CALL_IN, "a_request_is_read_as_clients_send_it"),
    (
        "call-in: a code without leading zeros",
        "domain/src/call_in/tests/choices.rs",
        "codes_have_their_digits_and_no_leading_zero",
    ),
    ("call-in: expiry in milliseconds", REPLAY, REPLAYED),
    ("call-in: unknown group, callback, no free number", CALL_IN, "every_refusal_of_the_desk_has_its_status_and_code"),
    ("statistics: the answer unchanged", STATISTICS, "the_answer_is_wrapped_unchanged"),
    ("statistics: a missing body is 400", STATISTICS, "a_missing_or_odd_body_is_a_400_and_nobody_is_asked"),
    ("statistics: max-age, 15 s at least", "src/front_door/wire/statistics.rs", "the_least_age_is_fifteen_seconds"),
    (
        "statistics: kept for identical requests",
        "tests/it/statistics.rs",
        "an_answer_serves_again_while_it_is_young_and_for_its_question_only",
    ),
    (
        "statistics: 401 without credentials, 500 for trouble behind",
        STATISTICS,
        "every_refusal_has_its_status_and_code",
    ),
    ("what is gone is gone", REPLAY, REPLAYED),
];

/// Section 3: hazards found by running the clients, and where these disagree.
const CLIENTS: &[Row] = &[
    ("1 prose in cbOfferType", REPLAY, REPLAYED),
    ("1 whole values count, else it is as if not said", CREATE, "what_old_clients_send_is_understood"),
    ("2 user data as text", REPLAY, REPLAYED),
    ("2 text that is no object", "src/front_door/wire/user_data.rs", "anything_but_an_object_is_refused"),
    ("3 UUIDs everywhere", REPLAY, NOTICED),
    ("4 localTime with an offset", FREE, "answers_are_whole"),
    ("5 an offset beside a zone", REPLAY, REPLAYED),
    ("5 a bare time is one of the zone", TIME, "a_time_without_an_offset_is_read_off_the_wall_of_the_zone"),
    ("6 empty lists are there", FREE, "answers_are_whole"),
    ("7 requests are replayed, no package is needed", REPLAY, "the_files_keep_to_what_is_known_of_the_clients"),
    ("8 model classes, not the stale pages", REPLAY, REPLAYED),
    ("9 preflight, origins by tenant", CORS, "a_preflight_passes_if_any_tenant_allows_its_origin"),
    ("9 off by default", CORS, "without_origins_nothing_is_said"),
    ("the two clients disagree", REPLAY, NOTICED),
];

/// Section 4: open points and our choice.
const CHOICES: &[Row] = &[
    ("1 no key, unknown key", DOOR, "keys_and_scopes_open_the_door"),
    ("2 tenant headers from outside", DOOR, "nobody_outside_names_a_tenant"),
    ("3 codes and statuses", CREATE, "every_refusal_of_the_desk_has_its_status_and_code"),
    ("4 429 of two kinds", REPLAY, REPLAYED),
    ("4 Retry-After of the second", LIMITS, "over_its_rate_a_tenant_is_refused_before_its_body_is_read"),
    ("5 a window without an end", REPLAY, REPLAYED),
    ("6 localTime", REPLAY, REPLAYED),
    ("7 timed callbacks that are for now", BOOKING, "a_time_that_has_come_is_now_unless_capacity_is_always_checked"),
    ("8 late cancels", "domain/src/callback/tests/table.rs", "every_input_in_every_situation"),
    ("9 numbers in E.164", "domain/src/numbers/tests.rs", "every_example_of_every_plan_reads_as_itself"),
    ("10 the longest body is a setting", "src/config/tests.rs", "every_default_is_allowed_by_its_own_rule"),
    ("11 405 with Allow, 404", DOOR, "other_paths_and_methods_get_the_envelope"),
    ("12 nesting of statistics", REPLAY, REPLAYED),
    ("13 one namespace, aliases", "actors/tests/callbacks/waits.rs", "a_queue_is_found_by_each_of_its_names"),
    ("14 OPTIONS without origins", DOOR, "other_paths_and_methods_get_the_envelope"),
    ("15 unknown service is 400", FREE, "refusals_are_the_contracts"),
];

/// The table is worth something only as long as its tests are there.
#[test]
fn every_row_of_the_contracts_prose_has_its_test() {
    let mut named = BTreeSet::new();
    for (what, file, test) in [COMMON, OPERATIONS, CLIENTS, CHOICES].into_iter().flatten() {
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{what}: {file}: {error}"));
        let is_test = |at: usize| {
            let above = source[..at].rsplit("\n\n").next().unwrap_or_default();
            // A suite and a block of properties say so once, for all that is in them.
            above.contains("test") || source.contains("proptest!") || file.contains("/store_contract/")
        };
        let found = source.match_indices(&format!("fn {test}(")).any(|(at, _)| is_test(at));
        assert!(found, "{what}: {file} has no test {test}");
        assert!(named.insert((what, test)), "{what}: named twice");
    }
    for number in 1..=9 {
        let named = CLIENTS.iter().any(|(what, _, _)| what.starts_with(&number.to_string()));
        assert!(named, "hazard {number} has no row");
    }
    for number in 1..=15 {
        let named = CHOICES.iter().any(|(what, _, _)| what.split(' ').next() == Some(&number.to_string()));
        assert!(named, "open point {number} has no row");
    }
}
