//! The one suite that every driver and every wrapper has to pass.
//!
//! A crate that has a driver turns on the feature `conformance` for its tests, depends on tokio
//! with `macros` and `rt-multi-thread`, and calls [`driver_conformance!`](crate::driver_conformance)
//! once for each way to make its driver:
//!
//! ```text
//! wharfinger_driver::driver_conformance!(memory, Subject::new(Memory::new()));
//! ```
//!
//! Each clause is a test of its own over a fresh, empty driver. A bug that is found in one driver
//! adds its clause here, for all.

#![expect(
    clippy::unwrap_used,
    reason = "a clause is a test: what fails here has to be seen"
)]

pub mod commits;
pub mod deleting;
pub mod ingests;
pub mod links;
pub mod listing;
pub mod model;
pub mod reading;
pub mod resuming;
mod tools;
pub mod values;
pub mod verified;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::Driver;

/// A way to open the same place once more.
type OpenAgain = Box<dyn Fn() -> Arc<dyn Driver> + Send + Sync>;

/// A driver under test, over a place that was empty.
pub struct Subject {
    /// The driver.
    pub driver: Arc<dyn Driver>,
    /// Opens the same place once more, as another process would. Without it the driver itself
    /// stands for the other process.
    pub again: Option<OpenAgain>,
    /// What has to live as long as the driver, such as a scratch directory.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    /// A driver that needs nothing else.
    #[must_use]
    pub fn new(driver: impl Driver) -> Self {
        Self {
            driver: Arc::new(driver),
            again: None,
            keep: Box::new(()),
        }
    }

    /// Adds a way to open the same place once more.
    #[must_use]
    pub fn with_again(
        mut self,
        again: impl Fn() -> Arc<dyn Driver> + Send + Sync + 'static,
    ) -> Self {
        self.again = Some(Box::new(again));
        self
    }

    /// Adds what has to live as long as the driver.
    #[must_use]
    pub fn keeping(mut self, keep: impl Any + Send + Sync) -> Self {
        self.keep = Box::new(keep);
        self
    }

    /// Puts `wrap` around the driver, and around each that is opened once more.
    #[must_use]
    pub fn wrapped(
        self,
        wrap: impl Fn(Arc<dyn Driver>) -> Arc<dyn Driver> + Send + Sync + 'static,
    ) -> Self {
        let Self {
            driver,
            again,
            keep,
        } = self;
        let driver = wrap(driver);
        let again = again.map(|again| -> OpenAgain { Box::new(move || wrap(again())) });
        Self {
            driver,
            again,
            keep,
        }
    }

    /// Returns the driver as another process sees it.
    #[must_use]
    pub fn other(&self) -> Arc<dyn Driver> {
        self.again
            .as_ref()
            .map_or_else(|| Arc::clone(&self.driver), |again| again())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

/// Makes a module of tests, one for each clause of the contract.
///
/// The first argument names the module, the second is an expression (it may await) that makes a
/// fresh [`Subject`](crate::conformance::Subject) for each of them.
#[macro_export]
macro_rules! driver_conformance {
    ($name:ident, $make:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may name everything by full paths")]
            use super::*;

            $crate::driver_conformance! { @clauses $make;
                values {
                    what_was_put_is_there
                    a_put_replaces_and_the_version_changes
                    if_absent_refuses_what_is_there
                    a_failing_batch_leaves_its_prefix
                    a_later_write_of_a_batch_wins
                    an_empty_batch_is_no_failure
                    missing_values_are_not_found
                    a_directory_is_no_value
                    a_value_beyond_the_limit_is_too_large
                    odd_names_are_kept_as_they_are
                    an_empty_value_is_a_value
                    readers_see_old_or_new_and_never_a_mixture
                    of_many_writes_if_absent_one_wins
                    another_process_sees_what_was_written
                    settle_needs_something_there
                    redirect_is_told_by_the_capabilities
                }
                reading {
                    ranges_are_cut_at_the_end
                    a_range_beyond_the_end_is_invalid
                    an_open_value_outlives_its_replacement_and_deletion
                    metadata_of_a_stream_is_that_of_the_value
                }
                listing {
                    names_come_in_byte_order
                    a_directory_is_listed_among_its_siblings_by_its_name
                    pages_join_without_gaps
                    after_need_not_exist
                    a_missing_directory_lists_by_capability
                    only_direct_children_are_listed
                    unfinished_writes_are_never_listed
                }
                deleting {
                    a_deleted_value_is_gone
                    a_directory_goes_with_everything_below
                    siblings_with_a_common_prefix_stay
                    deleting_nothing_is_not_found
                    deleting_the_directory_takes_the_staged_ingest
                }
                ingests {
                    nothing_is_visible_before_the_commit
                    a_large_value_of_odd_pieces_is_whole
                    an_append_of_very_many_pieces_is_whole
                    an_empty_ingest_makes_an_empty_value
                    rewinding_to_the_start_forgets_what_was_appended
                    rewinding_to_a_point_drops_what_came_later
                    rewinding_needs_the_bytes_to_be_there
                    what_is_read_back_is_what_was_appended
                    an_aborted_ingest_is_gone
                    a_dropped_final_ingest_leaves_nothing
                    a_final_ingest_commits_only_where_it_was_meant_to
                    a_final_ingest_cannot_be_read_back
                    begin_replaces_what_nobody_can_see
                    a_checkpoint_does_not_hold_up_appends
                    the_offset_counts_what_was_appended
                }
                resuming {
                    an_ingest_goes_on_at_its_end
                    an_ingest_goes_on_at_an_offset
                    a_checkpoint_is_enough_to_go_on
                    an_older_checkpoint_drops_what_came_later
                    beyond_the_end_is_invalid
                    nothing_to_resume_is_not_found
                    one_handle_at_a_time
                    closing_and_dropping_let_others_in
                    a_committed_ingest_cannot_be_resumed
                    many_small_sessions_make_one_value
                    an_empty_ingest_can_be_resumed
                }
                commits {
                    a_commit_if_absent_refuses_what_is_there_and_can_be_repeated
                    a_commit_replaces_when_told_to
                    what_follows_is_written_in_order
                    what_follows_stops_at_what_is_there
                    an_ended_handle_takes_nothing_more
                    a_commit_of_a_deleted_ingest_fails_and_breaks_the_handle
                    of_many_commits_if_absent_one_wins
                    readers_of_a_commit_see_all_or_nothing
                }
                verified {
                    a_write_that_vouches_is_verified
                    a_commit_that_vouches_is_verified
                    a_rewrite_loses_the_note
                    a_note_about_an_older_version_does_not_count
                    marking_changes_nothing_else
                }
                links {
                    a_second_name_stays_when_the_first_goes
                    a_second_name_is_as_verified_as_the_first
                    a_name_that_is_taken_is_replaced_when_told_to
                    only_a_value_has_a_second_name
                }
                model {
                    random_operations_do_as_a_map_does
                }
            }
        }
    };
    (@clauses $make:expr; $($module:ident { $($clause:ident)+ })+) => {
        $(
            mod $module {
                #[allow(unused_imports, reason = "the expression may name everything by full paths")]
                use super::*;

                $crate::driver_conformance! { @tests $make; $module; $($clause)+ }
            }
        )+
    };
    (@tests $make:expr; $module:ident; $($clause:ident)+) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let subject: $crate::conformance::Subject = $make;
                $crate::conformance::$module::$clause(&subject).await;
            }
        )+
    };
}
