//! Every store passes the same suite.
#![allow(clippy::unwrap_used)]

mod suite;

macro_rules! every_store {
    ($($engine:ident)+) => {
        $(store_conformance! { $engine:
            studies {
                names_are_unique_in_a_project,
                request_ids_repeat_the_first_answer,
                closing_ends_open_trials,
                a_raised_budget_reopens_a_completed_study,
                stop_rules_can_be_changed,
                queued_trials_can_be_withdrawn,
                notices_tell_of_changes,
            }
            plans {
                plans_are_committed_in_order,
                resumes_go_up_once,
                plans_replace_what_nobody_has_leased,
                user_points_come_first_and_are_checked,
                duplicates_follow_the_policy,
            }
            results {
                reports_are_kept_once,
                finishes_are_decided_once,
                attempts_are_counted,
                expired_leases_return_and_late_results_count,
                cancelled_trials_tell_their_worker,
                many_failures_pause_the_study,
                all_training_seconds_are_counted,
            }
            workers {
                studies_are_matched_with_workers,
                equal_studies_share_the_slots,
                workers_are_known_and_drained,
                crashing_workers_are_quarantined,
                concurrent_claims_are_distinct,
            }
            lists {
                studies_are_listed_by_pages,
                trials_are_listed_by_pages,
                tokens_come_and_go,
                projects_have_unique_names,
            }
            data {
                changes_can_be_followed_and_replayed,
                reaping_points_at_idle_studies,
            }
        })+
    };
}

every_store! { memory sqlite postgres }
