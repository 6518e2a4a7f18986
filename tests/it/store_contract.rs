//! What every store has to do, whatever database it uses. A store joins by a [`harness::Injector`] for the
//! faults that have to happen inside it, a function that makes a fresh one, and one line in [`contract`].

mod audit;
mod batches;
mod bookings;
mod call_in_records;
mod call_ins;
mod captcha;
mod erasure;
mod explain;
mod harness;
mod holds;
mod limits;
mod nodes;
mod notice_records;
mod notices;
mod postgres;
mod recounts;
mod root_key;
mod search;
mod settings;
mod speed;
mod sqlite;
mod steps;
mod tenants;
mod user_data;
mod users;
mod work;

/// Runs every test of the contract against the fixtures of every store.
macro_rules! contract {
    ($($group:ident: $($test:ident),+;)+) => {
        contract! { @on sqlite_store, crate::store_contract::sqlite::start; $($group: $($test),+;)+ }
        contract! { @on postgres_store, crate::store_contract::postgres::start; $($group: $($test),+;)+ }
    };
    (@on $store:ident, $start:path; $($group:ident: $($test:ident),+;)+) => {
        mod $store {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::store_contract::$group::$test(&$start).await;
                })+
            })+
        }
    };
}

contract! {
    bookings: come_back_whole, immediate_ones_too, are_walled_by_tenant, are_recognised_by_their_key,
        keys_expire, equal_keys_in_one_batch_share_one_outcome, a_refusal_leaves_the_key_unused,
        the_last_place_goes_once_in_one_batch, of_every_size_come_back, ids_are_taken_once,
        what_was_kept_under_a_key_is_known;
    steps: write_everything, need_the_version, need_the_owner_if_asked, need_a_row, cannot_cross_tenants,
        move_slots_with_them, are_refused_by_a_full_slot_without_a_trace, give_back_and_take_in_one_batch,
        leave_a_history_without_gaps, of_one_callback_go_one_per_batch, of_a_newer_row_are_refused;
    work: a_claim_takes_what_starts_before_the_horizon, a_claim_follows_todays_lead, claims_have_a_limit,
        two_claimers_never_share, due_lists_the_owners_work_oldest_first, a_take_needs_a_dead_owner_or_none,
        overdue_work_is_taken_from_anybody, what_waits_for_a_place_is_left_to_the_living,
        takes_have_a_limit_and_an_order, a_node_that_ends_hands_its_work_over,
        what_is_handed_over_is_due_as_before, idle_sweeps_write_nothing,
        newer_rows_are_left_alone, parking_hides_and_unparking_shows, a_parked_callback_stays_parked,
        a_purge_takes_only_settled_and_old, a_purge_is_bounded, work_is_counted;
    batches: gather_while_the_writer_is_busy, a_poisoned_command_fails_alone, many_poisoned_commands_fail_alone,
        an_error_in_the_middle_leaves_nothing, a_rollback_in_the_middle_leaves_nothing,
        a_lost_answer_to_commit_is_perhaps, callers_who_have_gone_are_dropped, a_full_queue_refuses_at_once,
        background_work_goes_in_quarters, readers_see_what_is_committed,
        a_quiet_tenant_waits_for_one_batch;
    notices: are_written_with_their_step_and_only_then, cost_nothing_where_nobody_is_told, come_back_whole,
        are_numbered_in_the_order_of_commits, of_one_callback_follow_each_other, are_taken_on_once,
        are_taken_on_by_turns, end_by_whoever_holds_them, a_dead_owner_leaves_his_to_others,
        a_push_goes_to_every_device_and_replaces_older_ones, what_was_not_tried_is_put_back,
        a_failing_endpoint_is_switched_off, results_are_told;
    notice_records: can_be_owed_again, are_listed, old_happenings_go_and_places_stay, are_walled_by_tenant,
        are_counted, devices_come_back, who_ends_for_another_is_told_of;
    holds: count_like_bookings, become_a_booking_once, of_many_takers_one_wins, are_refused_elsewhere, are_given_up,
        go_by_themselves, hinder_nobody_once_they_are_over, are_freed_or_taken_over_in_one_batch,
        are_so_many_and_no_more, are_recognised_by_their_key,
        leave_nothing_of_a_broken_batch, callbacks_move_between_slots_as_far_as_places_go,
        a_move_within_a_slot_knows_its_grid, get_the_slots_of_another_grid, keep_every_place_in_random_changes;
    limits: a_number_waits_so_often, the_newest_that_waits_is_the_answer, the_oldest_that_waits_ends_for_the_new_one,
        routing_is_owed_the_end_of_a_replaced_attempt, a_parked_callback_can_be_replaced,
        twins_in_one_batch_see_each_other, a_value_has_its_number_per_day, counts_are_exact_in_one_batch,
        counts_are_exact_under_concurrency, a_window_slides, a_window_costs_no_more_than_its_parts,
        the_depth_follows_every_step, who_ends_for_another_makes_room, rules_are_told_in_their_order,
        a_rolled_back_batch_counted_nothing, without_rules_nothing_is_counted, past_counts_are_purged;
    recounts: move_bookings_to_the_slots_of_another_grid, say_what_they_moved_in_the_history,
        that_are_done_cost_nothing, leave_the_past_and_the_ended_alone, are_refused_places_of_another_grid,
        are_finished_by_whoever_comes_next, meet_cancels_and_bookings, keep_every_place_in_random_changes;
    captcha: tokens_come_with_one_booking_of_their_tenant, a_refused_booking_leaves_its_token,
        equal_tokens_in_one_batch_go_once, a_booking_is_found_by_its_key, old_tokens_are_forgotten;
    settings: tenants_come_back, keys_come_back, changes_raise_the_epoch, a_hash_is_kept_once,
        nodes_replace_their_older_selves, heartbeats_count;
    root_key: is_replaced_as_it_was_read, outlives_its_master_keys,
        is_the_master_key_where_older_programs_made_keys_of_it;
    tenants: documents_come_back_with_their_revision, a_booking_alone_makes_no_document,
        what_is_there_has_to_be_as_expected, of_two_at_once_one_wins, several_change_together_or_not_at_all,
        what_says_the_same_is_no_change, history_is_kept_and_bounded, keys_change_with_the_document,
        secrets_come_and_go_within_their_tenant;
    call_ins: come_back_whole, are_walled_by_tenant, are_recognised_by_their_key,
        equal_keys_in_one_batch_share_one_outcome, a_lost_answer_to_commit_is_perhaps,
        codes_are_never_shared_and_the_last_one_is_found, the_least_loaded_number_is_given_out,
        without_codes_numbers_and_callers_are_never_shared, of_many_calls_one_wins,
        a_match_and_a_cancel_exclude_each_other, most_criteria_win_then_the_oldest,
        a_store_finds_what_the_rules_say;
    call_in_records: time_alone_ends_them, a_purge_writes_expiry_down_and_removes_the_old,
        expired_ones_never_pile_up, lists_are_filtered_sorted_and_paged, a_long_list_is_looked_through_in_parts;
    erasure: nothing_is_found_afterwards, is_found_in_no_crowded_file, finds_copies_between_rows, waits_for_what_has_not_ended,
        leaves_routing_what_it_needs, is_walled_by_tenant, is_gone_on_with_after_a_break, nothing_is_older_than_a_fortnight;
    audit: tells_every_act, shows_what_was_changed, is_kept_for_its_time;
    explain: a_booking_comes_to_what_was_foretold, everything_that_counts_is_told, why_a_callback_is_parked_is_told;
    search: finds_what_is_wanted_and_nothing_else, gives_callbacks_back_whole, a_long_table_is_looked_through_in_parts;
    user_data: is_replaced_as_it_was_read, of_nobody_is_not_found, is_never_lost_between_writers,
        goes_with_its_callback, active_callbacks_are_counted_by_queue;
    users: sessions_come_back_whole, of_one_user_so_many_sessions_are_left, uses_and_groups_are_written_down,
        accounts_are_kept_once, an_account_that_changes_ends_its_sessions, sessions_of_nobody_are_purged;
}
