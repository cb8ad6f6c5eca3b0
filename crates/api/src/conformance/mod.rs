//! What every [`EventStore`](crate::EventStore) promises, as tests that anybody can run against
//! their own.
//!
//! ```text
//! mod conformance {
//!     leftfold_api::conformance_suite!(|| MyStore::fresh());
//! }
//! ```
//!
//! Each promise is one `#[test]` in the module that the macro stands in; it gets a store without
//! events from the closure, which may return anything that dereferences to an `EventStore`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the suite fails by panicking")]

pub mod conditions;
mod helpers;
pub mod indexes;
pub mod limits;
pub mod ordinals;
pub mod reads;
pub mod repeats;
pub mod retention;
pub mod subscriptions;

pub use pollster::block_on;

/// Makes one `#[test]` of each promise.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr) => {
        $crate::conformance_suite!(@ $fresh, conditions:
            any_writes_to_an_absent_stream,
            any_writes_to_a_stream_with_events,
            no_stream_writes_to_an_absent_stream,
            no_stream_conflicts_with_a_stream_with_events,
            exists_conflicts_with_an_absent_stream,
            exists_writes_to_a_stream_with_events,
            exactly_writes_behind_its_version,
            exactly_conflicts_with_an_absent_stream,
            exactly_conflicts_with_a_stream_that_is_further_on,
            exactly_conflicts_with_a_stream_that_is_not_so_far,
            a_stream_that_is_only_checked_can_refuse_the_append,
            none_after_refuses_and_names_the_first_match,
            none_after_looks_only_behind_its_cursor,
            none_after_takes_negative_queries,
            a_checkpoint_moves_only_from_where_it_is_expected,
            a_checkpoint_moves_without_events,
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
            exactly_that_holds_does_not_ask_for_ids,
            the_same_id_in_another_stream_is_another_event,
            events_without_ids_are_never_repeats,
            none_after_does_not_meet_its_own_first_time,
            a_checkpoint_move_is_not_made_twice,
            several_streams_repeated_answer_as_the_first_time,
            several_streams_of_which_one_repeats_are_refused,
            a_repeat_is_known_by_what_was_said_not_by_when,
        );
        $crate::conformance_suite!(@ $fresh, reads:
            gives_back_all_that_was_said,
            reads_a_stream_a_category_a_type_a_tag_and_a_correlation,
            reads_in_pages_without_gap_or_repetition,
            reads_backward,
            begins_including_or_excluding_a_position,
            begins_including_or_excluding_a_version,
            begins_including_or_excluding_a_cursor,
            begins_including_or_excluding_a_commit_time,
            finds_by_event_time,
            combines_with_and_or_not,
            reads_its_own_writes,
            a_page_says_where_it_ended_though_it_found_nothing,
            lists_streams_by_category_in_pages,
            describes_a_stream,
        );
        $crate::conformance_suite!(@ $fresh, indexes:
            an_index_holds_the_past_and_the_future,
            an_index_is_read_by_ordinal,
            an_index_is_part_of_a_query,
            a_dropped_index_is_unknown_and_its_name_is_free,
            indexes_that_can_not_be_defined_are_refused,
            an_index_is_described_by_its_name,
        );
        $crate::conformance_suite!(@ $fresh, ordinals:
            partitions_are_those_of_kafka,
            every_event_is_in_exactly_one_partition,
            a_partition_is_part_of_a_query,
            each_partition_counts_from_zero_forward_and_backward,
            ordinals_of_a_stream_are_its_versions,
            ordinals_of_an_index_without_partitions_count_all_its_events,
            a_partition_is_read_from_an_ordinal,
            deliveries_have_ordinals_in_history_and_live,
            an_append_answers_with_the_ordinals_of_its_events,
            a_repeat_answers_with_the_same_ordinals,
            a_repeat_of_events_that_were_appended_apart_answers_with_their_ordinals,
            an_ordinal_is_looked_up_by_position_cursor_version_and_time,
            events_that_retention_hides_keep_their_ordinals,
            ordinals_of_several_lists_are_refused,
            unknown_partitions_and_indexes_are_refused,
            impossible_partitions_are_refused,
        );
        $crate::conformance_suite!(@ $fresh, subscriptions:
            delivers_history_then_says_so_then_what_comes,
            resumes_exactly_where_its_cursor_is,
            resumes_a_filtered_query_behind_what_it_does_not_want,
            begins_where_it_was_told_though_that_is_still_to_come,
            waits_for_what_comes,
        );
        $crate::conformance_suite!(@ $fresh, retention:
            a_maximal_count_keeps_the_newest_at_once,
            a_maximal_age_counts_from_the_commit_time,
            truncation_hides_older_versions_and_moves_none,
            retention_is_replaced_as_a_whole,
            a_deleted_stream_goes_on_counting,
            a_deleted_stream_answers_conditions_as_before,
            a_deletion_expects_the_stream_where_it_was_said,
            a_tombstone_refuses_all_later_appends,
            a_tombstone_can_be_the_first_that_is_said_of_a_stream,
            repeats_answer_though_their_events_are_hidden,
            conditions_see_what_reads_do_not,
            a_rule_hides_what_its_query_yields_until_it_is_dropped,
            a_rule_counts_by_stream,
            rules_that_can_not_be_defined_are_refused,
            subscriptions_deliver_what_is_kept,
            the_stores_own_events_are_kept,
        );
        $crate::conformance_suite!(@ $fresh, limits:
            names_are_checked,
            tags_are_checked,
            sizes_are_checked,
            an_append_must_say_something_and_nothing_twice,
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
