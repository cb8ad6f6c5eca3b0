//! The promises of every [`EventStore`](crate::EventStore), as tests for any implementation.
//!
//! ```text
//! mod conformance {
//!     leftfold_api::conformance_suite!(|| MyStore::fresh());
//! }
//! ```
//!
//! Each promise is one `#[test]` in the module that calls the macro. The closure returns an empty store
//! for it, as anything that dereferences to an `EventStore`.
//!
//! There are two tiers. A store of one log keeps the promises of every store, and those that need
//! one order of all events: `conformance_suite!(fresh)`. A store of many partitions keeps the
//! promises of every store, refuses by `crosses_partitions` what crosses them, and does in one
//! partition what a store of one log does: `conformance_suite!(fresh, partitioned)`.
//! `docs/partitions.md` has the table.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the suite fails by panicking")]

pub mod bookkeeping;
pub mod conditions;
mod helpers;
pub mod indexes;
pub mod limits;
pub mod one_log;
pub mod ordinals;
pub mod partitioned;
pub mod partitioners;
pub mod reads;
pub mod repeats;
pub mod retention;
pub mod subscriptions;

pub use pollster::block_on;

/// Declares one `#[test]` for each promise of a store of one log, or, with `partitioned`, of a store
/// of many partitions.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr) => {
        $crate::conformance_suite!(@every $fresh);
        $crate::conformance_suite!(@one_log $fresh);
    };
    ($fresh:expr, partitioned) => {
        $crate::conformance_suite!(@every $fresh);
        $crate::conformance_suite!(@partitioned $fresh);
    };
    (@one_log $fresh:expr) => {
        $crate::conformance_suite!(@ $fresh, conditions:
            none_after_refuses_and_names_the_first_match,
            none_after_checks_only_events_after_its_cursor,
            none_after_accepts_negative_queries,
        );
        $crate::conformance_suite!(@ $fresh, reads:
            begins_including_or_excluding_a_position,
            begins_including_or_excluding_a_cursor,
            lists_streams_by_category_in_pages,
        );
        $crate::conformance_suite!(@ $fresh, indexes:
            an_index_is_read_by_ordinal,
        );
        $crate::conformance_suite!(@ $fresh, subscriptions:
            begins_at_the_next_position_and_refuses_later_ones,
            refuses_a_start_in_the_future,
        );
        $crate::conformance_suite!(@ $fresh, retention:
            conditions_see_events_that_retention_hides,
        );
        $crate::conformance_suite!(@ $fresh, ordinals:
            a_partition_is_part_of_a_query,
            each_partition_counts_from_zero_forward_and_backward,
            ordinals_of_an_index_without_partitions_count_all_its_events,
            a_partition_is_read_from_an_ordinal,
            deliveries_have_ordinals_in_history_and_live,
            an_append_answers_with_the_ordinals_of_its_events,
            a_repeat_answers_with_the_same_ordinals,
            a_repeat_answers_with_its_ordinals,
            an_ordinal_is_looked_up_by_position_cursor_version_and_time,
            events_that_retention_hides_keep_their_ordinals,
            impossible_partitions_are_refused,
        );
        $crate::conformance_suite!(@ $fresh, bookkeeping:
            conditions_do_not_see_bookkeeping,
        );
        $crate::conformance_suite!(@ $fresh, one_log:
            an_append_spans_any_streams_and_checkpoints,
            an_append_checks_any_streams,
            positions_order_all_events,
            every_cursor_is_comparable,
        );
    };
    (@partitioned $fresh:expr) => {
        $crate::conformance_suite!(@ $fresh, partitioned:
            streams_lie_where_the_rule_says,
            an_append_over_partitions_is_refused,
            an_append_in_one_partition_is_atomic,
            a_condition_over_partitions_is_refused,
            a_condition_on_one_stream_holds,
            a_checkpoint_elsewhere_is_refused,
            a_checkpoint_holds_a_cursor_of_many_positions,
            a_position_of_many_partitions_is_refused,
            a_position_is_a_place_in_one_partition,
            ordinals_over_partitions_are_refused,
            ordinals_in_one_partition_are_dense,
            an_index_by_the_store_key_has_ordinals,
            a_merged_read_resumes_exactly_in_both_directions,
            a_merged_read_keeps_the_order_of_streams,
            cursors_are_partially_ordered,
            a_read_waits_for_the_partition_of_a_write,
            a_cursor_of_a_backward_page_reads_backward_only,
            a_cursor_with_other_partitions_is_foreign,
            a_merged_subscription_resumes_exactly,
            an_idle_partition_delays_no_delivery,
            an_index_lists_events_of_all_partitions,
            streams_of_all_partitions_are_listed_once,
            retention_holds_in_every_partition,
        );
    };
    (@every $fresh:expr) => {
        $crate::conformance_suite!(@ $fresh, conditions:
            any_writes_to_an_absent_stream,
            any_writes_to_a_stream_with_events,
            no_stream_writes_to_an_absent_stream,
            no_stream_conflicts_with_a_stream_with_events,
            exists_conflicts_with_an_absent_stream,
            exists_writes_to_a_stream_with_events,
            exactly_writes_after_its_version,
            exactly_conflicts_with_an_absent_stream,
            exactly_conflicts_with_a_stream_at_a_later_version,
            exactly_conflicts_with_a_stream_at_an_earlier_version,
            a_stream_that_is_only_checked_can_refuse_the_append,
            a_checkpoint_moves_only_from_where_it_is_expected,
            a_checkpoint_moves_without_events,
            checkpoints_are_listed_by_name,
            a_deleted_checkpoint_is_not_set_and_begins_anew,
            a_conflict_writes_nothing_anywhere,
            appends_to_several_streams_take_one_run_of_positions,
            one_of_many_writers_wins_each_version,
        );
        $crate::conformance_suite!(@ $fresh, repeats:
            any_repeated_answers_as_the_first_time,
            exists_repeated_answers_as_the_first_time,
            no_stream_repeated_answers_as_the_first_time,
            exactly_repeated_answers_as_the_first_time,
            exactly_repeated_after_others_answers_as_the_first_time,
            any_repeated_in_part_is_refused,
            exists_repeated_in_part_is_refused,
            no_stream_repeated_in_part_is_refused,
            exactly_repeated_in_part_is_refused,
            any_with_a_known_id_and_other_content_is_refused,
            exists_with_a_known_id_and_other_content_is_refused,
            no_stream_with_a_known_id_and_other_content_is_refused,
            exactly_with_a_known_id_and_other_content_is_refused,
            any_repeated_in_another_order_is_refused,
            what_repeats_as_a_whole_is_found_by_its_first_event,
            events_of_two_appends_are_no_repeat_of_one,
            exactly_that_holds_does_not_write_a_stored_id_again,
            a_repeat_is_answered_before_any_expectation,
            the_same_id_in_another_stream_is_another_event,
            events_without_ids_are_never_repeats,
            none_after_ignores_its_own_events_in_a_repeat,
            a_checkpoint_move_is_not_made_twice,
            several_streams_repeated_answer_as_the_first_time,
            several_streams_of_which_one_repeats_are_refused,
            a_repeat_is_recognized_by_the_given_fields_only,
        );
        $crate::conformance_suite!(@ $fresh, reads:
            returns_every_field_of_an_event,
            reads_a_stream_a_category_a_type_a_tag_and_a_correlation,
            reads_in_pages_without_gap_or_repetition,
            reads_backward,
            begins_including_or_excluding_a_version,
            begins_including_or_excluding_a_commit_time,
            finds_by_event_time,
            combines_with_and_or_not,
            reads_its_own_writes,
            an_empty_page_has_the_cursor_of_its_end,
            describes_a_stream,
        );
        $crate::conformance_suite!(@ $fresh, bookkeeping:
            reads_hide_bookkeeping_unless_they_ask_for_it,
            subscriptions_hide_bookkeeping,
            definitions_hide_bookkeeping_unless_they_ask_for_it,
            lists_of_streams_hide_bookkeeping,
        );
        $crate::conformance_suite!(@ $fresh, indexes:
            an_index_lists_earlier_and_later_events,
            an_index_is_part_of_a_query,
            a_dropped_index_is_unknown_and_its_name_is_free,
            invalid_definitions_of_indexes_are_refused,
            an_index_is_described_by_its_name,
        );
        $crate::conformance_suite!(@ $fresh, ordinals:
            partitions_are_those_of_kafka,
            every_event_is_in_exactly_one_partition,
            ordinals_of_a_stream_are_its_versions,
            ordinals_of_several_lists_are_refused,
            unknown_partitions_and_indexes_are_refused,
        );
        $crate::conformance_suite!(@ $fresh, partitioners:
            partitions_by_crc32_are_those_of_librdkafka,
            a_key_stands_behind_a_prefix,
            each_partition_holds_the_events_whose_keys_lead_to_it,
            an_index_keeps_its_key_and_its_partitioner,
        );
        $crate::conformance_suite!(@ $fresh, subscriptions:
            delivers_history_then_a_caught_up_mark_then_new_events,
            resumes_exactly_at_its_cursor,
            a_filtered_subscription_moves_its_cursor_past_other_events,
            begins_at_the_next_version_and_refuses_later_ones,
            waits_for_new_events,
        );
        $crate::conformance_suite!(@ $fresh, retention:
            a_maximal_count_keeps_the_newest_at_once,
            a_maximal_age_counts_from_the_commit_time,
            truncation_hides_older_versions_and_renumbers_none,
            retention_does_not_bring_back_deleted_events,
            retention_that_keeps_nothing_is_refused,
            retention_is_replaced_as_a_whole,
            a_deleted_stream_continues_its_versions,
            a_deleted_stream_answers_conditions_as_before,
            a_deletion_checks_its_expectation,
            a_tombstone_refuses_all_later_appends,
            a_stream_without_events_can_get_a_tombstone,
            repeats_of_hidden_events_get_the_first_answer,
            a_rule_hides_what_its_query_yields_until_it_is_dropped,
            a_rule_counts_by_stream,
            invalid_retention_rules_are_refused,
            subscriptions_skip_dropped_events,
            system_events_are_exempt_from_retention,
        );
        $crate::conformance_suite!(@ $fresh, limits:
            names_are_checked,
            tags_are_checked,
            sizes_are_checked,
            an_empty_or_contradictory_append_is_refused,
            cursors_are_checked,
            reads_are_checked,
        );
    };
    (@ $fresh:expr, $module:ident: $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let store = $fresh();
            $crate::conformance::block_on($crate::conformance::$module::$name(&*store));
        }
    )*};
}
