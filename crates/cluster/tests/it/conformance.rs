//! A cluster of one partition keeps every promise of a store of one log, and one of many partitions those of a store of
//! many, whichever node is asked.

mod through_the_owner {
    leftfold_api::conformance_suite!(crate::nodes::Through::owner);
}

mod through_a_standby {
    leftfold_api::conformance_suite!(crate::nodes::Through::standby);
}

mod of_eight_partitions_through_one_owner {
    leftfold_api::conformance_suite!(crate::many::Spread::through_the_first, partitioned);
}

mod of_eight_partitions_through_another_owner {
    leftfold_api::conformance_suite!(crate::many::Spread::through_the_second, partitioned);
}
