/// Defines named counters over all runs. A simulation that rarely causes a case proves little.
macro_rules! tally {
    ($($name:ident),* $(,)?) => {
        /// How often each case happened.
        #[derive(Debug, Default, Clone, Copy)]
        pub(crate) struct Tally {
            $(pub(crate) $name: u64,)*
        }

        impl Tally {
            pub(crate) fn plus(self, other: Tally) -> Tally {
                Tally { $($name: self.$name + other.$name,)* }
            }

            pub(crate) fn assert_all_happened(&self) {
                $(assert!(self.$name > 50, "{} happened too rarely: {self:?}", stringify!($name));)*
            }
        }
    };
}

tally! {
    written, repeated, refused, conflicts, tombstoned, crashes, torn, killed, crashed_recoveries, crashed_restores, failed_disks, full_disks,
    unanswered_kept, unanswered_lost, reopened, indexes, maintenance, merged, crashed_maintenance, retentions, rules,
    hidden, scavenged, backups, crashed_backups, restored, restored_older, repaired, lost, delivered, resumed, rot_noticed, rot_harmless,
}
