//! A cluster of one partition keeps every promise of a store of one log, whichever node is asked.

mod through_the_owner {
    leftfold_api::conformance_suite!(crate::nodes::Through::owner);
}

mod through_a_standby {
    leftfold_api::conformance_suite!(crate::nodes::Through::standby);
}
