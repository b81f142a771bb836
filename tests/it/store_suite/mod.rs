//! What every user database must do beyond a sign-in: one suite, run on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

mod importing;
pub(crate) mod people;
pub(crate) mod typed;

use std::time::{Duration, SystemTime};

use anteroom::users::model::Person;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;

/// A profile of which only the names are set.
pub(crate) fn profile(unique_id: &str, name: &str) -> Profile {
    Profile::new(Person { upn: Some(format!("{name}@example.com")), ..Person::bare(unique_id, name) })
}

/// A time that both databases keep to the microsecond.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// Everything, on an empty database.
pub(crate) async fn conforms(store: &dyn Roster) {
    people::profiles_are_kept_whole(store).await;
    people::changes_become_local_and_are_told(store).await;
    people::aliases_lead_to_their_person_alone(store).await;
    people::devices_keep_their_order(store).await;
    people::a_code_is_used_once(store).await;
    people::a_bypass_is_used_once_and_every_measure_is_kept(store).await;
    people::tokens_belong_to_people_who_exist(store).await;
    people::pins_are_replaced_and_remembered(store).await;
    typed::tries_are_counted_before_they_are_looked_at(store).await;
    typed::a_kept_code_is_used_as_often_as_it_may_be(store).await;
    typed::a_sent_code_is_tried_and_sent_as_often_as_it_may_be(store).await;
    typed::pins_are_checked_and_changed_by_the_rules(store).await;
    people::a_dismissed_person_leaves_nothing(store).await;
    people::old_records_go_and_the_last_sign_in_stays(store).await;
    people::an_erased_person_is_named_nowhere(store).await;
    importing::one_node_at_a_time_may_import(store).await;
    importing::nothing_counts_before_the_end(store).await;
    importing::local_fields_are_kept(store).await;
    importing::names_move_in_a_ring(store).await;
    importing::two_claims_of_one_name_are_a_conflict(store).await;
    importing::people_may_come_before_their_names(store).await;
    importing::newcomers_come_together_with_their_names(store).await;
    importing::many_change_together_and_those_with_other_names_one_by_one(store).await;
    importing::an_abandoned_import_leaves_nothing(store).await;
    importing::changes_meanwhile_are_kept(store).await;
    importing::a_removed_person_leaves_with_everything(store).await;
    importing::tokens_and_letters_of_an_import_come_with_it(store).await;
    importing::memory_runs_and_plans_are_kept(store).await;
}
