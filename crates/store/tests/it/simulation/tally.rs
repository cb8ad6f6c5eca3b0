/// Counts with a name each, over all runs: a simulation that meets nothing proves nothing.
macro_rules! tally {
    ($($name:ident),* $(,)?) => {
        /// How often things were met.
        #[derive(Debug, Default, Clone, Copy)]
        pub(crate) struct Tally {
            $(pub(crate) $name: u64,)*
        }

        impl Tally {
            pub(crate) fn plus(self, other: Tally) -> Tally {
                Tally { $($name: self.$name + other.$name,)* }
            }

            pub(crate) fn must_have_met_everything(&self) {
                $(assert!(self.$name > 50, "{} was hardly met: {self:?}", stringify!($name));)*
            }
        }
    };
}

tally! {
    written, repeated, refused, conflicts, tombstoned, crashes, torn, failed_disks, full_disks,
    unanswered_kept, unanswered_lost, reopened, indexes, upkeep, merged, crashed_upkeep, retentions, rules,
    hidden, scavenged, backups, crashed_backups, restored, restored_older, repaired, lost, delivered, resumed, rot_noticed, rot_harmless,
}
