//! What bad input gets, on the running binary: refused with an answer, at a bounded cost, and without
//! a trace where it does not belong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bombs;
mod borders;
mod confusion;
mod damage;
mod logs;
mod modes;
mod names;
mod referrers;
mod slow;
mod streams;
